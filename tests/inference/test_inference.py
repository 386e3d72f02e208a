"""Comparisons, explained variance, standardised coefficients and intervals against R."""

from __future__ import annotations

import numpy as np
import pytest
from reference_cases import load_extra

from sklearn_mllm import (
    MixedLogisticClassifier,
    Prior,
    compare_models,
    confidence_intervals,
    icc,
    r2,
)
from sklearn_mllm.datasets import load_cbpp, load_contraception

FORMULAS = {
    "m_01": "use ~ 1 + age + urban + livch + (1 | district)",
    "m_02": "use ~ 1 + age + I(age^2) + urban + livch + (1 | district)",
    "m_03": "use ~ 1 + age + I(age^2) + urban + ch + (1 | district)",
    "m_04": "use ~ age*ch + I(age^2) + urban + (1 | district)",
    "m_05": "use ~ age*ch + I(age^2) + urban + (1 | urban:district)",
}


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def models(women):
    return {k: MixedLogisticClassifier(f).fit(women) for k, f in FORMULAS.items()}


@pytest.mark.parametrize("pair", [("m_01", "m_02"), ("m_03", "m_04"), ("m_04", "m_05")])
def test_likelihood_ratio_tables(models, pair):
    reference = load_extra("likelihood_ratio")["_".join(pair)]
    table = compare_models(models[pair[0]], models[pair[1]])
    for (_, row), expected in zip(table.iterrows(), reference, strict=True):
        assert row["n_parameters"] == expected["npar"]
        assert row["aic"] == pytest.approx(expected["AIC"], abs=1e-4)
        assert row["bic"] == pytest.approx(expected["BIC"], abs=1e-4)
        assert row["log_likelihood"] == pytest.approx(expected["logLik"], abs=1e-4)
    assert table["chi2"].iloc[1] == pytest.approx(reference[1]["Chisq"], abs=1e-4)
    assert table["df"].iloc[1] == reference[1]["Df"]
    p = reference[1]["Pr(>Chisq)"]
    if p is None:
        assert np.isnan(table["p_value"].iloc[1])
    else:
        assert table["p_value"].iloc[1] == pytest.approx(p, rel=1e-3)


def test_a_variance_is_tested_at_its_boundary(women, models):
    slope = MixedLogisticClassifier(
        "use ~ 1 + age + I(age^2) + urban + ch + (1 | district) + (0 + age | district)"
    ).fit(women)
    table = compare_models(models["m_03"], slope)
    assert table["p_value_boundary"].iloc[1] == pytest.approx(0.5 * table["p_value"].iloc[1])


def test_names_of_compared_models(models):
    named = compare_models(small=models["m_03"], large=models["m_04"])
    assert named.index.tolist() == ["small", "large"]
    plain = compare_models(models["m_03"], models["m_04"])
    assert np.array_equal(named.to_numpy(float), plain.to_numpy(float), equal_nan=True)
    with pytest.raises(ValueError, match="one after the other"):
        compare_models([models["m_03"], models["m_04"]])


def test_different_data_are_refused(women, models):
    other = MixedLogisticClassifier(FORMULAS["m_04"]).fit(women.iloc[:-5])
    with pytest.raises(ValueError, match="different data"):
        compare_models(models["m_05"], other)
    with pytest.raises(ValueError, match="two models"):
        compare_models(models["m_05"])


def test_other_data_of_the_same_size_are_refused(women):
    """Labels in another order, weights twice as large: the same rows and the same mean response."""
    plain = MixedLogisticClassifier("use ~ age + urban").fit(women)
    larger = MixedLogisticClassifier("use ~ age + urban + (1 | district)")
    only = MixedLogisticClassifier("use ~ 1 + (1 | district)").fit(women)
    labels = np.random.default_rng(0).permutation(women["use"])
    larger.fit(women, labels)
    for other in (plain, only):
        with pytest.raises(ValueError, match="different data"):
            compare_models(other, larger)
    larger.fit(women, sample_weight=np.full(len(women), 2.0))
    with pytest.raises(ValueError, match="1934 and 3868 weighted trials"):
        compare_models(plain, larger)
    swapped = np.where(women["use"] == "Y", "no", "yes")
    with pytest.raises(ValueError, match="mean response"):
        compare_models(plain, larger.fit(women, swapped))
    shuffled = women.sample(frac=1.0, random_state=0)
    table = compare_models(plain, only, larger.fit(shuffled))
    assert table["df"].tolist()[1:] == [1.0, 1.0]


def test_other_labels_are_no_training_data(women, models):
    labels = np.random.default_rng(1).permutation(women["use"])
    with pytest.raises(ValueError, match="not those of the fit"):
        confidence_intervals(models["m_05"], women, labels, method="profile")
    groups = np.random.default_rng(2).permutation(women["district"])
    with pytest.raises(ValueError, match="events in level number 1 of 'district'"):
        confidence_intervals(models["m_03"], women.assign(district=groups), method="profile")


def test_likelihoods_of_different_kinds_are_not_compared(women):
    rough, laplace, fine, finer = (
        MixedLogisticClassifier("use ~ age + (1 | district)", n_agq=k).fit(women)
        for k in (0, 1, 5, 9)
    )
    for other in (rough, fine):
        with pytest.raises(ValueError, match="n_agq"):
            compare_models(laplace, other)
    assert len(compare_models(fine, finer)) == 2
    penalised = MixedLogisticClassifier("use ~ age + urban + (1 | district)", prior=Prior())
    table = compare_models(laplace, penalised.fit(women))
    assert table[["chi2", "p_value", "p_value_boundary"]].isna().all().all()
    assert "prior" in table.attrs["note"]
    with pytest.raises(ValueError, match="an argument of its own"):
        compare_models([laplace, fine], laplace)


@pytest.mark.parametrize("name", FORMULAS)
def test_r2_and_icc(models, name):
    reference = load_extra("r2_icc")[name]
    share = r2(models[name])
    # the reference's estimates stop at glmer's tolerance
    assert share.marginal == pytest.approx(reference["r2_marginal"], rel=2e-5)
    assert share["conditional"] == pytest.approx(reference["r2_conditional"], rel=2e-5)
    table = icc(models[name])
    assert table.loc["all", "adjusted"] == pytest.approx(reference["icc_adjusted"], rel=3e-5)
    assert table.loc["all", "unadjusted"] == pytest.approx(reference["icc_unadjusted"], rel=3e-5)


def test_delta_method_is_below_theoretical_for_the_logit(models):
    assert r2(models["m_05"], "delta").conditional < r2(models["m_05"]).conditional


def test_scaled_residuals(models):
    reference = load_extra("summary_parts")
    for name, model in models.items():
        assert model.result_.residual_quantiles == pytest.approx(
            reference[name]["scaled_residuals"], abs=5e-4
        )
        V = model.covariance_.to_numpy()
        sd = np.sqrt(np.diag(V))
        ours = sorted((V / np.outer(sd, sd)).ravel())
        theirs = sorted(np.array(reference[name]["correlation_fixed"]).ravel())
        assert ours == pytest.approx(theirs, abs=5e-3)


def test_wald_intervals_of_fixed_effects(models):
    model = models["m_05"]
    table = confidence_intervals(model)
    for column in ("conf_low", "conf_high"):
        assert table[column].iloc[:6].to_numpy() == pytest.approx(
            model.fixed_effects_[column].to_numpy()
        )


def test_profile_is_where_the_likelihood_ratio_test_rejects(women, models):
    model = models["m_05"]
    table = confidence_intervals(model, women, method="profile")
    from sklearn_mllm.inference.refit import training_problem

    refitter = training_problem(model, women, None, None, None, None)
    place = 1  # age
    for end in ("conf_low", "conf_high"):
        problem, N, _ = refitter.without_column(
            refitter.build.fixed_map.T[place], table[end].iloc[place]
        )
        start = np.concatenate([N.T @ model.result_.phi[:6], model.result_.phi[6:]])
        held = refitter.fit(problem, start).maximum.value
        assert 2 * (model.log_likelihood_ - held) == pytest.approx(3.841459, abs=1e-3)
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()


def test_one_sided_profile_at_a_zero_variance():
    generator = np.random.default_rng(3)
    import pandas as pd

    frame = pd.DataFrame({"g": np.repeat(np.arange(30), 20), "x": generator.normal(size=600)})
    frame["y"] = np.tile([0, 1], 300)
    model = MixedLogisticClassifier("y ~ x + (1 | g)").fit(frame)
    row = confidence_intervals(model, frame, method="profile").loc["sd(Intercept|g)"]
    assert row["conf_low"] == 0.0
    assert 0.0 < row["conf_high"] < 1.0


def test_bootstrap_is_reproducible_and_near_wald(women, models):
    model = models["m_05"]
    first = confidence_intervals(model, women, method="bootstrap", n_samples=100, random_state=1)
    again = confidence_intervals(model, women, method="bootstrap", n_samples=100, random_state=1)
    assert first.equals(again)
    assert first.attrs["n_failed"] == 0
    wald = confidence_intervals(model)
    width = wald["conf_high"] - wald["conf_low"]
    ratio = ((first["conf_high"] - first["conf_low"]) / width).to_numpy()
    assert ((ratio > 0.6) & (ratio < 1.5)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "exact"}, "method='exact'"),
        ({"level": 1.5}, "level"),
        ({"method": "profile"}, "training data"),
    ],
)
def test_bad_arguments(models, arguments, words):
    with pytest.raises(ValueError, match=words):
        confidence_intervals(models["m_05"], **arguments)


def test_r2_of_random_slopes(women):
    """Johnson (2014): the variance of z'b averaged over the rows, covariances included."""
    model = MixedLogisticClassifier("use ~ age + urban + (1 + age | district)").fit(women)
    S = model.random_covariances_["district"].to_numpy()
    Z = np.column_stack([np.ones(len(women)), women["age"]])
    between = np.einsum("na,ab,nb->n", Z, S, Z).mean()
    eta = MixedLogisticClassifier(prediction="typical", formula=model.formula).fit(women)
    fixed = eta.decision_function(women).var(ddof=1)
    total = fixed + between + np.pi**2 / 3
    assert r2(model).marginal == pytest.approx(fixed / total, rel=1e-9)
    assert r2(model).conditional == pytest.approx((fixed + between) / total, rel=1e-9)
    adjusted = between / (between + np.pi**2 / 3)
    assert icc(model).loc["district", "adjusted"] == pytest.approx(adjusted, rel=1e-9)


def test_the_level_of_bootstrap_intervals(women):
    """Of the same replicates a lower level takes inner percentiles."""
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    options = {"method": "bootstrap", "n_samples": 60, "random_state": 1}
    wide = confidence_intervals(model, women, **options)
    narrow = confidence_intervals(model, women, level=0.5, **options)
    assert (wide["conf_low"] < narrow["conf_low"]).all()
    assert (narrow["conf_high"] < wide["conf_high"]).all()


def test_replicates_have_the_offset_of_the_fit(women):
    """A predictor with a known slope, taken as an offset, leaves intervals about the estimate."""
    model = MixedLogisticClassifier("use ~ urban + (1 | district)")
    offset = 0.15 * women["age"].to_numpy()
    model.fit(women, offset=offset)
    table = confidence_intervals(
        model, women, offset=offset, method="bootstrap", n_samples=60, random_state=2
    )
    error = model.fixed_effects_["std_error"]
    middle = 0.5 * (table["conf_low"] + table["conf_high"])[error.index]
    assert (abs(middle - model.fixed_effects_["estimate"]) < error).all()


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_scaled_residuals_of_counts(link):
    """Pearson's, (k - m p) / sqrt(m p (1 - p)), whatever the link."""
    herds = load_cbpp().frame
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    model = MixedLogisticClassifier(formula, link=link).fit(herds)
    p, m = model.predict_proba(herds)[:, 1], herds["size"]
    residuals = (herds["incidence"] - m * p) / np.sqrt(m * p * (1 - p))
    expected = np.quantile(residuals, [0, 0.25, 0.5, 0.75, 1])
    assert model.result_.residual_quantiles == pytest.approx(expected, abs=1e-6)
