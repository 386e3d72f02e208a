"""Factors nested in each other: H is a tree, eliminated from the innermost factor outwards.

A level of factor f lies in one level of each factor further out, so that the blocks of H between
factors f <= g are one a level of f. Eliminating a level touches blocks among its ancestors alone,
which are there already: no fill, and cost linear in the number of levels. With D_f the diagonal
blocks left of factor f, B_fg its coupling and X_fg = D_f^-1 B_fg,

    B_gh <- B_gh - sum over the levels of f in each level of g of B_fg' X_fh         (g, h > f)

and the inverse on the same pattern, from the outermost inwards (Takahashi, Fagan & Chin 1973),

    V_fg = - sum_h X_fh V_hg,         V_ff = D_f^-1 - sum_g V_fg X_fg'.

All passes over rows are those of one factor, the innermost, with the columns of all factors.
"""

from __future__ import annotations

import numpy as np

from ...design.arrange import nesting
from ...design.problem import Factor, Problem
from .. import blocks as bl
from ..level_sums import LevelSums
from ..rows import Workers
from .sorted_rows import SortedFactorization, SortedRows

__all__ = ["Nested", "parents"]


def parents(problem: Problem) -> list[np.ndarray] | None:
    """For each factor but the last, the level of the next that holds each level; None if not nested."""
    factors = problem.factors
    return nesting([f.codes for f in factors], [f.n_levels for f in factors])


def _distinct_columns(factors: tuple[Factor, ...]) -> tuple[np.ndarray | None, list[list[int]]]:
    """The different columns of all factors, and which of them each factor has.

    None for the columns stands for a single one of ones.
    """
    columns: list[np.ndarray | None] = []
    places = []
    for factor in factors:
        mine = []
        for z in (None,) if factor.Z is None else factor.Z:
            found = next((c for c, other in enumerate(columns) if _same(z, other)), None)
            if found is None:
                found = len(columns)
                columns.append(z)
            mine.append(found)
        places.append(mine)
    if len(columns) == 1 and columns[0] is None:
        return None, places
    n = factors[0].codes.shape[0]
    return np.array([np.ones(n) if z is None else z for z in columns]), places


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        other = b if a is None else a
        return other is None or bool((other == 1.0).all())
    return np.array_equal(a, b)


class Nested(SortedRows):
    """Structure of factors from the innermost to the outermost, rows sorted by all of them."""

    def __init__(self, problem: Problem, workers: Workers, parent: list[np.ndarray]) -> None:
        super().__init__(problem, workers)
        self.n_factors = len(problem.factors)
        Z, self.columns = _distinct_columns(problem.factors)
        inner = problem.factors[0]
        self.by_level = LevelSums(inner.codes, inner.n_levels, Z, workers)
        # ancestor[f][g - f]: the level of g >= f that holds each level of f
        self.ancestor: list[list[np.ndarray | None]] = []
        self._starts: list[list[np.ndarray | None]] = []
        for f in range(self.n_factors):
            chain: list[np.ndarray | None] = [None]
            starts: list[np.ndarray | None] = [None]
            level = np.arange(problem.factors[f].n_levels)
            for g in range(f, self.n_factors - 1):
                level = parent[g][level]
                chain.append(level)
                starts.append(np.searchsorted(level, np.arange(problem.factors[g + 1].n_levels)))
            self.ancestor.append(chain)
            self._starts.append(starts)

    # -- levels ----------------------------------------------------------------------------------

    def up(self, values: np.ndarray, f: int, g: int) -> np.ndarray:
        """Sums over the levels of f in each level of g; the last axis is that of the levels."""
        return values if f == g else np.add.reduceat(values, self._starts[f][g - f], axis=-1)

    def down(self, values: np.ndarray, g: int, f: int) -> np.ndarray:
        """Values of the levels of g at the levels of f inside them."""
        return values if f == g else values[..., self.ancestor[f][g - f]]

    # -- row space -------------------------------------------------------------------------------

    def inward(self, b: np.ndarray) -> np.ndarray:
        effects = np.zeros((self.by_level.k, self.by_level.n_levels))
        for f, part in enumerate(self.parts(b)):
            for column, values in zip(self.columns[f], part, strict=True):
                effects[column] += self.down(values, f, 0)
        return effects

    def outward(self, totals: np.ndarray) -> np.ndarray:
        out = np.empty(self.q)
        for f, target in enumerate(self.parts(out)):
            target[...] = self.up(totals[self.columns[f]], 0, f)
        return out

    def from_gram(self, gram: np.ndarray, matrices: list[np.ndarray]) -> TreeFactorization:
        return TreeFactorization(self, gram, matrices)

    def grams(self, totals: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        """Z_f'WZ_g for f <= g, per level of f, (kf, kg, Jf), from that of innermost levels."""
        out = {}
        for f in range(self.n_factors):
            level = self.up(totals, 0, f)
            for g in range(f, self.n_factors):
                out[f, g] = level[np.ix_(self.columns[f], self.columns[g])]
        return out

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        last = self.n_factors - 1
        return sum(self.up(part.sum(axis=0), f, last) for f, part in enumerate(self.parts(v)))

    def spread(self, values: np.ndarray) -> np.ndarray:
        last = self.n_factors - 1
        out = np.empty(self.q, dtype=values.dtype)
        for f, target in enumerate(self.parts(out)):
            target[...] = self.down(values, last, f)
        return out


class TreeFactorization(SortedFactorization):
    """H by elimination of one factor after the other."""

    turned = True

    def __init__(self, structure: Nested, gram: np.ndarray, matrices: list[np.ndarray]) -> None:
        self.structure = s = structure
        self.matrices = L = matrices
        self.G = s.grams(gram)
        B = {(f, g): bl.between(L[f].T, G, L[g]) for (f, g), G in self.G.items()}
        self.coupling, self.X, self.factors = {}, {}, []
        self.definite, self.logdet = True, 0.0
        for f in range(s.n_factors):
            D = B[f, f]
            for a in range(D.shape[0]):
                D[a, a] += 1.0
            factor, definite = bl.cholesky(D)
            self.factors.append(factor)
            self.definite = self.definite and definite
            self.logdet += float(bl.logdet(factor).sum())
            outer = range(f + 1, s.n_factors)
            for g in outer:
                self.coupling[f, g] = B[f, g]
                self.X[f, g] = bl.solve(factor, B[f, g])
            for g in outer:
                for h in range(g, s.n_factors):
                    product = bl.transposed_product(B[f, g], self.X[f, h])
                    B[g, h] -= s.up(product, f, g)
        self._inverse: dict[tuple[int, int], np.ndarray] | None = None

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        s = self.structure
        flat = np.array(np.atleast_2d(rhs))
        # (k, r, J), the layout of the blocks
        parts = [part.swapaxes(0, 1) for part in s.parts(flat)]
        for f in range(s.n_factors):
            for g in range(f + 1, s.n_factors):
                parts[g] -= s.up(bl.transposed_product(self.X[f, g], parts[f]), f, g)
        for f in reversed(range(s.n_factors)):
            solution = bl.solve(self.factors[f], parts[f])
            for g in range(f + 1, s.n_factors):
                solution -= bl.multiply(self.X[f, g], s.down(parts[g], g, f))
            parts[f][...] = solution
        return flat.reshape(rhs.shape)

    @property
    def inverse(self) -> dict[tuple[int, int], np.ndarray]:
        """Blocks of H^-1 between each level of f and its ancestor of g >= f, (kf, kg, Jf)."""
        if self._inverse is None:
            s = self.structure
            V: dict[tuple[int, int], np.ndarray] = {}
            for f in reversed(range(s.n_factors)):
                outer = range(f + 1, s.n_factors)
                for g in outer:
                    total = 0.0
                    for h in outer:
                        if h <= g:
                            block = s.down(V[h, g], h, f)
                        else:
                            block = s.down(V[g, h], g, f).swapaxes(0, 1)
                        total = total - bl.multiply(self.X[f, h], block)
                    V[f, g] = total
                block = bl.inverse(self.factors[f])
                for g in outer:
                    block = block - np.einsum("acj,bcj->abj", V[f, g], self.X[f, g])
                V[f, f] = 0.5 * (block + block.swapaxes(0, 1))
            self._inverse = V
        return self._inverse

    def inverse_blocks(self) -> list[np.ndarray]:
        return [self.inverse[f, f] for f in range(self.structure.n_factors)]

    @property
    def conditional_covariance(self) -> np.ndarray:
        s, L = self.structure, self.matrices
        rows = s.by_level
        M = np.zeros((rows.k, rows.k, rows.n_levels))
        for (f, g), V in self.inverse.items():
            block = s.down(bl.between(L[f], V, L[g].T), f, 0)
            for a, i in enumerate(s.columns[f]):
                for b, j in enumerate(s.columns[g]):
                    if f == g:
                        M[i, j] += block[a, b]
                    else:
                        # the quadratic form wants a symmetric matrix: each half of z_f'.z_g twice
                        M[i, j] += block[a, b]
                        M[j, i] += block[a, b]
        return M

    def theta_traces(self) -> list[np.ndarray]:
        L = self.matrices
        out = [np.zeros_like(m) for m in L]
        for (f, g), V in self.inverse.items():
            G = self.G[f, g]
            out[f] += bl.trace_left(G, L[g], V)
            if f != g:
                out[g] += bl.trace_left(G.swapaxes(0, 1), L[f], V.swapaxes(0, 1))
        return out
