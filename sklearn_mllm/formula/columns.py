"""Columns of a table, cast into the two kinds that a design knows: numbers, and codes of levels."""

from __future__ import annotations

import datetime
import difflib
import re
from dataclasses import dataclass

import numpy as np

from .tokens import FormulaError

__all__ = ["MISSING", "UNKNOWN", "Coded", "factorize", "objects", "read_columns", "require", "take"]

MISSING, UNKNOWN = -1, -2

#: What pandas calls objects that tell a time.
_TIMES = ("date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period")


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of levels.

    Attributes
    ----------
    codes : ndarray of shape (n,), intp
        `MISSING` for a missing value, `UNKNOWN` for a level not among `levels`.
    levels : ndarray of shape (J,), object
        In order; some may not occur.
    origin : ndarray, Coded or None
        The column as it was, where some codes are `UNKNOWN`.
    """

    codes: np.ndarray
    levels: np.ndarray
    origin: np.ndarray | Coded | None = None

    def take(self, rows: np.ndarray) -> Coded:
        """Some of the rows."""
        return Coded(
            self.codes[rows], self.levels, None if self.origin is None else take(self.origin, rows)
        )

    def observed(self) -> Coded:
        """Only the levels that occur, in their order; there must be no missing value."""
        present = np.zeros(len(self.levels), dtype=bool)
        present[self.codes] = True
        if present.all():
            return self
        return Coded((np.cumsum(present) - 1)[self.codes], self.levels[present])

    def categorical(self):
        """As a pandas Categorical."""
        import pandas as pd

        return pd.Categorical.from_codes(self.codes, _index(self.levels), validate=False)


def take(column: np.ndarray | Coded, rows: np.ndarray) -> np.ndarray | Coded:
    """Some rows of a column."""
    return column.take(rows) if isinstance(column, Coded) else column[rows]


def require(table, names, role: str = "column", advice: str = "") -> None:
    """Raise FormulaError for a name that is not a column, with the nearest one and some advice."""
    for name in names:
        if name not in table.columns:
            close = difflib.get_close_matches(name, list(table.columns), n=1, cutoff=0.5)
            lower = {c.lower(): c for c in table.columns}
            if name.lower() in lower:
                close = [lower[name.lower()]]
            hint = f"; did you mean {close[0]!r}?" if close else ""
            shown = list(table.columns)
            if shown and all(re.fullmatch(r"x\d+", c) for c in shown) and not advice:
                advice = (
                    "; X is an array, whose columns are x0, x1, ...: pass a data frame (in a "
                    "pipeline, set_output(transform='pandas') on the steps before)"
                )
            known = ", ".join(map(repr, shown[:12])) + (", ..." if len(shown) > 12 else "")
            raise FormulaError(
                f"{role} {name!r} of the formula is not a column of X or groups (there are "
                f"{known or 'none'}){hint}{advice}"
            )


def read_columns(table, names, *, grouping: bool = False) -> dict:
    """Name -> ndarray of numbers, or Coded.

    Parameters
    ----------
    table : Table
    names : sequence of str
    grouping : bool
        Whether only the identity of values matters, so that dates and mixed values are fine.
    """
    return {name: _read(table.column(name), name, grouping) for name in names}


def _read(values, name: str, grouping: bool) -> np.ndarray | Coded:
    import pandas as pd

    if isinstance(values, np.ndarray):
        kind = values.dtype.kind
        if kind in "biuf":
            return values
        if kind == "O":
            return _read_objects(values, name, grouping)
        if kind in "US":
            return _factorized(values.astype(object), name, grouping)
        if kind == "c":
            raise FormulaError(f"column {name!r}: Complex data not supported; take real parts")
        _no_dates(values.dtype.type, name, grouping)
        return _factorized(pd.Series(values), name, grouping)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        levels = np.empty(len(dtype.categories), dtype=object)
        levels[:] = dtype.categories.tolist()
        return Coded(values.cat.codes.to_numpy().astype(np.intp), levels)
    if isinstance(dtype, pd.SparseDtype):
        return _read(np.asarray(values), name, grouping)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        return _numbers(values)
    _no_dates(dtype.type, name, grouping)
    return _factorized(values, name, grouping)


def _no_dates(kind: type, name: str, grouping: bool) -> None:
    """Refuse values of a type that tells a time, unless only their identity matters."""
    import pandas as pd

    times = (datetime.date, datetime.time, datetime.timedelta, pd.Period)
    if not grouping and issubclass(kind, (*times, np.datetime64, np.timedelta64)):
        raise FormulaError(
            f"column {name!r} holds dates or times; turn it into a number or a factor first"
        )


def _numbers(values) -> np.ndarray:
    """A nullable numeric column as plain numbers, NaN for missing ones."""
    kind = values.dtype.kind
    if kind in "biu" and not values.isna().any():
        return values.to_numpy(dtype={"b": bool, "i": np.int64, "u": np.uint64}[kind])
    return values.to_numpy(dtype=float, na_value=np.nan)


def _read_objects(values: np.ndarray, name: str, grouping: bool) -> np.ndarray | Coded:
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("boolean", "integer", "floating", "mixed-integer-float", "decimal"):
        absent = pd.isna(values)
        if absent.any():
            out = np.full(values.shape, np.nan)
            out[~absent] = values[~absent].astype(float)
            return out
        if kind == "boolean":
            return values.astype(bool)
        if kind == "integer" and max(abs(int(v)) for v in pd.unique(values)) < 2**62:
            return values.astype(np.int64)
        # integers beyond 64 bits are still different levels
        return _factorized(values, name, grouping) if grouping else values.astype(float)
    if kind in _TIMES:
        _no_dates(datetime.date, name, grouping)
    return _factorized(values, name, grouping)


def _factorized(values, name: str, grouping: bool) -> Coded:
    import pandas as pd

    try:
        codes, levels = pd.factorize(values)
    except TypeError as error:
        raise FormulaError(
            f"column {name!r} holds values that cannot be levels, such as lists: {error}"
        ) from error
    found = objects(levels)
    try:
        order = np.argsort(found, kind="stable")
    except TypeError as error:
        if not grouping:
            raise FormulaError(
                f"column {name!r} mixes values that cannot be ordered; make it text or numbers"
            ) from error
        order = np.array(
            sorted(range(len(found)), key=lambda i: (type(found[i]).__name__, str(found[i]))),
            dtype=np.intp,
        )
    rank = np.empty(len(found) + 1, dtype=np.intp)
    rank[order] = np.arange(len(found))
    rank[-1] = MISSING
    return Coded(rank[codes], found[order])


def factorize(column: np.ndarray | Coded) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) and the sorted values (object array) that occur; nothing may be missing."""
    import pandas as pd

    if isinstance(column, Coded):
        column = column.observed()
        return column.codes, column.levels
    if column.dtype.kind in "biu" and column.size:
        low, high = int(column.min()), int(column.max())
        if high - low < max(1_000_000, 4 * column.size) and max(-low, high) < 2**60:
            shifted = column.astype(np.intp)
            shifted -= low
            present = np.zeros(high - low + 1, dtype=bool)
            present[shifted] = True
            values = np.flatnonzero(present) + low
            if values.size < high - low + 1:
                shifted = (np.cumsum(present) - 1)[shifted]
            if column.dtype.kind == "b":
                values = values.astype(bool)
            return shifted, objects(values)
    codes, values = pd.factorize(column)
    order = np.argsort(values)
    rank = np.empty(len(values), dtype=np.intp)
    rank[order] = np.arange(len(values))
    return rank[codes], objects(values[order])


def objects(values) -> np.ndarray:
    """Values of an array as Python objects."""
    out = np.empty(len(values), dtype=object)
    out[:] = values.tolist()
    return out


def _index(levels: np.ndarray):
    import pandas as pd

    return pd.Index(levels) if len(levels) else pd.Index([], dtype=object)
