"""No random effects: the plain generalised linear model as a structure of size zero."""

from __future__ import annotations

import numpy as np

from .base import Factorization, Structure

__all__ = ["NoEffects"]


class NoEffects(Structure):
    """Structure of a problem without grouping factors."""

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        if eta0 is None:
            out[...] = 0.0
        elif out is not eta0:
            out[...] = eta0
        return out

    def sums(self, v: np.ndarray) -> np.ndarray:
        return np.zeros(0)

    def factorize(self, W: np.ndarray, matrices: list[np.ndarray]) -> Factorization:
        return EmptyFactorization(self.problem.n)

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        return np.zeros(0)

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.zeros(0)


class EmptyFactorization(Factorization):
    """H of order zero."""

    definite = True
    logdet = 0.0

    def __init__(self, n: int) -> None:
        self._n = n

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        return np.zeros_like(rhs)

    def leverages(self) -> np.ndarray:
        return np.zeros(self._n)

    def theta_traces(self) -> list[np.ndarray]:
        return []

    def inverse_blocks(self) -> list[np.ndarray]:
        return []
