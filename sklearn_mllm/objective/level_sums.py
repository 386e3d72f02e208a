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
        self.counts = np.bincount(codes, minlength=n_levels)
        starts = np.concatenate([[0], np.cumsum(self.counts)])
        self.tasks = []
        first = 0
        while first < self.n_levels:
            last = int(np.searchsorted(starts, starts[first] + BLOCK_ROWS, side="right")) - 1
            last = min(max(last, first + 1), self.n_levels)
            rows = slice(int(starts[first]), int(starts[last]))
            self.tasks.append((slice(first, last), rows, starts[first:last] - starts[first]))
            first = last
        self._pairs = [(a, b) for a in range(self.k) for b in range(a + 1)]
        self._buffer: np.ndarray | None = None

    def effects(self, b: np.ndarray, task) -> np.ndarray:
        """Z b of the rows of one task, for b of shape (k, J)."""
        return self.block_effects(b[:, task[0]], task)

    def block_effects(self, b: np.ndarray, task) -> np.ndarray:
        """`effects` for b of the task's levels alone."""
        levels, rows, _ = task
        counts = self.counts[levels]
        out = np.repeat(b[0], counts)
        if self.Z is not None:
            out *= self.Z[0, rows]
            for values, z in zip(b[1:], self.Z[1:, rows], strict=True):
                part = np.repeat(values, counts)
                part *= z
                out += part
        return out

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        """eta0 + Z b of each row for b of shape (k, J), written to `out`; eta0 may be None."""

        def work(task) -> None:
            rows = task[1]
            if eta0 is None:
                out[rows] = self.effects(b, task)
            else:
                np.add(self.effects(b, task), eta0[rows], out=out[rows])

        self.workers.map(work, self.tasks)
        return out

    def segment_sums(self, columns) -> np.ndarray:
        """Sums over levels of several row vectors.

        `columns(task)` yields the row vectors of one task; shape (number of them, J).
        """

        def work(task):
            return [np.add.reduceat(column, task[2]) for column in columns(task)]

        parts = self.workers.map(work, self.tasks)
        out = np.empty((len(parts[0]), self.n_levels))
        for (levels, _, _), sums in zip(self.tasks, parts, strict=True):
            for target, values in zip(out, sums, strict=True):
                target[levels] = values
        return out

    def sums(self, v: np.ndarray) -> np.ndarray:
        """Z' v per level, shape (k, J)."""
        return self.segment_sums(lambda task: self.columns(v[task[1]], task))

    def gram(self, w: np.ndarray) -> np.ndarray:
        """Z' diag(w) Z per level, shape (k, k, J)."""
        return self.unpack(self.segment_sums(lambda task: self.pair_columns(w[task[1]], task)))

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Symmetric (k, k, J) from its entries in the order of `pair_columns`."""
        if self.k == 1:
            return packed[None]
        out = np.empty((self.k, self.k, self.n_levels))
        for (a, b), values in zip(self._pairs, packed, strict=True):
            out[a, b] = values
            out[b, a] = values
        return out

    def columns(self, v: np.ndarray, task):
        """z_a v of one task's rows, for all a."""
        if self.Z is None:
            yield v
            return
        for z in self.Z[:, task[1]]:
            yield v * z

    def pair_columns(self, v: np.ndarray, task):
        """z_a z_b v of one task's rows, in the order of `_pairs`."""
        if self.Z is None:
            yield v
            return
        z = self.Z[:, task[1]]
        for a in range(self.k):
            vz = v * z[a]
            for b in range(a + 1):
                yield vz * z[b]

    def quadratic_of(self, M: np.ndarray, task) -> np.ndarray:
        """z_i' M_j z_i of one task's rows for symmetric M of shape (k, k, J)."""
        levels, rows, _ = task
        counts = self.counts[levels]
        if self.Z is None:
            return np.repeat(M[0, 0, levels], counts)
        z = self.Z[:, rows]
        out = np.zeros(z.shape[1])
        for a, b in self._pairs:
            value = np.repeat(M[a, b, levels], counts)
            value *= z[a]
            value *= z[b]
            if a != b:
                value *= 2.0
            out += value
        return out

    def quadratic(self, M: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """z_i' M_j z_i of each row for symmetric M of shape (k, k, J), written to `out`.

        Without `out`, in a buffer that the next call overwrites.
        """
        out = self.row_buffer() if out is None else out

        def work(task) -> None:
            out[task[1]] = self.quadratic_of(M, task)

        self.workers.map(work, self.tasks)
        return out

    def row_buffer(self) -> np.ndarray:
        """A row vector to write to, shape (n,), always the same."""
        if self._buffer is None:
            self._buffer = np.empty(self.codes.shape[0])
        return self._buffer
