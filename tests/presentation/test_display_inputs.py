"""Displays of counts, other frames, missing values, offsets and several factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_cbpp, load_contraception

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from sklearn_mllm import (  # noqa: E402
    CalibrationByGroupDisplay,
    PredictedProbabilityDisplay,
    ProfileDisplay,
    RandomEffectsDisplay,
    ResidualDisplay,
    SmoothedProportionDisplay,
)

COUNTS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def herds():
    frame = load_cbpp().frame
    return frame.assign(season=frame["period"].astype(float))


@pytest.fixture(scope="module")
def counted(herds):
    return MixedLogisticClassifier(COUNTS).fit(herds)


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(autouse=True)
def _close():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_calibration_of_counts(counted, herds):
    display = CalibrationByGroupDisplay.from_estimator(counted, herds)
    sums = herds.groupby("herd", observed=True)[["incidence", "size"]].sum()
    np.testing.assert_allclose(display.data["observed"], sums["incidence"] / sums["size"])
    np.testing.assert_array_equal(display.data["n"], sums["size"])
    weighted = counted.predict_proba(herds)[:, 1] * herds["size"]
    expected = weighted.groupby(herds["herd"], observed=True).sum() / sums["size"]
    np.testing.assert_allclose(display.data["predicted"], expected)
    assert display.event == "success"
    pairs = herds[["incidence", "failures"]].to_numpy()
    same = CalibrationByGroupDisplay.from_estimator(counted, herds, pairs)
    pd.testing.assert_frame_equal(same.data, display.data)
    with pytest.raises(ValueError, match=r"pass an array of shape \(56, 2\), got \(56,\)"):
        CalibrationByGroupDisplay.from_estimator(counted, herds, herds["incidence"])


def test_observed_proportions_of_counts(counted, herds):
    display = PredictedProbabilityDisplay.from_estimator(counted, herds, "period", raw=True)
    sums = herds.groupby("period", observed=True)[["incidence", "size"]].sum()
    np.testing.assert_allclose(display.observed["proportion"], sums["incidence"] / sums["size"])
    np.testing.assert_array_equal(display.observed["n"], sums["size"])
    assert display.ax_.get_ylabel() == "probability of success"


def test_smoothed_counts_are_smoothed_trials(counted, herds):
    display = SmoothedProportionDisplay.from_estimator(counted, herds, "season", grid=5)
    assert len(display.points) == herds["size"].sum()
    assert display.points["event"].sum() == herds["incidence"].sum()
    row = np.repeat(np.arange(len(herds)), herds["size"])
    events = [[1] * s + [0] * f for s, f in zip(herds["incidence"], herds["failures"])]
    single = herds.iloc[row].reset_index(drop=True)
    other = SmoothedProportionDisplay.from_data(single, np.concatenate(events), "season", grid=5)
    np.testing.assert_allclose(display.curves["proportion"], other.curves["proportion"])


def test_residuals_of_counts(counted, herds):
    rows = ResidualDisplay.from_estimator(counted, herds)
    np.testing.assert_array_equal(rows.observed, herds["incidence"])
    assert rows.simulated.max() <= herds["size"].max()
    np.testing.assert_allclose(
        rows.simulated.mean(axis=1) / herds["size"], rows.predicted, atol=0.15
    )
    by_herd = ResidualDisplay.from_estimator(counted, herds, by="herd")
    assert by_herd.observed.sum() == herds["incidence"].sum()
    assert len(by_herd.residuals) == herds["herd"].nunique()
    # no herd effects and no seasons: counts vary by more than a binomial lets them
    plain = MixedLogisticClassifier("cbind(incidence, failures) ~ 1").fit(herds)
    spread = ResidualDisplay.from_estimator(plain, herds)
    assert spread.dispersion > 1.5 and spread.dispersion_p_value < 0.02


def test_profile_and_effects_of_counts(counted, herds):
    assert len(RandomEffectsDisplay.from_estimator(counted).effects) == 15
    display = ProfileDisplay.from_estimator(
        counted, herds, parameters="sd(Intercept|herd)", n_points=3
    )
    row = display.intervals.loc["sd(Intercept|herd)"]
    assert row["conf_low"] < row["estimate"] < row["conf_high"]


def test_polars_frames_draw_the_same(women):
    formula = "use ~ age + urban + (1 | district)"
    model = MixedLogisticClassifier(formula).fit(women)
    other = pl.from_pandas(women)
    again = MixedLogisticClassifier(formula).fit(other)
    for display, arguments in (
        (CalibrationByGroupDisplay, {}),
        (PredictedProbabilityDisplay, {"feature": "age", "by": "urban", "grid": 4}),
    ):
        expected = display.from_estimator(model, women, **arguments).data
        found = display.from_estimator(again, other, **arguments).data
        if "urban" in expected:
            order = ["urban", "age"]
            expected = expected.astype({"urban": str}).sort_values(order, ignore_index=True)
            found = found.astype({"urban": str}).sort_values(order, ignore_index=True)
        pd.testing.assert_frame_equal(
            found, expected, check_index_type=False, check_dtype=False, rtol=1e-6
        )
    first = ResidualDisplay.from_estimator(model, women, by="district", n_samples=50)
    second = ResidualDisplay.from_estimator(again, other, by="district", n_samples=50)
    np.testing.assert_allclose(first.observed, second.observed)
    np.testing.assert_allclose(first.predicted, second.predicted, rtol=1e-6)
    curves = SmoothedProportionDisplay.from_estimator(again, other, "age", grid=4).curves
    expected = SmoothedProportionDisplay.from_estimator(model, women, "age", grid=4).curves
    pd.testing.assert_frame_equal(curves, expected)


def test_several_factors(women):
    model = MixedLogisticClassifier("use ~ age + (1 | livch) + (1 | district)").fit(women)
    effects = RandomEffectsDisplay.from_estimator(model)
    assert len(effects.ax_) == 2 and set(effects.effects["group"]) == {"livch", "district"}
    residuals = ResidualDisplay.from_estimator(model, women, by=["district", "livch"], n_samples=20)
    cells = women.groupby(["district", "livch"], observed=True).size()
    assert len(residuals.residuals) == len(cells)
    data = CalibrationByGroupDisplay.from_estimator(model, women, by="district").data
    np.testing.assert_allclose(
        data["observed"], women["use"].eq("Y").groupby(women["district"], observed=True).mean()
    )


def test_no_random_effects(women):
    plain = MixedLogisticClassifier("use ~ age + urban").fit(women)
    both = [
        PredictedProbabilityDisplay.from_estimator(
            plain, women, "age", prediction=kind, grid=4
        ).data
        for kind in ("typical", "marginal")
    ]
    pd.testing.assert_frame_equal(*both)
    residuals = ResidualDisplay.from_estimator(plain, women, by="district", n_samples=100)
    assert residuals.dispersion > 1.3  # districts differ by more than the columns say
    with pytest.raises(ValueError, match="by: name the columns of X"):
        CalibrationByGroupDisplay.from_estimator(plain, women)


@pytest.mark.filterwarnings("error")
def test_rows_with_missing_values_are_left_out(women):
    holes = women.copy()
    holes.loc[holes.index[:7], "age"] = np.nan
    model = MixedLogisticClassifier("use ~ age + (1 | district)", missing="drop").fit(holes)
    complete = holes.dropna()
    rows = ResidualDisplay.from_estimator(model, holes, n_samples=20)
    assert len(rows.residuals) == len(complete)
    cells = ResidualDisplay.from_estimator(model, holes, by="district", n_samples=20)
    assert cells.observed.sum() == complete["use"].eq("Y").sum()
    data = CalibrationByGroupDisplay.from_estimator(model, holes).data
    np.testing.assert_array_equal(data["n"], complete.groupby("district", observed=True).size())
    shown = PredictedProbabilityDisplay.from_estimator(model, holes, "age", by="urban", raw=True)
    assert shown.observed["n"].sum() == len(complete)


def test_offsets_count(women):
    shift = np.where(women["urban"] == "Y", 1.5, -0.5)
    model = MixedLogisticClassifier("use ~ age + (1 | district)")
    model.fit(women, women["use"], offset=shift)
    data = CalibrationByGroupDisplay.from_estimator(model, women, offset=shift, by="urban").data
    p = model.predict_proba(women, offset=shift)[:, 1]
    expected = pd.Series(p).groupby(women["urban"].to_numpy()).mean()
    np.testing.assert_allclose(data["predicted"].sort_index(), expected.sort_index())
    residuals = ResidualDisplay.from_estimator(model, women, offset=shift, n_samples=200)
    mean = residuals.simulated.mean(axis=1)
    assert abs(np.mean(mean - residuals.predicted)) < 0.01
    assert np.corrcoef(mean, residuals.predicted)[0, 1] > 0.9
