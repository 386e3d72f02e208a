"""Crossed and partially crossed factors in any relation.

The factor with the most levels is eliminated (`elimination.py`); the Schur complement of the others is
factorised by LAPACK (`schur.py`), or met by conjugate gradients and random probes alone where it would
not fit or take too long (`iterative.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy import sparse

from ...design.problem import Problem
from ..rows import Workers
from .base import Factorization, Structure
from .coupling import DENSE_RATE, CouplingPattern
from .iterative import ROUGH_TOL, IterativeFactorization, Probes
from .pair_table import PairTable
from .schur import SchurFactorization

__all__ = ["Crossed"]

#: Order of the Schur complement from which BLAS gains by threads.
THREADED_ORDER = 1000
#: Seconds that an evaluation without the Schur complement takes for each entry of the coupling.
APPROXIMATE_SECONDS = 1e-7
#: Seconds an evaluation, by a rough count, and bytes beyond which the Schur complement is not formed.
DIRECT_SECONDS, DIRECT_BYTES = 10.0, 2.5e9


class Crossed(Structure):
    """Structure of several grouping factors in any relation.

    Parameters
    ----------
    problem : Problem
    workers : Workers
    iterative : bool or None
        Whether to do without the Schur complement; None decides by its size.
    """

    def __init__(self, problem: Problem, workers: Workers, iterative: bool | None = None) -> None:
        super().__init__(problem, workers)
        self.factors = problem.factors
        self.n_factors = len(self.factors)
        self.pairs = {
            (f, g): PairTable(self.factors[f], self.factors[g])
            for f in range(self.n_factors)
            for g in range(f + 1, self.n_factors)
        }
        self.q0 = self.slices[0].stop
        self.q1 = self.q - self.q0
        self.offsets = [s.start - self.q0 for s in self.slices]
        self.pattern = CouplingPattern(*self._places(), (self.q0, self.q1))
        seconds = self.pattern.seconds + float(self.q1) ** 3 / DENSE_RATE
        if iterative is None:
            iterative = seconds > DIRECT_SECONDS or 24.0 * self.q1**2 > DIRECT_BYTES
        self.dear = iterative or seconds > max(4e-3, 5e-8 * problem.n)
        approximate = self.pattern.entries * APPROXIMATE_SECONDS
        self.approximates = self.dear and not iterative and approximate < 0.5 * seconds
        self.probes = Probes(self.q1) if iterative else Probes(self.q1, 0)
        self.iterative = iterative
        # more threads than cores that are free make BLAS slower, and much: as many as were asked for
        self.blas_threads = workers.n_threads if self.q1 >= THREADED_ORDER else 1
        workers.limits_blas = self.blas_threads > 1
        self._buffer = np.empty(problem.n)

    @contextmanager
    def approximately(self) -> Iterator[None]:
        before, self.approximating = self.approximating, self.approximates
        try:
            yield
        finally:
            self.approximating = before

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the coupling (q0, q1), in the order that factorize makes them."""
        k0, J0 = self.shapes[0]
        rows, columns = [], []
        for f in range(1, self.n_factors):
            kf, Jf = self.shapes[f]
            table = self.pairs[0, f]
            for i in range(k0):
                for j in range(kf):
                    rows.append(i * J0 + table.first)
                    columns.append(self.offsets[f] + j * Jf + table.second)
        return np.concatenate(rows), np.concatenate(columns)

    def border_places(self, f: int, g: int, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Where effect i of factor f and effect j of factor g meet in S, for each of their pairs."""
        table = self.pairs[f, g]
        return (
            self.offsets[f] + i * self.shapes[f][1] + table.first,
            self.offsets[g] + j * self.shapes[g][1] + table.second,
        )

    def cross_matrix(self, blocks: list[np.ndarray]) -> sparse.csr_matrix | None:
        """The symmetric matrix (q1, q1) of blocks between the factors other than the first."""
        rows, columns, values = [], [], []
        others = [(f, g) for f, g in self.pairs if f]
        for (f, g), block in zip(others, blocks, strict=True):
            for i in range(block.shape[0]):
                for j in range(block.shape[1]):
                    r, c = self.border_places(f, g, i, j)
                    rows += [r, c]
                    columns += [c, r]
                    values += [block[i, j], block[i, j]]
        if not rows:
            return None
        at = (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_matrix((np.concatenate(values), at), shape=(self.q1, self.q1))

    def split_pairs(self, values: np.ndarray) -> list[np.ndarray]:
        """Entries of the coupling as blocks (k0, kf, P) on the pairs with each other factor."""
        out, at = [], 0
        for f in range(1, self.n_factors):
            shape = (self.shapes[0][0], self.shapes[f][0], self.pairs[0, f].size)
            size = int(np.prod(shape))
            out.append(values[at : at + size].reshape(shape))
            at += size
        return out

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        if eta0 is None:
            out[...] = 0.0
        elif out is not eta0:
            out[...] = eta0
        for factor, effects in zip(self.factors, self.parts(b), strict=True):
            for i in range(factor.size):
                value = np.take(effects[i], factor.codes)
                if factor.Z is not None:
                    value *= factor.Z[i]
                out += value
        return out

    def sums(self, v: np.ndarray) -> np.ndarray:
        out = np.empty(self.q)
        for factor, target in zip(self.factors, self.parts(out), strict=True):
            for i in range(factor.size):
                column = v if factor.Z is None else v * factor.Z[i]
                target[i] = np.bincount(factor.codes, weights=column, minlength=factor.n_levels)
        return out

    def grams(self, w: np.ndarray) -> list[np.ndarray]:
        """Z_f' diag(w) Z_f of each factor per level, shapes (k, k, J)."""
        out = []
        for factor in self.factors:
            k = factor.size
            G = np.empty((k, k, factor.n_levels))
            for i in range(k):
                wz = w if factor.Z is None else w * factor.Z[i]
                for j in range(i + 1):
                    column = wz if factor.Z is None else wz * factor.Z[j]
                    G[i, j] = np.bincount(factor.codes, weights=column, minlength=factor.n_levels)
                    G[j, i] = G[i, j]
            out.append(G)
        return out

    def factorize(self, W: np.ndarray, matrices: list[np.ndarray]) -> Factorization:
        if self.iterative or self.approximating:
            return IterativeFactorization(self, W, matrices, self.probes)
        return SchurFactorization(self, W, matrices)

    def rough(self, W: np.ndarray, matrices: list[np.ndarray]) -> Factorization:
        return IterativeFactorization(self, W, matrices, None, ROUGH_TOL)

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        return np.array([v.sum()])

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.full(self.q, values[0])
