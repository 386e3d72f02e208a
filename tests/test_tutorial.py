"""The published figures of the contraception models (rounded; glmer's default tolerance)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import precision_score, recall_score

from sklearn_mllm import MixedLogisticClassifier, compare_models, icc, r2, standardized_effects
from sklearn_mllm.datasets import load_contraception, make_schools

PUBLISHED = {
    "m_00": (
        "use ~ age + urban + livch",
        {"aic_": 2468.7},
        [-1.568044, -0.023995, 0.797181, 1.059186, 1.287805, 1.216385],
        [0.126229, 0.007536, 0.105186, 0.151954, 0.167241, 0.170593],
    ),
    "m_01": (
        "use ~ 1 + age + urban + livch + (1 | district)",
        {"aic_": 2427.6, "bic_": 2466.6, "log_likelihood_": -1206.8, "deviance_": 2413.6},
        [-1.689648, -0.026594, 0.732979, 1.109125, 1.376341, 1.345184],
        [0.147334, 0.007879, 0.119387, 0.157852, 0.174642, 0.179411],
    ),
    "m_03": (
        "use ~ 1 + age + I(age^2) + urban + ch + (1 | district)",
        {"aic_": 2385.2, "bic_": 2418.6, "log_likelihood_": -1186.6, "deviance_": 2373.2},
        [-1.0063737, 0.0062561, -0.0046353, 0.6929220, 0.8603821],
        [0.1691140, 0.0078849, 0.0007207, 0.1206577, 0.1483045],
    ),
    "m_05": (
        "use ~ age*ch + I(age^2) + urban + (1 | urban:district)",
        {"aic_": 2368.5, "bic_": 2407.4, "log_likelihood_": -1177.2, "deviance_": 2354.5},
        [-1.3406981, -0.0461548, 1.2128241, -0.0056258, 0.7867047, 0.0664650],
        [0.2220181, 0.0219895, 0.2095712, 0.0008494, 0.1721429, 0.0256527],
    ),
}


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models(women, name):
    formula, criteria, estimates, errors = PUBLISHED[name]
    with warnings.catch_warnings():
        # R warns of m_03 and m_05, falsely
        warnings.simplefilter("error")
        model = MixedLogisticClassifier(formula).fit(women)
    assert model.converged_ and not model.is_singular_
    for attribute, value in criteria.items():
        assert getattr(model, attribute) == pytest.approx(value, abs=0.051)
    table = model.fixed_effects_
    assert table["estimate"].to_numpy() == pytest.approx(estimates, rel=2e-3, abs=2e-5)
    assert table["std_error"].to_numpy() == pytest.approx(errors, rel=3e-3)


def test_better_models_by_likelihood_ratio(women):
    m_01, m_02, m_03, m_04 = (
        MixedLogisticClassifier(f"use ~ {right} + (1 | district)").fit(women)
        for right in (
            "age + urban + livch",
            "age + I(age^2) + urban + livch",
            "age + I(age^2) + urban + ch",
            "age*ch + I(age^2) + urban",
        )
    )
    assert compare_models(m_01, m_02)["p_value"].iloc[1] < 0.05
    assert compare_models(m_03, m_04)["p_value"].iloc[1] < 0.05
    assert m_04.fixed_effects_["z"].to_numpy() == pytest.approx(
        [-6.15, -2.17, 5.84, -6.85, 5.89, 2.69], abs=0.03
    )


def test_a_typical_district(women):
    formula = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"
    model = MixedLogisticClassifier(formula, prediction="typical").fit(women)
    woman = pd.DataFrame({"age": [0.0, 0.0], "ch": ["N", "N"], "urban": ["N", "Y"]})
    assert model.decision_function(woman)[0] == pytest.approx(-1.340698, abs=5e-4)
    p = model.predict_proba(woman)[:, 1]
    assert p[0] == pytest.approx(0.2073953, abs=1e-4)
    assert p[1] == pytest.approx(1 / (1 + np.exp(1.3406981 - 0.7867047)), abs=1e-4)
    band = model.predict_interval(woman)
    assert (band["conf_low"] < p).all()
    assert (p < band["conf_high"]).all()


def test_other_links_fit_without_a_warning(women):
    formula = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aics = {
            link: MixedLogisticClassifier(formula, link=link).fit(women).aic_
            for link in ("logit", "probit", "cloglog")
        }
    assert aics["probit"] < aics["logit"] < aics["cloglog"]


def test_published_m_00_against_the_null_model(women):
    model = MixedLogisticClassifier(PUBLISHED["m_00"][0]).fit(women)
    text = str(model.summary())
    assert "Null deviance:     2590.9 on 1933 degrees of freedom" in text
    assert "Residual deviance: 2456.7 on 1928 degrees of freedom" in text
    assert "Iterations: 4" in text
    assert model.n_iter_ == 4


@pytest.mark.parametrize(
    ("name", "variance", "df_residual"),
    [("m_01", 0.2124, 1927), ("m_03", 0.2247, 1928), ("m_05", 0.3229, 1927)],
)
def test_published_variances(women, name, variance, df_residual):
    model = MixedLogisticClassifier(PUBLISHED[name][0]).fit(women)
    assert model.variance_components_["variance"].item() == pytest.approx(variance, abs=2e-4)
    assert model.df_residual_ == df_residual


@pytest.mark.parametrize(
    ("name", "quantiles"),
    [
        ("m_01", [-1.8225, -0.7659, -0.5085, 0.9983, 2.7200]),
        ("m_05", [-1.9834, -0.7358, -0.4518, 0.9090, 2.9502]),
    ],
)
def test_published_scaled_residuals(women, name, quantiles):
    model = MixedLogisticClassifier(PUBLISHED[name][0]).fit(women)
    assert model.result_.residual_quantiles == pytest.approx(quantiles, abs=5e-4)


def test_published_correlation_of_fixed_effects(women):
    V = MixedLogisticClassifier(PUBLISHED["m_01"][0]).fit(women).covariance_
    correlation = V.loc["livch[T.2]", "age"] / np.sqrt(V.loc["age", "age"])
    correlation /= np.sqrt(V.loc["livch[T.2]", "livch[T.2]"])
    assert correlation == pytest.approx(-0.380, abs=6e-4)


@pytest.mark.parametrize(
    ("formula", "aic", "bic", "sd", "fixed", "total", "share"),
    [
        ("use ~ age*ch + I(age^2) + urban + (1 | district)",
         2379.18, 2418.15, 0.47, 0.12, 0.18, 0.06),
        (PUBLISHED["m_05"][0], 2368.47, 2407.4, 0.5682, 0.12, 0.20, 0.09),
    ],
)  # fmt: skip
def test_published_explained_variance(women, formula, aic, bic, sd, fixed, total, share):
    model = MixedLogisticClassifier(formula).fit(women)
    assert model.aic_ == pytest.approx(aic, abs=0.01)
    assert model.bic_ == pytest.approx(bic, abs=0.06)
    assert model.variance_components_["std_dev"].item() == pytest.approx(sd, abs=0.006)
    explained = r2(model)
    assert round(explained.marginal, 2) == fixed
    assert round(explained.conditional, 2) == total
    assert round(icc(model).loc["all", "adjusted"], 2) == share


def test_published_sizes(women):
    assert len(women) == 1934
    district = MixedLogisticClassifier(PUBLISHED["m_01"][0]).fit(women)
    assert district.n_groups_ == {"district": 60}
    assert district.n_observations_ == 1934
    both = MixedLogisticClassifier(PUBLISHED["m_05"][0]).fit(women)
    assert both.n_groups_ == {"urban:district": 102}
    assert both.log_likelihood_ > -1177.2373


def test_published_precision_and_recall(women):
    predicted = MixedLogisticClassifier(PUBLISHED["m_05"][0]).fit(women).predict(women)
    for label, precision, recall in (("N", 70.96, 82.98), ("Y", 64.29, 47.43)):
        right = {"y_true": women["use"], "y_pred": predicted, "pos_label": label}
        assert round(100 * precision_score(**right), 2) == precision
        assert round(100 * recall_score(**right), 2) == recall


def test_published_standardised_coefficients(women):
    model = MixedLogisticClassifier(PUBLISHED["m_05"][0]).fit(women)
    table = standardized_effects(model, women).drop("Intercept")
    published = {
        "age": (-0.42, -0.80, -0.03),
        "ch[T.Y]": (1.21, 0.80, 1.62),
        "I(age ** 2)": (-0.46, -0.59, -0.32),
        "urban[T.Y]": (0.79, 0.45, 1.12),
        "age:ch[T.Y]": (0.60, 0.15, 1.05),
    }
    assert list(table.index) == list(published)
    # rounded, and from the looser errors of glmer's default settings
    found = table[["estimate", "conf_low", "conf_high"]].to_numpy()
    np.testing.assert_allclose(found, list(published.values()), atol=0.0075)


def test_schools_from_scratch_and_in_one_call():
    """100 steps uphill hardly move the effects; separate effects spread more than multilevel ones."""
    schools = make_schools(random_state=3)
    frame, school = schools.frame, schools.frame["school"].to_numpy() - 1
    X = np.column_stack([np.ones(len(frame)), frame[["experience", "funding"]]])
    y = frame["passed"].to_numpy()
    truth = np.array([schools.coefficients[c] for c in ("Intercept", "experience", "funding")])

    def climb(rate):
        beta, effects, path = truth.copy(), np.zeros(10), []
        for _ in range(101):
            eta = X @ beta + effects[school]
            path.append(np.sum(y * eta - np.logaddexp(0.0, eta)))
            residual = y - expit(eta)
            beta += rate * X.T @ residual
            effects += rate * np.bincount(school, weights=residual)
        return beta, effects, np.array(path)

    _, _, overshot = climb(0.001)
    assert overshot.min() < overshot[0] - 100
    beta, effects, path = climb(0.001 / len(y))
    assert (np.diff(path) > 0).all()
    assert np.abs(effects).max() < 0.01
    for _ in range(25):
        p = expit(X @ beta + effects[school])
        effects += np.bincount(school, weights=y - p) / np.bincount(school, weights=p * (1 - p))
    model = MixedLogisticClassifier("passed ~ experience + funding + (1 | school)").fit(frame)
    modes = model.random_effects_["estimate"].to_numpy()
    line = model.fixed_effects_["estimate"].to_numpy()
    separate = effects + (X @ beta - X @ line).reshape(10, 50).mean(axis=1)
    assert modes.std() < 0.8 * separate.std()
    assert model.variance_components_["std_dev"].item() == pytest.approx(1.0, abs=0.3)
