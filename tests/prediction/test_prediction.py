"""Conditional, typical and marginal prediction; intervals, simulation and updates of groups."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from sklearn.base import clone

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_cbpp, load_contraception, load_toenail
from sklearn_mllm.links import get_link

SLOPES = "use ~ age + urban + ch + (1 + age | district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def fitted(women):
    return MixedLogisticClassifier(SLOPES).fit(women)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
@pytest.mark.parametrize("sd", [0.01, 0.57, 3.0, 12.0, 60.0])
def test_marginal_probability_against_adaptive_integration(link, sd):
    eta = np.array([-7.0, -1.3, 0.0, 0.4, 5.0])
    inverse = {
        "logit": lambda t: 1 / (1 + mpmath.exp(-t)),
        "probit": mpmath.ncdf,
        "cloglog": lambda t: 1 - mpmath.exp(-mpmath.exp(t)),
        "cauchit": lambda t: mpmath.mpf(1) / 2 + mpmath.atan(t) / mpmath.pi,
    }[link]
    ours = get_link(link).averaged(eta, sd)
    for value, e in zip(ours, eta, strict=True):
        cuts = sorted({-12.0, 12.0, *np.clip([-e / sd, (-e - 3) / sd, (3 - e) / sd], -12, 12)})
        exact = mpmath.quad(
            lambda z, e=e: inverse(e + sd * z) * mpmath.npdf(z), [mpmath.mpf(c) for c in cuts]
        )
        assert value == pytest.approx(float(exact), abs=1e-8)


def test_marginal_probability_of_a_boundless_variance():
    eta = np.array([-3.0, 0.0, 1.0, 40.0])
    for name in ["logit", "cloglog", "cauchit"]:
        link = get_link(name)
        for sd in (1e3, 1e12):
            # next to so wide a normal distribution the latent variable is a point
            mean = -np.euler_gamma if name == "cloglog" else 0.0
            found = link.averaged(eta, sd)
            assert found == pytest.approx(ndtr((eta - mean) / sd), abs=1e-2 / sd**0.5)
            assert np.isfinite(link.averaged_predictor(eta, sd)).all()


@pytest.mark.parametrize("sd", [0.3, 1.9, 2.1, 6.0])
def test_small_marginal_probabilities(sd):
    """Relative to their size: exp(eta + sd^2 / 2) where the inverse link is exp."""
    eta = np.array([-120.0, -90.0])
    for name in ["logit", "cloglog"]:
        link = get_link(name)
        assert link.averaged_predictor(eta, sd) == pytest.approx(eta + 0.5 * sd**2, rel=1e-11)
    upper = get_link("logit").averaged_predictor(-eta, sd)
    assert upper == pytest.approx(-eta - 0.5 * sd**2, rel=1e-11)
    # E exp(-exp(eta + sd z))
    link, at = get_link("cloglog"), np.array([3.0, 5.0])
    for value, e in zip(
        link.log_probabilities(link.averaged_predictor(at, sd))[1], at, strict=True
    ):
        exact = mpmath.quad(
            lambda z, e=e: mpmath.exp(-mpmath.exp(e + sd * z)) * mpmath.npdf(z),
            list(np.linspace(-36.0, 4.0, 41)),
        )
        assert value == pytest.approx(float(mpmath.log(exact)), abs=1e-6)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
@pytest.mark.parametrize("sd", [0.4, 2.5])
def test_derivatives_of_averages(link, sd):
    link, eta, h = get_link(link), np.array([-9.0, -1.0, 0.2, 2.0, 5.0]), 1e-3
    middle, by_eta, by_variance = link.averaged_derivatives(eta, sd)
    assert middle == pytest.approx(link.averaged_predictor(eta, sd), rel=1e-12)
    high, low = (link.averaged_predictor(eta + m, sd) for m in (h, -h))
    assert by_eta == pytest.approx((high - low) / (2 * h), rel=1e-5)
    high, low = (link.averaged_predictor(eta, np.sqrt(sd**2 + m)) for m in (h, -h))
    assert by_variance == pytest.approx((high - low) / (2 * h), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
def test_intervals_of_certain_rows_are_numbers(women, link):
    # probabilities that are 0 or 1 to the last digit
    model = MixedLogisticClassifier("use ~ age + (1 | district)", link=link, prediction="marginal")
    model.fit(women)
    table = model.predict_interval(women.head(2).assign(age=[-1e5, 1e5]))
    assert np.isfinite(table.to_numpy()).all()
    assert np.isfinite(model.decision_function(women.head(2).assign(age=[-1e5, 1e5]))).all()


def test_typical_is_the_fixed_part(women, fitted):
    model = MixedLogisticClassifier(SLOPES, prediction="typical").fit(women)
    eta = model.decision_function(women.drop(columns="district"))
    beta = model.fixed_effects_["estimate"]
    by_hand = (
        beta["Intercept"]
        + beta["age"] * women["age"]
        + beta["urban[T.Y]"] * (women["urban"] == "Y")
        + beta["ch[T.Y]"] * (women["ch"] == "Y")
    )
    assert eta == pytest.approx(by_hand.to_numpy(), abs=1e-12)


def test_conditional_adds_the_modes(women, fitted):
    typical = MixedLogisticClassifier(SLOPES, prediction="typical").fit(women)
    modes = fitted.random_effects_.pivot(index="level", columns="term", values="estimate")
    b = modes.loc[women["district"]]
    by_hand = (
        typical.decision_function(women)
        + b["Intercept"].to_numpy()
        + (b["age"].to_numpy() * women["age"].to_numpy())
    )
    assert fitted.decision_function(women) == pytest.approx(by_hand, abs=1e-10)


def test_unseen_groups(women, fitted):
    new = women.head(20).assign(district=999)
    marginal = MixedLogisticClassifier(SLOPES, prediction="marginal").fit(women)
    assert fitted.predict_proba(new) == pytest.approx(marginal.predict_proba(new), abs=1e-12)
    typical = MixedLogisticClassifier(SLOPES, unseen_groups="typical").fit(women)
    base = MixedLogisticClassifier(SLOPES, prediction="typical").fit(women)
    assert typical.predict_proba(new) == pytest.approx(base.predict_proba(new), abs=1e-12)
    p, q = marginal.predict_proba(new)[:, 1], base.predict_proba(new)[:, 1]
    assert (np.abs(p - 0.5) < np.abs(q - 0.5)).all()


def test_marginal_matches_a_large_simulation(women):
    model = MixedLogisticClassifier(SLOPES, prediction="marginal").fit(women)
    rows = women.iloc[[0, 700, 1500]]
    p = model.predict_proba(rows)[:, 1]
    S = model.random_covariances_["district"].to_numpy()
    b = np.random.default_rng(0).multivariate_normal([0, 0], S, size=400_000)
    typical = MixedLogisticClassifier(SLOPES, prediction="typical").fit(women)
    eta = typical.decision_function(rows)
    for value, e, age in zip(p, eta, rows["age"], strict=True):
        draws = 1 / (1 + np.exp(-(e + b[:, 0] + b[:, 1] * age)))
        assert value == pytest.approx(draws.mean(), abs=5 * draws.std() / np.sqrt(400_000))


@pytest.mark.parametrize("prediction", ["conditional", "typical", "marginal"])
def test_intervals(women, prediction):
    model = MixedLogisticClassifier(SLOPES, prediction=prediction).fit(women)
    table = model.predict_interval(women.head(50))
    assert list(table.columns) == ["probability", "std_error", "conf_low", "conf_high"]
    assert (table["conf_low"] < table["probability"]).all()
    assert (table["conf_high"] > table["probability"]).all()
    wide = model.predict_interval(women.head(50), level=0.99)
    assert (wide["conf_low"] < table["conf_low"]).all()
    assert table["probability"].to_numpy() == pytest.approx(
        model.predict_proba(women.head(50))[:, 1]
    )


def test_interval_of_a_typical_group_is_the_delta_method(women):
    model = MixedLogisticClassifier("use ~ age + (1 | district)", prediction="typical").fit(women)
    table = model.predict_interval(women.head(5))
    X = np.column_stack([np.ones(5), women["age"].head(5)])
    V = model.covariance_.to_numpy()
    assert table["std_error"].to_numpy() == pytest.approx(np.sqrt(np.diag(X @ V @ X.T)), rel=1e-9)


def test_interval_of_a_new_group_carries_the_variance(women):
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    new = women.head(5).assign(district=999)
    variance = model.variance_components_["variance"].iloc[0]
    typical = MixedLogisticClassifier("use ~ age + (1 | district)", prediction="typical")
    base = typical.fit(women).predict_interval(women.head(5))["std_error"] ** 2
    table = model.predict_interval(new)
    assert table["std_error"].to_numpy() ** 2 == pytest.approx(base.to_numpy() + variance, rel=1e-9)


def test_known_group_interval_against_the_joint_hessian(women):
    """Cov of (beta, b) from differences of the modes, and their conditional variance."""
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    result = model.result_
    factor = result.factors[0]
    J = factor.tangent[3, 0]
    gradient = np.concatenate([[1.0, women["age"].iloc[0]], [0.0]])
    row = women.iloc[[0]].assign(district=factor.levels[3])
    total = np.sum((gradient @ result.joint_root + J) ** 2)
    total += factor.conditional_covariance[3, 0, 0]
    assert model.predict_interval(row)["std_error"].iloc[0] == pytest.approx(np.sqrt(total))


def test_simulation(women, fitted):
    draws = fitted.simulate(women, n_samples=200, random_state=1)
    assert draws.shape == (1934, 200)
    assert set(np.unique(draws)) == {"N", "Y"}
    share = (draws == "Y").mean(axis=1)
    p = fitted.predict_proba(women)[:, 1]
    z = (share - p) / np.sqrt(p * (1 - p) / 200)
    assert abs(z.mean()) < 0.15
    assert z.std() == pytest.approx(1.0, abs=0.1)
    again = fitted.simulate(women, n_samples=200, random_state=1)
    assert np.array_equal(draws, again)
    fresh = fitted.simulate(women, n_samples=1, random_state=1, new_effects=True)
    assert not np.array_equal(fresh[:, 0], draws[:, 0])


def test_rows_of_a_new_group_share_its_simulated_effect(women):
    """Two rows of one new group agree more often than rows of two, as its effect is one."""
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    sd = 3.0
    term = replace(model.result_.terms[0], root=np.array([[sd]]))
    model.result_ = replace(model.result_, terms=(term,))
    rows = women.iloc[[0, 0, 0, 0]].assign(district=[901, 901, 902, 902], age=0.0)
    a, b, c, _ = model.simulate(rows, n_samples=4000, random_state=0) == "Y"
    effects = np.random.default_rng(0).normal(scale=sd, size=200_000)
    p = 1 / (1 + np.exp(-model.fixed_effects_.loc["Intercept", "estimate"] - effects))
    together = np.mean(p**2 + (1 - p) ** 2)
    apart = np.mean(p) ** 2 + np.mean(1 - p) ** 2
    assert np.mean(a == b) == pytest.approx(together, abs=0.03)
    assert np.mean(a == c) == pytest.approx(apart, abs=0.03)


def test_simulated_counts_have_the_trials_of_their_rows():
    herds = load_cbpp().frame
    model = MixedLogisticClassifier("cbind(incidence, size - incidence) ~ period + (1 | herd)")
    draws = model.fit(herds).simulate(herds, n_samples=400, random_state=0)
    size = herds["size"].to_numpy()
    p = model.predict_proba(herds)[:, 1]
    assert (draws <= size[:, None]).all()
    z = (draws.mean(axis=1) - size * p) / np.sqrt(size * p * (1 - p) / 400)
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.5)
    with pytest.raises(ValueError, match=r"'size'.*how many trials"):
        model.simulate(herds.drop(columns="size"))


def test_simulation_with_an_offset(women):
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women, offset=0.0)
    assert (model.simulate(women.head(20), offset=50.0) == "Y").all()


def test_update_groups_finds_the_modes_of_new_groups(women):
    formula = "use ~ age + urban + (1 + age | district)"
    full = MixedLogisticClassifier(formula).fit(women)
    target = women["district"].isin([1, 30, 61])
    updated = full.update_groups(women[target])
    ours = updated.random_effects_.set_index(["level", "term"])
    theirs = full.random_effects_.set_index(["level", "term"])
    assert ours.loc[theirs.index, "estimate"].to_numpy() == pytest.approx(
        theirs["estimate"].to_numpy(), abs=1e-6
    )
    assert ours.loc[theirs.index, "std_error"].to_numpy() == pytest.approx(
        theirs["std_error"].to_numpy(), abs=1e-6
    )
    part = MixedLogisticClassifier(formula).fit(women[~target])
    known = part.update_groups(women[target], women.loc[target, "use"])
    assert known.n_groups_["district"] == part.n_groups_["district"] + 3
    assert known.fixed_effects_.equals(part.fixed_effects_)
    assert set(part.random_effects_["level"]) & {1, 30, 61} == set()
    assert known.predict_proba(women[target]) != pytest.approx(part.predict_proba(women[target]))
    assert np.isfinite(known.predict_interval(women[target])).all().all()


def test_update_of_an_interaction_grouping(women):
    formula = "use ~ age + (1 | urban:district)"
    small = women["district"] > 50
    part = MixedLogisticClassifier(formula).fit(women[~small])
    full = part.update_groups(women)
    assert full.n_groups_["urban:district"] == 102
    order = full.random_effects_.set_index("level")
    again = full.update_groups(women[small]).random_effects_.set_index("level")
    assert again.loc[order.index, "estimate"].to_numpy() == pytest.approx(
        order["estimate"].to_numpy(), abs=1e-8
    )


def test_toenail_quadrature_yardstick():
    frame = load_toenail().frame
    model = MixedLogisticClassifier("outcome ~ treatment*time + (1 | patientID)", n_agq=50).fit(
        frame
    )
    assert model.log_likelihood_ == pytest.approx(-625.39734, abs=1e-4)
    assert model.variance_components_["std_dev"].iloc[0] == pytest.approx(4.00665, abs=1e-3)


def test_offset_and_frames_keep_their_index(women, fitted):
    part = women.iloc[[5, 3]]
    assert list(fitted.predict_interval(part).index) == [5, 3]
    shifted = fitted.decision_function(part, offset=[0.5, -0.5])
    assert shifted - fitted.decision_function(part) == pytest.approx([0.5, -0.5])


def test_integer_levels_given_as_text(women, fitted):
    text = women.assign(district=women["district"].astype(str))
    assert fitted.predict_proba(text) == pytest.approx(fitted.predict_proba(women))
    assert isinstance(fitted.predict_interval(text), pd.DataFrame)


@pytest.mark.parametrize("prediction", ["typical", "marginal"])
def test_groups_are_needed_for_conditional_prediction_alone(women, fitted, prediction):
    model = clone(fitted).set_params(prediction=prediction).fit(women)
    bare = women[["age", "urban", "ch"]].head(20)
    assert np.array_equal(model.predict_proba(bare), model.predict_proba(women.head(20)))
    assert model.predict_interval(bare).equals(model.predict_interval(women.head(20)))
    with pytest.raises(ValueError, match=r"'district'.*prediction='typical'.*do without"):
        fitted.predict_proba(bare)


@pytest.mark.parametrize("new_effects", [False, True])
def test_simulation_draws_random_effects_whatever_is_predicted(women, fitted, new_effects):
    other = clone(fitted).set_params(prediction="typical").fit(women)
    draws = [
        m.simulate(women, n_samples=3, random_state=0, new_effects=new_effects)
        for m in (fitted, other)
    ]
    assert np.array_equal(*draws)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_marginal_interval_is_the_delta_method(women, link):
    """Of link(averaged probability) in coefficients and standard deviation."""
    model = MixedLogisticClassifier("use ~ age + (1 | district)", link=link, prediction="marginal")
    table = model.fit(women).predict_interval(women.head(5))
    X = np.column_stack([np.ones(5), women["age"].head(5)])
    named = get_link(link)

    def averaged(phi):
        return named.link(named.averaged(X @ phi[:2], np.full(5, abs(phi[2]))))

    sd = model.variance_components_["std_dev"].iloc[0]
    phi, h = np.array([*model.result_.fixed, sd]), 1e-5
    G = np.column_stack(
        [(averaged(phi + h * e) - averaged(phi - h * e)) / (2 * h) for e in np.eye(3)]
    )
    V = model.result_.joint_covariance.copy()
    sign = np.array([1.0, 1.0, np.sign(model.result_.phi[2])])
    se = np.sqrt(np.einsum("ia,ab,ib->i", G, V * np.outer(sign, sign), G))
    assert table["std_error"].to_numpy() == pytest.approx(se, rel=1e-6)
    reach = 1.959963984540054 * se
    assert table["conf_low"].to_numpy() == pytest.approx(named.inverse(averaged(phi) - reach))
    assert table["conf_high"].to_numpy() == pytest.approx(named.inverse(averaged(phi) + reach))


def test_simulated_new_groups_have_the_variance_of_effects(women):
    """The share of events over many draws is the averaged probability, not that at zero."""
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    rows = women.iloc[[0, 400]].assign(district=[901, 902])
    term = replace(model.result_.terms[0], root=np.array([[4.0]]))
    model.result_ = replace(model.result_, terms=(term,))
    draws = model.simulate(rows, n_samples=8000, random_state=0) == "Y"
    eta = model.set_params(prediction="typical").decision_function(rows)
    expected = get_link("logit").averaged(eta, 4.0)
    assert abs(expected - 1 / (1 + np.exp(-eta))).min() > 0.05
    assert draws.mean(axis=1) == pytest.approx(expected, abs=0.02)


def test_updated_effects_move_with_the_coefficients_as_fitted_ones_do(women):
    """Intervals of groups that are found anew from the same rows stay the same to first order."""
    model = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    before = model.predict_interval(women)["std_error"].to_numpy()
    after = model.update_groups(women).predict_interval(women)["std_error"].to_numpy()
    assert after == pytest.approx(before, rel=0.05)


def test_update_takes_weights_and_offsets(women):
    formula = "use ~ age + (1 | district)"
    model = MixedLogisticClassifier(formula).fit(women)
    rows = women[women["district"] == 30]
    weights = 1 + np.arange(len(rows)) % 3
    repeated = rows.loc[np.repeat(rows.index, weights)]
    weighted = model.update_groups(rows, sample_weight=weights).random_effects_
    expected = model.update_groups(repeated).random_effects_
    assert weighted["estimate"].to_numpy() == pytest.approx(
        expected["estimate"].to_numpy(), abs=1e-8
    )
    assert not np.allclose(weighted["estimate"], model.random_effects_["estimate"], atol=1e-3)
    shift = 0.7 * np.ones(len(rows))
    moved = model.update_groups(rows, offset=shift).random_effects_.set_index("level")
    still = model.update_groups(rows).random_effects_.set_index("level")
    assert moved.loc[30, "estimate"] < still.loc[30, "estimate"] - 0.2
