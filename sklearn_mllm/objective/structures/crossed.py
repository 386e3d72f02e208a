"""Crossed and partially crossed factors: eliminate the first, factorise the Schur complement.

The factor with the most levels has a block-diagonal part A of H; with B its coupling to all other
factors and C their own part, S = C - B' A^-1 B is factorised by LAPACK. Of the inverse only what
rows touch is formed: blocks of pairs of levels that occur together.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from ...design.problem import Factor, Problem
from .. import blocks as bl
from ..rows import Workers
from .base import Factorization, Structure

__all__ = ["Crossed"]

#: Entries of the coupling B up to which it is held dense.
DENSE_ENTRIES = 100_000


class PairTable:
    """Levels of two factors that occur together.

    Attributes
    ----------
    of_row : ndarray of shape (n,)
        Pair of each row.
    first, second : ndarray of shape (P,)
        Levels of each pair, ascending by `first`.
    """

    def __init__(self, a: Factor, b: Factor) -> None:
        keys = a.codes.astype(np.int64) * b.n_levels + b.codes
        size = a.n_levels * b.n_levels
        if size <= max(8 * keys.shape[0], 1_000_000):
            present = np.zeros(size, dtype=bool)
            present[keys] = True
            pairs = np.flatnonzero(present)
            self.of_row = (np.cumsum(present) - 1)[keys]
        else:
            pairs, self.of_row = np.unique(keys, return_inverse=True)
        self.first = (pairs // b.n_levels).astype(np.intp)
        self.second = (pairs % b.n_levels).astype(np.intp)
        self.Za, self.Zb = a.Z, b.Z
        self.ka, self.kb = a.size, b.size

    @property
    def size(self) -> int:
        return self.first.shape[0]

    def sums(self, w: np.ndarray) -> np.ndarray:
        """sum of w z_a z_b' over the rows of each pair, shape (ka, kb, P)."""
        out = np.empty((self.ka, self.kb, self.size))
        for i in range(self.ka):
            wz = w if self.Za is None else w * self.Za[i]
            for j in range(self.kb):
                column = wz if self.Zb is None else wz * self.Zb[j]
                out[i, j] = np.bincount(self.of_row, weights=column, minlength=self.size)
        return out

    def add_quadratic(self, M: np.ndarray, out: np.ndarray) -> None:
        """Add 2 z_a' M z_b of each row to `out`, M of shape (ka, kb, P)."""
        for i in range(self.ka):
            for j in range(self.kb):
                value = M[i, j][self.of_row]
                if self.Za is not None:
                    value *= self.Za[i]
                if self.Zb is not None:
                    value *= self.Zb[j]
                value *= 2.0
                out += value


class Crossed(Structure):
    """Structure of several grouping factors in any relation."""

    def __init__(self, problem: Problem, workers: Workers) -> None:
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
        self.dense = self.q0 * self.q1 <= DENSE_ENTRIES
        # small matrices gain nothing from threads, and lose much when cores are busy
        self.blas_threads = 1 if self.q1 < 1500 else None
        workers.limits_blas = self.blas_threads is None
        self._coupling_index = self._index_of_coupling()
        self._buffer = np.empty(problem.n)

    def _index_of_coupling(self):
        """Rows and columns of B (q0, q1), entries in the order that factorize makes them."""
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

    def predictor(self, b: np.ndarray, eta0: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        if eta0 is None:
            out[...] = 0.0
        elif out is not eta0:
            out[...] = eta0
        for factor, effects in zip(self.factors, self.parts(b), strict=True):
            for i in range(factor.size):
                value = effects[i][factor.codes]
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
        return SchurFactorization(self, W, matrices)

    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        return np.array([v.sum()])

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.full(self.q, values[0])


class SchurFactorization(Factorization):
    """H by elimination of the first factor."""

    def __init__(self, structure: Crossed, W: np.ndarray, matrices: list[np.ndarray]) -> None:
        self.structure = s = structure
        self.matrices = matrices
        self.G = s.grams(W)
        self.C = {key: table.sums(W) for key, table in s.pairs.items()}
        L = matrices
        H0 = np.einsum("ba,bcj,cd->adj", L[0], self.G[0], L[0], optimize=True)
        for a in range(H0.shape[0]):
            H0[a, a] += 1.0
        self.factor0, definite = bl.cholesky(H0)
        inverse0 = bl.inverse(self.factor0)
        # F = A^-1 B and B by pairs, entries ordered as in the index of the coupling
        B_parts, F_parts = [], []
        for f in range(1, s.n_factors):
            table = s.pairs[0, f]
            B = np.einsum("ba,bcp,cd->adp", L[0], self.C[0, f], L[f], optimize=True)
            F = np.einsum("abp,bcp->acp", inverse0[:, :, table.first], B)
            B_parts.append(B.ravel())
            F_parts.append(F)
        rows, columns = s._coupling_index
        shape = (s.q0, s.q1)
        B, F = np.concatenate(B_parts), np.concatenate([F.ravel() for F in F_parts])
        if s.dense:
            self.B, self.F = np.zeros(shape), np.zeros(shape)
            self.B[rows, columns] = B
            self.F[rows, columns] = F
            S = -(self.B.T @ self.F)
        else:
            self.B = sparse.csr_matrix((B, (rows, columns)), shape=shape)
            self.F = sparse.csr_matrix((F, (rows, columns)), shape=shape)
            S = -(self.B.T @ self.F).toarray()
        self.inverse0 = inverse0
        self._F_pairs = F_parts
        self._add_border(S)
        self.S, info = linalg.lapack.dpotrf(S, lower=1, clean=1, overwrite_a=1)
        self.definite = definite and info == 0
        self.logdet = float(bl.logdet(self.factor0).sum())
        if info == 0:
            self.logdet += 2.0 * float(np.log(np.diag(self.S)).sum())
        else:
            self.S = np.eye(s.q1)
        self._border: np.ndarray | None = None
        self._coupled: list[np.ndarray] | None = None

    def _add_border(self, S: np.ndarray) -> None:
        """Add the part of the factors other than the first, and the identity, to S."""
        s, L = self.structure, self.matrices
        for f in range(1, s.n_factors):
            kf, Jf = s.shapes[f]
            H = np.einsum("ba,bcj,cd->adj", L[f], self.G[f], L[f], optimize=True)
            levels = np.arange(Jf)
            for i in range(kf):
                for j in range(kf):
                    S[s.offsets[f] + i * Jf + levels, s.offsets[f] + j * Jf + levels] += H[i, j]
            for g in range(f + 1, s.n_factors):
                kg, Jg = s.shapes[g]
                table = s.pairs[f, g]
                H = np.einsum("ba,bcp,cd->adp", L[f], self.C[f, g], L[g], optimize=True)
                for i in range(kf):
                    for j in range(kg):
                        r = s.offsets[f] + i * Jf + table.first
                        c = s.offsets[g] + j * Jg + table.second
                        S[r, c] += H[i, j]
                        S[c, r] += H[i, j]
        S[np.diag_indices_from(S)] += 1.0

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        s = self.structure
        k0, J0 = s.shapes[0]
        flat = np.atleast_2d(rhs)
        first = flat[:, : s.q0].reshape(-1, k0, J0).swapaxes(0, 1)
        x0 = bl.solve(self.factor0, first).swapaxes(0, 1).reshape(flat.shape[0], s.q0)
        border = flat[:, s.q0 :].T - self.F.T @ flat[:, : s.q0].T
        x1 = linalg.lapack.dpotrs(self.S, np.asfortranarray(border), lower=1)[0]
        out = np.empty_like(flat)
        out[:, s.q0 :] = x1.T
        out[:, : s.q0] = x0 - (self.F @ x1).T
        return out.reshape(rhs.shape)

    @property
    def border(self) -> np.ndarray:
        """S^-1, the inverse of H among the factors other than the first."""
        if self._border is None:
            inverse, _ = linalg.lapack.dpotri(self.S, lower=1)
            lower = np.tril(inverse, -1)
            self._border = inverse * np.tri(inverse.shape[0]) + lower.T
        return self._border

    @property
    def coupled(self) -> list[np.ndarray]:
        """Blocks of H^-1 between the first factor and each other one on the pairs (k0, kf, P)."""
        if self._coupled is None:
            s = self.structure
            rows, columns = s._coupling_index
            if s.dense:
                values = -(self.F @ self.border)[rows, columns]
            else:
                values = -_product_on_pattern(self.F, self.border, rows, columns)
            self._coupled, at = [], 0
            for f in range(1, s.n_factors):
                shape = (s.shapes[0][0], s.shapes[f][0], s.pairs[0, f].size)
                size = int(np.prod(shape))
                self._coupled.append(values[at : at + size].reshape(shape))
                at += size
        return self._coupled

    def inverse_pairs(self, f: int, g: int) -> np.ndarray:
        """Blocks of H^-1 of factors f < g on their pairs, shape (kf, kg, P)."""
        s = self.structure
        if f == 0:
            return self.coupled[g - 1]
        (kf, Jf), (kg, Jg) = s.shapes[f], s.shapes[g]
        table = s.pairs[f, g]
        out = np.empty((kf, kg, table.size))
        for i in range(kf):
            for j in range(kg):
                out[i, j] = self.border[
                    s.offsets[f] + i * Jf + table.first, s.offsets[g] + j * Jg + table.second
                ]
        return out

    def inverse_blocks(self) -> list[np.ndarray]:
        s = self.structure
        k0, J0 = s.shapes[0]
        first = np.array(self.inverse0)
        # A^-1 + F S^-1 F' on the diagonal blocks, F S^-1 being known on the pattern of F
        for f in range(1, s.n_factors):
            table = s.pairs[0, f]
            F = self._F_pairs[f - 1]
            product = -np.einsum("acp,bcp->abp", self.coupled[f - 1], F)
            for a in range(k0):
                for b in range(k0):
                    first[a, b] += np.bincount(table.first, weights=product[a, b], minlength=J0)
        out = [0.5 * (first + first.swapaxes(0, 1))]
        for f in range(1, s.n_factors):
            kf, Jf = s.shapes[f]
            levels = np.arange(Jf)
            block = np.empty((kf, kf, Jf))
            for i in range(kf):
                for j in range(kf):
                    block[i, j] = self.border[
                        s.offsets[f] + i * Jf + levels, s.offsets[f] + j * Jf + levels
                    ]
            out.append(block)
        return out

    def leverages(self) -> np.ndarray:
        s, L = self.structure, self.matrices
        out = s._buffer
        out[...] = 0.0
        for f, inverse in enumerate(self.inverse_blocks()):
            M = np.einsum("ab,bcj,dc->adj", L[f], inverse, L[f], optimize=True)
            factor = s.factors[f]
            for i in range(factor.size):
                for j in range(factor.size):
                    value = M[i, j][factor.codes]
                    if factor.Z is not None:
                        value *= factor.Z[i] * factor.Z[j]
                    out += value
        for (f, g), table in s.pairs.items():
            M = np.einsum("ab,bcp,dc->adp", L[f], self.inverse_pairs(f, g), L[g], optimize=True)
            table.add_quadratic(M, out)
        return out

    def theta_traces(self) -> list[np.ndarray]:
        s, L = self.structure, self.matrices
        out = []
        for f, inverse in enumerate(self.inverse_blocks()):
            out.append(np.einsum("abj,bc,cdj->ad", self.G[f], L[f], inverse, optimize=True))
        for f, g in s.pairs:
            inverse, C = self.inverse_pairs(f, g), self.C[f, g]
            out[f] += np.einsum("abp,bc,dcp->ad", C, L[g], inverse, optimize=True)
            out[g] += np.einsum("bap,bc,cdp->ad", C, L[f], inverse, optimize=True)
        return out


def _product_on_pattern(F, border: np.ndarray, rows, columns) -> np.ndarray:
    """(F border)[rows, columns] where (rows, columns) is the pattern of the sparse F.

    Rows of F with equally many entries go together: with m entries each, their block of `border`
    is (m, m).
    """
    counts = np.diff(F.indptr)
    position = sparse.csr_matrix(
        (np.arange(rows.shape[0], dtype=np.int64) + 1, (rows, columns)), shape=F.shape
    )
    position.sort_indices()
    F.sort_indices()
    out = np.empty(rows.shape[0])
    for m in np.unique(counts[counts > 0]):
        mine = np.flatnonzero(counts == m)
        chunk = max(1, 4_000_000 // int(m * m))
        for a in range(0, mine.shape[0], chunk):
            part = mine[a : a + chunk]
            at = F.indptr[part][:, None] + np.arange(m)
            index = F.indices[at]
            block = border[index[:, :, None], index[:, None, :]]
            values = np.matmul(F.data[at][:, None, :], block)[:, 0, :]
            out[position.data[at] - 1] = values
    return out
