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

    factors = tuple(replace(factor, tangent=None) for factor in result.factors)
    return replace(result, joint_root=np.zeros_like(result.joint_root), factors=factors)


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


def test_averaged_intervals_know_that_the_variance_is_estimated():
    """Probit in closed form: the averaged predictor is eta / sqrt(1 + sd^2)."""
    frame = rows()
    model = MixedLogisticClassifier("y ~ x + (1 | g)", link="probit", prediction="marginal")
    result = model.fit(frame).result_
    sd = result.theta[0]
    X = np.column_stack([np.ones(50), frame["x"][:50]])
    eta = X @ result.fixed
    slopes = np.column_stack([X / np.sqrt(1 + sd**2), -eta * sd / (1 + sd**2) ** 1.5])
    expected = np.sqrt(np.einsum("nm,mk,nk->n", slopes, result.joint_covariance, slopes))
    found = model.predict_interval(frame[:50])["std_error"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_slopes_of_covariances_give_the_errors_of_standard_deviations():
    """In the user's coordinates, though the solver centres and scales x."""
    frame = rows().assign(x=lambda f: 40.0 + 9.0 * f["x"])
    result = MixedLogisticClassifier("y ~ x + (1 + x | g) + (1 | h)").fit(frame).result_
    for term in result.terms:
        slopes = 2.0 * np.einsum("ab,mab->ma", term.root, term.root_tangent)
        variances = np.sum(slopes**2, axis=0)
        sds = np.sqrt(np.diag(term.covariance))
        np.testing.assert_allclose(np.sqrt(variances), 2.0 * sds * term.std_error_sd, rtol=1e-8)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_averaged_intervals_far_out_are_finite(link):
    model = MixedLogisticClassifier("y ~ x + (1 | g)", link=link, prediction="marginal")
    frame = rows()
    interval = model.fit(frame).predict_interval(
        frame[:6], offset=[-1000.0, -40.0, -12.0, 12.0, 40.0, 1000.0]
    )
    assert np.isfinite(interval.to_numpy()).all()
    assert (interval["conf_low"] <= interval["conf_high"]).all()


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


@pytest.mark.parametrize(
    "random",
    [*RANDOM.values(), "(1 + x | g)", "(1 | g) + (0 + x | g)", "(1 + x | outer) + (1 | g)"],
)
def test_an_update_with_the_same_rows_changes_nothing(random):
    frame = rows().assign(x=lambda f: 3.0 + 2.0 * f["x"])
    model = MixedLogisticClassifier(f"y ~ x + {random}").fit(frame)
    same = model.update_groups(frame.sample(frac=1.0, random_state=0))
    new = rows(60, seed=1)
    pd.testing.assert_frame_equal(
        same.predict_interval(new), model.predict_interval(new), rtol=2e-5, atol=1e-9
    )
    found, expected = (poststratify(m, new, np.ones(60), by="k") for m in (same, model))
    pd.testing.assert_frame_equal(found, expected, rtol=2e-5)


def test_an_update_of_some_outer_groups_is_as_good_as_all():
    """Nested groups share nothing given the parameters: neither the new ones nor the rest move."""
    frame = rows()
    model = MixedLogisticClassifier("y ~ x + (1 | outer/g)").fit(frame)
    some = frame[frame["outer"].isin([1, 4])]
    updated = model.update_groups(some)
    again = updated.update_groups(some)
    for one in (updated, again):
        pd.testing.assert_frame_equal(
            one.predict_interval(frame), model.predict_interval(frame), rtol=2e-5, atol=1e-9
        )


def test_a_new_outer_group_shares_its_effect_with_its_inner_ones():
    frame = rows()
    known = frame[frame["outer"] != 2]
    model = MixedLogisticClassifier("y ~ x + (1 | outer/g)").fit(known)
    new = frame[frame["outer"] == 2]
    updated = model.update_groups(new)
    Z, covariance = dense_parts(updated, frame, new)
    from sklearn_mllm.prediction.intervals import link_variance

    _, matrices = updated.spec_.extend(_table(new))
    found = link_variance(_without_parameters(updated.result_), matrices, "conditional")
    np.testing.assert_allclose(found, np.einsum("na,ab,nb->n", Z, covariance, Z), rtol=2e-5)
