"""Sandwich covariances, marginal effects, and tests at the boundary."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from reference_cases import load_extra
from scipy.stats import chi2

from sklearn_mllm import MixedLogisticClassifier, compare_models, laplace_error
from sklearn_mllm.datasets import load_contraception
from sklearn_mllm.inference import (
    anova,
    contrast,
    marginal_coefficients,
    marginal_effects,
    odds_ratios,
    robust_covariance,
)
from sklearn_mllm.inference.refit import training_problem
from sklearn_mllm.inference.robust import group_scores
from sklearn_mllm.objective.quadrature import quadrature_objective

M_05 = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def m_05(women):
    return MixedLogisticClassifier(M_05).fit(women)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (M_05, {}),
        ("use ~ age + urban + (1 + urban | district)", {}),
        ("use ~ age + (1 | district/urban)", {}),
        ("use ~ age + (1 | district)", {"n_agq": 7, "link": "cloglog"}),
    ],
)
def test_group_scores_are_derivatives_of_group_likelihoods(women, formula, options):
    model = MixedLogisticClassifier(formula, **options).fit(women)
    refitter = training_problem(model, women, None, None, None, None)
    result, build = model.result_, refitter.build
    scores = group_scores(refitter, result.phi)
    total = scores.sum(axis=0)
    assert total @ result.joint_covariance @ total < 1e-8
    objective = quadrature_objective(result.n_agq, build.problem)(build.problem, refitter.link)
    p = build.problem.p
    numeric = np.empty(scores.shape)
    for m in range(scores.shape[1]):
        move = np.zeros(scores.shape[1])
        move[m] = 1e-4
        up = objective.integrate(result.phi + move, 1e-14).values
        down = objective.integrate(result.phi - move, 1e-14).values
        numeric[:, m] = (up - down) / 2e-4
    numeric[:, :p] = np.linalg.solve(build.fixed_map.T.T, numeric[:, :p].T).T
    assert scores == pytest.approx(numeric, rel=1e-5, abs=1e-5 * np.abs(scores).max())


def test_sandwich(women, m_05):
    V = robust_covariance(m_05, women)
    plain = robust_covariance(m_05, women, correction=False)
    assert V.attrs["n_groups"] == 102
    assert (V / plain).to_numpy() == pytest.approx(102 / 101)
    ratio = np.sqrt(np.diag(V)) / m_05.fixed_effects_["std_error"]
    assert ratio.between(0.8, 1.3).all()
    # it goes wherever a covariance of the coefficients goes
    error = contrast(m_05, {"age": 1}, covariance=V)["std_error"].iloc[0]
    assert error == pytest.approx(np.sqrt(V.loc["age", "age"]))
    table = anova(m_05, "III", covariance=V)
    assert table.loc["age", "chi2"] == pytest.approx(m_05.result_.fixed[1] ** 2 / error**2)
    assert odds_ratios(m_05, covariance=V)["p_value"].iloc[1] == pytest.approx(
        table.loc["age", "p_value"]
    )


def test_sandwich_refuses_dependent_groups(women):
    crossed = MixedLogisticClassifier("use ~ age + (1 | district) + (1 | livch)").fit(women)
    with pytest.raises(ValueError, match="crossed"):
        robust_covariance(crossed, women)
    rough = MixedLogisticClassifier("use ~ age + (1 | district)", n_agq=0).fit(women)
    with pytest.raises(ValueError, match="n_agq"):
        robust_covariance(rough, women)


def test_sandwich_of_a_plain_regression_is_that_of_statsmodels(women):
    api = pytest.importorskip("statsmodels.api")
    model = MixedLogisticClassifier("use ~ age + I(age^2) + urban").fit(women)
    age = women["age"].to_numpy(float)
    design = np.column_stack([np.ones(len(women)), age, age**2, women["urban"] == "Y"])
    fit = api.Logit((women["use"] == "Y").astype(float), design.astype(float))
    rows = fit.fit(disp=0, tol=1e-12, cov_type="HC0").cov_params()
    scale = np.sqrt(np.outer(np.diag(rows), np.diag(rows)))
    found = robust_covariance(model, women, correction=False)
    np.testing.assert_allclose(found / scale, rows / scale, atol=1e-5)
    whole = fit.fit(
        disp=0, tol=1e-12, cov_type="cluster",
        cov_kwds={"groups": women["district"].to_numpy(), "use_correction": False},
    ).cov_params()  # fmt: skip
    found = robust_covariance(model, women, cluster="district", correction=False)
    np.testing.assert_allclose(found / scale, whole / scale, atol=1e-5)
    assert found.attrs["n_groups"] == 60


def test_sandwich_over_larger_clusters(women, m_05):
    """Towns and country of a district are levels of m_05, districts are clusters of them."""
    refitter = training_problem(m_05, women, None, None, None, None)
    scores = group_scores(refitter, m_05.result_.phi)
    # levels are sorted as N:1, N:10, ...: the district stands after the colon
    levels = m_05.result_.factors[0].levels
    order = refitter.build.level_orders[0]
    districts = np.array([str(v).split(":")[1] for v in levels])
    districts = districts if order is None else districts[order]
    summed = pd.DataFrame(scores).groupby(districts).sum().to_numpy()
    B = m_05.result_.joint_covariance
    expected = (B @ summed.T @ summed @ B)[:6, :6] * 60 / 59
    shuffled = women.sample(frac=1.0, random_state=3)
    for frame, labels in ((women, "district"), (shuffled, shuffled["district"].to_numpy())):
        found = robust_covariance(m_05, frame, cluster=labels)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="more than one cluster"):
        robust_covariance(m_05, women, cluster="livch")
    with pytest.raises(ValueError, match="'region' is not a column"):
        robust_covariance(m_05, women, cluster="region")
    with pytest.raises(ValueError, match="one label for each of the 1934 rows"):
        robust_covariance(m_05, women, cluster=[1, 2])


def test_marginal_effects_of_a_plain_regression_are_those_of_statsmodels(women):
    api = pytest.importorskip("statsmodels.api")
    model = MixedLogisticClassifier("use ~ age + urban").fit(women)
    X = np.column_stack([np.ones(len(women)), women["age"], women["urban"] == "Y"])
    fit = api.Logit((women["use"] == "Y").to_numpy(float), X).fit(disp=0, tol=1e-12)
    expected = fit.get_margeff(dummy=True)
    ours = marginal_effects(model, women)
    assert ours.index.tolist() == ["age", "urban[Y - N]"]
    assert ours["estimate"].to_numpy() == pytest.approx(expected.margeff, rel=1e-6)
    assert ours["std_error"].to_numpy() == pytest.approx(expected.margeff_se, rel=1e-5)


def test_marginal_effect_of_a_factor_is_the_difference_of_averaged_probabilities(women, m_05):
    marginal = MixedLogisticClassifier(M_05, prediction="marginal").fit(women)
    difference = [
        marginal.predict_proba(women.assign(ch=women["ch"].cat.categories[i]))[:, 1].mean()
        for i in (0, 1)
    ]
    estimate = marginal_effects(m_05, women, variables="ch")["estimate"].iloc[0]
    assert estimate == pytest.approx(difference[1] - difference[0], rel=1e-9)


def test_population_averaged_coefficients(women, m_05):
    plain = MixedLogisticClassifier("use ~ age + livch").fit(women)
    table = marginal_coefficients(plain, women)
    assert table.to_numpy() == pytest.approx(plain.fixed_effects_.to_numpy(), rel=1e-6)
    # Zeger, Liang & Albert (1988): shrunk by about sqrt(1 + (16 sqrt 3 / (15 pi))^2 variance)
    factor = np.sqrt(1 + (16 * np.sqrt(3) / (15 * np.pi)) ** 2 * m_05.result_.terms[0].covariance)
    ratio = m_05.fixed_effects_["estimate"] / marginal_coefficients(m_05, women)["estimate"]
    assert ratio.to_numpy() == pytest.approx(float(factor[0, 0]), rel=0.02)
    # a probit's average is a probit: exact
    probit = MixedLogisticClassifier(M_05, link="probit").fit(women)
    ratio = probit.fixed_effects_["estimate"] / marginal_coefficients(probit, women)["estimate"]
    exact = np.sqrt(1 + probit.result_.terms[0].covariance[0, 0])
    assert ratio.to_numpy() == pytest.approx(exact, rel=1e-8)


def test_comparison_of_skipped_models(women):
    reference = load_extra("likelihood_ratio")["m_03_m_02"][1]
    small = MixedLogisticClassifier("use ~ 1 + age + I(age^2) + urban + ch + (1 | district)")
    large = MixedLogisticClassifier("use ~ 1 + age + I(age^2) + urban + livch + (1 | district)")
    row = compare_models(large.fit(women), small.fit(women)).iloc[1]
    assert row["chi2"] == pytest.approx(reference["Chisq"], abs=1e-5)
    assert row["p_value"] == pytest.approx(reference["Pr(>Chisq)"], rel=1e-5)
    assert np.isnan(row["p_value_boundary"])


def test_chi_bar_square_mixtures(women):
    def fit(random):
        return MixedLogisticClassifier(f"use ~ age + urban{random}").fit(women)

    plain, intercept = fit(""), fit(" + (1 | district)")
    slope = fit(" + (1 + urban | district)")
    table = compare_models(plain, intercept)
    assert "note" in table.attrs
    assert table["p_value_boundary"].iloc[1] == pytest.approx(table["p_value"].iloc[1] / 2)
    row = compare_models(intercept, slope).iloc[1]
    assert row["df"] == 2
    mixture = 0.5 * chi2.sf(row["chi2"], 1) + 0.5 * chi2.sf(row["chi2"], 2)
    assert row["p_value_boundary"] == pytest.approx(mixture)
    assert row["p_value_boundary"] < row["p_value"]
    # a correlation alone is tested inside its range
    row = compare_models(fit(" + (age || district)"), fit(" + (age | district)")).iloc[1]
    assert row["df"] == 1
    assert np.isnan(row["p_value_boundary"])
    # two variances at once: binomial weights
    row = compare_models(plain, fit(" + (age || district)")).iloc[1]
    mixture = 0.5 * chi2.sf(row["chi2"], 1) + 0.25 * chi2.sf(row["chi2"], 2)
    assert row["p_value_boundary"] == pytest.approx(mixture)


def test_no_test_across_links(women):
    logit = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    probit = MixedLogisticClassifier("use ~ age + urban + (1 | district)", link="probit")
    table = compare_models(logit, probit.fit(women))
    assert table[["chi2", "p_value", "p_value_boundary"]].isna().all().all()
    assert table["aic"].notna().all()


def test_laplace_error_of_m_05(women, m_05):
    table = laplace_error(m_05, women)
    assert (table["shift_in_errors"].abs() < 0.1).all()
    assert np.isfinite(table.attrs["log_likelihood_difference"])


def test_refusals(women, m_05):
    with pytest.raises(ValueError, match="variables"):
        marginal_effects(m_05, women, variables="livch")
    with pytest.raises(ValueError, match="prediction"):
        marginal_effects(m_05, women, prediction="mean")
    with pytest.raises(ValueError, match=r"'age' of the formula is not among .* x0, x1"):
        marginal_effects(m_05, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="'ch' of the formula is not among its columns"):
        marginal_effects(m_05, women.drop(columns="ch"))
    with pytest.raises(ValueError, match="do not tell"):
        marginal_coefficients(m_05, women.head(2))


def test_margins_of_arrays():
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(300, 2)), rng.integers(12, size=300)
    y = (X[:, 0] + rng.logistic(size=300) + rng.normal(size=12)[groups] > 0).astype(int)
    model = MixedLogisticClassifier("~ x0 + x1 + (1 + x0 | groups)").fit(X, y, groups=groups)
    frame = pd.DataFrame(X, columns=["x0", "x1"])
    for function in (marginal_effects, marginal_coefficients):
        pd.testing.assert_frame_equal(
            function(model, X, groups=groups), function(model, frame, groups=groups)
        )


def test_margins_know_the_offset(women):
    """Coefficients of a plain regression are its own; effects are those at the shifted rows."""
    shift = 0.05 * women["age"].to_numpy()
    plain = MixedLogisticClassifier("use ~ urban + offset(I(0.02 * age))").fit(women, offset=shift)
    table = marginal_coefficients(plain, women, offset=shift)
    assert table.to_numpy() == pytest.approx(plain.fixed_effects_.to_numpy(), rel=1e-6)
    p = [
        plain.predict_proba(women.assign(urban=level), offset=shift)[:, 1].mean()
        for level in ("N", "Y")
    ]
    effect = marginal_effects(plain, women, variables="urban", offset=shift)["estimate"]
    assert effect.iloc[0] == pytest.approx(p[1] - p[0], rel=1e-9)


def moved(model, step):
    """The model with its coefficients and random effects' covariance a step away."""
    result = model.result_
    fixed = result.fixed.copy()
    fixed[~result.aliased] += (result.joint_root @ step)[: int((~result.aliased).sum())]
    terms = tuple(
        replace(t, root=t.root + np.einsum("m,mab->ab", step, t.root_tangent)) for t in result.terms
    )
    other = copy(model)
    other.result_ = replace(result, fixed=fixed, terms=terms)
    return other


@pytest.mark.parametrize(
    ("formula", "link"),
    [
        ("use ~ age*ch + livch + (1 + urban | district)", "logit"),  # a column is aliased
        ("use ~ age + ch + (age || district) + (1 | livch)", "cloglog"),
        ("use ~ urban + (1 | district/urban)", "probit"),  # a variance is zero
    ],
)
def test_errors_of_margins_are_those_of_the_whole_quantity(women, formula, link):
    """Delta method by differences of the function itself in all parameters at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = MixedLogisticClassifier(formula, link=link).fit(women)
    steps = 1e-3 * np.eye(model.result_.joint_root.shape[1])
    for function in (marginal_effects, marginal_coefficients):
        slopes = [
            (function(moved(model, h), women) - function(moved(model, -h), women))["estimate"]
            for h in steps
        ]
        error = np.sqrt(np.sum((np.array(slopes) / 2e-3) ** 2, axis=0))
        found = function(model, women)["std_error"]
        np.testing.assert_allclose(found, error, rtol=1e-6)
        held = function(model, women, covariance=model.covariance_)["std_error"]
        assert (np.abs(held / found - 1.0).dropna() > 1e-7).all()


def test_errors_of_margins_from_the_likelihood_alone():
    """Likelihood, its Hessian in (beta, sd) and averages over the effects, all by brute force."""
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(15), 12)
    x = generator.normal(size=180)
    eta = 0.9 * x - 0.4 + 1.5 * generator.normal(size=15)[groups]
    y = (generator.uniform(size=180) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame({"x": x, "y": y, "g": groups})
    model = MixedLogisticClassifier("y ~ x + (1 | g)", n_agq=25).fit(frame)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def p(phi, at=x):
        return 1.0 / (1.0 + np.exp(-(phi[0] + phi[1] * at[:, None] + phi[2] * nodes)))

    def log_likelihood(phi):
        rows = np.log(np.where(y[:, None] == 1, p(phi), 1.0 - p(phi)))
        return np.log(np.exp(np.add.reduceat(rows, np.arange(0, 180, 12))) @ weights).sum()

    def quantities(phi):
        average = p(phi) @ weights
        design = np.column_stack([np.ones(180), x])
        slope = (p(phi) * (1.0 - p(phi)) * phi[1]) @ weights
        fitted = np.linalg.lstsq(design, np.log(average / (1.0 - average)), rcond=None)[0]
        return np.array([slope.mean(), *fitted])

    phi = np.array([*model.result_.fixed, model.variance_components_["std_dev"].iloc[0]])
    h = 1e-3 * np.eye(3)
    H = [
        [
            sum(s * t * log_likelihood(phi + s * a + t * b) for s in (1, -1) for t in (1, -1))
            / 4e-6
            for a in h
        ]
        for b in h
    ]
    J = np.array([(quantities(phi + a) - quantities(phi - a)) / 2e-3 for a in h])
    expected = np.sqrt(np.diag(J.T @ np.linalg.inv(-np.array(H)) @ J))
    effects, coefficients = marginal_effects(model, frame), marginal_coefficients(model, frame)
    found = pd.concat([effects, coefficients])
    np.testing.assert_allclose(found["estimate"], quantities(phi), rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], expected, rtol=1e-4)


def test_sandwich_of_the_variances(women):
    model = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    V, wide = (robust_covariance(model, women, variances=v) for v in (False, True))
    pd.testing.assert_frame_equal(wide.iloc[:3, :3], V)
    assert wide.index[3] == "var(Intercept|district)"
    # of one variance: 2 sd d(sd), by the scores in the solver's coordinates
    refitter = training_problem(model, women, None, None, None, None)
    moves = model.result_.joint_covariance @ group_scores(refitter, model.result_.phi).T
    moves[3] *= 2.0 * model.result_.theta[0]
    np.testing.assert_allclose(wide, moves @ moves.T * 60 / 59, rtol=1e-8)
    held, free = (marginal_coefficients(model, women, covariance=v) for v in (V, wide))
    assert (np.abs(free["std_error"] / held["std_error"] - 1.0) > 1e-4).all()
    for function in (contrast, anova, odds_ratios):
        arguments = (["age"],) if function is contrast else ()
        pd.testing.assert_frame_equal(
            function(model, *arguments, covariance=wide), function(model, *arguments, covariance=V)
        )
    with pytest.raises(ValueError, match=r"\(3, 3\), or \(4, 4\) with variances"):
        contrast(model, ["age"], covariance=np.eye(2))
