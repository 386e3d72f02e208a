"""H with the first factor eliminated: what the two treatments of the Schur complement share.

With A = R R' the block-diagonal part of the first factor, R B its coupling to the others and C their
own part, S = C - B'B, and of the inverse

    V_11 = S^-1,    V_01 = -R'^-1 B S^-1,    V_00 = R'^-1 (I + B S^-1 B') R^-1

only what rows touch is formed: blocks of pairs of levels that occur together.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from .. import blocks as bl
from .base import Factorization

if TYPE_CHECKING:
    from .crossed import Crossed

__all__ = ["Elimination"]


class Elimination(Factorization):
    """H with A eliminated; `B_pairs` holds B on the pairs of the first factor and each other."""

    def __init__(self, structure: Crossed, W: np.ndarray, matrices: list[np.ndarray]) -> None:
        self.structure = s = structure
        self.matrices = L = matrices
        self.G = s.grams(W)
        self.C = {key: table.sums(W) for key, table in s.pairs.items()}
        H0 = bl.between(L[0].T, self.G[0], L[0])
        for a in range(H0.shape[0]):
            H0[a, a] += 1.0
        self.R, self.definite = bl.cholesky(H0)
        self.logdet = float(bl.logdet(self.R).sum())
        self.B_pairs = []
        for f in range(1, s.n_factors):
            coupling = bl.between(L[0].T, self.C[0, f], L[f])
            self.B_pairs.append(bl.solve_lower(self._first(f), coupling))
        self._inverse_pairs: dict[tuple[int, int], np.ndarray] | None = None
        self._products: list[np.ndarray] | None = None
        self._inverse_blocks: list[np.ndarray] | None = None

    def _first(self, f: int) -> np.ndarray:
        """R at the pairs of the first factor and factor f."""
        return np.take(self.R, self.structure.pairs[0, f].first, axis=2)

    def _own_blocks(self, f: int) -> np.ndarray:
        """The diagonal blocks of C for a factor, with the identity of H, (k, k, J)."""
        H = bl.between(self.matrices[f].T, self.G[f], self.matrices[f])
        for i in range(H.shape[0]):
            H[i, i] += 1.0
        return H

    def _cross_blocks(self, f: int, g: int) -> np.ndarray:
        """C between factors f < g on their pairs, (kf, kg, P)."""
        return bl.between(self.matrices[f].T, self.C[f, g], self.matrices[g])

    # -- what the treatment of S gives -----------------------------------------------------------

    @abstractmethod
    def _solve_border(self, half: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x = S^-1 (border - B' half) and half - B x, for half (q0, r) and border (q1, r)."""

    @abstractmethod
    def _products_on_pairs(self) -> list[np.ndarray]:
        """B S^-1 on the pairs of the first factor and each other one, (k0, kf, P)."""

    @abstractmethod
    def _border_blocks(self, f: int) -> np.ndarray:
        """Diagonal blocks of S^-1 of a factor, (k, k, J)."""

    @abstractmethod
    def _border_pairs(self, f: int, g: int) -> np.ndarray:
        """S^-1 between factors f < g on their pairs, (kf, kg, P)."""

    # -- the four operations ---------------------------------------------------------------------

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        s = self.structure
        k0, J0 = s.shapes[0]
        flat = np.atleast_2d(rhs)
        r = flat.shape[0]
        half = bl.solve_lower(self.R, flat[:, : s.q0].reshape(r, k0, J0).swapaxes(0, 1))
        columns = np.ascontiguousarray(half.swapaxes(0, 1).reshape(r, s.q0).T)
        x1, rest = self._solve_border(columns, flat[:, s.q0 :].T)
        half = rest.T.reshape(r, k0, J0).swapaxes(0, 1)
        out = np.empty_like(flat)
        out[:, s.q0 :] = x1.T
        x0 = bl.solve_lower(self.R, half, transposed=True)
        out[:, : s.q0] = x0.swapaxes(0, 1).reshape(r, s.q0)
        return out.reshape(rhs.shape)

    @property
    def products(self) -> list[np.ndarray]:
        """B S^-1 on the pairs of the first factor and each other one, (k0, kf, P)."""
        if self._products is None:
            self._products = self._products_on_pairs()
        return self._products

    @property
    def inverse_pairs(self) -> dict[tuple[int, int], np.ndarray]:
        """Blocks of H^-1 of factors f < g on their pairs, shapes (kf, kg, P)."""
        if self._inverse_pairs is None:
            self._inverse_pairs = {
                (f, g): -bl.solve_lower(self._first(g), self.products[g - 1], transposed=True)
                if f == 0
                else self._border_pairs(f, g)
                for f, g in self.structure.pairs
            }
        return self._inverse_pairs

    def inverse_blocks(self) -> list[np.ndarray]:
        if self._inverse_blocks is None:
            self._inverse_blocks = [self._first_blocks()]
            others = range(1, self.structure.n_factors)
            self._inverse_blocks.extend(self._border_blocks(f) for f in others)
        return self._inverse_blocks

    def _first_blocks(self) -> np.ndarray:
        """Diagonal blocks of H^-1 of the first factor."""
        s = self.structure
        k0, J0 = s.shapes[0]
        inner = np.zeros((k0, k0, J0))
        for f in range(1, s.n_factors):
            table, B, products = s.pairs[0, f], self.B_pairs[f - 1], self.products[f - 1]
            for a in range(k0):
                for b in range(k0):
                    product = np.einsum("cp,cp->p", products[a], B[b])
                    inner[a, b] += np.bincount(table.first, weights=product, minlength=J0)
        for a in range(k0):
            inner[a, a] += 1.0
        half = bl.solve_lower(self.R, inner, transposed=True)
        first = bl.solve_lower(self.R, half.swapaxes(0, 1), transposed=True)
        return 0.5 * (first + first.swapaxes(0, 1))

    def leverages(self) -> np.ndarray:
        s, L = self.structure, self.matrices
        out = s._buffer
        out[...] = 0.0
        for f, inverse in enumerate(self.inverse_blocks()):
            M = bl.between(L[f], inverse, L[f].T)
            factor = s.factors[f]
            for i in range(factor.size):
                for j in range(factor.size):
                    value = np.take(M[i, j], factor.codes)
                    if factor.Z is not None:
                        value *= factor.Z[i] * factor.Z[j]
                    out += value
        for (f, g), table in s.pairs.items():
            table.add_quadratic(bl.between(L[f], self.inverse_pairs[f, g], L[g].T), out)
        return out

    def theta_traces(self) -> list[np.ndarray]:
        L = self.matrices
        out = [bl.trace_left(self.G[f], L[f], V) for f, V in enumerate(self.inverse_blocks())]
        for (f, g), V in self.inverse_pairs.items():
            C = self.C[f, g]
            out[f] += bl.trace_left(C, L[g], V)
            out[g] += bl.trace_left(C.swapaxes(0, 1), L[f], V.swapaxes(0, 1))
        return out
