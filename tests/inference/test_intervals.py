"""Wald intervals of correlations beside profiles, and curves of profiles."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from sklearn_mllm import MixedLogisticClassifier, ProfileDisplay, confidence_intervals


@pytest.fixture(scope="module")
def slopes():
    generator = np.random.default_rng(4)
    J, m = 300, 25
    g = np.repeat(np.arange(J), m)
    x = 3.0 + 2.0 * generator.normal(size=J * m)
    b = generator.multivariate_normal([0, 0], [[1.0, 0.25], [0.25, 0.36]], size=J)[g]
    eta = -0.3 + 0.4 * x + b[:, 0] + b[:, 1] * (x - 3.0)
    y = (generator.random(J * m) < 1 / (1 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame({"x": x, "g": g, "y": y})
    return MixedLogisticClassifier("y ~ x + (1 + x | g)").fit(frame), frame


COR = "cor(Intercept,x|g)"


def test_wald_intervals_of_a_correlation_are_near_its_profile(slopes):
    model, frame = slopes
    names = [COR, "sd(Intercept|g)", "sd(x|g)"]
    wald = confidence_intervals(model, parameters=names)
    profile = confidence_intervals(model, frame, method="profile", parameters=names)
    assert list(wald.index) == list(profile.index)
    width = profile["conf_high"] - profile["conf_low"]
    for end in ("conf_low", "conf_high"):
        assert ((wald[end] - profile[end]).abs() < 0.06 * width).all()


def test_profile_display_from_a_model(slopes):
    model, frame = slopes
    display = ProfileDisplay.from_estimator(model, frame, parameters=["x", COR], n_points=9)
    expected = confidence_intervals(model, frame, method="profile", parameters=["x", COR])
    assert list(display.intervals.index) == ["x", COR]
    width = expected["conf_high"] - expected["conf_low"]
    for end in ("conf_low", "conf_high"):
        assert ((display.intervals[end] - expected[end]).abs() < 0.03 * width).all()
    for _, part in display.table.groupby("parameter"):
        assert (np.diff(part["signed_root"]) > 0).all()
    assert len(display.figure_.axes) >= 2
    mpl.pyplot.close(display.figure_)
