"""`Problem`: everything that the numerical rooms see of a data set, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Factor", "Problem", "Term"]


@dataclass(frozen=True, eq=False)
class Term:
    """One random-effects term: `size` columns of its factor's Z, from `start` on."""

    factor: int
    start: int
    size: int

    @property
    def n_theta(self) -> int:
        return self.size * (self.size + 1) // 2


@dataclass(frozen=True, eq=False)
class Factor:
    """One grouping factor with the columns of all its terms.

    Attributes
    ----------
    codes : ndarray of shape (n,), intp
        Level of each row.
    n_levels : int
    Z : ndarray of shape (k, n) or None
        Columns as rows of a contiguous array; None is one column of ones.
    sorted : bool
        Whether `codes` never decrease.
    """

    codes: np.ndarray
    n_levels: int
    Z: np.ndarray | None
    sorted: bool

    @property
    def size(self) -> int:
        return 1 if self.Z is None else self.Z.shape[0]


@dataclass(frozen=True, eq=False)
class Problem:
    """Design, response and random-effects layout, rows in the solver's order.

    Attributes
    ----------
    X : ndarray of shape (p, n)
        Fixed-effects columns in the solver's coordinates, one contiguous row each.
    successes : ndarray of shape (n,)
        Weighted number of events.
    trials : ndarray of shape (n,) or None
        Weighted number of trials; None when all are one.
    offset : ndarray of shape (n,) or None
    factors : tuple of Factor
        The factor with the most levels first; the rows are sorted by it.
    terms : tuple of Term
        In the order of the formula; theta is stacked in this order.
    """

    X: np.ndarray
    successes: np.ndarray
    trials: np.ndarray | None
    offset: np.ndarray | None
    factors: tuple[Factor, ...]
    terms: tuple[Term, ...]

    @property
    def n(self) -> int:
        return self.successes.shape[0]

    @property
    def p(self) -> int:
        return self.X.shape[0]

    @property
    def n_theta(self) -> int:
        return sum(term.n_theta for term in self.terms)
