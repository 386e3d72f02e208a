"""Rows sorted by the levels of an innermost factor: everything needed of them in few, fused passes.

All random effects of a row are those of its innermost level, so that sums over these levels, of s
and of W, are all that the algebra needs. A pass goes over blocks of whole levels and does with each
what has to be done while it is in the cache.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..level_sums import LevelSums
from ..rows import RowPasses, half_difference
from .base import LOWEST, Factorization, Pull, Structure, Visit

__all__ = ["SortedFactorization", "SortedRows", "SortedVisit"]


class SortedVisit(Visit):
    """A `Visit` with its sums over the innermost levels.

    Attributes
    ----------
    totals : ndarray of shape (k, J)
        Z's per level.
    gram : ndarray of shape (k, k, J)
        Z'WZ per level.
    """

    def __init__(self, log_likelihood, derivatives, Zs, totals, gram) -> None:
        super().__init__(log_likelihood, derivatives, Zs)
        self.totals, self.gram = totals, gram


class SortedRows(Structure):
    """A structure over sorted rows.

    Attributes
    ----------
    by_level : LevelSums
        Of the innermost levels, with the k columns of all factors.
    """

    by_level: LevelSums

    @abstractmethod
    def inward(self, b: np.ndarray) -> np.ndarray:
        """Effects of each innermost level, shape (k, J), for b of shape (q,)."""

    @abstractmethod
    def outward(self, totals: np.ndarray) -> np.ndarray:
        """Z' v, shape (q,), from its sums over the innermost levels, shape (k, J)."""

    @abstractmethod
    def from_gram(self, gram: np.ndarray, matrices: list[np.ndarray]) -> SortedFactorization:
        """H for Z'WZ of the innermost levels, shape (k, k, J)."""

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        return self.by_level.predictor(self.inward(b), eta0, out)

    def sums(self, v: np.ndarray) -> np.ndarray:
        return self.outward(self.by_level.sums(v))

    def factorize(self, W: np.ndarray, matrices: list[np.ndarray]) -> SortedFactorization:
        return self.from_gram(self.by_level.gram(W), matrices)

    def factorize_at(self, at: SortedVisit, matrices: list[np.ndarray]) -> SortedFactorization:
        return self.from_gram(at.gram, matrices)

    def visit(
        self, b: np.ndarray, eta0: np.ndarray, eta: np.ndarray, rows: RowPasses
    ) -> SortedVisit:
        levels = self.by_level
        effects = self.inward(b)
        values = {}

        def columns(task):
            part = eta[task[1]]
            np.add(levels.effects(effects, task), eta0[task[1]], out=part)
            value, (s, W, _) = rows.block_derivatives(part, task[1])
            values[task[1].start] = value
            if not value > LOWEST:
                s = W = np.zeros_like(part)
            yield from levels.columns(s, task)
            yield from levels.pair_columns(W, task)

        sums = levels.segment_sums(columns)
        totals, gram = sums[: levels.k], levels.unpack(sums[levels.k :])
        return SortedVisit(
            sum(values[task[1].start] for task in levels.tasks),
            rows.buffers(3),
            self.outward(totals),
            totals,
            gram,
        )

    def pull(
        self, F: SortedFactorization, at: SortedVisit, matrices: list[np.ndarray], rows: RowPasses
    ) -> Pull:
        levels = self.by_level
        M = F.conditional_covariance
        # without columns the leverages of a level's rows are one number, which need not be kept
        kept = None if levels.Z is None else levels.row_buffer()

        def weighted_leverages(task):
            W1 = at.W1[task[1]]
            if kept is None:
                return (W1,)
            c = levels.quadratic_of(M, task)
            c *= W1
            kept[task[1]] = c  # a copy: the next passes are over what is in the cache
            return levels.columns(c, task)

        Zc = levels.segment_sums(weighted_leverages)
        if kept is None:
            Zc *= M[0]
        ltzc = self.scale([m.T for m in matrices], self.outward(Zc))
        v = F.solve(ltzc)
        y = self.inward(self.scale(matrices, v))

        def residual(task) -> np.ndarray:
            block = task[1]
            c = levels.quadratic_of(M, task) * at.W1[block] if kept is None else kept[block]
            r = levels.effects(y, task)
            half_difference(r, at.W[block], c, at.s[block])
            return rows.X[:, block] @ r

        Xr = np.sum(self.workers.map(residual, levels.tasks), axis=0)
        Zr = at.totals - 0.5 * Zc + 0.5 * np.einsum("abj,bj->aj", at.gram, y)
        return Pull(ltzc, v, self.outward(Zr), Xr)

    def moved_sums(
        self, beta: np.ndarray, dbeta: np.ndarray, db: np.ndarray, W: np.ndarray, rows: RowPasses
    ) -> np.ndarray:
        levels = self.by_level
        effects = self.inward(db)
        move = rows.fixed_move(beta, dbeta)

        def columns(task):
            row = levels.effects(effects, task)
            row += move(task[1])
            row *= W[task[1]]
            return levels.columns(row, task)

        return self.outward(levels.segment_sums(columns))


class SortedFactorization(Factorization):
    """H of a structure over sorted rows."""

    structure: SortedRows

    @property
    @abstractmethod
    def conditional_covariance(self) -> np.ndarray:
        """M = Lambda H^-1 Lambda' of the effects of each innermost level, shape (k, k, J)."""

    def leverages(self) -> np.ndarray:
        return self.structure.by_level.quadratic(self.conditional_covariance)
