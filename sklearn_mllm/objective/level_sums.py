"""Passes over rows that are sorted by level: sums over the rows of each level, and back.

Every sum over a level is a segment sum. Work goes in blocks of whole levels of about as many rows
as stay in cache.
"""

from __future__ import annotations

import numpy as np

from .rows import BLOCK_ROWS, Workers

__all__ = ["LevelSums"]


class LevelSums:
    """Row passes for one sorted factor with k columns.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Level of each row, never decreasing, every level present.
    n_levels : int
    Z : ndarray of shape (k, n) or None
        None is one column of ones.
    workers : Workers

    Attributes
    ----------
    tasks : list of (levels, rows, starts)
        Slices of levels with their rows, and where each level begins among these.
    """

    def __init__(self, codes: np.ndarray, n_levels: int, Z, workers: Workers) -> None:
        self.codes, self.n_levels, self.Z, self.workers = codes, n_levels, Z, workers
        self.k = 1 if Z is None else Z.shape[0]
        starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_levels))])
        self.tasks = []
        first = 0
        while first < self.n_levels:
            last = int(np.searchsorted(starts, starts[first] + BLOCK_ROWS, side="right")) - 1
            last = min(max(last, first + 1), self.n_levels)
            rows = slice(int(starts[first]), int(starts[last]))
            self.tasks.append((slice(first, last), rows, starts[first:last] - starts[first]))
            first = last
        self._pairs = [(a, b) for a in range(self.k) for b in range(a + 1)]
        self._buffer = np.empty(codes.shape[0])

    def predictor(self, effects: np.ndarray, eta0: np.ndarray | None, out: np.ndarray):
        """eta0 + Z b of each row for effects b of shape (k, J), written to `out`; eta0 may be None."""

        def work(task) -> None:
            _, rows, _ = task
            codes = self.codes[rows]
            target = out[rows]
            if self.Z is None:
                if eta0 is None:
                    np.take(effects[0], codes, out=target, mode="clip")
                else:
                    np.add(np.take(effects[0], codes), eta0[rows], out=target)
                return
            if eta0 is None:
                target[...] = 0.0
            elif out is not eta0:
                target[...] = eta0[rows]
            for a in range(self.k):
                target += np.take(effects[a], codes) * self.Z[a, rows]

        self.workers.map(work, self.tasks)
        return out

    def segment_sums(self, columns) -> np.ndarray:
        """Sums over levels of several row vectors.

        `columns(rows)` yields the row vectors of one block; shape (number of them, J).
        """

        def work(task):
            levels, rows, starts = task
            return levels, [np.add.reduceat(column, starts) for column in columns(rows)]

        parts = self.workers.map(work, self.tasks)
        out = np.empty((len(parts[0][1]), self.n_levels))
        for levels, sums in parts:
            for target, values in zip(out, sums, strict=True):
                target[levels] = values
        return out

    def sums(self, v: np.ndarray) -> np.ndarray:
        """Z' v per level, shape (k, J)."""
        if self.Z is None:
            return self.segment_sums(lambda rows: (v[rows],))
        return self.segment_sums(lambda rows: (v[rows] * self.Z[a, rows] for a in range(self.k)))

    def gram(self, w: np.ndarray) -> np.ndarray:
        """Z' diag(w) Z per level, shape (k, k, J)."""
        if self.Z is None:
            return self.segment_sums(lambda rows: (w[rows],))[None]

        def columns(rows):
            z = self.Z[:, rows]
            for a in range(self.k):
                wz = w[rows] * z[a]
                for b in range(a + 1):
                    yield wz * z[b]

        packed = self.segment_sums(columns)
        out = np.empty((self.k, self.k, self.n_levels))
        for (a, b), values in zip(self._pairs, packed, strict=True):
            out[a, b] = values
            out[b, a] = values
        return out

    def pair_columns(self, rows: slice):
        """The distinct products z_a z_b of a block of rows, in the order of `_pairs`."""
        z = self.Z[:, rows]
        for a, b in self._pairs:
            yield z[a] * z[b]

    def quadratic(self, M: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """z_i' M_j z_i of each row for symmetric M of shape (k, k, J), written to `out`.

        Without `out`, in a buffer that the next call overwrites.
        """
        out = self._buffer if out is None else out

        def work(task) -> None:
            _, rows, _ = task
            codes = self.codes[rows]
            if self.Z is None:
                np.take(M[0, 0], codes, out=out[rows], mode="clip")
                return
            target = out[rows]
            target[...] = 0.0
            for (a, b), zz in zip(self._pairs, self.pair_columns(rows), strict=True):
                value = np.take(M[a, b], codes)
                value *= zz
                if a != b:
                    value *= 2.0
                target += value

        self.workers.map(work, self.tasks)
        return out
