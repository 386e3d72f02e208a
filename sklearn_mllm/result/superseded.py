"""The precision of random effects of which some levels are known anew, from other data.

What such a level was before stays behind what it shared with others. Levels that hang together by
meetings, whatever their factor, form a part of the precision that is independent of the rest:

- a part in which every level has been superseded is dropped;
- in any other, the superseded levels D are integrated out of those in use, A,

      H_AA - H_AD H_DD^-1 H_DA,

  where that takes no more room than they do, since all of A may meet then.

So the precision never takes more room than the data that each level is known from, however often its
levels are known anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .precision import Pairs, Precision, assembled, scattered

__all__ = ["with_levels"]

#: Superseded effects that meet each other, up to which they are integrated out.
MOST_COUPLED = 2_000
#: Numbers in a block of right-hand sides.
CHUNK = 4_000_000


def with_levels(old: Precision, new: Precision, at: list[np.ndarray]) -> Precision:
    """The effects of some levels known anew, from other data than those of the rest.

    Parameters
    ----------
    old : Precision
    new : Precision
        Of these levels, with the same roots.
    at : list of ndarray
        Per factor: the places of its levels among all.
    """
    before = [J for J, _ in old.shapes]
    diagonal, places, pairs = [], [], dict(old.pairs)
    for f, (first, second) in enumerate(zip(old.diagonal, new.diagonal, strict=True)):
        diagonal.append(np.concatenate([first, second]))
        earlier = np.arange(before[f]) if old.places is None else old.places[f]
        place = np.zeros(max(len(earlier), int(at[f].max()) + 1), dtype=np.intp)
        place[: len(earlier)] = earlier
        place[at[f]] = before[f] + np.arange(len(at[f]))
        places.append(place)
    for (f, g), pair in new.pairs.items():
        shifted = Pairs(
            pair.first + np.int32(before[f]), pair.second + np.int32(before[g]), pair.blocks
        )
        pairs[f, g] = _joined(old.pairs[f, g], shifted)
    return _integrated(Precision(old.roots, tuple(diagonal), pairs, tuple(places)))


def _joined(a: Pairs, b: Pairs) -> Pairs:
    return Pairs(
        np.concatenate([a.first, b.first]),
        np.concatenate([a.second, b.second]),
        np.concatenate([a.blocks, b.blocks]),
    )


@dataclass(eq=False)
class _Graph:
    """Blocks of a precision, numbered through all factors, and the parts that hang together.

    Attributes
    ----------
    starts : ndarray of shape (F + 1,)
        First block of each factor.
    size : ndarray of shape (B,)
        Effects of each block.
    live : ndarray of shape (B,), bool
        False for what a level was before.
    part : ndarray of shape (B,)
    n_parts : int
    """

    starts: np.ndarray
    size: np.ndarray
    live: np.ndarray
    part: np.ndarray
    n_parts: int

    @classmethod
    def of(cls, precision: Precision) -> _Graph:
        from scipy import sparse
        from scipy.sparse.csgraph import connected_components

        counts, sizes = zip(*precision.shapes, strict=True)
        starts = np.concatenate([[0], np.cumsum(counts)])
        live = np.zeros(starts[-1], dtype=bool)
        for start, place in zip(starts, precision.places, strict=False):
            live[start + place] = True
        first = np.concatenate([starts[f] + pair.first for (f, _), pair in precision.pairs.items()])
        second = np.concatenate(
            [starts[g] + pair.second for (_, g), pair in precision.pairs.items()]
        )
        meetings = sparse.coo_matrix(
            (np.ones(len(first), dtype=bool), (first, second)), shape=(len(live), len(live))
        )
        n_parts, part = connected_components(meetings, directed=False)
        return cls(starts, np.repeat(sizes, counts), live, part, n_parts)

    def ends(self, key: tuple[int, int], pair: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """The blocks of each pair."""
        return self.starts[key[0]] + pair.first, self.starts[key[1]] + pair.second

    def count(self, blocks: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Blocks in each part, or the sum of their weights."""
        return np.bincount(self.part[blocks], weights, minlength=self.n_parts)


def _integrated(precision: Precision) -> Precision:
    """The same distribution of the levels in use, with what some were before integrated out."""
    graph = _Graph.of(precision)
    live = graph.live
    if live.all():
        return precision
    n_live, n_dead = graph.count(np.flatnonzero(live)), graph.count(np.flatnonzero(~live))
    n_pairs = np.zeros(graph.n_parts)
    coupled = np.zeros(graph.n_parts, dtype=bool)
    for key, pair in precision.pairs.items():
        first, second = graph.ends(key, pair)
        n_pairs += graph.count(first)
        coupled[graph.part[first[~live[first] & ~live[second]]]] = True
    dead = np.flatnonzero(~live)
    coupled &= graph.count(dead, graph.size[dead]) > MOST_COUPLED
    used = n_live > 0
    some = used & (n_dead > 0) & ~coupled & (n_live * (n_live - 1) <= 2 * (n_pairs + n_dead))
    found = _marginal(precision, graph, some) if some.any() else ([], {})
    return _assembled(precision, graph, used & ~some, *found)


def _marginal(precision: Precision, graph: _Graph, some: np.ndarray):
    """Precision of the levels in use of some parts: blocks, and the pairs of them.

    Returns
    -------
    diagonal : list of (ndarray of blocks, ndarray of shape (P, k, k)), one per factor
    pairs : dict
        (f, g) -> (first, second, values), of blocks.
    """
    live = graph.live
    # effects of either kind are numbered part by part, and those in use also within theirs
    inside = np.flatnonzero(some[graph.part])
    inside = inside[np.argsort(graph.part[inside], kind="stable")]
    A, D = inside[live[inside]], inside[~live[inside]]
    number = np.zeros(len(live), dtype=np.intp)
    number[A], n_a = _cumulated(graph.size[A])
    number[D], n_d = _cumulated(graph.size[D])
    totals = graph.count(A, graph.size[A]).astype(np.intp)
    own = np.zeros(len(live), dtype=np.intp)
    own[A] = number[A] - np.repeat(
        (np.cumsum(totals) - totals)[some], graph.count(A).astype(np.intp)[some]
    )
    width = int(totals[some].max())

    together, cross, right, inner = [], [], [], []
    for f, block in enumerate(precision.diagonal):
        mine = np.arange(graph.starts[f], graph.starts[f + 1])
        mine = mine[some[graph.part[mine]]]
        block = block[mine - graph.starts[f]]
        used, gone = live[mine], ~live[mine]
        together.append(scattered(number[mine[used]], own[mine[used]], block[used]))
        inner.append(scattered(number[mine[gone]], number[mine[gone]], block[gone]))
    for key, pair in precision.pairs.items():
        first, second = graph.ends(key, pair)
        chosen = some[graph.part[first]]
        first, second, blocks = first[chosen], second[chosen], pair.blocks[chosen]
        for a, b, block in ((first, second, blocks), (second, first, blocks.swapaxes(1, 2))):
            both, none = live[a] & live[b], ~live[a] & ~live[b]
            mixed = live[a] & ~live[b]
            together.append(scattered(number[a[both]], own[b[both]], block[both]))
            inner.append(scattered(number[a[none]], number[b[none]], block[none]))
            cross.append(scattered(number[a[mixed]], number[b[mixed]], block[mixed]))
            turned = block[mixed].swapaxes(1, 2)
            right.append(scattered(number[b[mixed]], own[a[mixed]], turned))
    S = assembled(together, (n_a, width)).toarray()
    S -= _through(assembled(inner, (n_d, n_d)), assembled(cross, (n_a, n_d)), right, width)
    return _blocks(graph, A, number, own, S)


def _through(inner, cross, right: list[tuple], width: int) -> np.ndarray:
    """H_AD H_DD^-1 H_DA, its columns numbered within each part."""
    from scipy.sparse.linalg import splu

    factor = splu(inner.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
    R = assembled(right, (inner.shape[0], width)).tocsc()
    out = np.empty((cross.shape[0], width))
    step = max(1, CHUNK // inner.shape[0])
    for start in range(0, width, step):
        columns = slice(start, start + step)
        out[:, columns] = cross @ factor.solve(R[:, columns].toarray())
    return out


def _blocks(graph: _Graph, A: np.ndarray, number, own, S: np.ndarray):
    """The blocks of S, whose columns are numbered within each part."""
    F = len(graph.starts) - 1
    factor = np.searchsorted(graph.starts, A, side="right") - 1
    k = graph.size[graph.starts[:-1]]

    def taken(a: np.ndarray, b: np.ndarray, f: int, g: int) -> np.ndarray:
        rows = number[a][:, None, None] + np.arange(k[f])[:, None]
        return S[rows, own[b][:, None, None] + np.arange(k[g])]

    diagonal = [(A[factor == f], taken(A[factor == f], A[factor == f], f, f)) for f in range(F)]
    # all pairs of blocks of a part, the earlier block first
    part = graph.part[A]
    last = np.searchsorted(part, part, side="right")
    left = last - np.arange(len(A)) - 1
    i = np.repeat(np.arange(len(A)), left)
    j = np.arange(len(i)) - np.repeat(np.cumsum(left) - left, left) + i + 1
    pairs = {}
    for f in range(F):
        for g in range(f, F):
            of = (factor[i] == f) & (factor[j] == g)
            a, b = A[i[of]], A[j[of]]
            values = taken(a, b, f, g)
            meet = values.any(axis=(1, 2))
            pairs[f, g] = a[meet], b[meet], values[meet]
    return diagonal, pairs


def _assembled(precision: Precision, graph: _Graph, kept: np.ndarray, diagonal, pairs):
    """The parts that are kept with those that were found, levels that meet their like put last."""
    values = [np.array(block) for block in precision.diagonal]
    stays = kept[graph.part]
    for f, (blocks, found) in enumerate(diagonal):
        values[f][blocks - graph.starts[f]] = found
        stays[blocks] = True
    joined, tied = {}, np.zeros(len(stays), dtype=bool)
    for f, g in precision.pairs.keys() | pairs.keys():
        parts = []
        if (f, g) in precision.pairs:
            pair = precision.pairs[f, g]
            first, second = graph.ends((f, g), pair)
            of = kept[graph.part[first]]
            parts.append((first[of], second[of], pair.blocks[of]))
        if (f, g) in pairs:
            parts.append(pairs[f, g])
        first, second, blocks = (np.concatenate(one) for one in zip(*parts, strict=True))
        joined[f, g] = first, second, blocks
        if f == g:
            tied[first] = tied[second] = True
    number = np.zeros(len(stays), dtype=np.intp)
    for f in range(len(values)):
        mine = graph.starts[f] + np.flatnonzero(stays[graph.starts[f] : graph.starts[f + 1]])
        mine = mine[np.argsort(tied[mine], kind="stable")]
        number[mine] = np.arange(len(mine))
        values[f] = values[f][mine - graph.starts[f]]
    return Precision(
        precision.roots,
        tuple(values),
        {
            key: Pairs(number[a].astype(np.int32), number[b].astype(np.int32), blocks)
            for key, (a, b, blocks) in sorted(joined.items())
        },
        tuple(
            number[start + place]
            for start, place in zip(graph.starts, precision.places, strict=False)
        ),
    )


def _cumulated(sizes: np.ndarray) -> tuple[np.ndarray, int]:
    """Where each begins, and the total."""
    ends = np.cumsum(sizes)
    return ends - sizes, int(ends[-1]) if len(ends) else 0
