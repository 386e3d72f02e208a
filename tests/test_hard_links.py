"""Links under which the likelihood is steep (cloglog) or not concave (cauchit), on data that show it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from random_designs import draw
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import shuffle

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.inference.refit import training_problem
from sklearn_mllm.objective.joint import _factorise
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.reach import NEAR, SHARE, reach
from sklearn_mllm.objective.structures.iterative import conjugate_gradients


def steep(seed, n=120):
    """Rows whose offset, of standard deviation 30, has nothing to do with the response."""
    random = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {"x": random.normal(size=n), "g": random.randint(0, 12, n), "h": random.randint(0, 6, n)}
    )
    frame["y"] = (random.uniform(size=n) < 0.4).astype(int)
    return frame, 30.0 * random.normal(size=n)


def heavy(seed, n=80):
    """A random slope under cauchit, with three rows a group."""
    random = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {"x": random.normal(size=n), "g": random.randint(0, 25, n), "h": random.randint(0, 6, n)}
    )
    eta = frame["x"] + 2.0 * random.normal(size=25)[frame["g"]] * (1.0 + frame["x"])
    frame["y"] = (random.uniform(size=n) < 0.5 + np.arctan(eta) / np.pi).astype(int)
    return frame


@pytest.mark.parametrize(
    ("bars", "seed"), [("(1 + x | g)", 4), ("(1 + x | g)", 6), ("(1 | g) + (1 | h)", 6)]
)
def test_an_offset_of_hundreds_is_walked_down_from(bars, seed):
    """A row without event at a predictor of 80 has a log-likelihood of -exp(80)."""
    frame, offset = steep(seed)
    model = MixedLogisticClassifier(f"y ~ x + {bars}", link="cloglog").fit(frame, offset=offset)
    assert model.converged_
    assert -1e4 < model.log_likelihood_ < 0.0


@pytest.mark.parametrize(("bars", "seed"), [("(1 | g) + (1 | h)", 119), ("(1 | g/h)", 110)])
def test_a_search_that_ends_where_a_mode_vanishes_is_no_maximum(bars, seed):
    model = MixedLogisticClassifier(f"y ~ x + {bars}", link="cauchit")
    with pytest.warns(ConvergenceWarning, match="take another link"):
        model.fit(heavy(seed))
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(model.fixed_effects_["estimate"]).all()


def test_modes_are_found_from_anywhere():
    """A climb from far out may cross flats and kinks for ever; the middle of the prior is near."""
    design = draw("crossed_slope", 698)
    model = MixedLogisticClassifier(design.formula, link=design.link, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(design.frame)
    training = training_problem(model, design.frame, None, None, None, None)
    objective = LaplaceObjective(training.build.problem, training.link)
    phi = np.array([-11.41, -0.72, 2.37, 8.82, -0.25, 8.82, 8.64])
    expected = objective.find_modes(phi).log_likelihood
    generator = np.random.default_rng(0)
    for _ in range(6):
        objective.u = 5.0 * generator.normal(size=objective.structure.q)
        assert objective.find_modes(phi).log_likelihood == pytest.approx(expected, abs=1e-6)


def test_an_indefinite_information_is_turned():
    A = np.array([[0.1, 5.0, 0.0], [5.0, -0.2, 1.0], [0.0, 1.0, 3.0]])
    L = np.tril(_factorise(A)[0])
    assert linalg.eigvalsh(L @ L.T).min() > 0.0
    scale = np.sqrt(np.abs(A.diagonal()))
    values, vectors = linalg.eigh(A / np.outer(scale, scale))
    expected = (vectors * np.abs(values)) @ vectors.T * np.outer(scale, scale)
    assert L @ L.T == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_conjugate_gradients_stop_before_they_overflow():
    """Rounding can leave a matrix indefinite; what grows from there is cut off."""
    values = np.array([1.0, 1.0 + 1e-9, 1e-3, -1e-3, 1e-300])
    rhs = np.ones((5, 2)) * [1.0, 1e90]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sign in (1.0, -1.0):
            found = conjugate_gradients(lambda v, s=sign: s * values[:, None] * v, rhs, 1e-10)
            assert all(np.isfinite(part).all() for part in found)


def test_a_step_goes_as_far_in_any_coordinates():
    generator = np.random.default_rng(1)
    X, beta, step = generator.normal(size=(3, 50)), np.ones(3), np.full(3, 20.0)
    share = reach(X, beta, step)
    assert share * np.abs(step @ X).max() == pytest.approx(NEAR + SHARE * np.abs(beta @ X).max())
    M = generator.normal(size=(3, 3))
    turned = reach(M @ X, np.linalg.solve(M.T, beta), np.linalg.solve(M.T, step))
    assert turned == pytest.approx(share, rel=1e-10)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_weights_are_repetitions_under_separation(link):
    """Where nothing is finite, what is reported depends on the way there, which must be the same."""
    random = np.random.RandomState(42)
    X, y, weights = random.rand(15, 30), random.randint(0, 2, 15), random.randint(0, 5, 15)
    models = []
    repeated = (X.repeat(weights, axis=0), y.repeat(weights), None)
    for data in (repeated, shuffle(X, y, weights, random_state=0)):
        model = MixedLogisticClassifier(link=link)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models.append(model.fit(data[0], data[1], sample_weight=data[2]))
    first, second = (model.decision_function(X) for model in models)
    assert first == pytest.approx(second, rel=1e-7)
