"""What a fit does when the likelihood cannot be had."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_toenail
from sklearn_mllm.design.problem import Term
from sklearn_mllm.objective import laplace
from sklearn_mllm.objective.covariance import CovarianceLayout
from sklearn_mllm.objective.laplace import Evaluation, ModeError
from sklearn_mllm.objective.structures import crossed
from sklearn_mllm.objective.structures.crossed import Crossed
from sklearn_mllm.optimizer.hills import SameHill, watch_for
from sklearn_mllm.optimizer.maximize import Maximum


def rows(n=200):
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": generator.normal(size=n),
            "g": generator.integers(0, 10, n),
            "h": generator.integers(0, 12, n),
            "y": generator.integers(0, 2, n),
        }
    )


@pytest.mark.parametrize("random", ["(1 | g)", "(1 | g) + (1 | h)"])
def test_a_likelihood_out_of_reach_is_an_error_with_a_remedy(random):
    frame = rows()
    model = MixedLogisticClassifier(f"y ~ x + {random}").fit(frame)
    before = model.log_likelihood_
    with pytest.raises(ValueError, match="extreme values in the covariates or the offset"):
        model.fit(frame, offset=np.full(len(frame), 1e308))
    assert model.log_likelihood_ == before


def test_an_approximation_that_fails_leaves_the_exact_search(monkeypatch):
    formula = "y ~ x + (1 | g) + (1 | h)"
    expected = MixedLogisticClassifier(formula).fit(rows())
    original = Crossed.__init__
    tried = []

    def constructor(self, problem, workers, iterative=None):
        original(self, problem, workers, False)
        self.approximates = True

    def failing(*given):
        tried.append(given)
        raise ModeError("conjugate gradients do not get there")

    monkeypatch.setattr(Crossed, "__init__", constructor)
    monkeypatch.setattr(crossed, "IterativeFactorization", failing)
    found = MixedLogisticClassifier(formula).fit(rows())
    assert tried
    np.testing.assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=1e-10)


def test_the_curvature_of_probes_is_that_at_the_estimate(monkeypatch):
    """Not that at the probes' own maximum, which is a few per mille of a variance away."""
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "x": generator.normal(size=500),
            "g": generator.integers(0, 150, 500),
            "h": generator.integers(0, 60, 500),
        }
    )
    eta = 0.7 * frame["x"] - 0.5 + 3.0 * generator.normal(size=150)[frame["g"]]
    eta += 1.5 * generator.normal(size=60)[frame["h"]]
    frame["y"] = (generator.random(500) < 1 / (1 + np.exp(-eta))).astype(int)
    formula = "y ~ x + (1 | g) + (1 | h)"
    expected = MixedLogisticClassifier(formula).fit(frame).fixed_effects_["std_error"]
    original = Crossed.__init__

    def constructor(self, problem, workers, iterative=None):
        original(self, problem, workers, False)
        self.approximates = self.dear = True

    monkeypatch.setattr(Crossed, "__init__", constructor)
    found = MixedLogisticClassifier(formula).fit(frame).fixed_effects_["std_error"]
    np.testing.assert_allclose(found, expected, rtol=3e-4)


def test_an_approximation_is_left_where_variances_run_far_out(monkeypatch):
    """There conjugate gradients take long and probes are noisy: the search goes on exactly."""
    frame = rows(160)
    odd = np.random.default_rng(6).random(160) < 0.03
    frame["y"] = np.where(odd, 1 - frame["g"] % 2, frame["g"] % 2)
    formula = "y ~ x + (1 | g) + (1 | h)"
    expected = MixedLogisticClassifier(formula).fit(frame)
    assert expected.variance_components_["std_dev"].max() > 10.0
    original, factorization = Crossed.__init__, crossed.IterativeFactorization
    largest = []

    def constructor(self, problem, workers, iterative=None):
        original(self, problem, workers, False)
        self.approximates = True

    def noted(structure, W, matrices, probes, *tol):
        if probes is not None:
            largest.append(max(float(np.abs(m).max()) for m in matrices))
        return factorization(structure, W, matrices, probes, *tol)

    monkeypatch.setattr(Crossed, "__init__", constructor)
    monkeypatch.setattr(crossed, "IterativeFactorization", noted)
    found = MixedLogisticClassifier(formula).fit(frame)
    assert largest and max(largest) < 15.0
    np.testing.assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=1e-7)


def test_two_factors_that_group_alike_are_not_identified():
    frame = rows(400)
    effects = np.random.default_rng(1).normal(size=10)
    chance = 1 / (1 + np.exp(-effects[frame["g"]]))
    frame["y"] = (np.random.default_rng(2).random(400) < chance).astype(int)
    frame["same"] = "level " + frame["g"].astype(str)
    with pytest.warns(ConvergenceWarning, match="'g' and 'same' group the rows alike"):
        model = MixedLogisticClassifier("y ~ x + (1 | g) + (1 | same)").fit(frame)
    assert not model.converged_
    alone = MixedLogisticClassifier("y ~ x + (1 | g)").fit(frame)
    np.testing.assert_allclose(model.log_likelihood_, alone.log_likelihood_, atol=1e-6)


@pytest.mark.parametrize("seed", [6, 24, 54])
def test_a_search_that_ends_next_to_a_vanishing_mode_gives_an_estimate(seed):
    """Cauchit: rare failures with weights make modes vanish along the way."""
    random = np.random.RandomState(seed)
    y = np.ones(30)
    y[random.choice(30, 2, replace=False)] = 0.0
    weights = random.choice([0.5, 2.0, 7.0], size=30)
    frame = pd.DataFrame({"y": y, "g": np.arange(30) // 2})
    with pytest.warns(ConvergenceWarning):
        model = MixedLogisticClassifier("y ~ 1 + (1 | g)", link="cauchit").fit(
            frame, sample_weight=weights
        )
    assert not model.converged_
    assert np.isfinite(model.predict_proba(frame)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_offsets_where_no_row_is_concave():
    frame = pd.DataFrame({"g": [0, 1, 0, 0], "x": [0.0, 1, 0, 0], "z": [1.0, 0, 0, 0]})
    frame["y"] = [0, 1, 0, 0]
    offset = [20.41963098, -38.79894982, -7.14081551, 12.44821282]
    model = MixedLogisticClassifier("y ~ 0 + x + z + (1 | g)", link="cauchit")
    assert np.isfinite(model.fit(frame, offset=offset).predict_proba(frame, offset=offset)).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [0, 2, 5])
def test_offsets_that_leave_no_information_on_the_intercept(seed):
    """Under cloglog rows of e^60 stand beside the others, and what is left of X'WX is zero."""
    random = np.random.RandomState(seed)
    offset = random.normal(size=12) * 30.0
    frame = pd.DataFrame({"g": np.arange(12) % 3, "yes": random.randint(0, 5, 12)})
    frame["no"] = random.randint(1, 20, 12)
    model = MixedLogisticClassifier("cbind(yes, no) ~ 1 + (1 | g)", link="cloglog", n_agq=5)
    assert np.isfinite(model.fit(frame, offset=offset).log_likelihood_)


def test_a_known_hill_is_told_by_height_and_slope():
    factors = (SimpleNamespace(size=2), SimpleNamespace(size=1))
    layout = CovarianceLayout(
        SimpleNamespace(factors=factors, terms=(Term(0, 0, 2), Term(1, 0, 1)))
    )
    A = np.diag([3.0, 5.0, 7.0, 11.0, 2.0, 4.0])
    top = np.array([0.4, -0.3, 0.9, 0.2, 0.7, 0.0])
    none = np.zeros(6)
    known = Maximum(top, none, -20.0, -A, None, none, 0.0, 5, True)
    watch = watch_for(known, layout, 2)
    move = np.array([0.05, 0.1, -0.1, 0.02, 0.1, 0.05])
    value = -20.0 - 0.5 * float(move @ A @ move)
    with pytest.raises(SameHill):
        watch(Evaluation(top + move, value, -A @ move))
    # the first column of a factor may have the other sign
    turned = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
    with pytest.raises(SameHill):
        watch(Evaluation(turned * (top + move), value, turned * (-A @ move)))
    watch(Evaluation(top + move, value, A @ move))
    watch(Evaluation(top + move, value + 0.05, -A @ move))
    watch(Evaluation(top + move, -19.9, -A @ move))


TOENAIL = "outcome ~ treatment*time + (1 | patientID)"


@pytest.mark.parametrize("options", [{"max_iter": 1}, {"max_iter": 4}, {"tol": 0.1}], ids=str)
def test_a_search_that_is_cut_short_says_so(options):
    """The long way that is left is no sign of separation."""
    with pytest.warns(ConvergenceWarning, match=r"stopped after \d steps? .*max_iter or lower tol"):
        model = MixedLogisticClassifier(TOENAIL, **options).fit(load_toenail().frame)
    assert model.n_iter_ <= options.get("max_iter", 7)
    assert not model.converged_ and model.convergence_.runaway == ()


def test_a_warm_start_is_at_the_end_already():
    frame = load_toenail().frame
    model = MixedLogisticClassifier(TOENAIL, warm_start=True).fit(frame)
    steps, value = model.n_iter_, model.log_likelihood_
    model.fit(frame)
    assert model.n_iter_ < steps / 2
    assert model.log_likelihood_ == pytest.approx(value, abs=1e-8)
    # of a shorter formula the old estimates are no start
    model.set_params(formula="outcome ~ time + (1 | patientID)").fit(frame)
    assert model.converged_


def test_threads_reach_the_passes(monkeypatch):
    asked = []
    original = laplace.Workers

    def workers(n_threads):
        asked.append(n_threads)
        return original(n_threads)

    monkeypatch.setattr(laplace, "Workers", workers)
    MixedLogisticClassifier("y ~ x + (1 | g)", n_jobs=2).fit(rows())
    assert set(asked) == {2}


def test_plain_covariance_is_the_inverse_information_at_the_estimate():
    frame = rows(400)
    frame["x2"] = frame["x"] ** 2
    model = MixedLogisticClassifier("y ~ x + x2").fit(frame)
    X = np.column_stack([np.ones(400), frame["x"], frame["x2"]])
    chance = model.predict_proba(frame)[:, 1]
    expected = np.linalg.inv((X * (chance * (1.0 - chance))[:, None]).T @ X)
    np.testing.assert_allclose(model.covariance_, expected, rtol=1e-11)
