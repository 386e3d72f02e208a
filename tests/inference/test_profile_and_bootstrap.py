"""Profiles against a general constrained optimiser; both kinds of bootstrap."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from sklearn_mllm import MixedLogisticClassifier, Prior, confidence_intervals
from sklearn_mllm.datasets import load_contraception
from sklearn_mllm.inference.profile import term_profile
from sklearn_mllm.inference.refit import training_problem
from sklearn_mllm.objective.laplace import LaplaceObjective


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def slope(women):
    return MixedLogisticClassifier("use ~ age + urban + (1 + urban | district)").fit(women)


def constrained_maximum(model, frame, quantity, value):
    """Largest log-likelihood with quantity(beta, S) = value, by SLSQP on the model's own problem.

    Penalised, where the model has a prior.
    """
    refitter = training_problem(model, frame, None, None, None, None, penalised=True)
    build = refitter.build
    objective = LaplaceObjective(build.problem, refitter.link)
    p = build.problem.p

    def user(phi):
        L = build.random_maps[0] @ objective.layout.term_factor(phi[p:], 0)
        return quantity(build.fixed_map.T @ phi[:p], L @ L.T) - value

    def loss(phi):
        found = objective.evaluate(phi)
        value, gradient = found.value, found.gradient
        if refitter.penalty is not None:
            more, slope, _ = refitter.penalty(phi)
            value, gradient = value + more, gradient + slope
        return -value, -gradient

    found = minimize(
        loss, model.result_.phi, jac=True, method="SLSQP",
        constraints={"type": "eq", "fun": user}, options={"maxiter": 300, "ftol": 1e-11},
    )  # fmt: skip
    assert abs(user(found.x)) < 1e-6
    return -found.fun


QUANTITIES = {
    "urban[T.Y]": lambda b, S: b[2],
    "sd(Intercept|district)": lambda b, S: np.sqrt(S[0, 0]),
    "sd(urban[T.Y]|district)": lambda b, S: np.sqrt(S[1, 1]),
    "cor(Intercept,urban[T.Y]|district)": lambda b, S: S[0, 1] / np.sqrt(S[0, 0] * S[1, 1]),
}


def test_profile_ends_have_the_likelihood_that_a_general_optimiser_finds(women, slope):
    table = confidence_intervals(slope, women, method="profile", parameters=list(QUANTITIES))
    assert table.index.tolist() == list(QUANTITIES)
    assert table["type"].tolist() == ["fixed", "sd", "sd", "cor"]
    for name, quantity in QUANTITIES.items():
        for end in ("conf_low", "conf_high"):
            held = constrained_maximum(slope, women, quantity, table.loc[name, end])
            assert 2 * (slope.log_likelihood_ - held) == pytest.approx(3.841459, abs=2e-3)


def test_profile_of_a_penalised_fit(women):
    """Under a prior the profile is of the penalised likelihood, in every kind of parameter."""
    prior = Prior(fixed_sd=0.4, random="wishart", scale=0.5)
    model = MixedLogisticClassifier("use ~ age + urban + (1 + urban | district)", prior=prior)
    model.fit(women)
    table = confidence_intervals(model, women, method="profile", parameters=list(QUANTITIES))
    refitter = training_problem(model, women, None, None, None, None, penalised=True)
    top = model.log_likelihood_ + refitter.penalty(model.result_.phi)[0]
    for name, quantity in QUANTITIES.items():
        for end in ("conf_low", "conf_high"):
            held = constrained_maximum(model, women, quantity, table.loc[name, end])
            assert 2 * (top - held) == pytest.approx(3.841459, abs=2e-3)
    plain = MixedLogisticClassifier(model.formula).fit(women)
    free = confidence_intervals(plain, women, method="profile", parameters="urban[T.Y]")
    assert table.loc["urban[T.Y]", "conf_high"] < free["conf_high"].item() - 0.05


def test_profile_limit_of_a_penalised_coefficient_by_an_offset(women):
    prior = Prior(fixed_sd={"urban[T.Y]": 0.3})
    model = MixedLogisticClassifier("use ~ age + urban + (1 | district)", prior=prior).fit(women)
    table = confidence_intervals(model, women, method="profile", parameters="urban[T.Y]")
    town = (women["urban"] == "Y").to_numpy(float)
    held = MixedLogisticClassifier("use ~ age + (1 | district)")

    def penalised(value, log_likelihood):
        return log_likelihood - 0.5 * (value / 0.3) ** 2

    best = penalised(model.fixed_effects_.loc["urban[T.Y]", "estimate"], model.log_likelihood_)
    for limit in table.loc["urban[T.Y]", ["conf_low", "conf_high"]]:
        held.fit(women, offset=limit * town)
        fall = best - penalised(limit, held.log_likelihood_)
        assert 2 * fall == pytest.approx(3.841459, abs=1e-3)


def test_bootstrap_refits_keep_the_prior():
    """Separated data: without its prior no refit would have a slope below the prior's reach."""
    x = np.r_[np.zeros(30), np.ones(30)]
    frame = pd.DataFrame({"x": x, "y": x.astype(int), "g": np.tile(np.arange(6), 10)})
    prior = Prior(fixed_sd=1.0, intercept_sd=1.0, random="wishart", scale=0.5)
    model = MixedLogisticClassifier("y ~ x + (1 | g)", prior=prior).fit(frame)
    table = confidence_intervals(model, frame, method="bootstrap", n_samples=60, random_state=0)
    assert table.attrs["n_failed"] == 0
    # at the mode the slope's pull to zero is at most the 30 events
    assert table.loc["x", "conf_high"] < 5.0
    assert table.loc["sd(Intercept|g)", "conf_low"] > 0.05


def test_progress_is_told(women, slope, capfd):
    confidence_intervals(slope, women, method="profile", parameters="age", verbose=1)
    assert re.search(r"profile of age: \[-0\.00\d+, 0\.0\d+\]", capfd.readouterr().out)
    confidence_intervals(
        slope, women, method="bootstrap", n_samples=4, random_state=0, n_jobs=1, verbose=10
    )
    told = capfd.readouterr()
    assert re.search(r"Done +4 ", told.out + told.err)
    confidence_intervals(slope, women, method="profile", parameters="age")
    assert capfd.readouterr() == ("", "")


def test_profile_does_not_depend_on_the_unit_of_a_column(women):
    formula = "use ~ age + (1 + age | district)"
    other = women.assign(age=women["age"] * 0.01)
    name = "sd(age|district)"
    options = {"method": "profile", "parameters": name}
    first = confidence_intervals(MixedLogisticClassifier(formula).fit(women), women, **options)
    second = confidence_intervals(MixedLogisticClassifier(formula).fit(other), other, **options)
    for end in ("conf_low", "conf_high"):
        assert second.loc[name, end] == pytest.approx(100 * first.loc[name, end], rel=1e-3)


CORRELATIONS = [
    "cor(Intercept,age|district)",
    "cor(Intercept,urban[T.Y]|district)",
    "cor(age,urban[T.Y]|district)",
]


def test_profile_of_a_correlation_at_its_bound(women):
    model = MixedLogisticClassifier("use ~ age*urban + (1 + age + urban | district)").fit(women)
    names = ["age", "sd(age|district)", *CORRELATIONS]
    table = confidence_intervals(model, women, method="profile", parameters=names)
    assert table.index.tolist() == names
    ends = table[["conf_low", "conf_high"]].to_numpy()
    inside = (ends[:, 0] <= table["estimate"] + 1e-9) & (ends[:, 1] >= table["estimate"] - 1e-9)
    assert inside.all()
    correlations = ends[(table["type"] == "cor").to_numpy()]
    assert (np.abs(correlations) <= 1.0).all()
    assert (np.abs(correlations) == 1.0).any()


@pytest.mark.parametrize(
    "formula, pair",
    [
        ("use ~ age + urban + (1 + urban | district)", (0, 1)),
        ("use ~ age + urban + (1 + urban | district)", (1, 0)),
        ("use ~ age + ch + (1 + ch + age | livch:urban)", (0, 1)),
    ],
)
def test_error_of_a_correlation_is_the_curvature_of_its_profile(women, formula, pair):
    model = MixedLogisticClassifier(formula).fit(women)
    term = model.result_.terms[0]
    refitter = training_problem(model, women, None, None, None, None)
    sds = np.sqrt(np.diag(term.covariance))
    cor = term.covariance[pair] / (sds[pair[0]] * sds[pair[1]])
    error = term.std_error_cor[pair]
    assert np.isfinite(error)
    step, centre = 0.05 * error / (1.0 - cor * cor), np.arctanh(cor)
    with term_profile(refitter, 0, refitter.start, term.covariance, pair) as profile:
        low, top, high = (profile(np.tanh(centre + k * step)) for k in (-1.0, 0.0, 1.0))
    fisher = step / np.sqrt(2.0 * top - low - high)
    assert error / (1.0 - cor * cor) == pytest.approx(fisher, rel=5e-3)


def test_wald_intervals_of_correlations(women, slope):
    name = "cor(Intercept,urban[T.Y]|district)"
    table = confidence_intervals(slope, level=0.9)
    row = table.loc[name]
    reach = 1.6448536269514722 * slope.result_.terms[0].std_error_cor[0, 1]
    z = np.arctanh([row["conf_low"], row["estimate"], row["conf_high"]])
    np.testing.assert_allclose(np.diff(z), reach / (1.0 - row["estimate"] ** 2), rtol=1e-9)
    # a column's unit changes nothing; another class order turns no sign of a correlation
    other = MixedLogisticClassifier("modern ~ age + town + (1 + town | district)").fit(
        women.assign(town=1e4 * (women["urban"] == "Y"), modern=(women["use"] == "N").astype(int))
    )
    found = confidence_intervals(other, level=0.9).loc["cor(Intercept,town|district)"]
    columns = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(found[columns].astype(float), row[columns].astype(float), rtol=1e-4)


def test_no_wald_interval_at_the_bound(women):
    flat = women.assign(use=np.tile(["N", "Y"], len(women) // 2))
    model = MixedLogisticClassifier("use ~ urban + (1 + urban | district)").fit(flat)
    assert model.is_singular_
    table = confidence_intervals(model)
    at_bound = table["type"].eq("cor") | (table["type"].eq("sd") & (table["estimate"] < 1e-6))
    assert table.loc[at_bound, ["conf_low", "conf_high"]].isna().all(axis=None)
    assert table.loc[table["type"] == "fixed", "conf_low"].notna().all()


def test_profile_of_quadrature(women):
    model = MixedLogisticClassifier("use ~ age + (1 | district)", n_agq=7).fit(women)
    table = confidence_intervals(model, women, method="profile")
    wald = confidence_intervals(model)
    width = wald["conf_high"] - wald["conf_low"]
    for end in ("conf_low", "conf_high"):
        assert (np.abs(table[end] - wald[end]) < 0.1 * width).all()


@pytest.mark.parametrize(
    ("formula", "n_samples"), [("y ~ x + (1 | g)", 80), ("y ~ x + (1 | g/h)", 15)]
)
def test_cluster_bootstrap(formula, n_samples):
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"g": np.repeat(np.arange(60), 20), "h": np.tile(np.arange(20) // 5, 60)})
    frame["x"] = generator.normal(size=1200)
    eta = 0.5 * frame["x"] + generator.normal(size=60)[frame["g"]]
    frame["y"] = (generator.uniform(size=1200) < 1 / (1 + np.exp(-eta))).astype(int)
    model = MixedLogisticClassifier(formula).fit(frame.sample(frac=1.0, random_state=1))
    options = {"method": "bootstrap", "cluster": True, "n_samples": n_samples, "random_state": 2}
    table = confidence_intervals(model, frame, **options)
    assert table.equals(confidence_intervals(model, frame, **options))
    wald = confidence_intervals(model)
    ratio = (table["conf_high"] - table["conf_low"]) / (wald["conf_high"] - wald["conf_low"])
    assert ratio.loc[["Intercept", "x"]].between(0.4, 1.8).all()


def test_refusals(women, slope):
    with pytest.raises(ValueError, match="no parameter"):
        confidence_intervals(slope, parameters="livch")
    with pytest.raises(ValueError, match="cluster=True"):
        confidence_intervals(slope, women, method="profile", cluster=True)
    rough = MixedLogisticClassifier("use ~ age + (1 | district)", n_agq=0).fit(women)
    with pytest.raises(ValueError, match="n_agq=0"):
        confidence_intervals(rough, women, method="profile")
    crossed = MixedLogisticClassifier("use ~ age + (1 | district) + (1 | livch)").fit(women)
    with pytest.raises(ValueError, match="crossed"):
        confidence_intervals(crossed, women, method="bootstrap", cluster=True, n_samples=5)
