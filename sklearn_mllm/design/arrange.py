"""Order of rows, factors and levels in which the solver works."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Arrangement", "arrange"]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How to lay out a problem.

    Attributes
    ----------
    order : ndarray of shape (n,) or None
        Row of the input at each place; None leaves the rows as they are.
    factor_order : tuple of int
        Input factor at each place.
    level_orders : list of (ndarray or None)
        Per place of `factor_order`: the input's level at each level place.
    """

    order: np.ndarray | None
    factor_order: tuple[int, ...]
    level_orders: list


def counting_sort(codes: np.ndarray, n_levels: int) -> np.ndarray | None:
    """Stable order of rows by level in O(n); None when they are sorted."""
    if codes.size == 0 or bool((codes[1:] >= codes[:-1]).all()):
        return None
    from scipy import sparse

    n = codes.shape[0]
    # the transpose of a matrix with one entry per row lists the rows of each level in order
    indptr = np.arange(n + 1, dtype=np.int32 if n < 2**31 - 1 else np.int64)
    matrix = sparse.csr_matrix(
        (np.ones(n, dtype=np.int8), codes.astype(indptr.dtype), indptr), shape=(n, n_levels)
    )
    return matrix.tocsc().indices.astype(np.intp)


def arrange(codes: list[np.ndarray], n_levels: list[int]) -> Arrangement:
    """Arrange a problem's factors, the one with the most levels first, rows sorted by it."""
    factor_order = tuple(int(f) for f in np.argsort([-j for j in n_levels], kind="stable"))
    first = factor_order[0]
    return Arrangement(
        counting_sort(codes[first], n_levels[first]), factor_order, [None] * len(codes)
    )
