"""Estimates do not depend on how the data are written down."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_mllm import MixedLogisticClassifier, icc, r2
from sklearn_mllm.datasets import load_cbpp, load_contraception

FORMULA = "use ~ age + urban + ch + (1 + age | district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def reference(women):
    return MixedLogisticClassifier(FORMULA).fit(women)


def same(model, reference, rel=1e-5):
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-6)
    for column in ("estimate", "std_error"):
        assert model.fixed_effects_[column].to_numpy() == pytest.approx(
            reference.fixed_effects_[column].to_numpy(), rel=rel, abs=1e-7
        )
    assert model.variance_components_["std_dev"].to_numpy() == pytest.approx(
        reference.variance_components_["std_dev"].to_numpy(), rel=1e-4
    )


def test_row_order(women, reference):
    shuffled = women.sample(frac=1, random_state=1)
    model = MixedLogisticClassifier(FORMULA).fit(shuffled)
    same(model, reference)
    assert model.predict_proba(women) == pytest.approx(reference.predict_proba(women), abs=1e-6)


def test_relabelled_groups(women, reference):
    renamed = women.assign(district=[f"d{(37 * d) % 101:03d}" for d in women["district"]])
    same(MixedLogisticClassifier(FORMULA).fit(renamed), reference)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e4, 1e9])
def test_scaled_column(women, reference, factor):
    model = MixedLogisticClassifier(FORMULA).fit(women.assign(age=women["age"] * factor))
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-6)
    ours, theirs = model.fixed_effects_, reference.fixed_effects_
    assert ours["z"].to_numpy() == pytest.approx(theirs["z"].to_numpy(), rel=1e-5)
    sds = model.variance_components_["std_dev"].to_numpy() * [1.0, factor]
    assert sds == pytest.approx(reference.variance_components_["std_dev"].to_numpy(), rel=1e-4)


@pytest.mark.parametrize("shift", [-100.0, 1e4, 1e7])
def test_shifted_column(women, shift):
    formula = "use ~ age + urban + ch + (1 | district)"
    plain = MixedLogisticClassifier(formula).fit(women)
    model = MixedLogisticClassifier(formula).fit(women.assign(age=women["age"] + shift))
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-6)
    slopes = [1, 2, 3]
    assert model.fixed_effects_["z"].to_numpy()[slopes] == pytest.approx(
        plain.fixed_effects_["z"].to_numpy()[slopes], rel=1e-5
    )


def test_shift_with_correlated_slopes(women, reference):
    model = MixedLogisticClassifier(FORMULA).fit(women.assign(age=women["age"] + 50.0))
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-6)


@pytest.mark.parametrize("formula", [FORMULA, "use ~ age + I(age^2) + (1 + age | district)"])
def test_predictions_do_not_feel_a_shift(women, formula):
    # a variance of a prediction is a small difference of what the shift makes huge
    shift = 1e7 if formula is FORMULA else 1e4
    moved = women.assign(age=women["age"] + shift)
    plain = MixedLogisticClassifier(formula).fit(women)
    model = MixedLogisticClassifier(formula).fit(moved)
    new = {"district": np.full(len(women), 999)}
    for prediction in ("conditional", "marginal", "typical"):
        plain.set_params(prediction=prediction)
        model.set_params(prediction=prediction)
        for columns in ({}, new):
            ours = model.predict_interval(moved.assign(**columns))
            theirs = plain.predict_interval(women.assign(**columns))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert r2(model).conditional == pytest.approx(r2(plain).conditional, rel=1e-7)
    assert icc(model).loc["all"].to_numpy() == pytest.approx(icc(plain).loc["all"].to_numpy())


@pytest.mark.parametrize("link", ["logit", "probit", "cauchit"])
def test_swapped_classes(women, link):
    formula = "use ~ age + urban + (1 | district)"
    model = MixedLogisticClassifier(formula, link=link).fit(women)
    swapped = women["use"].map({"N": "Y", "Y": "N"})
    other = MixedLogisticClassifier(formula, link=link).fit(women, swapped)
    assert other.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-7)
    assert other.fixed_effects_["estimate"].to_numpy() == pytest.approx(
        -model.fixed_effects_["estimate"].to_numpy(), abs=1e-5
    )


def test_weights_as_repetition(women):
    weights = np.random.default_rng(0).integers(0, 4, len(women))
    repeated = women.loc[np.repeat(women.index, weights)]
    formula = "use ~ age + urban + (1 | district)"
    weighted = MixedLogisticClassifier(formula).fit(women, sample_weight=weights)
    same(weighted, MixedLogisticClassifier(formula).fit(repeated))


def test_offset_is_a_known_part(women):
    formula = "use ~ age + urban + (1 | district)"
    plain = MixedLogisticClassifier(formula).fit(women)
    shifted = MixedLogisticClassifier(formula).fit(women, offset=0.3 * women["age"])
    assert shifted.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-7)
    assert shifted.fixed_effects_.loc["age", "estimate"] == pytest.approx(
        plain.fixed_effects_.loc["age", "estimate"] - 0.3, abs=1e-6
    )
    assert shifted.predict_proba(women, offset=0.3 * women["age"]) == pytest.approx(
        plain.predict_proba(women), abs=1e-6
    )
    inside = MixedLogisticClassifier("use ~ age + urban + offset(I(0.3*woman)) + (1 | district)")
    argument = MixedLogisticClassifier(formula).fit(women, offset=0.3 * women["woman"])
    assert inside.fit(women).log_likelihood_ == pytest.approx(argument.log_likelihood_, abs=1e-7)


def test_threads_change_nothing(women):
    many = women.loc[np.tile(women.index, 20)].reset_index(drop=True)
    one = MixedLogisticClassifier(FORMULA).fit(many)
    two = MixedLogisticClassifier(FORMULA, n_jobs=2).fit(many)
    assert two.log_likelihood_ == pytest.approx(one.log_likelihood_, rel=1e-12)


def test_spellings_of_a_formula(women):
    spellings = [
        "use ~ age*ch + I(age^2) + urban + (1 | urban:district)",
        "use~age*ch+I(age**2)+urban+(1|urban:district)",
        "~ 1 + (1 | urban:district) + age + ch + urban + age:ch + I(age^2)",
    ]
    fits = [MixedLogisticClassifier(s).fit(women, women["use"]) for s in spellings]
    for model in fits[1:]:
        assert model.log_likelihood_ == pytest.approx(fits[0].log_likelihood_, abs=1e-7)
        assert set(model.fixed_effects_.index) == set(fits[0].fixed_effects_.index)
    double = MixedLogisticClassifier("use ~ age + (1 + age || district)").fit(women)
    apart = MixedLogisticClassifier("use ~ age + (1 | district) + (0 + age | district)").fit(women)
    assert double.log_likelihood_ == pytest.approx(apart.log_likelihood_, abs=1e-9)
    dot = MixedLogisticClassifier("use ~ . + (1 | district)").fit(
        women[["use", "age", "urban", "district"]]
    )
    written = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    assert dot.log_likelihood_ == pytest.approx(written.log_likelihood_, abs=1e-9)


def test_offsets_of_formula_and_argument_add_up(women):
    """In the fit and in every prediction, also where rows are dropped."""
    formula = "use ~ urban + (1 | district)"
    holes = women.assign(age=women["age"].where(women.index % 7 > 0))
    model = MixedLogisticClassifier(f"{formula} + offset(age)", missing="drop")
    model.fit(holes.assign(age=0.02 * holes["age"]), offset=0.01 * women["age"])
    plain = MixedLogisticClassifier(formula).fit(
        holes.dropna(), offset=(0.03 * holes["age"]).dropna()
    )
    same(model, plain)
    new = holes.assign(age=0.05 * holes["age"])
    shift = np.linspace(-1.0, 2.0, len(women))
    complete = holes["age"].notna().to_numpy()
    total = 0.05 * holes["age"].to_numpy()[complete] + shift[complete]
    expected = plain.predict_proba(holes.dropna(), offset=total)
    ours = model.predict_proba(new, offset=shift)
    assert np.isnan(ours[~complete]).all()
    assert ours[complete] == pytest.approx(expected, abs=1e-6)
    interval = model.predict_interval(new, offset=shift)["std_error"].to_numpy()[complete]
    assert interval == pytest.approx(
        plain.predict_interval(holes.dropna(), offset=total)["std_error"].to_numpy(), rel=1e-4
    )


def test_weights_of_counts():
    """A weight of k on a row of counts is that row k times, and k times its counts but a constant."""
    herds = load_cbpp().frame
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    weights = 1 + np.arange(len(herds)) % 3
    weighted = MixedLogisticClassifier(formula).fit(herds, sample_weight=weights)
    repeated = herds.loc[np.repeat(herds.index, weights)]
    same(weighted, MixedLogisticClassifier(formula).fit(repeated))
    times = herds.assign(incidence=herds["incidence"] * weights, size=herds["size"] * weights)
    multiplied = MixedLogisticClassifier(formula).fit(times)
    assert weighted.fixed_effects_["estimate"].to_numpy() == pytest.approx(
        multiplied.fixed_effects_["estimate"].to_numpy(), rel=1e-5
    )


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "cauchit"])
@pytest.mark.parametrize("prediction", ["conditional", "typical", "marginal"])
def test_labels_are_the_likelier_class(women, link, prediction):
    formula = "use ~ age + urban + ch + (1 | district)"
    model = MixedLogisticClassifier(formula, link=link, prediction=prediction).fit(women)
    event = model.predict_proba(women)[:, 1]
    assert ((model.predict(women) == "Y") == (event > 0.5)).all()
    assert 0.0 < np.mean(event > 0.5) < 1.0


def test_score_is_weighted(women):
    model = MixedLogisticClassifier("use ~ urban + (1 | district)").fit(women)
    right = model.predict(women) == women["use"]
    weights = np.random.default_rng(0).uniform(size=len(women))
    assert model.score(women, women["use"]) == pytest.approx(right.mean())
    expected = np.average(right, weights=weights)
    assert model.score(women, women["use"], sample_weight=weights) == pytest.approx(expected)
