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


def nesting(codes: list[np.ndarray], n_levels: list[int]) -> list[np.ndarray] | None:
    """For factors from the inner to the outer: the next factor's level that holds each level.

    Parameters
    ----------
    codes : list of ndarray of shape (n,)
    n_levels : list of int

    Returns
    -------
    list of ndarray of shape (n_levels[f],), one for each factor but the last; None when some
    factor is not nested in the next.
    """
    out = []
    for f in range(len(codes) - 1):
        parent = np.zeros(n_levels[f], dtype=np.intp)
        parent[codes[f]] = codes[f + 1]
        if not np.array_equal(parent[codes[f]], codes[f + 1]):
            return None
        out.append(parent)
    return out


def arrange(codes: list[np.ndarray], n_levels: list[int]) -> Arrangement:
    """Arrange a problem's factors, the one with the most levels first, rows sorted by it.

    When each factor is nested in the next, levels are renumbered so that rows are sorted by all of
    them at once.
    """
    factor_order = tuple(int(f) for f in np.argsort([-j for j in n_levels], kind="stable"))
    level_orders: list = [None] * len(codes)
    first = codes[factor_order[0]]
    if len(codes) > 1:
        parents = nesting([codes[f] for f in factor_order], [n_levels[f] for f in factor_order])
        if parents is not None:
            position = None
            for place in range(len(parents) - 1, -1, -1):
                outer = parents[place] if position is None else position[parents[place]]
                if position is None and bool((outer[1:] >= outer[:-1]).all()):
                    continue
                level_orders[place] = np.argsort(outer, kind="stable")
                position = np.empty_like(outer)
                position[level_orders[place]] = np.arange(outer.shape[0])
            if position is not None:
                first = position[first]
    return Arrangement(counting_sort(first, n_levels[factor_order[0]]), factor_order, level_orders)
