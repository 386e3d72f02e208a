"""One grouping factor with any number of columns: H is block diagonal, one k x k block a level."""

from __future__ import annotations

import numpy as np

from ...design.problem import Problem
from .. import blocks as bl
from ..level_sums import LevelSums
from ..rows import Workers
from .sorted_rows import SortedFactorization, SortedRows

__all__ = ["OneFactor"]


class OneFactor(SortedRows):
    """Structure of a single sorted grouping factor."""

    def __init__(self, problem: Problem, workers: Workers) -> None:
        super().__init__(problem, workers)
        (factor,) = problem.factors
        self.k, self.n_levels = self.shapes[0]
        self.by_level = LevelSums(factor.codes, factor.n_levels, factor.Z, workers)

    def inward(self, b: np.ndarray) -> np.ndarray:
        return self.parts(b)[0]

    def outward(self, totals: np.ndarray) -> np.ndarray:
        return totals.ravel()

    def from_gram(self, gram: np.ndarray, matrices: list[np.ndarray]) -> BlockDiagonal:
        return BlockDiagonal(self, gram, matrices[0])

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        return self.parts(v)[0].sum(axis=0)

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (self.k, self.n_levels)).ravel()


class BlockDiagonal(SortedFactorization):
    """H of one factor: `G` = Z' W Z per level (k, k, J), `Lambda` (k, k)."""

    turned = True

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

    def theta_traces(self) -> list[np.ndarray]:
        return [np.einsum("abj,bcj->ca", self.inverse, self.LtG)]

    def inverse_blocks(self) -> list[np.ndarray]:
        return [self.inverse]
