"""What the displays draw, by the data of the figures."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier, confidence_intervals
from sklearn_mllm.datasets import load_contraception

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

M_05 = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def model(women):
    return MixedLogisticClassifier(M_05).fit(women)


@pytest.fixture(autouse=True)
def _close():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_matplotlib_is_loaded_only_to_draw():
    code = (
        "import sys; from sklearn_mllm import RandomEffectsDisplay, SmoothedProportionDisplay; "
        "assert not {'matplotlib', 'statsmodels'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_random_effects(model):
    display = RandomEffectsDisplay.from_estimator(model)
    effects = display.effects
    assert len(effects) == 102
    reach = (effects["conf_high"] - effects["conf_low"]) / 2
    np.testing.assert_allclose(reach, 1.959963984540054 * effects["std_error"])
    drawn = np.concatenate(
        [line.get_xdata() for line in display.ax_.lines if line.get_marker() == "o"]
    )
    np.testing.assert_allclose(np.sort(drawn), np.sort(effects["estimate"]))
    assert display.figure_ is display.ax_.figure


def test_random_effects_one_panel_per_term(women):
    model = MixedLogisticClassifier("use ~ age + urban + (1 + urban | district)").fit(women)
    display = RandomEffectsDisplay.from_estimator(model, level=0.5)
    assert [ax.get_title(loc="left") for ax in display.ax_] == ["Intercept", "urban[T.Y]"]
    one = RandomEffectsDisplay.from_estimator(model, term="urban[T.Y]", labels=True, sort=False)
    labels = [text.get_text() for text in one.ax_.get_yticklabels()]
    assert labels == [str(level) for level in one.effects["level"]]
    with pytest.raises(ValueError, match="'nowhere' is not in the model, which has district"):
        RandomEffectsDisplay.from_estimator(model, group="nowhere")


def test_random_effects_of_a_plain_model(women):
    plain = MixedLogisticClassifier("use ~ age").fit(women)
    with pytest.raises(ValueError, match="no random effects"):
        RandomEffectsDisplay.from_estimator(plain)


def test_predicted_probability_is_predict_interval(model, women):
    before = model.prediction
    display = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", by="ch", panel="urban", grid=[-5.0, 0.0, 5.0]
    )
    assert model.prediction == before
    assert len(display.data) == 12 and len(display.ax_) == 2
    beta = model.fixed_effects_["estimate"]
    row = display.data.query("age == 0 and ch == 'N' and urban == 'N'")
    expected = 1 / (1 + np.exp(-beta["Intercept"]))
    assert row["probability"].item() == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(0.2074, abs=2e-4)
    assert (display.data["conf_low"] < display.data["probability"]).all()
    assert (display.data["probability"] < display.data["conf_high"]).all()
    line = display.ax_[1].lines[1]
    shown = display.data.query("ch == 'Y' and urban == 'Y'")
    np.testing.assert_array_equal(line.get_ydata(), shown["probability"])


def test_predicted_probability_fills_the_other_columns(model, women):
    display = PredictedProbabilityDisplay.from_estimator(model, women, "age", grid=[0.0])
    usual = pd.DataFrame({"age": [0.0], "ch": ["Y"], "urban": ["N"]})
    typical = MixedLogisticClassifier(M_05, prediction="typical").fit(women)
    assert display.data["probability"].item() == typical.predict_proba(usual)[0, 1]
    moved = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", grid=[0.0], at={"urban": "Y"}
    )
    assert moved.data["probability"].item() > display.data["probability"].item()


def test_predicted_probability_marginal_is_nearer_to_one_half(model, women):
    kinds = {
        kind: PredictedProbabilityDisplay.from_estimator(
            model, women, "urban", by=("ch", "age"), prediction=kind, raw=True
        )
        for kind in ("typical", "marginal")
    }
    typical, marginal = (kinds[k].data["probability"].to_numpy() for k in ("typical", "marginal"))
    assert (np.abs(marginal - 0.5) <= np.abs(typical - 0.5)).all()
    observed = kinds["typical"].observed
    assert observed["n"].sum() == len(women)
    assert np.average(observed["proportion"], weights=observed["n"]) == pytest.approx(
        (women["use"] == "Y").mean()
    )


def test_predicted_probability_of_arrays_with_groups_apart():
    rng = np.random.RandomState(0)
    X, groups = rng.normal(size=(300, 2)), rng.randint(10, size=300)
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    model = MixedLogisticClassifier("~ x0 + x1 + (1 | groups)").fit(X, y, groups=groups)
    for kind in ("typical", "marginal"):
        display = PredictedProbabilityDisplay.from_estimator(
            model, X, "x0", by="x1", prediction=kind, grid=5, raw=True, y=y
        )
        assert len(display.data) == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature": "nope"}, "'nope' is not in X"),
        ({"feature": "age", "by": ("ch", "urban", "livch")}, "up to two"),
        ({"feature": "age", "by": "ch", "panel": "ch"}, "different"),
        ({"feature": "age", "prediction": "conditional"}, "prediction must be"),
    ],
)
def test_predicted_probability_refuses(model, women, arguments, message):
    with pytest.raises(ValueError, match=message):
        PredictedProbabilityDisplay.from_estimator(model, women, **arguments)


def test_smoothed_proportion(model, women):
    pytest.importorskip("statsmodels")
    display = SmoothedProportionDisplay.from_data(women, "use", "age", by="livch", panel="urban")
    assert len(display.points) == 1934 and len(display.curves) == 800
    assert display.points["event"].sum() == (women["use"] == "Y").sum()
    assert display.curves["proportion"].between(0, 1).all()
    assert [ax.get_title(loc="left") for ax in display.ax_] == ["urban = N", "urban = Y"]
    same = SmoothedProportionDisplay.from_estimator(model, women, "age", by="livch", panel="urban")
    pd.testing.assert_frame_equal(same.curves, display.curves)
    other = SmoothedProportionDisplay.from_data(women, women["use"], "age", event="N")
    assert other.event == "N" and other.points["event"].mean() > 0.5


def test_smoothed_proportion_finds_a_line():
    pytest.importorskip("statsmodels")
    rng = np.random.RandomState(0)
    x = rng.uniform(size=4000)
    y = (rng.uniform(size=4000) < 0.2 + 0.6 * x).astype(int)
    display = SmoothedProportionDisplay.from_data(pd.DataFrame({"x": x}), y, "x", grid=11)
    np.testing.assert_allclose(
        display.curves["proportion"], 0.2 + 0.6 * display.curves["x"], atol=0.05
    )


def test_residuals_of_a_right_and_a_wrong_model():
    rng = np.random.RandomState(0)
    n, J = 3000, 60
    g, x = rng.randint(J, size=n), rng.normal(size=n)
    eta = 1.5 * x + 1.5 * rng.normal(size=J)[g]
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame({"y": y, "x": x, "g": g})
    right = MixedLogisticClassifier("y ~ x + (1 | g)").fit(frame)
    display = ResidualDisplay.from_estimator(right, frame, by="g", random_state=0)
    assert display.residuals.shape == (J,)
    assert display.uniformity_p_value > 0.01 and display.dispersion_p_value > 0.01
    wrong = MixedLogisticClassifier("y ~ x").fit(frame)
    display = ResidualDisplay.from_estimator(wrong, frame, by="g", random_state=0)
    assert display.dispersion > 3 and display.dispersion_p_value < 0.02
    assert display.uniformity_p_value < 0.01


def test_residuals_of_rows_are_uniform(model, women):
    display = ResidualDisplay.from_estimator(model, women, n_samples=100, random_state=1)
    assert display.residuals.shape == (1934,)
    assert 0 < display.residuals.min() and display.residuals.max() < 1
    assert display.uniformity_p_value > 0.01
    assert len(display.ax_) == 3
    again = ResidualDisplay.from_estimator(model, women, n_samples=100, random_state=1)
    np.testing.assert_array_equal(display.residuals, again.residuals)


def test_calibration_by_group(model, women):
    display = CalibrationByGroupDisplay.from_estimator(model, women)
    assert len(display.data) == 102 and display.data["n"].sum() == 1934
    expected = (
        (women["use"] == "Y")
        .groupby(women["urban"].astype(str) + ":" + women["district"].astype(str))
        .mean()
    )
    np.testing.assert_allclose(display.data["observed"], expected.loc[display.data.index])
    assert (display.data["conf_low"] >= -1e-12).all()
    assert (
        display.data["observed"]
        .between(display.data["conf_low"] - 1e-12, display.data["conf_high"] + 1e-12)
        .all()
    )
    by_livch = CalibrationByGroupDisplay.from_estimator(model, women, by="livch")
    assert list(by_livch.data.index) == ["0", "1", "2", "3+"]
    # Wilson's interval for 8 of 10
    one = CalibrationByGroupDisplay.from_predictions([1] * 8 + [0] * 2, [0.7] * 10, ["a"] * 10)
    np.testing.assert_allclose(
        one.data[["conf_low", "conf_high"]].to_numpy()[0], [0.4901625, 0.9433178], atol=1e-6
    )
    assert one.error == pytest.approx(0.1)


def test_profile():
    root = np.linspace(-3, 3, 61)
    table = pd.concat(
        pd.DataFrame({"parameter": p, "value": m + 0.2 * root, "signed_root": root})
        for p, m in (("age", 1.0), ("ch", -1.0))
    )
    display = ProfileDisplay.from_table(table, level=0.95)
    np.testing.assert_allclose(
        display.intervals.loc["age"], [1.0, 1 - 0.2 * 1.959964, 1 + 0.2 * 1.959964], rtol=1e-6
    )
    assert len(display.ax_) == 2
    display.plot(parameters=["ch"])
    np.testing.assert_allclose(display.ax_.lines[-1].get_ydata(), root)
    with pytest.raises(ValueError, match="lacks the column"):
        ProfileDisplay(table.drop(columns="value"))


def test_profile_of_a_model(women):
    model = MixedLogisticClassifier("use ~ urban + (1 + urban | district)").fit(women)
    names = ["urban[T.Y]", "sd(Intercept|district)", "cor(Intercept,urban[T.Y]|district)"]
    display = ProfileDisplay.from_estimator(model, women, parameters=names, n_points=5)
    assert display.intervals.index.tolist() == names
    limits = confidence_intervals(model, women, method="profile", parameters=names)
    columns = ["estimate", "conf_low", "conf_high"]
    np.testing.assert_allclose(
        display.intervals[columns], limits.loc[names, columns].astype(float), rtol=1e-5
    )
    for _, part in display.table.groupby("parameter"):
        assert part["value"].is_monotonic_increasing and part["signed_root"].is_monotonic_increasing
        assert part["signed_root"].min() < -1.96 and part["signed_root"].max() > 1.96
    joint = MixedLogisticClassifier(model.formula, n_agq=0).fit(women)
    with pytest.raises(ValueError, match="no likelihood to profile"):
        ProfileDisplay.from_estimator(joint, women)
    with pytest.raises(ValueError, match="'height' is no parameter of the model"):
        ProfileDisplay.from_estimator(model, women, parameters="height")


def test_profile_of_a_zero_variance():
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 2), "y": [0, 1] * 20})
    model = MixedLogisticClassifier("y ~ 1 + (1 | g)").fit(frame)
    assert model.is_singular_
    display = ProfileDisplay.from_estimator(model, frame, parameters="sd(Intercept|g)", n_points=4)
    limits = confidence_intervals(model, frame, method="profile")
    row = display.intervals.loc["sd(Intercept|g)"]
    assert row["estimate"] == 0.0 and np.isnan(row["conf_low"])
    assert row["conf_high"] == pytest.approx(limits.loc["sd(Intercept|g)", "conf_high"], rel=1e-5)
    assert display.table["value"].min() == 0.0


def test_displays_restyle_into_given_axes(model, women):
    import matplotlib.pyplot as plt

    display = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", by="ch", panel="urban", grid=5
    )
    figure, axes = plt.subplots(1, 2)
    assert display.plot(ax=axes, line_kw={"lw": 5}) is display
    assert display.figure_ is figure
    assert axes[0].lines[0].get_linewidth() == 5
    figure, ax = plt.subplots()
    display.plot(ax=ax, colors=["k", "r"])
    assert display.figure_ is figure and len(display.ax_) == 2
    with pytest.raises(ValueError, match="3 axes, but this display has 2 panels"):
        display.plot(ax=plt.subplots(1, 3)[1])
    RandomEffectsDisplay.from_estimator(model, ax=plt.subplots()[1], point_kw={"ms": 9})


def test_labels_that_the_model_does_not_know(model, women):
    with pytest.raises(ValueError, match="maybe, which is not among the classes"):
        CalibrationByGroupDisplay.from_estimator(model, women, ["maybe"] * len(women))
    with pytest.raises(ValueError, match="y: pass the labels"):
        ResidualDisplay.from_estimator(model, women.drop(columns="use"))


@pytest.fixture(scope="module")
def regions(women):
    """26 levels with long names."""
    names = [f"an administrative region {chr(ord('A') + i % 26)}" for i in range(len(women))]
    frame = women.assign(region=names)
    return MixedLogisticClassifier("use ~ age + region + (1 | district)").fit(frame), frame


def boxes(artists) -> list:
    figure = artists[0].figure
    figure.canvas.draw()
    return [artist.get_window_extent() for artist in artists if artist.get_text()]


def test_many_levels_on_the_axis_do_not_overlap(regions):
    display = PredictedProbabilityDisplay.from_estimator(*regions, "region")
    found = boxes(display.ax_.get_xticklabels())
    assert len(found) == 26
    assert not any(a.overlaps(b) for a, b in pairwise(found))
    ax, figure = display.ax_.get_window_extent(), display.figure_.bbox
    assert ax.height > 0.9 * 2.5 * display.figure_.dpi
    assert all(figure.y0 <= box.y0 for box in found)
    few = PredictedProbabilityDisplay.from_estimator(
        *regions, "region", grid=["an administrative region A"]
    )
    assert few.ax_.get_xticklabels()[0].get_rotation() == 0.0


@pytest.mark.parametrize("kind", ["predicted", "smoothed"])
def test_many_curves_are_told_apart(regions, kind):
    model, frame = regions
    if kind == "predicted":
        display = PredictedProbabilityDisplay.from_estimator(
            model, frame, "age", by="region", grid=3
        )
    else:
        pytest.importorskip("statsmodels")
        display = SmoothedProportionDisplay.from_data(frame, "use", "age", by="region", grid=3)
    curves = [line for line in display.ax_.lines if line.get_label().startswith("an admin")]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 26
    (legend,) = display.figure_.legends
    display.figure_.canvas.draw()
    box, figure = legend.get_window_extent(), display.figure_.bbox
    assert box.y0 >= figure.y0 and box.y1 <= figure.y1 and box.x1 <= figure.x1
    assert not box.overlaps(display.ax_.get_window_extent())


def test_long_levels_leave_room_for_the_axis(regions):
    model = MixedLogisticClassifier("use ~ age + (1 | region)").fit(regions[1])
    display = RandomEffectsDisplay.from_estimator(model)
    (box,) = boxes([display.ax_.xaxis.label])
    assert box.x1 <= display.figure_.bbox.x1


def test_panels_inside_given_axes_share_their_labels(model, women):
    import matplotlib.pyplot as plt

    display = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", by="ch", panel="urban", grid=5, ax=plt.subplots()[1]
    )
    display.figure_.canvas.draw()
    shown = [[t.label1.get_visible() for t in ax.yaxis.get_major_ticks()] for ax in display.ax_]
    assert all(shown[0]) and not any(shown[1])
