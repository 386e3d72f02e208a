"""Levels that are known anew again and again: what they were before leaves no trace but its share."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.result.precision import Pairs, Precision
from sklearn_mllm.result.superseded import with_levels

SIZES = (2, 1, 3)


def drawn(generator, counts, n_rows):
    """A precision as rows give it, and the same matrix in full."""
    codes = [generator.integers(0, J, n_rows) for J in counts]
    for code, J in zip(codes, counts, strict=True):
        code[:J] = np.arange(J)
    starts = np.concatenate([[0], np.cumsum([J * k for J, k in zip(counts, SIZES, strict=False)])])
    Z = np.zeros((n_rows, starts[-1]))
    for f, code in enumerate(codes):
        columns = starts[f] + code[:, None] * SIZES[f] + np.arange(SIZES[f])
        Z[np.arange(n_rows)[:, None], columns] = generator.normal(size=columns.shape)
    H = Z.T @ Z + np.eye(starts[-1])

    def block(f, i, g, j):
        rows, columns = starts[f] + i * SIZES[f], starts[g] + j * SIZES[g]
        return H[rows : rows + SIZES[f], columns : columns + SIZES[g]]

    diagonal = tuple(np.array([block(f, i, f, i) for i in range(J)]) for f, J in enumerate(counts))
    pairs = {}
    for f in range(len(counts)):
        for g in range(f + 1, len(counts)):
            meet = np.unique(np.column_stack([codes[f], codes[g]]), axis=0).astype(np.int32)
            blocks = np.array([block(f, i, g, j) for i, j in meet])
            pairs[f, g] = Pairs(meet[:, 0], meet[:, 1], blocks)
    roots = tuple(np.eye(SIZES[f]) for f in range(len(counts)))
    return Precision(roots, diagonal, pairs), H, starts


class InFull:
    """The covariance of all levels by plain algebra: every block that ever was is kept."""

    def __init__(self, H, starts, counts):
        self.inverse = np.linalg.inv(H)
        self.at = [starts[f] + np.arange(J * SIZES[f]).reshape(J, -1) for f, J in enumerate(counts)]

    def update(self, H, starts, at):
        q, new = len(self.inverse), np.linalg.inv(H)
        grown = np.zeros((q + len(new), q + len(new)))
        grown[:q, :q], grown[q:, q:] = self.inverse, new
        self.inverse = grown
        for f, levels in enumerate(at):
            k = SIZES[f]
            places = np.zeros((max(len(self.at[f]), levels.max() + 1), k), dtype=int)
            places[: len(self.at[f])] = self.at[f]
            places[levels] = q + starts[f] + np.arange(len(levels) * k).reshape(-1, k)
            self.at[f] = places

    def variances(self, levels, columns):
        q = len(self.inverse)
        a = np.zeros((len(columns[0]), q))
        for f, level in enumerate(levels):
            a[np.arange(len(level))[:, None], self.at[f][level]] += columns[f]
        return np.einsum("ij,jk,ik->i", a, self.inverse, a)


@pytest.mark.parametrize("counts", [(40, 6), (5, 30), (12, 8, 5)], ids=str)
def test_any_course_of_updates_keeps_the_covariances_of_levels_in_use(counts):
    generator = np.random.default_rng(len(counts) + counts[0])
    precision, H, starts = drawn(generator, counts, 90)
    full = InFull(H, starts, counts)
    met_their_like = False
    for turn in range(25):
        totals = [len(places) for places in full.at]
        few = [int(generator.integers(1, 7)) for _ in counts]
        if turn % 5 == 4:  # one level alone after many of the others
            few[int(np.argmin(counts))] = 1
        at = [
            np.sort(generator.choice(J + (turn % 3 == 0), min(m, J), replace=False))
            for J, m in zip(totals, few, strict=True)
        ]
        # a level beyond those known is the next one
        new, H, starts = drawn(generator, [len(levels) for levels in at], max(few) + 3)
        precision = with_levels(precision, new, at)
        full.update(H, starts, at)
        met_their_like |= any(
            f == g and pair.first.size for (f, g), pair in precision.pairs.items()
        )
        levels = [generator.integers(0, len(places), 40) for places in full.at]
        columns = [generator.normal(size=(40, SIZES[f])) for f in range(len(counts))]
        found = precision.variances(precision.combinations(levels, columns))
        np.testing.assert_allclose(found, full.variances(levels, columns), rtol=1e-9)
    assert met_their_like


def numbers(precision):
    return sum(block.size for block in precision.diagonal) + sum(
        pair.blocks.size for pair in precision.pairs.values()
    )


def test_a_shared_level_known_anew_each_time_does_not_grow_the_model():
    """Each call brings two new levels of one factor and all of the other."""
    generator = np.random.default_rng(3)
    precision, H, starts = drawn(generator, (2, 30), 60)
    full = InFull(H, starts, (2, 30))
    for turn in range(20):
        at = [np.array([2 * turn + 2, 2 * turn + 3]), np.arange(30)]
        new, H, starts = drawn(generator, (2, 30), 60)
        precision = with_levels(precision, new, at)
        full.update(H, starts, at)
        # a block for each level, one for each couple, and what the last call was told
        assert numbers(precision) <= 5 * 2 * (turn + 2) + 4 * (turn + 2) + 30 + 2 * numbers(new)
    levels = [np.arange(40), np.arange(40) % 30]
    columns = [generator.normal(size=(40, 2)), generator.normal(size=(40, 1))]
    found = precision.variances(precision.combinations(levels, columns))
    np.testing.assert_allclose(found, full.variances(levels, columns), rtol=1e-9)
    # two levels of the first factor on one row, which the pairs of it join
    pairs = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
    none = np.zeros(20, dtype=int)
    both = sum(
        precision.combinations([level, none], [columns[0][level], np.zeros((20, 1))])
        for level in pairs
    )
    a = np.zeros((20, len(full.inverse)))
    for level in pairs:
        a[np.arange(20)[:, None], full.at[0][level]] = columns[0][level]
    expected = np.einsum("ij,jk,ik->i", a, full.inverse, a)
    np.testing.assert_allclose(precision.variances(both), expected, rtol=1e-9)


def schools(n=900):
    generator = np.random.default_rng(1)
    g, h, x = generator.integers(0, 60, n), generator.integers(0, 8, n), generator.normal(size=n)
    eta = 0.5 * x + generator.normal(size=60)[g] + generator.normal(size=8)[h]
    y = (generator.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"x": x, "g": g, "h": h, "outer": g // 6, "y": y})


def same_effects(one, other):
    """Equal effects and intervals, in whatever order the levels came."""
    order = ["group", "level", "term"]
    a, b = (m.random_effects_.sort_values(order, ignore_index=True) for m in (one, other))
    pd.testing.assert_frame_equal(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("random", ["(1 | outer/g)", "(1 + x | outer) + (1 | g)"])
def test_groups_one_by_one_are_as_good_as_all_at_once(random):
    frame = schools()
    model = MixedLogisticClassifier(f"y ~ x + {random}").fit(frame[frame["outer"] < 6])
    later = frame[frame["outer"] >= 3]  # three that are known and four that are new
    at_once, one_by_one = model.update_groups(later), model
    for outer in np.unique(later["outer"]):
        one_by_one = one_by_one.update_groups(later[later["outer"] == outer])
    same_effects(one_by_one, at_once)
    for told in (frame, frame.assign(g=frame["g"].sample(frac=1.0, random_state=0).to_numpy())):
        pd.testing.assert_frame_equal(
            one_by_one.predict_interval(told), at_once.predict_interval(told), rtol=1e-9
        )
    assert numbers(one_by_one.result_.precision) == numbers(at_once.result_.precision)
    assert abs(len(pickle.dumps(one_by_one)) - len(pickle.dumps(at_once))) < 200


def test_the_same_rows_again_change_neither_the_model_nor_its_size():
    frame = schools()
    model = MixedLogisticClassifier("y ~ x + (1 | g) + (1 | h)").fit(frame)
    some = frame[frame["g"] < 7]
    once = model.update_groups(some)
    again = once
    for _ in range(3):
        again = again.update_groups(some)
    same_effects(again, once)
    pd.testing.assert_frame_equal(
        again.predict_interval(frame), once.predict_interval(frame), rtol=1e-9
    )
    assert numbers(again.result_.precision) == numbers(once.result_.precision)
    # all of it, after parts of it
    pd.testing.assert_frame_equal(
        again.update_groups(frame).predict_interval(frame),
        model.update_groups(frame).predict_interval(frame),
        rtol=1e-9,
    )
    assert numbers(again.update_groups(frame).result_.precision) == numbers(model.result_.precision)
