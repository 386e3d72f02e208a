"""Contrasts, odds ratios and tests of terms."""

from __future__ import annotations

import numpy as np
import pytest
from reference_cases import load_extra

from sklearn_mllm import MixedLogisticClassifier, Prior, compare_models
from sklearn_mllm.datasets import load_contraception
from sklearn_mllm.inference import anova, contrast, odds_ratios

M_05 = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def m_05(women):
    return MixedLogisticClassifier(M_05).fit(women)


@pytest.fixture(scope="module")
def m_04(women):
    return MixedLogisticClassifier(M_05.replace("urban:district", "district")).fit(women)


def test_lr_of_an_interaction_is_the_reference_table(women, m_04):
    reference = load_extra("likelihood_ratio")["m_03_m_04"][1]
    row = anova(m_04, test="lr", X=women).loc["age:ch"]
    assert row["chi2"] == pytest.approx(reference["Chisq"], abs=1e-5)
    assert row["p_value"] == pytest.approx(reference["Pr(>Chisq)"], rel=1e-5)


def test_type_three_wald_of_one_column_is_z_squared(m_05):
    table = anova(m_05, "III")
    assert table["chi2"].to_numpy() == pytest.approx(m_05.fixed_effects_["z"].to_numpy() ** 2)
    assert table["p_value"].to_numpy() == pytest.approx(m_05.fixed_effects_["p_value"].to_numpy())


def test_type_two_leaves_out_what_contains_the_term(women, m_05):
    additive = MixedLogisticClassifier(M_05.replace("*", " + ")).fit(women)
    without = MixedLogisticClassifier(M_05.replace("age*ch", "ch")).fit(women)
    row = anova(m_05, "II", "lr", women).loc["age"]
    assert row["chi2"] == pytest.approx(compare_models(without, additive)["chi2"].iloc[1], abs=1e-5)
    # the Wald statistic is that of the estimate given that the interaction is zero
    V, b = m_05.covariance_.to_numpy(), m_05.result_.fixed
    a = m_05.result_.names.index("age")
    i = m_05.result_.names.index("age:ch[T.Y]")
    estimate = b[a] - V[a, i] / V[i, i] * b[i]
    expected = estimate**2 / (V[a, a] - V[a, i] ** 2 / V[i, i])
    assert anova(m_05, 2).loc["age", "chi2"] == pytest.approx(expected, rel=1e-9)


def test_terms_of_several_columns(women):
    model = MixedLogisticClassifier("use ~ age + livch + (1 | district)").fit(women)
    less = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    row = anova(model, test="lr", X=women).loc["livch"]
    assert row["df"] == 3
    assert row["chi2"] == pytest.approx(compare_models(less, model)["chi2"].iloc[1], abs=1e-5)
    names = ["livch[T.1]", "livch[T.2]", "livch[T.3+]"]
    joint = contrast(model, {n: {n: 1} for n in names}).attrs
    assert anova(model).loc["livch", "chi2"] == pytest.approx(joint["chi2"])
    assert joint["df"] == 3


@pytest.mark.filterwarnings("ignore:column")
def test_a_term_without_columns_of_its_own_keeps_its_row(women):
    model = MixedLogisticClassifier("use ~ age + double + urban + (1 | district)")
    model.fit(women.assign(double=2 * women["age"]))
    for arguments in (
        {},
        {"type": "III"},
        {"test": "lr", "X": women.assign(double=2 * women["age"])},
    ):
        table = anova(model, **arguments)
        assert table["df"].drop("Intercept", errors="ignore").to_dict() == {
            "age": 1, "double": 0, "urban": 1,
        }  # fmt: skip
        assert table.loc["double", ["chi2", "p_value"]].isna().all()
        assert table.loc["age", "chi2"] > 0


def test_contrasts(m_05):
    names = list(m_05.result_.names)
    table = contrast(m_05, {"age": 1, "age:ch[T.Y]": 1})
    assert table.index.tolist() == ["age + age:ch[T.Y]"]
    row = np.zeros(len(names))
    row[[names.index("age"), names.index("age:ch[T.Y]")]] = 1.0
    assert contrast(m_05, row).equals(table)
    expected = np.sqrt(row @ m_05.covariance_.to_numpy() @ row)
    assert table["std_error"].iloc[0] == pytest.approx(expected)
    assert table.attrs["chi2"] == pytest.approx(table["z"].iloc[0] ** 2)
    named = contrast(m_05, ["age", "urban[T.Y]"])
    assert named["estimate"].equals(m_05.fixed_effects_.loc[["age", "urban[T.Y]"], "estimate"])
    assert contrast(m_05, "age").equals(contrast(m_05, {"age": 1}))
    shifted = contrast(m_05, row, value=table["estimate"].iloc[0])
    assert shifted["p_value"].iloc[0] == pytest.approx(1.0)
    # a combination said twice adds nothing to the joint test
    twice = contrast(m_05, np.array([row, 2 * row]))
    assert twice.attrs["df"] == 1
    assert twice.attrs["chi2"] == pytest.approx(table.attrs["chi2"])


def test_odds_ratios(m_05):
    table, effects = odds_ratios(m_05), m_05.fixed_effects_
    assert table["conf_low"].to_numpy() == pytest.approx(np.exp(effects["conf_low"]).to_numpy())
    assert table["p_value"].to_numpy() == pytest.approx(effects["p_value"].to_numpy())


def test_refusals(women, m_05):
    with pytest.raises(ValueError, match="no coefficient"):
        contrast(m_05, {"livch": 1})
    with pytest.raises(ValueError, match=r"'urbanY' is no coefficient.*urban"):
        contrast(m_05, "urbanY")
    with pytest.raises(ValueError, match="6 coefficients"):
        contrast(m_05, [1.0, 2.0])
    with pytest.raises(ValueError, match="type='I'"):
        anova(m_05, "I")
    with pytest.raises(ValueError, match="training data"):
        anova(m_05, test="lr")
    with pytest.raises(ValueError, match="not those of the fit"):
        anova(m_05, test="lr", X=women, y=np.r_[["Y"] * 900, ["N"] * 1034])
    probit = MixedLogisticClassifier(M_05, link="probit").fit(women)
    with pytest.raises(ValueError, match="probit"):
        odds_ratios(probit)
    penalised = MixedLogisticClassifier(M_05, prior=Prior()).fit(women)
    with pytest.raises(ValueError, match="prior"):
        anova(penalised, test="lr", X=women)


def test_what_anova_is_not_for(m_05, women):
    with pytest.raises(ValueError, match="compare_models compares models"):
        anova(m_05, m_05)
    with pytest.raises(ValueError, match="training data go to X="):
        anova(m_05, women, test="lr")


def test_degrees_of_freedom_of_a_term_that_others_contain(m_05):
    table = anova(m_05, "II")
    assert table["df"].to_dict() == {"age": 1, "ch": 1, "I(age ** 2)": 1, "urban": 1, "age:ch": 1}


def test_odds_ratios_by_the_delta_method(m_05):
    effects = m_05.fixed_effects_
    expected = np.exp(effects["estimate"]) * effects["std_error"]
    assert odds_ratios(m_05)["std_error"].to_numpy() == pytest.approx(expected.to_numpy())
