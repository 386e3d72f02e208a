"""Columns to a design matrix: the columns of each factor, multiplied out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from .coding import Part, coding
from .columns import Coded
from .encoders import Encoder, learn_encoder
from .expressions import Factor
from .levels import Levels
from .names import display
from .terms import Side
from .tokens import FormulaError

__all__ = ["Design", "DesignTerm", "evaluate"]


@dataclass(frozen=True, eq=False)
class DesignTerm:
    """One term of a design.

    Attributes
    ----------
    factors : tuple of int
        Places in `Design.factors`; none for the intercept.
    parts : tuple of Part
        Products that make its columns.
    columns : range
        Its places among the columns.
    """

    factors: tuple[int, ...]
    parts: tuple[Part, ...]
    columns: range


@dataclass(frozen=True, eq=False)
class Design:
    """What a side of a formula has learnt.

    Attributes
    ----------
    side : Side
    factors : tuple of Encoder
    terms : tuple of DesignTerm
        The intercept first, where there is one.
    names : tuple of str
        Coefficient names.
    """

    side: Side
    factors: tuple[Encoder, ...]
    terms: tuple[DesignTerm, ...]
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return self.side.columns

    @property
    def is_intercept(self) -> bool:
        """Whether it is one column of ones."""
        return self.side.intercept and not self.side.terms

    @classmethod
    def learn(
        cls,
        side: Side,
        columns: dict[str, np.ndarray | Coded],
        numeric_levels: dict[str, Levels],
        n: int,
    ) -> tuple[Design, np.ndarray]:
        """Learn a side from training data.

        Parameters
        ----------
        side : Side
        columns : dict
            Name -> ndarray of numbers or Coded, levels that occur only.
        numeric_levels : dict
            Numeric column that stands in C() -> its Levels.
        n : int

        Returns
        -------
        design : Design
        X : ndarray of shape (n, p), column-contiguous

        Raises
        ------
        FormulaError
            A function cannot be applied to a column, or its value is not finite.
        """
        encoders, made = [], {}
        for i, factor in enumerate(side.factors):
            encoder, values = learn_encoder(factor, columns, numeric_levels, n)
            encoders.append(encoder)
            if values is not None:
                made[i, False] = values
                if not encoder.spans:
                    made[i, True] = values
        plan = coding(side.intercept, side.indices, tuple(e.spans for e in encoders))
        factors = (((),) if side.intercept else ()) + side.indices
        names: list[str] = []
        terms = []
        for mine, parts in zip(factors, plan, strict=True):
            start = len(names)
            for part in parts:
                names.extend(_names([encoders[i].names(full) for i, full in part]))
            terms.append(DesignTerm(mine, parts, range(start, len(names))))
        if names.count("Intercept") > side.intercept:
            raise FormulaError(
                "column 'Intercept' has the name of the constant's coefficient; rename it, or leave it "
                "out where it is the constant"
            )
        design = cls(side, tuple(encoders), tuple(terms), tuple(names))
        return design, design._matrix(columns, n, made)

    def replay(self, columns: dict[str, np.ndarray | Coded], n: int) -> np.ndarray:
        """Matrix (n, p) of new rows, column-contiguous.

        Parameters
        ----------
        columns : dict
            Name -> ndarray of numbers or Coded, known levels only.
        n : int
        """
        if n == 0:
            return np.empty((len(self.names), 0)).T
        return self._matrix(columns, n, {})

    def _matrix(self, columns, n: int, made: dict) -> np.ndarray:
        out = np.empty((len(self.names), n))
        for term in self.terms:
            at = iter(term.columns)
            for part in term.parts:
                for i, full in part:
                    if (i, full) not in made:
                        made[i, full] = self.factors[i].values(columns, n, full)
                blocks = [made[i, full] for i, full in part]
                sure = len(part) == 1 and self.factors[part[0][0]].finite
                # the first factor runs fastest, as in R
                for reverse in product(*reversed(blocks)):
                    j = next(at)
                    _multiply(reverse[::-1], out[j])
                    if not sure:
                        _check_finite(out[j], self.names[j])
        return out.T


def _multiply(values: tuple[np.ndarray, ...], out: np.ndarray) -> None:
    """Product of columns, written to `out`."""
    if len(values) < 2:
        out[...] = values[0] if values else 1.0
        return
    with np.errstate(all="ignore"):
        np.multiply(values[0], values[1], out=out, dtype=float)
        for value in values[2:]:
            out *= value


def _names(blocks: list[tuple[str, ...]]) -> list[str]:
    if not blocks:
        return ["Intercept"]
    return [":".join(reverse[::-1]) for reverse in product(*reversed(blocks))]


def evaluate(text: str, columns: dict[str, np.ndarray | Coded], n: int) -> np.ndarray:
    """Value (n,) of one expression, as written for Python."""
    encoder, _ = learn_encoder(Factor(f"I({text})", tuple(columns)), columns, {}, n)
    values = encoder.values(columns, n, True)
    if len(values) != 1:
        raise FormulaError(f"formula: {display(text)!r} gives {len(values)} columns, not one")
    _check_finite(np.asarray(values[0], dtype=float), display(text))
    return np.asarray(values[0], dtype=float)


def _check_finite(column: np.ndarray, name: str) -> None:
    # a sum is finite only where every part is, but for an overflow of the sum itself
    with np.errstate(all="ignore"):
        if np.isfinite(column.sum()) or np.isfinite(column).all():
            return
    raise FormulaError(
        f"formula: {name!r} is not finite in {int((~np.isfinite(column)).sum())} row(s), e.g. a "
        "logarithm of zero; change the term or the data"
    )
