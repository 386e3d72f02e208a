"""Crossed factors by the dense Cholesky factor of the Schur complement."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from .coupling import mirror
from .elimination import Elimination

__all__ = ["SchurFactorization"]


class SchurFactorization(Elimination):
    """S factorised by LAPACK, its inverse formed when it is asked for."""

    def __init__(self, structure, W: np.ndarray, matrices: list[np.ndarray]) -> None:
        super().__init__(structure, W, matrices)
        s = structure
        self.B = s.pattern.matrix(np.concatenate([B.ravel() for B in self.B_pairs]))
        S = self.B.gram()
        np.negative(S, out=S)
        self._add_border(S)
        self.S, info = linalg.lapack.dpotrf(S, lower=1, clean=0, overwrite_a=1)
        if info == 0:
            self.logdet += 2.0 * float(np.log(np.diag(self.S)).sum())
        else:
            self.definite = False
            self.S = np.eye(s.q1, order="F")
        self._border: np.ndarray | None = None

    def _add_border(self, S: np.ndarray) -> None:
        """Add C to the lower triangle of S."""
        s = self.structure
        for f in range(1, s.n_factors):
            kf, Jf = s.shapes[f]
            H = self._own_blocks(f)
            levels = np.arange(Jf)
            for i in range(kf):
                for j in range(i + 1):
                    S[s.offsets[f] + i * Jf + levels, s.offsets[f] + j * Jf + levels] += H[i, j]
            for g in range(f + 1, s.n_factors):
                H = self._cross_blocks(f, g)
                for i in range(kf):
                    for j in range(s.shapes[g][0]):
                        r, c = s.border_places(f, g, i, j)
                        S[c, r] += H[i, j]

    def _solve_border(self, half, border):
        right = np.asfortranarray(border - self.B.transposed_dot(half))
        x = linalg.lapack.dpotrs(self.S, right, lower=1, overwrite_b=1)[0]
        return x, half - self.B.dot(x)

    @property
    def border(self) -> np.ndarray:
        """S^-1."""
        if self._border is None:
            self._border = mirror(linalg.lapack.dpotri(self.S, lower=1)[0])
        return self._border

    def _products_on_pairs(self) -> list[np.ndarray]:
        s = self.structure
        return s.split_pairs(self.B.times_on_pattern(self.border))

    def _border_blocks(self, f: int) -> np.ndarray:
        s = self.structure
        k, J = s.shapes[f]
        levels = np.arange(J)
        out = np.empty((k, k, J))
        for i in range(k):
            for j in range(k):
                at = s.offsets[f] + np.array([[i], [j]]) * J + levels
                out[i, j] = self.border[at[0], at[1]]
        return out

    def _border_pairs(self, f: int, g: int) -> np.ndarray:
        s = self.structure
        kf, kg = s.shapes[f][0], s.shapes[g][0]
        out = np.empty((kf, kg, s.pairs[f, g].size))
        for i in range(kf):
            for j in range(kg):
                out[i, j] = self.border[s.border_places(f, g, i, j)]
        return out
