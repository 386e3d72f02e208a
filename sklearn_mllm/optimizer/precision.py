"""The precision of the random effects given the data, from the rows and their weights."""

from __future__ import annotations

import numpy as np

from ..design.problem import Factor, Problem
from ..objective.structures.pair_table import meeting
from ..result.precision import Pairs, Precision

__all__ = ["precision_of"]

#: Pairs of levels that a fitted model may hold: so many for each level, or this many in any case.
PAIRS_A_LEVEL, FEW_PAIRS = 20, 100_000


def precision_of(
    problem: Problem,
    W: np.ndarray,
    matrices: list[np.ndarray],
    maps: list[np.ndarray],
    level_orders,
) -> Precision | None:
    """H by blocks, levels numbered as in the input.

    None with fewer than two factors, where blocks of levels say it all, and where the pairs of levels
    that meet are so many that the fitted model would be as large as its data.

    Parameters
    ----------
    problem : Problem
    W : ndarray of shape (n,)
        Weights of the rows at the mode.
    matrices : list of ndarray of shape (k, k)
        Lambda of each factor.
    maps : list of ndarray of shape (k, k)
        Per factor: b = map b_solver.
    level_orders : sequence of (ndarray or None)
        Per factor: the input's level at each of the problem's level places.
    """
    factors = problem.factors
    if len(factors) < 2:
        return None
    most = max(FEW_PAIRS, PAIRS_A_LEVEL * sum(factor.n_levels for factor in factors))
    codes = [
        f.codes if order is None else order[f.codes]
        for f, order in zip(factors, level_orders, strict=True)
    ]
    diagonal, pairs = [], {}
    for f, factor in enumerate(factors):
        sums = _sums(codes[f], factor.n_levels, W, factor, factor)
        diagonal.append(matrices[f].T @ sums @ matrices[f] + np.eye(factor.size))
        for g in range(f + 1, len(factors)):
            other = factors[g]
            first, second, of_row = meeting(codes[f], codes[g], factor.n_levels, other.n_levels)
            most -= first.shape[0]
            if most < 0:
                return None
            sums = _sums(of_row, first.shape[0], W, factor, other)
            pairs[f, g] = Pairs(
                first.astype(np.int32), second.astype(np.int32), matrices[f].T @ sums @ matrices[g]
            )
    roots = tuple(C @ L for C, L in zip(maps, matrices, strict=True))
    return Precision(roots, tuple(diagonal), pairs)


def _sums(places: np.ndarray, size: int, W: np.ndarray, a: Factor, b: Factor) -> np.ndarray:
    """Sum of w z_a z_b' over the rows of each place, shape (size, ka, kb)."""
    out = np.empty((size, a.size, b.size))
    for i in range(a.size):
        weighted = W if a.Z is None else W * a.Z[i]
        for j in range(b.size):
            column = weighted if b.Z is None else weighted * b.Z[j]
            out[:, i, j] = np.bincount(places, weights=column, minlength=size)
    return out
