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

__all__ = ["Pairs", "Precision"]

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
        (f, g) with f < g -> Pairs.
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

    def with_levels(self, new: Precision, at: list[np.ndarray]) -> Precision:
        """The effects of some levels known anew, from other data than those of the rest.

        What they were before stays behind what it shared with other levels.

        Parameters
        ----------
        new : Precision
            Of these levels, with the same roots.
        at : list of ndarray
            Per factor: the places of its levels among all.
        """
        diagonal, places = [], []
        before = [J for J, _ in self.shapes]
        for f, (old, block) in enumerate(zip(self.diagonal, new.diagonal, strict=True)):
            diagonal.append(np.concatenate([old, block]))
            earlier = np.arange(before[f]) if self.places is None else self.places[f]
            place = np.zeros(max(len(earlier), int(at[f].max()) + 1), dtype=np.intp)
            place[: len(earlier)] = earlier
            place[at[f]] = before[f] + np.arange(len(at[f]))
            places.append(place)
        pairs = {
            (f, g): Pairs(
                np.concatenate([pair.first, new.pairs[f, g].first + np.int32(before[f])]),
                np.concatenate([pair.second, new.pairs[f, g].second + np.int32(before[g])]),
                np.concatenate([pair.blocks, new.pairs[f, g].blocks]),
            )
            for (f, g), pair in self.pairs.items()
        }
        return Precision(self.roots, tuple(diagonal), pairs, tuple(places))

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
    """H^-1 by block elimination of the first factor."""

    def __init__(self, precision: Precision) -> None:
        from scipy import sparse

        shapes = precision.shapes
        sizes = [J * k for J, k in shapes]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        self.q0, self.q1 = sizes[0], int(starts[-1]) - sizes[0]
        inverse = np.linalg.inv(precision.diagonal[0])
        self.inverse0 = sparse.bsr_matrix(
            (inverse, np.arange(len(inverse)), np.arange(len(inverse) + 1)),
            shape=(self.q0, self.q0),
        ).tocsr()
        border = [
            _scattered(
                np.arange(J), np.arange(J), block, starts[f] - starts[1], starts[f] - starts[1]
            )
            for f, ((J, _), block) in enumerate(zip(shapes, precision.diagonal, strict=True))
            if f
        ]
        coupling, solved = [], []
        for (f, g), pair in precision.pairs.items():
            shift = starts[g] - starts[1]
            if f == 0:
                coupling.append(_scattered(pair.first, pair.second, pair.blocks, 0, shift))
                product = np.matmul(inverse[pair.first], pair.blocks)
                solved.append(_scattered(pair.first, pair.second, product, 0, shift))
            else:
                border.append(
                    _scattered(pair.first, pair.second, pair.blocks, starts[f] - starts[1], shift)
                )
                turned = pair.blocks.swapaxes(1, 2)
                border.append(
                    _scattered(pair.second, pair.first, turned, shift, starts[f] - starts[1])
                )
        self.B = _assembled(coupling, (self.q0, self.q1))
        self.F = _assembled(solved, (self.q0, self.q1))
        self.C = _assembled(border, (self.q1, self.q1))
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


def _scattered(first, second, blocks: np.ndarray, row: int, column: int) -> tuple:
    """Entries of blocks (P, ka, kb) in a large matrix: values, rows, columns."""
    _, ka, kb = blocks.shape
    rows = row + first.astype(np.intp)[:, None, None] * ka + np.arange(ka)[:, None]
    columns = column + second.astype(np.intp)[:, None, None] * kb + np.arange(kb)
    shape = blocks.shape
    return (
        blocks.ravel(),
        np.broadcast_to(rows, shape).ravel(),
        np.broadcast_to(columns, shape).ravel(),
    )


def _assembled(entries: list[tuple], shape: tuple[int, int]):
    from scipy import sparse

    if not entries:
        return sparse.csr_matrix(shape)
    values, rows, columns = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)
