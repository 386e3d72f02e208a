"""Square roots of covariance matrices, kept in place of the matrices themselves.

In the user's coordinates a covariance may be of any condition: with a column far from zero the variance
of a prediction is a small difference of large entries, of which squares lose twice the digits.
"""

from __future__ import annotations

import numpy as np

__all__ = ["inverse_root", "lower_triangle"]

#: Pivot, relative to its row, that is as good as zero.
ZERO_PIVOT = 1e-14


def inverse_root(hessian: np.ndarray, free: np.ndarray) -> np.ndarray:
    """R with R R' the inverse of the negative Hessian on the free parameters, zero rows for others.

    An indefinite matrix gives NaN: there is no covariance to report.
    """
    M = hessian.shape[0]
    out = np.zeros((M, M))
    index = np.flatnonzero(free)
    if not index.size:
        return out
    block = np.ix_(index, index)
    A = -hessian[block]
    diagonal = np.diag(A)
    if not (diagonal > 0.0).all():
        out[block] = np.nan
        return out
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(A * scale * scale[:, None])
    if values.min() <= 0.0:
        out[block] = np.nan
        return out
    out[block] = vectors / np.sqrt(values) * scale[:, None]
    return out


def lower_triangle(root: np.ndarray) -> np.ndarray:
    """The lower-triangular L with L L' = root root' and a diagonal that is not negative, (k, k).

    A pivot that is zero has a column of zeros.
    """
    if root.size == 1:
        return np.abs(root)
    L = _triangle(root)
    for j in range(L.shape[0]):
        if L[j, j] <= ZERO_PIVOT * np.abs(L[j]).max():
            L[j, j] = 0.0
            if L[j + 1 :, j].any():
                # what stands below a zero pivot moves into later columns
                L[j + 1 :, j + 1 :] = _triangle(L[j + 1 :, j:])
                L[j + 1 :, j] = 0.0
    return L


def _triangle(rows: np.ndarray) -> np.ndarray:
    L = np.linalg.qr(rows.T, mode="r").T
    return L * np.where(np.diag(L) < 0.0, -1.0, 1.0)
