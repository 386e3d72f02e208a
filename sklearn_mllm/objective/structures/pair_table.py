"""Levels of two factors that occur together, and sums over their rows."""

from __future__ import annotations

import numpy as np

from ...design.problem import Factor

__all__ = ["PairTable"]


class PairTable:
    """Levels of two factors that occur together.

    Attributes
    ----------
    of_row : ndarray of shape (n,)
        Pair of each row.
    first, second : ndarray of shape (P,)
        Levels of each pair, ascending by `first`.
    """

    def __init__(self, a: Factor, b: Factor) -> None:
        keys = a.codes.astype(np.int64) * b.n_levels + b.codes
        size = a.n_levels * b.n_levels
        if size <= max(8 * keys.shape[0], 1_000_000):
            present = np.zeros(size, dtype=bool)
            present[keys] = True
            pairs = np.flatnonzero(present)
            self.of_row = (np.cumsum(present) - 1)[keys]
        else:
            pairs, self.of_row = np.unique(keys, return_inverse=True)
        self.first = (pairs // b.n_levels).astype(np.intp)
        self.second = (pairs % b.n_levels).astype(np.intp)
        self.Za, self.Zb = a.Z, b.Z
        self.ka, self.kb = a.size, b.size

    @property
    def size(self) -> int:
        return self.first.shape[0]

    def sums(self, w: np.ndarray) -> np.ndarray:
        """sum of w z_a z_b' over the rows of each pair, shape (ka, kb, P)."""
        out = np.empty((self.ka, self.kb, self.size))
        for i in range(self.ka):
            wz = w if self.Za is None else w * self.Za[i]
            for j in range(self.kb):
                column = wz if self.Zb is None else wz * self.Zb[j]
                out[i, j] = np.bincount(self.of_row, weights=column, minlength=self.size)
        return out

    def add_quadratic(self, M: np.ndarray, out: np.ndarray) -> None:
        """Add 2 z_a' M z_b of each row to `out`, M of shape (ka, kb, P)."""
        for i in range(self.ka):
            for j in range(self.kb):
                value = np.take(M[i, j], self.of_row)
                if self.Za is not None:
                    value *= self.Za[i]
                if self.Zb is not None:
                    value *= self.Zb[j]
                value *= 2.0
                out += value
