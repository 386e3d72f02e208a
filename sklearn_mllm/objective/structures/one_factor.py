"""One grouping factor with any number of columns: H is block diagonal, one k x k block a level.

Rows are sorted by level, so every sum over a level is a segment sum.
"""

from __future__ import annotations

import numpy as np

from ...design.problem import Problem
from .. import blocks as bl
from ..rows import BLOCK_ROWS, Workers
from .base import Factorization, Structure

__all__ = ["OneFactor"]


class OneFactor(Structure):
    """Structure of a single sorted grouping factor."""

    def __init__(self, problem: Problem, workers: Workers) -> None:
        super().__init__(problem, workers)
        (factor,) = problem.factors
        self.Z = factor.Z
        self.codes = factor.codes
        self.k, self.n_levels = self.shapes[0]
        self.counts = np.bincount(factor.codes, minlength=self.n_levels)
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
        self._buffer = np.empty(problem.n)

    # -- row space -----------------------------------------------------------------------------

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        (effects,) = self.parts(b)

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
        if self.Z is None:
            return self.segment_sums(lambda rows: (v[rows],)).ravel()
        return self.segment_sums(
            lambda rows: (v[rows] * self.Z[a, rows] for a in range(self.k))
        ).ravel()

    def crossed_sums(self, w: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Z' diag(w) X per level, shape (k, p, J)."""
        p = X.shape[0]

        def columns(rows):
            for a in range(self.k):
                wz = w[rows] if self.Z is None else w[rows] * self.Z[a, rows]
                for j in range(p):
                    yield wz * X[j, rows]

        if p == 0:
            return np.zeros((self.k, 0, self.n_levels))
        return self.segment_sums(columns).reshape(self.k, p, self.n_levels)

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

    def quadratic(self, M: np.ndarray, out: np.ndarray) -> np.ndarray:
        """z_i' M_j z_i of each row for symmetric M of shape (k, k, J), written to `out`."""

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

    # -- the four operations ---------------------------------------------------------------------

    def factorize(self, W: np.ndarray, matrices: list[np.ndarray]) -> BlockDiagonal:
        return BlockDiagonal(self, self.gram(W), matrices[0])

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        return self.parts(v)[0].sum(axis=0)

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (self.k, self.n_levels)).ravel()


class BlockDiagonal(Factorization):
    """H of one factor: `G` = Z' W Z per level (k, k, J), `Lambda` (k, k)."""

    def __init__(self, structure: OneFactor, G: np.ndarray, Lambda: np.ndarray) -> None:
        self.structure = structure
        self.G = G
        self.Lambda = Lambda
        self.LtG = bl.multiply(Lambda.T, G)
        H = (
            self.LtG * Lambda[0, 0]
            if Lambda.size == 1
            else np.einsum("abj,bc->acj", self.LtG, Lambda)
        )
        for a in range(structure.k):
            H[a, a] += 1.0
        self.factor, self.definite = bl.cholesky(H)
        self.logdet = float(bl.logdet(self.factor).sum())
        self._inverse: np.ndarray | None = None

    @property
    def inverse(self) -> np.ndarray:
        """H^-1 per level, shape (k, k, J)."""
        if self._inverse is None:
            self._inverse = bl.inverse(self.factor)
        return self._inverse

    @property
    def conditional_covariance(self) -> np.ndarray:
        """M = Lambda H^-1 Lambda' per level, shape (k, k, J)."""
        if self.Lambda.size == 1:
            return self.inverse * self.Lambda[0, 0] ** 2
        return np.einsum("ab,bcj,dc->adj", self.Lambda, self.inverse, self.Lambda, optimize=True)

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        s = self.structure
        blocks = rhs.reshape(-1, s.k, s.n_levels).swapaxes(0, 1)
        return bl.solve(self.factor, blocks).swapaxes(0, 1).reshape(rhs.shape)

    def leverages(self) -> np.ndarray:
        return self.structure.quadratic(self.conditional_covariance, self.structure._buffer)

    def theta_traces(self) -> list[np.ndarray]:
        return [np.einsum("abj,bcj->ca", self.inverse, self.LtG)]

    def inverse_blocks(self) -> list[np.ndarray]:
        return [self.inverse]
