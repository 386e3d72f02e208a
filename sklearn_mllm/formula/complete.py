"""Complete rows: missing and infinite values, and levels learnt or known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .columns import MISSING, UNKNOWN, Coded, factorize, take
from .levels import Levels
from .tokens import FormulaError

__all__ = ["Complete", "complete_rows", "recoded", "take_levels"]


@dataclass(frozen=True, eq=False)
class Complete:
    """Columns without missing values.

    Attributes
    ----------
    design, groups : dict
        Name -> ndarray or Coded, of the rows in use.
    n : int
        Rows in use.
    rows : ndarray of bool or None
        Which rows of the table they are; None is all.
    """

    design: dict
    groups: dict
    n: int
    rows: np.ndarray | None

    def known(self, levels: dict, numeric_levels: dict) -> dict:
        """Design columns, with no level that was not learnt.

        Raises
        ------
        FormulaError
            Names the column, its new levels, and the known ones.
        """
        out = {}
        for name, column in self.design.items():
            if isinstance(column, Coded):
                out[name] = _all_known(column, name)
            else:
                out[name] = column
            if name in numeric_levels and (numeric_levels[name].codes(column) < 0).any():
                new = _distinct(column[numeric_levels[name].codes(column) < 0])
                raise _new_levels(name, new, numeric_levels[name].values.tolist())
        return out


def complete_rows(
    design: dict,
    groups: dict,
    n: int,
    missing: str,
    keep: np.ndarray | None,
    *,
    finite: bool = True,
) -> Complete:
    """Leave out rows with missing values, or raise.

    Parameters
    ----------
    design, groups : dict
        Name -> ndarray or Coded.
    n : int
        Rows of the table.
    missing : {"raise", "drop"}
    keep : ndarray of bool, optional
        Rows in use; others are neither counted nor returned.
    finite : bool
        Whether an infinite number in the design is an error.

    Raises
    ------
    FormulaError
        Names the columns and how many values they miss.
    """
    incomplete, counts = None, []
    for name, column in {**groups, **design}.items():
        absent = _absent(column)
        if absent is not None and keep is not None:
            absent = absent & keep
        if absent is not None and absent.any():
            counts.append((name, int(absent.sum())))
            incomplete = absent if incomplete is None else incomplete | absent
        if finite and name in design:
            _refuse_infinite(column, name, keep)
    if counts and missing == "raise":
        words = ", ".join(f"{name!r} ({count})" for name, count in counts)
        raise FormulaError(
            f"missing values (NaN) in column(s) {words}; fill them in, or set missing='drop' to "
            "leave such rows out"
        )
    rows = None if incomplete is None else ~incomplete
    if keep is not None:
        rows = keep if rows is None else rows & keep
    if rows is None:
        return Complete(design, groups, n, None)
    taken = {name: take(column, rows) for name, column in {**design, **groups}.items()}
    return Complete(
        {name: taken[name] for name in design}, {name: taken[name] for name in groups},
        int(rows.sum()), rows,
    )  # fmt: skip


def _absent(column: np.ndarray | Coded) -> np.ndarray | None:
    """Which values are missing; None when there are none."""
    if isinstance(column, Coded):
        absent = column.codes == MISSING
        return absent if absent.any() else None
    if column.dtype.kind != "f" or _all_finite(column):
        return None
    return np.isnan(column)


def _all_finite(column: np.ndarray) -> bool:
    """Quickly; False may also mean that the sum overflows."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(column.sum()))


def _refuse_infinite(column: np.ndarray | Coded, name: str, keep: np.ndarray | None) -> None:
    if isinstance(column, Coded) or column.dtype.kind != "f" or _all_finite(column):
        return
    infinite = np.isinf(column)
    if keep is not None:
        infinite &= keep
    if infinite.any():
        raise FormulaError(
            f"column {name!r} holds {int(infinite.sum())} infinite value(s) (inf); replace them or "
            "drop the rows"
        )


def take_levels(design: dict) -> tuple[dict, dict[str, Levels | None]]:
    """Columns with the levels that occur only, and these levels."""
    columns, levels = {}, {}
    for name, column in design.items():
        coded = isinstance(column, Coded)
        columns[name] = column.observed() if coded else column
        levels[name] = Levels(columns[name].levels) if coded else None
    return columns, levels


def recoded(column: np.ndarray | Coded, levels: Levels | None, name: str) -> np.ndarray | Coded:
    """A new column as the learnt one was: numbers, or codes among its levels."""
    if levels is not None:
        codes = levels.codes(column)
        unknown = codes.size and codes.min() == UNKNOWN
        return Coded(codes, levels.values, column if unknown else None)
    if isinstance(column, np.ndarray):
        return column
    try:
        numbers = np.array([*column.levels.tolist(), np.nan], dtype=float)
    except (TypeError, ValueError) as error:
        raise FormulaError(
            f"column {name!r} held numbers in fit and now holds other values, such as "
            f"{column.levels[0]!r}; give numbers"
        ) from error
    return numbers[column.codes]


def _all_known(column: Coded, name: str) -> Coded:
    if column.codes.size and column.codes.min() == UNKNOWN:
        raise _new_levels(
            name, _distinct(take(column.origin, column.codes == UNKNOWN)), column.levels.tolist()
        )
    return column


def _distinct(column: np.ndarray | Coded) -> list:
    return factorize(column)[1].tolist()


def _new_levels(name: str, new: list, known: list) -> FormulaError:
    return FormulaError(
        f"column {name!r} holds new level(s) {_some(new)} that were not in the training data (known: "
        f"{_some(known)}); a fixed effect cannot be predicted for them: recode them, or fit on data "
        "that has them"
    )


def _some(values: list) -> str:
    return ", ".join(map(repr, values[:12])) + (", ..." if len(values) > 12 else "")
