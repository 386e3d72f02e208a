"""The solver's coordinates: centred, scaled and, where needed, orthogonalised columns.

All maps are exact linear reparametrisations, so the likelihood does not change; columns that are
linear combinations of earlier ones are dropped, as R does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["FixedMap", "gather", "random_map", "standardize_fixed"]

#: Squared relative length of what a column adds to the earlier ones, below which it is dropped.
ALIAS_TOL = 1e-12
#: Condition number of the standardised columns from which they are orthogonalised.
CONDITION_LIMIT = 30.0
#: Rows that are worked on at once, so that they stay in the cache.
RUN = 16_384


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


def gather(X: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Columns of X (n, k) in another order of the rows, as rows of an array (k, n)."""
    k = X.shape[1]
    return _transform(X, order, np.zeros(k), np.ones(k))


def _transform(X: np.ndarray, order, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Gathered columns (k, n), less their means and divided by their scales."""
    n, k = X.shape
    out = np.empty((k, n))
    for j in range(k):
        column, target = X[:, j], out[j]
        scale = scales[j] or 1.0
        if _is_constant(column):
            target[...] = (column[0] - means[j]) / scale
            continue
        for a in range(0, n, RUN):
            part = target[a : a + RUN]
            if order is None:
                np.subtract(column[a : a + RUN], means[j], out=part)
            else:
                np.take(column, order[a : a + RUN], out=part, mode="clip")
                if means[j] != 0.0:
                    part -= means[j]
            if scale != 1.0:
                part *= 1.0 / scale
    return out


def _standardization(
    X: np.ndarray, wanted: bool = True
) -> tuple[int | None, np.ndarray, np.ndarray]:
    """The first constant column of X (n, k), and the means and scales of all.

    Columns are centred where there is a constant one, which stays, and `wanted`. A scale of zero
    is a column without variation.
    """
    k = X.shape[1]
    constant = next((j for j in range(k) if X[0, j] != 0.0 and _is_constant(X[:, j])), None)
    center = constant is not None and wanted
    means, scales = np.zeros(k), np.ones(k)
    for j in range(k):
        if j == constant and center:
            scales[j] = X[0, j]
        else:
            means[j], scales[j] = _mean_and_scale(X[:, j], center)
    return constant, means, scales


def _is_constant(column: np.ndarray) -> bool:
    return column[0] == column[-1] and bool((column == column[0]).all())


def _mean_and_scale(column: np.ndarray, center: bool) -> tuple[float, float]:
    """Mean and root mean square about it, or 0.0 and that about zero, in one pass.

    Each run of rows is summed up while it is in the cache, about a value near the mean.
    """
    n = column.shape[0]
    shift = float(column[:: max(1, n // 1000)].mean()) if center else 0.0
    low, high, total, squares = np.inf, -np.inf, 0.0, 0.0
    work = np.empty(min(n, RUN))
    with np.errstate(over="ignore", under="ignore"):
        for a in range(0, n, RUN):
            part = column[a : a + RUN]
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            if center:
                part = np.subtract(part, shift, out=work[: part.shape[0]])
                total += float(part.sum())
            # not by BLAS, whose threads would wait for each other longer than this takes
            squares += float(np.einsum("i,i->", part, part))
    offset = total / n
    mean = shift + offset
    largest = max(high - mean, mean - low)
    if largest <= 1e-300 or (center and largest <= 1e-13 * abs(mean)):
        return mean, 0.0
    if not 1e-140 < largest < 1e140:
        # squares overflow or vanish: any scale near the entries will do
        return mean, largest
    # rounding aside, never less than what the largest entry alone makes
    return mean, float(np.sqrt(max(squares / n - offset * offset, largest * (largest / n))))


def standardize_fixed(X: np.ndarray, order: np.ndarray | None) -> tuple[np.ndarray, FixedMap]:
    """Standardised columns of X (n, p) with the rows in another order; aliased ones are left out.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Not changed.
    order : ndarray of shape (n,) or None

    Returns
    -------
    X : ndarray of shape (p_kept, n)
    map : FixedMap
    """
    n, p = X.shape
    if p == 0:
        return np.empty((0, n)), FixedMap(np.zeros(0, dtype=np.intp), np.zeros((0, 0)))
    constant, means, scales = _standardization(X)
    X = _transform(X, order, means, scales)
    gram = np.zeros((p, p))
    for a in range(0, n, RUN):
        gram += X[:, a : a + RUN] @ X[:, a : a + RUN].T
    gram /= n
    kept: list[int] = []
    factor = np.zeros((p, p))
    for j in range(p):
        if scales[j] == 0.0:
            continue
        m = len(kept)
        row = linalg.lapack.dtrtrs(factor[:m, :m], gram[kept, j], lower=1)[0] if m else np.zeros(0)
        rest = gram[j, j] - float(row @ row)
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
        for a in range(0, n, RUN):
            rows = slice(a, min(a + RUN, n))
            X[:, rows] = linalg.solve_triangular(L, X[:, rows], lower=True, check_finite=False)
        T = linalg.solve_triangular(L, np.eye(m), lower=True).T
    T = T / scales[index][:, None]
    if constant is not None and constant in kept:
        position = kept.index(constant)
        others = means[index] @ T
        T[position] = T[position] - others / scales[constant]
    return X, FixedMap(index, T)


def random_map(
    Z: np.ndarray, order: np.ndarray | None, correlated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Scaled columns of Z (n, k), centred where the term has an intercept.

    With an intercept among correlated effects, a shift of another column is a change of
    coordinates of the covariance matrix; without one it is another model and is left alone.

    Parameters
    ----------
    Z : ndarray of shape (n, k)
        Not changed.
    order : ndarray of shape (n,) or None
    correlated : bool

    Returns
    -------
    Z : ndarray of shape (k, n)
    C : ndarray of shape (k, k)
        b = C b_solver.
    """
    constant, means, scales = _standardization(Z, correlated)
    scales[scales == 0.0] = 1.0
    C = np.diag(1.0 / scales)
    if constant is not None and correlated:
        C[constant] -= means / scales / scales[constant]
    return _transform(Z, order, means, scales), C
