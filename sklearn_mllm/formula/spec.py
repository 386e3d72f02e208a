"""`ModelSpec`: what a formula has learnt from its training data, frozen, to replay on new data."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .functions import evaluation_context
from .grouping import Grouping, lookup
from .parse import (
    NUMERIC_PREFIX,
    Cbind,
    ParsedFormula,
    RandomTerm,
    is_numeric_name,
    quote,
)
from .tokens import FormulaError

__all__ = ["Matrices", "ModelSpec", "RandomMatrices"]


@dataclass(frozen=True, eq=False)
class RandomMatrices:
    """One random-effects term on the rows at hand.

    Attributes
    ----------
    group : str
    effects : tuple of str
    levels : ndarray of shape (J,), object
    codes : ndarray of shape (n,), intp
        -1 for a level that was not learnt.
    Z : ndarray of shape (n, k) or None
        None is one column of ones.
    """

    group: str
    effects: tuple[str, ...]
    levels: np.ndarray
    codes: np.ndarray
    Z: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Matrices:
    """Design arrays.

    Attributes
    ----------
    X : ndarray of shape (n, p), column-contiguous
    names : tuple of str
    random : tuple of RandomMatrices
    offset : ndarray of shape (n,) or None
        Of the formula's offset() terms.
    rows : ndarray of bool or None
        Rows of the input that the arrays hold; None is all.
    """

    X: np.ndarray
    names: tuple[str, ...]
    random: tuple[RandomMatrices, ...]
    offset: np.ndarray | None
    rows: np.ndarray | None


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A formula with what it learnt: levels, knots, means.

    Use `ModelSpec.learn`; a spec holds no rows of the training data.
    """

    parsed: ParsedFormula
    fixed: object
    effects: tuple
    offset: object
    groupings: tuple[Grouping, ...]
    categories: dict[str, np.ndarray]

    @classmethod
    def learn(
        cls,
        parsed: ParsedFormula,
        table,
        *,
        missing: str = "raise",
        keep: np.ndarray | None = None,
    ) -> tuple[ModelSpec, Matrices]:
        """Learn from training data.

        Parameters
        ----------
        parsed : ParsedFormula
        table : Table
        missing : {"raise", "drop"}
        keep : ndarray of bool, optional
            Rows in use.

        Raises
        ------
        FormulaError
            Names the column and what to do.
        """
        fixed_text = parsed.fixed
        columns = list(parsed.columns)
        if parsed.has_dot:
            others = _dot_columns(parsed, table)
            fixed_text = _expand_dot(fixed_text, others)
            columns += [c for c in others if c not in columns]
        grouping_columns = list(parsed.grouping_columns)
        frame, rows = _complete(table, columns, grouping_columns, missing, keep)
        if len(frame) == 0:
            raise FormulaError("no complete row is left to fit: every row misses some value")
        frame, categories = _with_categories(frame, columns)
        X, names, fixed_spec = _learn_matrix(fixed_text, frame)
        random, effects = [], []
        groupings: dict[tuple[str, ...], tuple[Grouping, np.ndarray]] = {}
        for term in parsed.random:
            if term.grouping not in groupings:
                groupings[term.grouping] = Grouping.learn(term.grouping, frame)
            grouping, codes = groupings[term.grouping]
            matrices, spec = _learn_term(term, grouping, codes, frame)
            random.append(matrices)
            effects.append(spec)
        offset, offset_spec = None, None
        if parsed.offset is not None:
            values, _, offset_spec = _learn_matrix(f"0 + I({parsed.offset})", frame)
            offset = values.sum(axis=1)
        spec = cls(
            parsed, fixed_spec, tuple(effects), offset_spec,
            tuple(groupings[t.grouping][0] for t in parsed.random), categories,
        )  # fmt: skip
        return spec, Matrices(X, names, tuple(random), offset, rows)

    def replay(
        self,
        table,
        *,
        random: bool = True,
        missing: str = "raise",
        keep: np.ndarray | None = None,
    ) -> Matrices:
        """Design arrays of new rows.

        Parameters
        ----------
        table : Table
        random : bool
            False leaves the random-effect terms out: their columns need not be there.
        missing : {"raise", "drop"}
        keep : ndarray of bool, optional

        Raises
        ------
        FormulaError
            A missing column, a missing value, or a new level of a fixed effect.
        """
        frame, rows = self._frame(table, random, missing, keep)
        terms = []
        if random:
            codes: dict[tuple[str, ...], np.ndarray] = {}
            for term, spec, grouping in zip(
                self.parsed.random, self.effects, self.groupings, strict=True
            ):
                if term.grouping not in codes:
                    codes[term.grouping] = grouping.replay(frame)
                terms.append(_replay_term(spec, grouping, codes[term.grouping], frame))
        return self._matrices(frame, tuple(terms), rows)

    def extend(
        self, table, *, missing: str = "raise", keep: np.ndarray | None = None
    ) -> tuple[ModelSpec, Matrices]:
        """A spec that also knows the grouping levels of these rows, and their arrays."""
        frame, rows = self._frame(table, True, missing, keep)
        wider: dict[tuple[str, ...], tuple[Grouping, np.ndarray]] = {}
        terms, groupings = [], []
        for term, spec, grouping in zip(
            self.parsed.random, self.effects, self.groupings, strict=True
        ):
            if term.grouping not in wider:
                wider[term.grouping] = grouping.extend(frame)
            groupings.append(wider[term.grouping][0])
            terms.append(_replay_term(spec, *wider[term.grouping], frame))
        matrices = self._matrices(frame, tuple(terms), rows)
        return replace(self, groupings=tuple(groupings)), matrices

    def _frame(self, table, random: bool, missing: str, keep):
        columns = list(self.categories)
        grouping_columns = list(self.parsed.grouping_columns) if random else []
        frame, rows = _complete(table, columns, grouping_columns, missing, keep)
        return _known_categories(frame, self.categories), rows

    def _matrices(self, frame, terms, rows) -> Matrices:
        X, names = _replay_matrix(self.fixed, frame)
        offset = None
        if self.offset is not None:
            offset = _replay_matrix(self.offset, frame)[0].sum(axis=1)
        return Matrices(X, names, terms, offset, rows)


# -- columns ---------------------------------------------------------------------------------------


def _dot_columns(parsed: ParsedFormula, table) -> list[str]:
    used = {*parsed.columns, *parsed.grouping_columns, *parsed.response_columns}
    used.update(table.group_columns)
    return [c for c in table.columns if c not in used]


def _expand_dot(text: str, columns: list[str]) -> str:
    from .tokens import tokenize

    out, at = "", 0
    inner = " + ".join(map(quote, columns)) if columns else "1"
    for token in tokenize(text):
        if token.kind == "op" and token.text == ".":
            out += text[at : token.at] + (f"({inner})" if len(columns) > 1 else inner)
            at = token.at + 1
    return out + text[at:]


def _require(table, names: list[str], role: str) -> None:
    for name in names:
        if name not in table.columns:
            lower = {c.lower(): c for c in table.columns}
            close = [lower[c] for c in difflib.get_close_matches(name.lower(), lower, n=1)]
            hint = f"; did you mean {close[0]!r}?" if close else ""
            known = ", ".join(map(repr, list(table.columns)[:12]))
            raise FormulaError(
                f"{role} {name!r} of the formula is not a column of X or groups (there are "
                f"{known}){hint}"
            )


def _complete(table, columns, grouping_columns, missing: str, keep):
    """Frame of the complete rows in use, and the mask of them (None for all)."""
    import pandas as pd

    _require(table, columns, "column")
    _require(table, grouping_columns, "grouping factor")
    names = list(dict.fromkeys([*columns, *grouping_columns]))
    frame = table.frame(names)
    incomplete = None
    problems = []
    for name in names:
        values = frame[name]
        if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iub":
            continue
        absent = values.isna().to_numpy()
        count = int((absent if keep is None else absent & keep).sum())
        if count:
            problems.append((name, count))
            incomplete = absent if incomplete is None else incomplete | absent
        if name in columns and pd.api.types.is_float_dtype(values.dtype):
            infinite = np.isinf(values.to_numpy(dtype=float, na_value=np.nan))
            if infinite.any():
                raise FormulaError(
                    f"column {name!r} holds {int(infinite.sum())} infinite value(s) (inf); "
                    "replace them or drop the rows"
                )
    if problems and missing == "raise":
        words = ", ".join(f"{name!r} ({count})" for name, count in problems)
        raise FormulaError(
            f"missing values (NaN) in column(s) {words}; fill them in, or set missing='drop' to "
            "leave such rows out"
        )
    rows = None if incomplete is None else ~incomplete
    if keep is not None:
        rows = keep if rows is None else rows & keep
    if rows is not None:
        frame = frame.loc[rows]
    return frame, rows


def _is_text(values) -> bool:
    import pandas as pd

    return isinstance(values.dtype, pd.StringDtype) or values.dtype == object


def _with_categories(frame, columns: list[str]):
    """Text and category columns with their observed levels; a record for each column used."""
    import pandas as pd

    categories: dict[str, np.ndarray | None] = {}
    changed = {}
    for name in columns:
        values = frame[name]
        categories[name] = None
        if isinstance(values.dtype, pd.CategoricalDtype):
            column = values.cat.remove_unused_categories()
        elif _is_text(values):
            numbers = _as_numbers(values)
            if numbers is not None:
                changed[name] = numbers
                continue
            try:
                codes, levels = pd.factorize(values, sort=True)
            except TypeError as error:
                raise FormulaError(
                    f"column {name!r} mixes values that cannot be ordered; make it text or numbers"
                ) from error
            column = pd.Series(pd.Categorical.from_codes(codes, levels), index=frame.index)
        else:
            if values.dtype.kind in "mM":
                raise FormulaError(
                    f"column {name!r} holds dates or times; turn it into a number or a factor first"
                )
            if values.dtype.kind == "c":
                raise FormulaError(
                    f"column {name!r} holds complex numbers: Complex data not supported"
                )
            continue
        categories[name] = np.asarray(column.cat.categories, dtype=object)
        changed[name] = column
    return (frame.assign(**changed) if changed else frame), categories


def _as_numbers(values):
    """An object column of Python numbers as a float column; None if it is not one."""
    import pandas as pd

    if values.dtype != object or not len(values):
        return None
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return values.astype(float)
    return None


def _known_categories(frame, categories: dict[str, np.ndarray | None]):
    import pandas as pd

    changed = {}
    for name, levels in categories.items():
        values = frame[name]
        if levels is None:
            if _is_text(values):
                numbers = _as_numbers(values)
                if numbers is None:
                    raise FormulaError(
                        f"column {name!r} held numbers in fit and now holds text; give numbers"
                    )
                changed[name] = numbers
            continue
        codes = lookup(values, levels)
        known = pd.Categorical.from_codes(codes, categories=list(levels))
        if (codes < 0).any():
            new = pd.unique(np.asarray(values, dtype=object)[codes < 0])
            words = ", ".join(map(repr, new[:5].tolist()))
            raise FormulaError(
                f"column {name!r} holds new level(s) {words} that were not in the training data "
                f"(known: {', '.join(map(repr, levels[:12].tolist()))}); a fixed effect cannot be "
                "predicted for them: recode them or fit on data that has them"
            )
        changed[name] = pd.Series(known, index=frame.index)
    return frame.assign(**changed) if changed else frame


# -- matrices --------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _formula(text: str):
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        return Formula(text)
    except FormulaicError as error:
        raise FormulaError(
            f"formula: cannot read {text!r}: {str(error).splitlines()[0]}"
        ) from error


def _learn_matrix(text: str, frame) -> tuple[np.ndarray, tuple[str, ...], object]:
    if text == "1":
        return np.ones((len(frame), 1), order="F"), ("Intercept",), None
    from formulaic.errors import FormulaicError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", category=RuntimeWarning)
            made = _formula(text).get_model_matrix(
                _plain_names(frame),
                context=evaluation_context(),
                output="numpy",
                na_action="ignore",
            )
    except (FormulaicError, RuntimeWarning, TypeError, ValueError, NameError) as error:
        raise FormulaError(
            f"formula: cannot evaluate {text!r} on these data: {_reason(error)}"
        ) from error
    spec = made.model_spec
    names = _written_names(spec)
    return _columns_first(made, len(frame), names), names, spec


def _replay_matrix(spec, frame) -> tuple[np.ndarray, tuple[str, ...]]:
    if spec is None:
        return np.ones((len(frame), 1), order="F"), ("Intercept",)
    from formulaic.errors import FormulaicError

    try:
        made = spec.get_model_matrix(_plain_names(frame), context=evaluation_context())
    except (FormulaicError, TypeError, ValueError, NameError) as error:
        raise FormulaError(
            f"formula: cannot evaluate it on these data: {_reason(error)}"
        ) from error
    names = _written_names(spec)
    return _columns_first(made, len(frame), names), names


def _plain_names(frame):
    """The frame with names that read as numbers replaced."""
    numeric = {c: NUMERIC_PREFIX + c for c in frame.columns if is_numeric_name(c)}
    return frame.rename(columns=numeric) if numeric else frame


def _written_names(spec) -> tuple[str, ...]:
    return tuple(str(name).replace(NUMERIC_PREFIX, "") for name in spec.column_names)


def _columns_first(made, n: int, names) -> np.ndarray:
    X = np.asfortranarray(np.asarray(made, dtype=float))
    if X.ndim != 2 or X.shape != (n, len(names)):
        X = np.asfortranarray(np.broadcast_to(X.reshape(-1, len(names)), (n, len(names))))
    for j, name in enumerate(names):
        column = X[:, j]
        # a sum is finite only where every term is, but for overflow of the sum itself
        if not np.isfinite(column.sum()) and not np.isfinite(column).all():
            raise FormulaError(
                f"formula: {name!r} is not finite in {int((~np.isfinite(column)).sum())} row(s), "
                "e.g. a logarithm of zero; change the term or the data"
            )
    return X


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _learn_term(term: RandomTerm, grouping: Grouping, codes, frame):
    Z, names, spec = _learn_matrix(term.effects, frame)
    if not names:
        raise FormulaError(
            f"formula: the random-effects term ({term.effects} | {term.label}) has no effect in it"
        )
    return RandomMatrices(term.label, names, grouping.levels, codes, _or_ones(Z, names)), spec


def _replay_term(spec, grouping: Grouping, codes, frame) -> RandomMatrices:
    Z, names = _replay_matrix(spec, frame)
    return RandomMatrices(grouping.label, names, grouping.levels, codes, _or_ones(Z, names))


def _or_ones(Z: np.ndarray, names: tuple[str, ...]) -> np.ndarray | None:
    return None if names == ("Intercept",) else Z


def response_values(parsed: ParsedFormula, table, keep=None):
    """Left side of the formula: a column as it is, or (successes, failures)."""
    _require(table, list(parsed.response_columns), "response")
    if isinstance(parsed.response, Cbind):
        frame = table.frame(list(parsed.response_columns))
        if keep is not None:
            frame = frame.loc[keep]
        return tuple(
            _learn_matrix(f"0 + I({text})", frame)[0].sum(axis=1)
            for text in (parsed.response.successes, parsed.response.failures)
        )
    frame = table.frame(list(parsed.response_columns))
    if keep is not None:
        frame = frame.loc[keep]
    if parsed.response_name is not None:
        return frame[parsed.response_name]
    values = _learn_matrix(f"0 + I({parsed.response})", frame)[0]
    return values[:, -1]
