"""Designs from the agreement study that are hard: against glmm's numbers, alarms, cold starts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from random_designs import draw, fingerprint
from sklearn.exceptions import ConvergenceWarning

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.inference.refit import training_problem
from sklearn_mllm.objective import differences
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.optimizer.fit import fit_problem

REFERENCE = json.loads((Path(__file__).parent / "reference" / "hard" / "designs.json").read_text())
NAMES = {f"{case['kind']}:{case['seed']}": case for case in REFERENCE["designs"]}

#: No finite coefficient of `s`, whose rows are all events.
SEPARATED = [
    "uncorrelated:290",
    "intercept:361",
    "nested:502",
    "crossed:676",
    "interaction:139",
    "nested_crossed:167",
]
#: Singular in the correlations or beyond any data, where only soundness is asked for.
DEGENERATE = [
    "crossed:97",
    "slope:89",
    "crossed_slope:698",
    "crossed_slope:593",
    "slope:388",
    "slope_only:4282",
]


def drawn(name):
    kind, seed = name.split(":")
    return draw(kind, int(seed))


def fit(design, **settings):
    """The fit and its warnings, other than of aliased columns."""
    model = MixedLogisticClassifier(design.formula, link=design.link, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(design.frame, sample_weight=design.weights, offset=design.offset)
    return model, [w for w in caught if "were left out" not in str(w.message)]


@pytest.mark.parametrize("name", NAMES)
def test_against_glmm(name):
    case, design = NAMES[name], drawn(name)
    assert fingerprint(design) == pytest.approx(case["fingerprint"], rel=1e-12)
    model, alarms = fit(design)
    assert not alarms
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(case["log_likelihood"], rel=1e-6)
    assert model.log_likelihood_ >= case["log_likelihood"] - 1e-6
    table = model.fixed_effects_
    fixed = np.array(case["fixed"], dtype=float)
    errors = np.array(case["std_errors"], dtype=float)
    kept = ~np.isnan(fixed)
    assert np.array_equal(table["estimate"].notna(), kept)
    shift = (table["estimate"].to_numpy() - fixed)[kept] / errors[kept]
    assert np.abs(shift).max() < 1e-3
    assert table["std_error"].to_numpy()[kept] == pytest.approx(errors[kept], rel=1e-3)
    sds = dict(case["std_devs"])
    for term in model.result_.terms:
        reference = sds[":".join(sorted(term.group.split(":")))]
        found = np.sqrt(np.diag(term.covariance))
        assert found == pytest.approx(reference, rel=1e-3, abs=1e-4)
        assert np.array_equal(found == 0.0, np.array(reference) == 0.0)
    assert model.is_singular_ or not any(sd == 0.0 for values in sds.values() for sd in values)


@pytest.mark.parametrize("name", SEPARATED)
def test_separation_is_named(name):
    design = drawn(name)
    frame = design.frame
    others = frame["no"] if "no" in frame else 1.0 - frame["y"]
    assert others[frame["s"] == 1.0].sum() == 0.0
    model, alarms = fit(design)
    assert [w.category for w in alarms] == [ConvergenceWarning]
    assert "coefficient 's'" in str(alarms[0].message)
    assert np.isfinite(model.coef_).all()
    again, _ = fit(design)
    assert np.array_equal(again.coef_, model.coef_)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_designs_fit_soundly(name):
    design = drawn(name)
    model, alarms = fit(design)
    assert {w.category for w in alarms} <= {ConvergenceWarning}
    assert bool(alarms) != model.converged_
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.predict_proba(design.frame)).all()


@pytest.mark.parametrize("name", ["two_slopes:24", "crossed_slope:39", "three_levels:478"])
def test_modes_are_found_from_afar(name):
    """At the estimate, with all modes at zero to begin with."""
    design = drawn(name)
    model, _ = fit(design)
    refitter = training_problem(model, design.frame, None, None, design.weights, design.offset)
    objective = LaplaceObjective(refitter.build.problem, refitter.link)
    value = objective.evaluate(model.result_.phi).value + refitter.constant
    assert value == pytest.approx(model.log_likelihood_, rel=1e-8)


def test_a_warm_start_is_not_left_for_less():
    design = drawn("crossed:669")
    model, _ = fit(design, warm_start=True)
    before = model.log_likelihood_
    with pytest.warns(UserWarning, match="'x9'"):
        model.fit(design.frame, sample_weight=design.weights, offset=design.offset)
    assert model.log_likelihood_ == pytest.approx(before, abs=1e-6)
    assert before == pytest.approx(NAMES["crossed:669"]["log_likelihood"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "most"), [("crossed:5005", 60), ("nested_crossed:5164", 60), ("nested:5011", 70)]
)
def test_a_variance_at_zero_is_not_climbed_for_again_and_again(name, most):
    """The second climb ends on the known maximum's slope; zero itself needs no new Hessian."""
    design = drawn(name)
    model, _ = fit(design)
    refitter = training_problem(model, design.frame, None, None, design.weights, design.offset)
    outcome = fit_problem(refitter.build.problem, refitter.link)
    assert outcome.maximum.value + refitter.constant == pytest.approx(model.log_likelihood_)
    assert not outcome.free.all()
    assert outcome.objective.n_evaluations <= most


def test_a_variance_that_an_approximation_takes_for_zero_is_found():
    """The search by leading directions ends at zero, 0.5 below the maximum."""
    model, alarms = fit(drawn("nested_crossed:4098"))
    assert not alarms
    assert model.log_likelihood_ == pytest.approx(-851.73067, abs=1e-4)
    sds = model.variance_components_["std_dev"].to_numpy()
    assert np.sort(sds) == pytest.approx([0.4277, 0.4858, 1.2128], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "log_likelihood", "sds"),
    [("row_effect:5112", -18.31387, [0.0, 7.905]), ("row_effect:6375", -32.98602, [0.0, 6.944])],
)
def test_a_maximum_beyond_the_one_at_zero_is_found(name, log_likelihood, sds):
    """At zero, where the first climb ends, the log-likelihood is 3 and 6 lower."""
    model, alarms = fit(drawn(name))
    assert not alarms
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-4)
    assert model.variance_components_["std_dev"].to_numpy() == pytest.approx(sds, rel=1e-3)


@pytest.mark.parametrize(
    "name", ["crossed:16", "nested_crossed:462", "slope:513", "crossed:2390", "nested:2464"]
)
def test_standard_errors_are_those_at_the_estimate(name):
    """Against differences of the gradient there, with modes all but exact."""
    design = drawn(name)
    model, _ = fit(design)
    refitter = training_problem(model, design.frame, None, None, design.weights, design.offset)
    objective = LaplaceObjective(refitter.build.problem, refitter.link)
    phi = model.result_.phi
    H = np.empty((phi.size, phi.size))
    for j in range(phi.size):
        moved = np.zeros(phi.size)
        moved[j] = 5e-4
        up = objective.evaluate(phi + moved, 1e-18).gradient
        H[j] = (up - objective.evaluate(phi - moved, 1e-18).gradient) / 1e-3
    p = refitter.build.problem.p
    T = refitter.build.fixed_map.T
    covariance = T @ np.linalg.inv(-0.5 * (H + H.T))[:p, :p] @ T.T
    found = model.fixed_effects_["std_error"].to_numpy()
    assert found == pytest.approx(np.sqrt(np.diag(covariance)), rel=2e-4)


def test_rows_of_the_hessian_from_an_approximation_leave_standard_errors_alone(monkeypatch):
    # the approximate gradient is off by 1e-4 of the curvature here, the standard error by ten times that
    design = drawn("crossed:6415")
    errors = fit(design)[0].fixed_effects_["std_error"]
    monkeypatch.setattr(differences, "APPROXIMATE_SHARE", 0.0)
    assert errors.to_numpy() == pytest.approx(
        fit(design)[0].fixed_effects_["std_error"].to_numpy(), rel=2e-4, nan_ok=True
    )
