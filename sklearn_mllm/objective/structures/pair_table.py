"""Levels of two factors that occur together, and sums over their rows."""

from __future__ import annotations

import numpy as np

from ...design.problem import Factor

__all__ = ["PairTable", "meeting"]

#: Possible pairs, for each row, up to which a table of all of them is quicker than a sort.
TABLE_SHARE = 32


def meeting(
    a: np.ndarray, b: np.ndarray, n_a: int, n_b: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels of two factors that occur together, ascending by the first, and the pair of each row.

    Parameters
    ----------
    a, b : ndarray of shape (n,), int
        Level of each row, of n_a and n_b levels.

    Returns
    -------
    first, second : ndarray of shape (P,)
    of_row : ndarray of shape (n,)
    """
    keys = a.astype(np.int64) * n_b + b
    if n_a * n_b <= TABLE_SHARE * keys.shape[0]:
        present = np.zeros(n_a * n_b, dtype=bool)
        present[keys] = True
        pairs = np.flatnonzero(present)
        of_row = (np.cumsum(present) - 1)[keys]
    else:
        pairs, of_row = np.unique(keys, return_inverse=True)
    return pairs // n_b, pairs % n_b, of_row


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
        found = meeting(a.codes, b.codes, a.n_levels, b.n_levels)
        self.first, self.second, self.of_row = found
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
