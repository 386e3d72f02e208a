"""The summary and the report of the tutorial's models."""

from __future__ import annotations

import pytest

from sklearn_mllm import MixedLogisticClassifier, report
from sklearn_mllm.datasets import load_contraception

M_05 = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def fitted(women):
    return MixedLogisticClassifier(M_05).fit(women)


def test_summary_of_m_05(fitted):
    text = str(fitted.summary())
    for piece in ("2368.5", "2407.4", "-1177.2", "2354.5", "1927", "0.5683", "urban:district, 102"):
        assert piece in text
    for piece in ("-1.9835", "2.9505", "(fixed effects) 0.12, (total) 0.20", "0.09", "***"):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 80


def test_summary_without_random_effects(women):
    text = str(MixedLogisticClassifier("use ~ age + urban + livch").fit(women).summary())
    for piece in ("2590.9 on 1933", "2456.7 on 1928", "2468.7"):
        assert piece in text


def test_html_is_escaped(women):
    frame = women.rename(columns={"age": "<b>"})
    model = MixedLogisticClassifier("use ~ `<b>` + (1 | district)").fit(frame)
    html = model.summary()._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_report_of_m_05(women, fitted):
    text = str(report(fitted, women))
    for piece in (
        "conditional R2 = 0.20",
        "moderate",
        "is 0.12",
        "age = 0, ch = N, urban = N",
        "-1.34 (95% CI [-1.78, -0.90], p < .001)",
        "p = .036",
        "-5.63e-03, 95% CI [-7.29e-03, -3.96e-03]",
        "Std. beta = 1.21, 95% CI [0.80, 1.62]",
        "Std. beta = -0.46, 95% CI [-0.59, -0.32]",
        "p = .010",
        "Std. beta = 0.60, 95% CI [0.15, 1.05]",
    ):
        assert piece in text


def test_report_of_other_models(women):
    plain = report(MixedLogisticClassifier("use ~ age + urban").fit(women))
    assert "random effects" not in plain
    nested = report(MixedLogisticClassifier("use ~ age + (1 | district/urban)").fit(women))
    assert "district:urban" in nested
    assert "60 groups of district" in nested
