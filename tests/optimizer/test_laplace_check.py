"""The check of the Laplace approximation that comes with every fit of small data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reference_cases import load_case

from sklearn_mllm import MixedLogisticClassifier, Prior, laplace_error
from sklearn_mllm.datasets import load_toenail

# cases where the expansion's next terms are enough, and those where quadrature has to tell
MILD = ["contraception_m03", "contraception_m05", "contraception_m03_probit", "students_schools"]
POOR = ["bacteria_trt_week", "toenail_laplace"]


def fitted(identifier):
    case, frame = load_case(identifier)
    return MixedLogisticClassifier(case["formula"], link=case["link"]).fit(frame), frame


@pytest.mark.parametrize("identifier", MILD)
def test_next_terms_are_nearly_the_quadrature(identifier):
    model, frame = fitted(identifier)
    check = model.convergence_.laplace_error
    full = laplace_error(model, frame)
    expected = full.attrs["log_likelihood_difference"]
    assert check.n_points == 0
    assert check.log_likelihood_difference == pytest.approx(expected, rel=0.05, abs=1e-3)
    # rough, but not less than the truth
    assert check.shift >= full["shift_in_errors"].abs().max()
    assert check.shift < 0.25


@pytest.mark.parametrize("identifier", POOR)
def test_a_poor_approximation_is_held_against_quadrature(identifier):
    model, frame = fitted(identifier)
    check = model.convergence_.laplace_error
    assert check.n_points == 25
    expected = laplace_error(model, frame).attrs["log_likelihood_difference"]
    assert check.log_likelihood_difference == pytest.approx(expected, rel=0.1)
    assert check.shift > 0.1


def test_nested_groups_of_few_rows():
    generator = np.random.default_rng(3)
    mother = np.concatenate([np.arange(700), generator.integers(0, 700, 300)])
    community = np.sort(generator.integers(0, 70, 700))[mother]
    x = generator.normal(size=1000)
    eta = (
        0.3 * x
        + 1.2 * generator.normal(size=700)[mother]
        + 0.7 * generator.normal(size=70)[community]
    )
    frame = pd.DataFrame({"x": x, "mother": mother, "community": community})
    frame["y"] = (generator.random(1000) < 1 / (1 + np.exp(-eta))).astype(int)
    model = MixedLogisticClassifier("y ~ x + (1 | community/mother)").fit(frame)
    check = model.convergence_.laplace_error
    full = laplace_error(model, frame)
    assert check.n_points >= 5
    assert check.shift > 0.5
    assert "mother" in check.parameter
    expected = full.attrs["log_likelihood_difference"]
    assert check.log_likelihood_difference == pytest.approx(expected, rel=0.05)


def test_crossed_factors_have_the_next_terms():
    """One row more makes nested factors crossed; the answer is nearly that of quadrature."""
    generator = np.random.default_rng(5)
    school = np.repeat(np.arange(20), 40)
    pupil = np.repeat(np.arange(100), 8)
    x = generator.normal(size=800)
    eta = (
        0.5 * x + 0.6 * generator.normal(size=20)[school] + 0.9 * generator.normal(size=100)[pupil]
    )
    frame = pd.DataFrame({"x": x, "pupil": pupil, "school": school})
    frame["y"] = (generator.random(800) < 1 / (1 + np.exp(-eta))).astype(int)
    formula = "y ~ x + (1 | school) + (1 | pupil)"
    nested = MixedLogisticClassifier(formula).fit(frame)
    frame.loc[0, "school"] = 19
    crossed = MixedLogisticClassifier(formula).fit(frame)
    expected = laplace_error(nested, frame.assign(school=school)).attrs["log_likelihood_difference"]
    check = crossed.convergence_.laplace_error
    assert check.n_points == 0
    assert check.log_likelihood_difference == pytest.approx(expected, rel=0.15)


def test_nothing_to_check():
    frame = load_case("contraception_m03")[1]
    plain = MixedLogisticClassifier("use ~ age").fit(frame)
    quadrature = MixedLogisticClassifier("use ~ age + (1 | district)", n_agq=3).fit(frame)
    singular, _ = fitted("singular_zero")
    for model in (plain, quadrature, singular):
        assert model.convergence_.laplace_error is None


def test_the_long_check_refuses_crossed_factors_in_its_own_words():
    case, frame = load_case("crossed_small")
    model = MixedLogisticClassifier(case["formula"]).fit(frame)
    with pytest.raises(
        ValueError, match="laplace_error compares with quadrature, which there is not"
    ):
        laplace_error(model, frame)


def test_shift_of_long_groups_with_large_slopes_is_that_of_the_refit():
    """The integrand is far from normal though groups are long: five points would see a third of it."""
    random = np.random.RandomState(45)
    g, x = np.repeat(np.arange(100), 30), random.normal(size=3000)
    b = random.normal(size=(2, 100))
    eta = -0.5 + 0.4 * x + 5.0 * b[0, g] + 3.5 * b[1, g] * x
    frame = pd.DataFrame({"x": x, "g": g, "y": random.uniform(size=3000) < 1 / (1 + np.exp(-eta))})
    formula = "y ~ x + (x | g)"
    model = MixedLogisticClassifier(formula).fit(frame)
    better = MixedLogisticClassifier(formula, n_agq=15).fit(frame)
    check = model.convergence_.laplace_error
    term, other = model.result_.terms[0], better.result_.terms[0]
    sds, others = (np.sqrt(np.diag(t.covariance)) for t in (term, other))
    moved = np.abs(others - sds) / term.std_error_sd
    assert check.shift == pytest.approx(moved.max(), rel=0.25)


def test_a_strong_prior_holds_what_quadrature_would_move():
    """The shift is that of the same prior's fit by quadrature."""
    frame = load_toenail().frame
    formula = "outcome ~ treatment*time + (1 | patientID)"
    prior = Prior(fixed_sd=None, intercept_sd=None, random="wishart", df=200, scale=0.3)
    model = MixedLogisticClassifier(formula, prior=prior).fit(frame)
    fine = MixedLogisticClassifier(formula, prior=prior, n_agq=25).fit(frame)
    moved = fine.fixed_effects_["estimate"] - model.fixed_effects_["estimate"]
    shares = abs(moved) / model.fixed_effects_["std_error"]
    check = model.convergence_.laplace_error
    assert check.parameter == shares.idxmax() == "Intercept"
    assert check.shift == pytest.approx(shares.max(), rel=0.02)
