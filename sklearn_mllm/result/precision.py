"""Joint conditional covariance of the random effects of several grouping factors.

Given the data and the parameters the spherical effects u are nearly normal with precision

    H = Lambda' Z' W Z Lambda + I,

which couples levels of different factors that occur together. `Precision` keeps H itself: a block
for each level and one for each pair of levels that meet. Variances of any combination of effects
follow by elimination of the first factor, whose part of H is block diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

__all__ = ["Pairs", "Precision", "assembled", "scattered"]

#: Effects of the factors behind the first up to which their Schur complement is held dense.
DENSE = 6_000
#: Entries of that complement up to which it is formed at all.
MOST_ENTRIES = 40_000_000
#: Numbers in a block of right-hand sides.
CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Blocks of H of pairs of levels that meet.

    Attributes
    ----------
    first, second : ndarray of shape (P,), int32
        Levels of either factor.
    blocks : ndarray of shape (P, ka, kb)
    """

    first: np.ndarray
    second: np.ndarray
    blocks: np.ndarray


@dataclass(frozen=True, eq=False)
class Precision:
    """H at the estimate.

    Attributes
    ----------
    roots : tuple of ndarray of shape (k, k)
        Per factor: b = root u.
    diagonal : tuple of ndarray of shape (J, k, k)
        Per factor: blocks of its levels.
    pairs : dict
        (f, g) with f <= g -> Pairs; two levels of one factor meet where what they shared has been
        integrated out.
    places : tuple of ndarray of shape (J,), intp, or None
        Per factor: which block belongs to each level; None where they are in the order of the levels.
    """

    roots: tuple[np.ndarray, ...]
    diagonal: tuple[np.ndarray, ...]
    pairs: dict[tuple[int, int], Pairs]
    places: tuple[np.ndarray, ...] | None = None

    def __getstate__(self) -> dict:
        # without what can be found again
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(blocks, effects) of each factor."""
        return [block.shape[:2] for block in self.diagonal]

    @cached_property
    def _solver(self) -> _Elimination:
        return _Elimination(self)

    def spread(self, factor: int, rows, levels, columns: np.ndarray, n_rows: int):
        """Sparse rows over u of z'b of one factor.

        Parameters
        ----------
        factor : int
        rows, levels : ndarray of shape (m,)
            Where each z belongs, and its level.
        columns : ndarray of shape (m, k)
            z.
        n_rows : int

        Returns
        -------
        scipy.sparse.csr_matrix of shape (n_rows, q)
        """
        from scipy import sparse

        sizes = [J * k for J, k in self.shapes]
        k = self.shapes[factor][1]
        if self.places is not None:
            levels = self.places[factor][levels]
        places = sum(sizes[:factor]) + levels[:, None] * k + np.arange(k)
        entries = (columns @ self.roots[factor]).ravel()
        return sparse.csr_matrix(
            (entries, (np.repeat(rows, k), places.ravel())), shape=(n_rows, sum(sizes))
        )

    def combinations(self, levels: list[np.ndarray], columns: list[np.ndarray]):
        """Sparse rows over u of z'b, summed over factors.

        Parameters
        ----------
        levels : list of ndarray of shape (m,)
            Per factor: level in each row, -1 for none.
        columns : list of ndarray of shape (m, k)
            Per factor: z.

        Returns
        -------
        scipy.sparse.csr_matrix of shape (m, q)
        """
        total = None
        for f, (level, z) in enumerate(zip(levels, columns, strict=True)):
            known = np.flatnonzero(level >= 0)
            part = self.spread(f, known, level[known], z[known], level.shape[0])
            total = part if total is None else total + part
        return total

    def variances(self, combinations) -> np.ndarray:
        """Conditional variance a' H^-1 a of each row a of a sparse (m, q) matrix, shape (m,)."""
        return self._solver.variances(combinations)


class _Elimination:
    """H^-1 by block elimination of the first factor, but for levels of it that meet each other."""

    def __init__(self, precision: Precision) -> None:
        from scipy import sparse

        shapes = precision.shapes
        starts = np.concatenate([[0], np.cumsum([J * k for J, k in shapes])])
        alone, k = shapes[0]
        tied = precision.pairs.get((0, 0))
        if tied is not None and tied.first.size:
            alone = int(min(tied.first.min(), tied.second.min()))
        self.q0 = alone * k
        self.q1 = int(starts[-1]) - self.q0
        inverse = np.linalg.inv(precision.diagonal[0][:alone])
        self.inverse0 = sparse.bsr_matrix(
            (inverse, np.arange(alone), np.arange(alone + 1)), shape=(self.q0, self.q0)
        ).tocsr()
        starts -= self.q0  # of places behind those that are eliminated
        border = []
        for f, ((J, k), block) in enumerate(zip(shapes, precision.diagonal, strict=True)):
            rest = np.arange(0 if f else alone, J)
            places = starts[f] + k * rest
            border.append(scattered(places, places, block[rest]))
        coupling, solved = [], []
        for (f, g), pair in precision.pairs.items():
            first, second, blocks = pair.first.astype(np.intp), pair.second, pair.blocks
            columns = starts[g] + shapes[g][1] * second.astype(np.intp)
            if f == 0 < g:
                inner = first < alone
                rows = shapes[0][1] * first[inner]
                coupling.append(scattered(rows, columns[inner], blocks[inner]))
                product = np.matmul(inverse[first[inner]], blocks[inner])
                solved.append(scattered(rows, columns[inner], product))
                first, columns, blocks = first[~inner], columns[~inner], blocks[~inner]
            rows = starts[f] + shapes[f][1] * first
            border.append(scattered(rows, columns, blocks))
            border.append(scattered(columns, rows, blocks.swapaxes(1, 2)))
        self.B = assembled(coupling, (self.q0, self.q1))
        self.F = assembled(solved, (self.q0, self.q1))
        self.C = assembled(border, (self.q1, self.q1))
        self._apply = self._choose()

    def _choose(self):
        """A function that multiplies sparse rows (r, q1) by the inverse of S = C - B'F."""
        from scipy import linalg
        from scipy.sparse.linalg import splu

        filled = float((np.diff(self.B.indptr).astype(float) ** 2).sum())
        if self.q1 > DENSE and filled > MOST_ENTRIES:
            return self._by_gradients
        S = (self.C - self.B.T @ self.F).tocsc()
        if (self.q1 > 200 and S.nnz < 0.05 * self.q1**2) or self.q1 > DENSE:
            factor = splu(S, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
            return lambda rows: factor.solve(rows.toarray().T).T
        inverse = linalg.cho_solve(linalg.cho_factor(S.toarray(), lower=True), np.eye(self.q1))
        return lambda rows: rows @ inverse

    def _by_gradients(self, rows) -> np.ndarray:
        """Conjugate gradients on all right-hand sides together, to a relative error of 1e-8."""
        right = rows.toarray().T
        scale = 1.0 / self.C.diagonal()[:, None]
        x, r = np.zeros_like(right), right.copy()
        z = scale * r
        p, rz = z.copy(), (r * z).sum(axis=0)
        aim = 1e-16 * rz
        for _ in range(1000):
            if (rz <= aim).all():
                break
            Sp = self.C @ p - self.B.T @ (self.F @ p)
            step = rz / np.maximum((p * Sp).sum(axis=0), 1e-300)
            x += step * p
            r -= step * Sp
            z = scale * r
            old, rz = rz, (r * z).sum(axis=0)
            p = z + rz / np.maximum(old, 1e-300) * p
        return x.T

    def variances(self, rows) -> np.ndarray:
        a = rows[:, : self.q0]
        out = np.asarray(a.multiply(a @ self.inverse0).sum(axis=1)).ravel()
        if not self.q1:
            return out
        c = (rows[:, self.q0 :] - a @ self.F).tocsr()
        size = max(1, CHUNK // self.q1)
        for start in range(0, rows.shape[0], size):
            part = c[start : start + size]
            product = part.multiply(self._apply(part))
            out[start : start + size] += np.asarray(product.sum(axis=1)).ravel()
        return out


def scattered(rows: np.ndarray, columns: np.ndarray, blocks: np.ndarray) -> tuple:
    """Entries of blocks (P, ka, kb) in a large matrix, from where each begins: values, rows, columns."""
    _, ka, kb = blocks.shape
    rows = rows[:, None, None] + np.arange(ka)[:, None]
    columns = columns[:, None, None] + np.arange(kb)
    return (
        blocks.ravel(),
        np.broadcast_to(rows, blocks.shape).ravel(),
        np.broadcast_to(columns, blocks.shape).ravel(),
    )


def assembled(entries: list[tuple], shape: tuple[int, int]):
    """The sparse matrix of such entries, equal places added up."""
    from scipy import sparse

    if not entries:
        return sparse.csr_matrix(shape)
    values, rows, columns = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)
