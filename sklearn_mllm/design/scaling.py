"""The solver's coordinates: centred, scaled and, where needed, orthogonalised columns.

All maps are exact linear reparametrisations, so the likelihood does not change; columns that are
linear combinations of earlier ones are dropped, as R does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["FixedMap", "center_and_scale", "is_constant", "random_map", "standardize_fixed"]

#: Squared relative length of what a column adds to the earlier ones, below which it is dropped.
ALIAS_TOL = 1e-12
#: Condition number of the standardised columns from which they are orthogonalised.
CONDITION_LIMIT = 30.0


@dataclass(frozen=True, eq=False)
class FixedMap:
    """beta = T gamma on the kept columns; gamma are the solver's coordinates.

    Attributes
    ----------
    kept : ndarray of shape (p_kept,), intp
        Columns that are not aliased.
    T : ndarray of shape (p_kept, p_kept)
    """

    kept: np.ndarray
    T: np.ndarray


def center_and_scale(column: np.ndarray, center: bool) -> tuple[float, float]:
    """Centre and scale a column in place; returns (mean, scale), scale 0.0 for a null column.

    The scale is found after a division by the largest entry, so that it neither overflows nor
    underflows.
    """
    mean = 0.0
    if center:
        mean = float(column.mean())
        column -= mean
        correction = float(column.mean())
        column -= correction
        mean += correction
    largest = max(float(column.max()), -float(column.min()))
    if largest == 0.0 or (center and largest <= 1e-13 * abs(mean)):
        return mean, 0.0
    column /= largest
    rms = float(np.sqrt(column @ column / column.shape[0]))
    column /= rms
    return mean, largest * rms


def standardize_fixed(X: np.ndarray) -> tuple[np.ndarray, FixedMap]:
    """Standardise the rows of X (p, n) in place; aliased ones are left out of what is returned.

    Parameters
    ----------
    X : ndarray of shape (p, n)
        One design column per row; overwritten.

    Returns
    -------
    X : ndarray of shape (p_kept, n)
    map : FixedMap
    """
    p, n = X.shape
    if p == 0:
        return X, FixedMap(np.zeros(0, dtype=np.intp), np.zeros((0, 0)))
    constant = next((j for j in range(p) if X[j, 0] != 0.0 and is_constant(X[j])), None)
    means, scales = np.zeros(p), np.ones(p)
    if constant is not None:
        scales[constant] = X[constant, 0]
        X[constant] = 1.0
    for j in range(p):
        if j != constant:
            means[j], scales[j] = center_and_scale(X[j], constant is not None)
    gram = X @ X.T / n
    kept: list[int] = []
    factor = np.zeros((p, p))
    for j in range(p):
        if scales[j] == 0.0:
            continue
        m = len(kept)
        row = linalg.solve_triangular(factor[:m, :m], gram[kept, j], lower=True) if m else []
        rest = gram[j, j] - float(np.dot(row, row))
        if rest > ALIAS_TOL:
            factor[m, :m] = row
            factor[m, m] = np.sqrt(rest)
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    m = len(kept)
    L = factor[:m, :m]
    if m < p:
        X = X[index]
    T = np.eye(m)
    if m and np.linalg.cond(L) > CONDITION_LIMIT:
        for a in range(0, n, 16_384):
            rows = slice(a, min(a + 16_384, n))
            X[:, rows] = linalg.solve_triangular(L, X[:, rows], lower=True, check_finite=False)
        T = linalg.solve_triangular(L, np.eye(m), lower=True).T
    T = T / scales[index][:, None]
    if constant is not None and constant in kept:
        position = kept.index(constant)
        others = means[index] @ T
        T[position] = T[position] - others / scales[constant]
    return X, FixedMap(index, T)


def is_constant(column: np.ndarray) -> bool:
    """Whether all values of a column are the same."""
    return column[0] == column[-1] and bool((column == column[0]).all())


def random_map(Z: np.ndarray, correlated_intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scale the rows of Z (k, n) in place, and centre them where the term has an intercept.

    With an intercept among correlated effects, a shift of another column is a change of
    coordinates of the covariance matrix; without one it is another model and is left alone.

    Returns
    -------
    Z : ndarray of shape (k, n)
    C : ndarray of shape (k, k)
        b = C b_solver.
    """
    k = Z.shape[0]
    constant = next((a for a in range(k) if Z[a, 0] != 0.0 and is_constant(Z[a])), None)
    center = correlated_intercept and constant is not None and k > 1
    C = np.eye(k)
    for a in range(k):
        if a == constant and center:
            C[a, a] = 1.0 / Z[a, 0]
            Z[a] = 1.0
    for a in range(k):
        if a == constant and center:
            continue
        mean, scale = center_and_scale(Z[a], center)
        if scale == 0.0:
            scale = 1.0
        C[a, a] = 1.0 / scale
        if center:
            C[constant, a] = -mean / scale * C[constant, constant]
    return Z, C
