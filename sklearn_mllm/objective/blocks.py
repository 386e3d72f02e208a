"""Batches of small dense matrices with the batch as the last axis: shape (k, k, J).

Each operation is a handful of elementwise array operations of length J, so that a million
1 x 1 or 2 x 2 blocks cost as much as a few passes over their memory.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "between",
    "cholesky",
    "inverse",
    "logdet",
    "multiply",
    "solve",
    "solve_lower",
    "trace_left",
    "transposed_product",
]

#: Least pivot that takes the place of one that is not positive; the prior alone makes H one.
LEAST_PIVOT = 0.1


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of (k, l, J) or (k, l) with (l, m, J) blocks, shape (k, m, J)."""
    if a.ndim == 3:
        if a.shape[1] == 1:
            return a * b if b.shape[0] == 1 and a.shape[0] == 1 else a[:, :1] * b[:1]
        return np.einsum("abj,bcj->acj", a, b)
    if a.shape[1] == 1:
        return a[:, :, None] * b
    return np.tensordot(a, b, axes=(1, 0))


def transposed_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a' b for blocks (k, l, J) and (k, m, J), shape (l, m, J)."""
    return multiply(a.swapaxes(0, 1), b)


def between(left: np.ndarray, a: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left a right for blocks (k, l, J) between two matrices, shape (., ., J)."""
    if left.size == 1 and right.size == 1:
        return a * (left[0, 0] * right[0, 0])
    return np.einsum("ab,bcj,cd->adj", left, a, right, optimize=["einsum_path", (0, 1), (0, 1)])


def trace_left(a: np.ndarray, matrix: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over the batch of a matrix b' for blocks a (k, l, J) and b (m, l, J), shape (k, m)."""
    k, l, J = a.shape
    # sums over the batch first: the matrix is the same for all
    both = a.reshape(k * l, J) @ b.reshape(-1, J).T
    return np.einsum("abdc,bc->ad", both.reshape(k, l, *b.shape[:2]), matrix)


def cholesky(a: np.ndarray) -> tuple[np.ndarray, bool]:
    """Lower Cholesky factors of symmetric blocks (k, k, J), and whether all are definite.

    A pivot that is not positive is replaced by its size, `LEAST_PIVOT` at least, and reported by False: the
    factors are then those of definite blocks nearby.
    """
    k = a.shape[0]
    if k == 1:
        if a.size == 0 or a.min() > 0.0:
            return np.sqrt(a), True
        return np.sqrt(_turned(a)), False
    factor = np.zeros_like(a)
    definite = True
    for j in range(k):
        pivot = a[j, j] - np.einsum("aj,aj->j", factor[j, :j], factor[j, :j])
        if pivot.size and not pivot.min() > 0.0:
            definite = False
            pivot = _turned(pivot)
        np.sqrt(pivot, out=factor[j, j])
        for i in range(j + 1, k):
            row = a[i, j] - np.einsum("aj,aj->j", factor[i, :j], factor[j, :j])
            np.divide(row, factor[j, j], out=factor[i, j])
    return factor, definite


def _turned(pivot: np.ndarray) -> np.ndarray:
    return np.where(pivot > 0.0, pivot, np.maximum(np.abs(pivot), LEAST_PIVOT))


def solve_lower(factor: np.ndarray, rhs: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Solve L x = rhs, or L' x = rhs, for rhs of shape (k, m, J)."""
    k = factor.shape[0]
    if k == 1:
        return rhs / factor[0]
    out = np.array(rhs)
    for i in reversed(range(k)) if transposed else range(k):
        for j in range(i + 1, k) if transposed else range(i):
            out[i] -= (factor[j, i] if transposed else factor[i, j]) * out[j]
        out[i] /= factor[i, i]
    return out


def solve(factor: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """Solve L L' x = rhs for rhs of shape (k, m, J)."""
    return solve_lower(factor, solve_lower(factor, rhs), transposed=True)


def inverse(factor: np.ndarray) -> np.ndarray:
    """Inverse of L L', shape (k, k, J)."""
    k = factor.shape[0]
    if k == 1:
        return 1.0 / (factor * factor)
    eye = np.zeros_like(factor)
    for i in range(k):
        eye[i, i] = 1.0
    return solve(factor, eye)


def logdet(factor: np.ndarray) -> np.ndarray:
    """Logarithm of the determinant of each L L', shape (J,)."""
    k = factor.shape[0]
    total = np.log(factor[0, 0])
    for i in range(1, k):
        total = total + np.log(factor[i, i])
    return 2.0 * total
