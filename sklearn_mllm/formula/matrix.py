"""Columns to a design matrix, by formulaic; plain numeric columns are stacked without it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .functions import evaluation_context
from .names import alias, display
from .tokens import FormulaError

__all__ = ["Design", "evaluate", "learn_design"]


@dataclass(frozen=True, eq=False)
class Design:
    """What a right side has learnt.

    Attributes
    ----------
    text : str
        For formulaic.
    columns : tuple of str
        Columns that it needs.
    names : tuple of str
        Coefficient names.
    encoded : formulaic.ModelSpec or None
        None where the text is a sum of numeric columns.
    """

    text: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    encoded: object

    @property
    def is_intercept(self) -> bool:
        """Whether it is one column of ones."""
        return self.names == ("Intercept",) and not self.columns

    def replay(self, columns: dict, n: int) -> np.ndarray:
        """Matrix (n, p) of new rows, column-contiguous.

        Parameters
        ----------
        columns : dict
            Name -> ndarray of numbers or pandas Categorical.
        n : int
        """
        if n == 0:
            return np.empty((len(self.names), 0)).T
        if self.encoded is None:
            intercept = len(self.names) > len(self.columns)
            return _stack([columns[c] for c in self.columns], intercept, n)
        made = _materialize(self.encoded, {c: columns[c] for c in self.columns}, n, self.text)
        return _checked(np.asarray(made), self.names)


def learn_design(
    text: str, needed: tuple[str, ...], columns: dict, n: int
) -> tuple[Design, np.ndarray]:
    """Learn a right side from training data.

    Parameters
    ----------
    text : str
        Terms written out, for formulaic.
    needed : tuple of str
        Columns in it.
    columns : dict
        Name -> ndarray of numbers or pandas Categorical.
    n : int

    Raises
    ------
    FormulaError
        A function cannot be applied to a column, or its value is not finite.
    """
    plain = _single_columns(text, needed)
    if plain is not None and all(isinstance(columns[c], np.ndarray) for c in needed):
        names = ("Intercept", *needed) if plain else needed
        X = _stack([columns[c] for c in needed], plain, n)
        return Design(text, needed, names, None), X
    made = _materialize(_formula(text), {c: columns[c] for c in needed}, n, text)
    encoded = made.model_spec
    names = tuple(display(str(name)) for name in encoded.column_names)
    return Design(text, needed, names, encoded), _checked(np.asarray(made), names)


def evaluate(text: str, columns: dict, n: int) -> np.ndarray:
    """Value (n,) of one expression."""
    made = np.asarray(_materialize(_formula(f"0 + I({text})"), columns, n, text))
    if made.shape[1] != 1:
        raise FormulaError(f"formula: {display(text)!r} gives {made.shape[1]} columns, not one")
    return made[:, 0]


@lru_cache(maxsize=512)
def _single_columns(text: str, needed: tuple[str, ...]) -> bool | None:
    """Whether there is an intercept, if the text is nothing but a sum of columns; else None."""
    for intercept in (True, False):
        if text == " + ".join(["1" if intercept else "0", *map(alias, needed)]):
            return intercept
    return None


def _stack(columns: list[np.ndarray], intercept: bool, n: int) -> np.ndarray:
    out = np.empty((intercept + len(columns), n))
    if intercept:
        out[0] = 1.0
    for j, values in enumerate(columns, start=int(intercept)):
        out[j] = values
    return out.T


@lru_cache(maxsize=512)
def _formula(text: str):
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        return Formula(text)
    except FormulaicError as error:
        raise FormulaError(f"formula: cannot read {display(text)!r}: {_reason(error)}") from error


def _wide(values):
    """Narrow and unsigned numbers as wide ones, which do not wrap around in arithmetic."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "iu" and values.dtype != np.int64:
            return values.astype(np.int64 if values.dtype != np.uint64 else float)
        if values.dtype.kind == "f" and values.dtype != np.float64:
            return values.astype(float)
    return values


class _Data(dict):
    """Columns by name, and the number of rows `n`."""


@lru_cache(maxsize=1)
def _materializer() -> type:
    from formulaic.materializers import PandasMaterializer
    from interface_meta import override

    class ColumnMaterializer(PandasMaterializer):
        """Works on a plain dict of arrays and Categoricals, and makes one copy of the columns."""

        @override
        def _init(self):
            """Nothing to prepare."""

        @property
        @override
        def nrows(self):
            return self.data.n

        @override
        def _combine_columns(self, cols, spec, drop_rows):
            out = np.empty((len(cols), self.nrows))
            for j, (_, values) in enumerate(cols):
                out[j] = values
            return out.T

    return ColumnMaterializer


def _materialize(what, columns: dict, n: int, text: str):
    from formulaic.errors import FormulaicError

    data = _Data({alias(name): _wide(values) for name, values in columns.items()})
    data.n = n
    make = _materializer()(data, context=evaluation_context())
    try:
        with np.errstate(all="ignore"), _strict_levels(text):
            return make.get_model_matrix(what, output="numpy", na_action="ignore")
    except (FormulaicError, Warning, TypeError, ValueError, ArithmeticError) as error:
        raise FormulaError(
            f"formula: {display(text)!r} cannot be evaluated on these data: {_reason(error)}"
        ) from error


@contextmanager
def _strict_levels(text: str):
    """New levels of an expression in C(), of which formulaic warns only, as an error."""
    if "C(" not in text:
        yield
        return
    from formulaic.errors import DataMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", category=DataMismatchWarning)
        yield


def _checked(X: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """X, unless some value is not finite."""
    with np.errstate(all="ignore"):
        for j, name in enumerate(names):
            column = X[:, j]
            # a sum is finite only where every part is, but for an overflow of the sum itself
            if not np.isfinite(column.sum()) and not np.isfinite(column).all():
                count = int((~np.isfinite(column)).sum())
                raise FormulaError(
                    f"formula: {name!r} is not finite in {count} row(s), e.g. a logarithm of zero; "
                    "change the term or the data"
                )
    return X


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return display(text.splitlines()[0]) if text else type(error).__name__
