"""What the estimator's methods are given, as a `Table` and the rows in use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import validate_data

from ..design.table import Table, is_frame, make_table, refuse_lazy
from ..formula import (
    Cbind,
    FormulaError,
    Matrices,
    ModelSpec,
    ParsedFormula,
    default_formula,
    parse,
    response_values,
)
from ..formula.columns import require

__all__ = [
    "Rows", "input_table", "missing_rows", "model_formula", "response_of", "training_rows",
    "trials_of",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rows:
    """Complete rows with positive weight, and the design learnt from them."""

    spec: ModelSpec
    matrices: Matrices
    y: object
    counts: tuple | None
    weights: np.ndarray | None
    offset: np.ndarray | None


def input_table(estimator, X, groups, *, reset: bool) -> Table:
    """Validate X the scikit-learn way and join it with groups.

    Frames are checked by the columns that the formula names; when it takes all columns (`.`),
    their names and order must be those of fit, as anywhere in scikit-learn, but for the response
    and grouping factors, which may be there or not.
    """
    refuse_lazy(X, "X")
    if is_frame(X):
        wanted = _named_columns(estimator, reset)
        table = make_table(X, groups, wanted=wanted)
        if reset or wanted is None:
            names = list(table.x_columns) if reset else _as_in_fit(estimator, table.x_columns)
            same = _is_pandas(X) and (reset or names == list(table.x_columns))
            like = X if same else _names_only(names)
            validate_data(estimator, like, skip_check_array=True, reset=reset)
        if table.n_rows == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={getattr(X, 'shape', None)}) while a minimum "
                "of 1 is required."
            )
        return table
    X = _array_like(X)
    # columns are read one by one, and only those that the formula uses must be finite
    X = validate_data(
        estimator, X, accept_sparse=["csc", "csr"],
        dtype=None if _holds_objects(X) else "numeric", ensure_all_finite=False, reset=reset,
    )  # fmt: skip
    # at prediction, columns without names are those of fit, as anywhere in scikit-learn
    names = None if reset else getattr(estimator, "feature_names_in_", None)
    return make_table(X, groups, feature_names=names)


def _named_columns(estimator, reset: bool) -> tuple[str, ...] | None:
    """Columns that the formula in force names; None when it takes all."""
    if reset and estimator.formula is None:
        return None
    parsed = parse(estimator.formula) if reset else estimator.spec_.parsed
    if parsed.has_dot:
        return None
    return (*parsed.response_columns, *parsed.columns, *parsed.grouping_columns)


def _as_in_fit(estimator, names: tuple[str, ...]) -> list[str]:
    """Names of a new frame, with those that `.` does not take as they were in fit."""
    parsed = estimator.spec_.parsed
    seen = getattr(estimator, "feature_names_in_", None)
    if seen is None:
        return list(names)
    beside = {*parsed.response_columns, *parsed.grouping_columns}
    out = [name for name in names if name in seen or name not in beside]
    for place, name in enumerate(seen):
        if name in beside and name not in out:
            out.insert(place, name)
    return out


def _array_like(X):
    """X, with text beside numbers in lists kept apart; arrays of text alone are refused."""
    if isinstance(X, list | tuple):
        array = np.asarray(X)
        return array if array.dtype.kind not in "US" else np.array(X, dtype=object)
    if getattr(getattr(X, "dtype", None), "kind", None) in ("U", "S"):
        raise ValueError(
            "X is an array of text, where numbers cannot be told from levels; pass a data frame, or "
            "an array of dtype object"
        )
    return X


def _holds_objects(X) -> bool:
    return isinstance(X, np.ndarray) and X.dtype.kind == "O"


def _is_pandas(X) -> bool:
    import pandas as pd

    return isinstance(X, pd.DataFrame)


def _names_only(names):
    """A frame without rows: scikit-learn does not find the names of every frame there is."""
    import pandas as pd

    return pd.DataFrame(columns=list(names))


def model_formula(estimator, table: Table) -> ParsedFormula:
    """The formula in force: the parameter, or the default made from `groups`."""
    if estimator.formula is not None:
        return parse(estimator.formula)
    if not table.group_columns:
        warnings.warn(
            "no grouping factor: neither formula nor groups names one; fitting a plain logistic "
            "regression (with metadata routing off, scikit-learn hands groups to the splitter "
            "alone: name a column of X in the formula, or turn routing on)",
            UserWarning,
            stacklevel=6,
        )
    return parse(default_formula(list(table.group_columns)))


def training_rows(
    estimator,
    table: Table,
    y,
    weights: np.ndarray | None,
    offset: np.ndarray | None,
    spec: ModelSpec | None = None,
) -> Rows:
    """Response and design of the rows that a fit uses.

    Parameters
    ----------
    spec : ModelSpec, optional
        Replay it, with new grouping levels added, instead of learning one.
    """
    parsed = model_formula(estimator, table) if spec is None else spec.parsed
    keep = None if weights is None or weights.all() else weights > 0.0
    given = y is not None
    y, counts = response_of(parsed, table, y)
    if not given or estimator.missing == "drop":
        absent = missing_rows(y, counts)
        if absent is not None and estimator.missing == "raise":
            _refuse_missing(parsed, table, absent if keep is None else absent & keep)
        elif absent is not None and absent.any():
            keep = ~absent if keep is None else keep & ~absent
    y = None if y is None else np.asarray(y)
    if spec is None:
        spec, matrices = ModelSpec.learn(parsed, table, missing=estimator.missing, keep=keep)
    else:
        spec, matrices = spec.extend(table, missing=estimator.missing, keep=keep)
    rows = matrices.rows
    if rows is not None:
        y = None if y is None else y[rows]
        counts = None if counts is None else tuple(c[rows] for c in counts)
        weights = None if weights is None else weights[rows]
        offset = None if offset is None else offset[rows]
    if matrices.offset is not None:
        offset = matrices.offset if offset is None else offset + matrices.offset
    if matrices.X.shape[0] == 1 and estimator.formula is None:
        raise ValueError("n_samples=1: one row cannot be fitted; Found array with 1 sample(s)")
    return Rows(spec, matrices, y, counts, weights, offset)


def response_of(parsed: ParsedFormula, table: Table, y):
    """Labels and None, or None and counts (successes, failures), of all rows.

    Parameters
    ----------
    parsed : ParsedFormula
    table : Table
    y : array-like or None
        None takes the left side of the formula.
    """
    if y is None:
        if parsed.response is None:
            raise ValueError(
                "This MixedLogisticClassifier estimator requires y to be passed, but the target y "
                "is None: pass y, or name a column of X at the left side of the formula"
            )
        values = response_values(parsed, table)
        return (None, values) if isinstance(parsed.response, Cbind) else (values, None)
    values = _as_array(y)
    if values.ndim == 2 and values.shape[1] == 2 and isinstance(parsed.response, Cbind):
        _length(values, table.n_rows)
        values = _counts(values)
        return None, (values[:, 0], values[:, 1])
    values = _column(values)
    _length(values, table.n_rows)
    if isinstance(parsed.response, Cbind):
        counts = response_values(parsed, table)
        if not np.array_equal(_counts(values), counts[0], equal_nan=True):
            raise _no_counts()
        return None, counts
    return values, None


def trials_of(parsed: ParsedFormula, table: Table) -> np.ndarray | None:
    """Whole numbers of trials of each row where the left side is cbind, else None."""
    if not isinstance(parsed.response, Cbind):
        return None
    require(
        table, parsed.response_columns, "response",
        "; they say how many trials each row has",
    )  # fmt: skip
    successes, failures = response_values(parsed, table)
    trials = successes + failures
    if not np.isfinite(trials).all() or (trials < 0.0).any():
        raise ValueError(
            "cbind: successes and failures must be counts >= 0, missing in no row, to say how many "
            "trials each row has"
        )
    return np.rint(trials).astype(np.int64)


def _counts(values: np.ndarray) -> np.ndarray:
    try:
        return values.astype(float)
    except (TypeError, ValueError) as error:
        raise _no_counts() from error


def _no_counts() -> ValueError:
    return ValueError(
        "the formula's left side is cbind(successes, failures): leave y out, or pass the successes "
        "or an array of shape (n, 2)"
    )


def _refuse_missing(parsed: ParsedFormula, table: Table, absent: np.ndarray) -> None:
    """Name the columns of the left side that miss values in some of these rows."""
    import pandas as pd

    if absent.any():
        counts = {
            c: int(np.sum(absent & pd.isna(table.column(c)))) for c in parsed.response_columns
        }
        words = ", ".join(f"{name!r} ({count})" for name, count in counts.items() if count)
        raise FormulaError(
            f"missing values (NaN) in column(s) {words} of the response; drop those rows, or set "
            "missing='drop' to leave them out"
        )


def _as_array(y) -> np.ndarray:
    if isinstance(y, str):
        raise ValueError(
            f"y must hold one label for each row of X, got the text {y!r}; to name a column of X "
            f"write it at the left side of the formula: '{y} ~ ...'"
        )
    if hasattr(y, "toarray"):
        raise ValueError("y is a sparse matrix; pass a 1-dimensional array of labels")
    return np.asarray(y)


def _column(values: np.ndarray) -> np.ndarray:
    if values.ndim == 1:
        return values
    from sklearn.utils.validation import column_or_1d

    return column_or_1d(values, warn=True)


def _length(values: np.ndarray, n: int) -> None:
    if values.shape[0] != n:
        raise ValueError(
            "Found input variables with inconsistent numbers of samples: "
            f"X has {n} rows, y {values.shape[0]}"
        )


def missing_rows(y, counts) -> np.ndarray | None:
    """Which rows miss a label or a count; None where none can."""
    import pandas as pd

    if counts is not None:
        return np.isnan(counts[0]) | np.isnan(counts[1])
    y = y if hasattr(y, "dtype") else np.asarray(y)
    numbers = isinstance(y, np.ndarray) and y.dtype.kind in "biu"
    return None if numbers else np.asarray(pd.isna(y))
