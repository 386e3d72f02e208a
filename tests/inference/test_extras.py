"""Intervals, predictions, standardised coefficients and confusion matrix against R."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reference_cases import load_case
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from sklearn_mllm import (
    MixedLogisticClassifier,
    compare_models,
    confidence_intervals,
    standardized_effects,
)

EXTRAS = Path(__file__).parents[1] / "reference" / "extras"
NAMES = {
    "(Intercept)": "Intercept",
    "chY": "ch[T.Y]",
    "I(age^2)": "I(age ** 2)",
    "urbanY": "urban[T.Y]",
    "age:chY": "age:ch[T.Y]",
}


def read(name: str) -> dict:
    return json.loads((EXTRAS / f"{name}.json").read_text(encoding="utf-8"))


def fitted(identifier: str):
    case, frame = load_case(identifier)
    return MixedLogisticClassifier(case["formula"]).fit(frame), frame


@pytest.fixture(scope="module")
def m_05():
    return fitted("contraception_m05")


def rows_of(table: pd.DataFrame, name: str) -> pd.Series:
    """The row of a coefficient, or the one standard deviation, by R's name."""
    if name.startswith("sd_"):
        (row,) = [r for r in table.index if str(r) not in NAMES.values() and str(r) != "age"]
        return table.loc[row]
    return table.loc[NAMES.get(name, name)]


def test_wald_intervals(m_05):
    table = confidence_intervals(m_05[0])
    for row in read("intervals_m_05")["m_05_wald"]:
        found = rows_of(table, row["parameter"])
        width = row["high"] - row["low"]
        assert found["conf_low"] == pytest.approx(row["low"], abs=2e-4 * width)
        assert found["conf_high"] == pytest.approx(row["high"], abs=2e-4 * width)


@pytest.mark.parametrize("identifier", ["m_05", "m_03"])
def test_profile_intervals(identifier):
    model, frame = fitted(f"contraception_{identifier.replace('_', '')}")
    table = confidence_intervals(model, frame, method="profile")
    expected = read("intervals_m_05")[f"{identifier}_profile"]
    assert len(expected) == len(table)
    for row in expected:
        found = rows_of(table, row["parameter"])
        if identifier == "m_05" and row["parameter"] == "(Intercept)":
            # the lower limit in the file is not one: see PROVENANCE.md, and the test below
            row["low"] = found["conf_low"]
        width = row["high"] - row["low"]
        assert found["conf_low"] == pytest.approx(row["low"], abs=4e-3 * width)
        assert found["conf_high"] == pytest.approx(row["high"], abs=4e-3 * width)


def test_the_limit_that_is_not_in_the_file(m_05):
    """At our lower limit of m_05's intercept the deviance has risen by its due amount."""
    model, frame = m_05
    low = confidence_intervals(model, frame, method="profile").loc["Intercept", "conf_low"]
    held = MixedLogisticClassifier(
        "use ~ 0 + age + youth + I(age^2) + town + age:youth + (1 | urban:district)"
    )
    coded = frame.assign(
        youth=(frame["ch"] == "Y").astype(float), town=(frame["urban"] == "Y").astype(float)
    )
    held.fit(coded, coded["use"], offset=np.full(len(coded), low))
    rise = held.deviance_ - model.deviance_
    assert rise == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


def test_the_limit_that_differs_most_from_the_file():
    """m_03's age: 0.003 of the width from lme4's limit, where the deviance has not risen enough."""
    model, frame = fitted("contraception_m03")
    table = confidence_intervals(model, frame, method="profile")
    held = MixedLogisticClassifier("use ~ I(age^2) + urban + ch + (1 | district)")
    for limit in ("conf_low", "conf_high"):
        held.fit(frame, frame["use"], offset=table.loc["age", limit] * frame["age"].to_numpy(float))
        rise = held.deviance_ - model.deviance_
        assert rise == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)


def test_predictions_for_a_typical_district(m_05):
    model, frame = m_05
    rows = pd.DataFrame(read("predictions_m_05")["rows"])
    new = rows[["age", "ch", "urban"]].assign(district=frame["district"].iloc[0])
    typical = MixedLogisticClassifier(model.formula, prediction="typical").fit(frame)
    band = typical.predict_interval(new)
    np.testing.assert_allclose(band["probability"], rows["probability"], atol=2e-5)
    np.testing.assert_allclose(typical.decision_function(new), rows["link"], atol=1e-4)
    np.testing.assert_allclose(band["std_error"], rows["se_link"], rtol=1e-3)
    np.testing.assert_allclose(band["conf_low"], rows["low"], atol=1e-4)
    np.testing.assert_allclose(band["conf_high"], rows["high"], atol=1e-4)


def test_standardised_coefficients(m_05):
    model, frame = m_05
    table = standardized_effects(model, frame)
    for row in read("standardised_m_05")["effectsize"]:
        found = rows_of(table, row["Parameter"])
        width = row["CI_high"] - row["CI_low"]
        assert found["estimate"] == pytest.approx(row["Std_Coefficient"], abs=2e-4 * width)
        assert found["conf_low"] == pytest.approx(row["CI_low"], abs=5e-4 * width)
        assert found["conf_high"] == pytest.approx(row["CI_high"], abs=5e-4 * width)


def test_confusion_matrix(m_05):
    model, frame = m_05
    expected = read("confusion_m_05")
    predicted = model.predict(frame)
    counts = expected["confusion"]
    np.testing.assert_array_equal(
        confusion_matrix(frame["use"], predicted, labels=["N", "Y"]),
        [[counts["NN"], counts["NY"]], [counts["YN"], counts["YY"]]],
    )
    for label in ("N", "Y"):
        precision = 100 * precision_score(frame["use"], predicted, pos_label=label)
        recall = 100 * recall_score(frame["use"], predicted, pos_label=label)
        assert round(precision, 2) == expected["precision_percent"][label]
        assert round(recall, 2) == expected["recall_percent"][label]


def test_models_held_against_each_other(m_05):
    compared = compare_models(fitted("contraception_m04")[0], m_05[0])
    table = pd.DataFrame(read("likelihood_ratio")["m_04_m_05"])
    np.testing.assert_allclose(compared["deviance"], table["deviance"], rtol=1e-7)
    np.testing.assert_allclose(compared["aic"], table["AIC"], rtol=1e-7)
