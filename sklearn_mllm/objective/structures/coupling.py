"""The coupling of the first factor to all others, as a matrix (q0, q1) on a fixed pattern.

Held dense where BLAS on all entries is quicker than sparse products on those that are there.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import blas

__all__ = ["Coupling", "CouplingPattern", "mirror"]

#: Multiplications a second of BLAS on one core, of a sparse product, and entries gathered.
DENSE_RATE, PRODUCT_RATE, GATHER_RATE = 2.5e10, 3.5e8, 3.5e8
#: Entries up to which the matrix may be dense.
DENSE_ENTRIES = 30_000_000
#: Entries gathered at a time, so that they stay in cache.
GATHER_CHUNK = 100_000


class CouplingPattern:
    """Where the entries stand.

    Parameters
    ----------
    rows, columns : ndarray of shape (E,)
        Place of each entry, in the order in which values will be given; no place twice.
    shape : (q0, q1)

    Attributes
    ----------
    dense, dense_gram : bool
        Whether the matrix is held dense, or filled in for B'B alone.
    seconds : float
        Guess of the time of B'B and of an inverse on the pattern.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.entries = rows.shape[0]
        q0, q1 = shape
        counts = np.bincount(rows, minlength=q0)
        met = float((counts.astype(float) ** 2).sum())
        all_met = float(q0) * q1 * q1
        allowed = q0 * q1 <= DENSE_ENTRIES
        self.dense_gram = allowed and 0.5 * all_met / DENSE_RATE < met / PRODUCT_RATE
        self.dense = allowed and all_met / DENSE_RATE < met / GATHER_RATE
        self.dense_gram = self.dense_gram or self.dense
        self.seconds = 0.5 * all_met / DENSE_RATE if self.dense_gram else met / PRODUCT_RATE
        self.seconds += all_met / DENSE_RATE if self.dense else met / GATHER_RATE
        places = rows * q1 + columns
        if self.dense_gram:
            self.flat = places
        if self.dense:
            return
        self.order = None if bool((places[1:] > places[:-1]).all()) else np.argsort(places)
        ordered = columns if self.order is None else columns[self.order]
        self.indices = ordered.astype(np.int32)
        self.indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.counts = counts
        self.sizes = np.unique(counts[counts > 0])

    def matrix(self, values: np.ndarray) -> Coupling:
        """The matrix with these entries."""
        return Coupling(self, values)


class Coupling:
    """A matrix B (q0, q1) on a pattern."""

    def __init__(self, pattern: CouplingPattern, values: np.ndarray) -> None:
        self.pattern = pattern
        if pattern.dense:
            self.array = self._filled(values)
            return
        data = values if pattern.order is None else values[pattern.order]
        self.sparse = sparse.csr_matrix(
            (data, pattern.indices, pattern.indptr), shape=pattern.shape, copy=False
        )
        self.sparse.has_sorted_indices = True
        self.sparse.has_canonical_format = True
        self._values = values

    def _filled(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros(self.pattern.shape)
        out.ravel()[self.pattern.flat] = values
        return out

    def gram(self) -> np.ndarray:
        """B'B, shape (q1, q1), its lower triangle at least, Fortran-contiguous."""
        if self.pattern.dense_gram:
            array = self.array if self.pattern.dense else self._filled(self._values)
            return blas.dsyrk(1.0, array.T, lower=1)
        out = np.zeros((self.pattern.shape[1],) * 2, order="F")
        return (self.sparse.T @ self.sparse).toarray(out=out)

    def dot(self, x: np.ndarray) -> np.ndarray:
        """B x for x of shape (q1, r)."""
        return (self.array if self.pattern.dense else self.sparse) @ x

    def transposed_dot(self, x: np.ndarray) -> np.ndarray:
        """B' x for x of shape (q0, r)."""
        return (self.array.T if self.pattern.dense else self.sparse.T) @ x

    def times_on_pattern(self, S: np.ndarray) -> np.ndarray:
        """Entries of B S on the pattern, in the order of the values, for a symmetric S.

        Rows with equally many entries go together: with m entries each, the part of S that they
        meet is (m, m).
        """
        pattern = self.pattern
        if pattern.dense:
            product = blas.dsymm(1.0, S, self.array.T, lower=1)
            return product.T.ravel()[pattern.flat]
        q1 = pattern.shape[1]
        flat = S.ravel(order="K")
        data = self.sparse.data
        out = np.empty(data.shape[0])
        for m in pattern.sizes:
            mine = np.flatnonzero(pattern.counts == m)
            chunk = max(1, GATHER_CHUNK // int(m * m))
            for a in range(0, mine.shape[0], chunk):
                at = pattern.indptr[mine[a : a + chunk]][:, None] + np.arange(m)
                index = pattern.indices[at].astype(np.intp)
                block = np.take(flat, (index * q1)[:, :, None] + index[:, None, :])
                out[at] = np.matmul(block, data[at][:, :, None])[:, :, 0]
        if pattern.order is None:
            return out
        values = np.empty_like(out)
        values[pattern.order] = out
        return values


def mirror(lower: np.ndarray) -> np.ndarray:
    """Copy the lower triangle of a square matrix over the upper one, in place."""
    size, step = lower.shape[0], 512
    for a in range(0, size, step):
        b = min(a + step, size)
        corner = lower[a:b, a:b]
        corner[...] = np.tril(corner) + np.tril(corner, -1).T
        lower[a:b, b:] = lower[b:, a:b].T
    return lower
