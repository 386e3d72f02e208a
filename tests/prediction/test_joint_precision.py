"""Intervals of crossed and nested models against dense joint covariances."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier, poststratify

RANDOM = {
    "crossed": "(1 + x | g) + (1 | h)",
    "three factors": "(1 | g) + (0 + x | h) + (1 | k)",
    "nested": "(1 | outer/g)",
}


def rows(n=600, seed=0):
    generator = np.random.default_rng(seed)
    g, h, k = generator.integers(0, 25, n), generator.integers(0, 9, n), generator.integers(0, 5, n)
    x = generator.normal(size=n)
    effects = generator.normal(size=25)[g] + 0.8 * generator.normal(size=9)[h]
    effects += generator.normal(size=25)[g] * x + generator.normal(size=9)[h] * x
    effects += generator.normal(size=5)[k] + generator.normal(size=5)[g // 5]
    y = generator.random(n) < 1 / (1 + np.exp(-0.5 * x - effects))
    return pd.DataFrame({"x": x, "g": g, "h": h, "k": k, "outer": g // 5, "y": y.astype(int)})


def dense_parts(model, frame, new):
    """Z of the new rows over all effects, and their covariance given the data."""
    result = model.result_
    _, matrices = model.spec_.extend(_table(frame))
    _, of_new = model.spec_.extend(_table(new))
    blocks, sigma = [], []
    for one in (matrices, of_new):
        columns = []
        for f, factor in enumerate(result.factors):
            J, k = factor.modes.shape
            Z = np.zeros((one.X.shape[0], J, k))
            for t, term in zip(result.terms, one.random, strict=True):
                if t.factor == f:
                    z = np.ones((len(Z), 1)) if term.Z is None else term.Z
                    for a in range(z.shape[1]):
                        Z[np.arange(len(Z)), term.codes, t.start + a] = z[:, a]
            columns.append(Z.reshape(len(Z), -1))
        blocks.append(np.hstack(columns))
    for factor in result.factors:
        sigma.append(np.kron(np.eye(len(factor.levels)), factor.covariance))
    G = np.zeros((blocks[0].shape[1],) * 2)
    at = 0
    for block in sigma:
        G[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    p = model.predict_proba(frame)[:, 1]
    W = p * (1 - p)
    # G - G Z' (Z G Z' + W^-1)^-1 Z G, which G may be singular for
    middle = blocks[0] @ G @ blocks[0].T + np.diag(1 / W)
    return blocks[1], G - G @ blocks[0].T @ np.linalg.solve(middle, blocks[0] @ G)


def _table(frame):
    from sklearn_mllm.design.table import make_table

    return make_table(frame, None)


@pytest.mark.parametrize("random", RANDOM.values(), ids=RANDOM)
def test_intervals_know_what_the_factors_share(random):
    frame = rows()
    model = MixedLogisticClassifier(f"y ~ x + {random}").fit(frame)
    assert not model.is_singular_
    new = rows(60, seed=1)
    result = model.result_
    Z, covariance = dense_parts(model, frame, new)
    # what the parameters add is known to be right: take the rest from the same model without it
    from sklearn_mllm.prediction.intervals import link_variance

    _, matrices = model.spec_.extend(_table(new))
    no_parameters = _without_parameters(result)
    found = link_variance(no_parameters, matrices, "conditional")
    np.testing.assert_allclose(found, np.einsum("na,ab,nb->n", Z, covariance, Z), rtol=2e-5)
    total = model.predict_interval(new)["std_error"] ** 2
    assert (total > found).all()


def _without_parameters(result):
    from dataclasses import replace

    return replace(result, joint_covariance=np.zeros_like(result.joint_covariance))


def test_poststratified_intervals_know_it_too():
    frame = rows()
    model = MixedLogisticClassifier("y ~ x + (1 | g) + (1 | h)").fit(frame)
    new = rows(60, seed=1)
    model.result_ = _without_parameters(model.result_)
    table = poststratify(model, new, np.ones(60))
    Z, covariance = dense_parts(model, frame, new)
    p = model.predict_proba(new)[:, 1]
    gradient = (p * (1 - p) / 60) @ Z
    expected = np.sqrt(gradient @ covariance @ gradient)
    np.testing.assert_allclose(table["std_error"].iloc[0], expected, rtol=1e-4)


def test_new_levels_and_updates():
    frame = rows()
    model = MixedLogisticClassifier("y ~ x + (1 | g) + (1 | h)").fit(frame)
    new = rows(20, seed=2).assign(g=99)
    interval = model.predict_interval(new)
    assert np.isfinite(interval["std_error"]).all()
    known = model.predict_interval(new.assign(g=3))
    assert (interval["std_error"] > known["std_error"]).all()
    updated = model.update_groups(new.assign(g=99), new["y"])
    assert np.isfinite(updated.predict_interval(new)["std_error"]).all()


def test_a_pickled_model_says_the_same_and_stays_small():
    frame = rows()
    model = MixedLogisticClassifier("y ~ x + (1 | g) + (1 | h)").fit(frame)
    before = model.predict_interval(frame)
    text = pickle.dumps(model)
    assert len(text) < 60_000
    pd.testing.assert_frame_equal(pickle.loads(text).predict_interval(frame), before)
