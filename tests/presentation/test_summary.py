"""The summary: golden texts, published figures, widths and escaping."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier, Prior, report
from sklearn_mllm.presentation import Summary
from sklearn_mllm.presentation.tables import (
    Lines,
    Table,
    columns_of_decimals,
    shorten,
    text_width,
)

HERE = Path(__file__).parent
DATA = HERE.parent / "reference" / "data"

MODELS = {
    "m_00": ("contraception", "use ~ age + urban + livch", {}),
    "m_05": ("contraception", "use ~ age*ch + I(age^2) + urban + (1 | urban:district)", {}),
    "slope": ("contraception", "use ~ age + urban + (1 + urban | district)", {}),
    "singular": ("singular_zero", "y ~ x + (1 | g)", {}),
    "counts": (
        "cbpp",
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        {"n_agq": 9},
    ),
}


def read(name: str) -> pd.DataFrame:
    frame = pd.read_csv(DATA / f"{name}.csv")
    for column in {"livch", "period", "herd"} & set(frame):
        frame[column] = frame[column].astype(str)
    return frame


@pytest.fixture(scope="module")
def women():
    return read("contraception")


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    data, formula, options = MODELS[request.param]
    frame = read(data)
    return request.param, frame, MixedLogisticClassifier(formula, **options).fit(frame)


def steady(text: str) -> str:
    """Without what rounding errors and the path of the search decide."""
    text = re.sub(r"Gradient norm \S+ after \d+ steps?", "Gradient norm * after * steps", text)
    return re.sub(r"Iterations: \d+", "Iterations: *", text)


NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def assert_same_text(text: str, golden: str) -> None:
    """The same words in the same places; numbers to all but the last digit that rounding decides."""
    assert NUMBER.sub(lambda m: "#" * len(m[0]), text) == NUMBER.sub(
        lambda m: "#" * len(m[0]), golden
    )
    found, expected = (np.array(NUMBER.findall(t), dtype=float) for t in (text, golden))
    np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_golden_summary(case):
    name, _, model = case
    golden = (HERE / "golden" / f"summary_{name}.txt").read_text(encoding="utf-8")
    assert_same_text(steady(str(model.summary())) + "\n", golden)


def test_golden_report(case):
    name, frame, model = case
    golden = (HERE / "golden" / f"report_{name}.txt").read_text(encoding="utf-8")
    assert report(model, frame) + "\n" == golden


def test_m_01_has_the_published_scaled_residuals(women):
    model = MixedLogisticClassifier("use ~ 1 + age + urban + livch + (1 | district)").fit(women)
    text = str(model.summary())
    line = text.split("Scaled residuals:\n")[1].splitlines()[1]
    # published to four decimals from a looser optimum
    published = [-1.8225, -0.7659, -0.5085, 0.9983, 2.7200]
    assert [float(v) for v in line.split()] == pytest.approx(published, abs=2e-4)
    for piece in ("2427.6", "2466.6", "-1206.8", "2413.6", "1927", "district, 60"):
        assert piece in text


def test_m_05_has_the_published_explained_variance(women):
    text = str(MixedLogisticClassifier(MODELS["m_05"][1]).fit(women).summary())
    assert "Pseudo-R2 (fixed effects) 0.12, (total) 0.20" in text
    assert "ICC of urban:district: 0.09" in text


def test_residuals_without_random_effects_are_of_the_fit(women):
    model = MixedLogisticClassifier("use ~ age + urban + livch").fit(women)
    p = model.predict_proba(women)[:, 1]
    residuals = ((women["use"] == "Y") - p) / np.sqrt(p * (1.0 - p))
    expected = np.quantile(residuals, [0.0, 0.25, 0.5, 0.75, 1.0])
    assert model.result_.residual_quantiles == pytest.approx(expected, rel=1e-6)


def test_html_escapes_names_levels_groups_and_classes(women):
    frame = women.rename(columns={"age": "<b>", "district": "<i>d"})
    frame["urban"] = frame["urban"].map({"N": "<u>", "Y": "<script>"})
    frame["use"] = frame["use"].map({"N": "<no>", "Y": "<yes>"})
    formula = "use ~ `<b>` + urban + (1 | `<i>d`)"
    html = MixedLogisticClassifier(formula).fit(frame).summary()._repr_html_()
    for hostile in ("<b>", "<i>", "<script>", "<u>", "<yes>", "<no>"):
        assert hostile not in html
    for shown in ("&lt;b&gt;", "&lt;i&gt;d", "&lt;u&gt;", "&lt;yes&gt;"):
        assert shown in html
    assert html.count("<table>") == html.count("</table>") >= 4


def test_long_names_stay_within_80_columns(women):
    long = {"age": "age_" * 12 + "of_the_woman", "district": "district_" * 12}
    frame = women.rename(columns=long)
    names = list(long.values())
    formula = f"use ~ {names[0]}*livch*urban + (1 + {names[0]} | {names[1]})"
    text = str(MixedLogisticClassifier(formula).fit(frame).summary())
    assert max(map(len, text.splitlines())) <= 80
    assert names[0] in text


def test_odds_ratios_are_an_option_of_the_logit(women):
    model = MixedLogisticClassifier("use ~ urban + (1 | district)").fit(women)
    assert "Odds ratio" in str(model.summary())
    assert "Odds ratio" not in str(Summary(model, odds_ratios=False))
    model = MixedLogisticClassifier("use ~ urban + (1 | district)", link="probit").fit(women)
    assert "Odds ratio" not in str(model.summary())
    assert "probit link" in str(model.summary())


def test_aliased_columns_are_named(women):
    frame = women.assign(twice=2.0 * women["age"])
    with pytest.warns(UserWarning, match="twice"):
        model = MixedLogisticClassifier("use ~ age + twice + (1 | district)").fit(frame)
    text = str(model.summary())
    assert "Left out as linear combinations of earlier columns: twice" in text
    assert re.search(r"twice +NA +NA +NA +NA +NA", text)


def test_a_fit_that_runs_away_says_so():
    x = np.tile([0.0, 1.0], 20)
    frame = pd.DataFrame({"x": x, "y": x.astype(int)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLogisticClassifier("y ~ x").fit(frame)
    text = str(model.summary())
    assert "Not converged" in text
    assert "separation" in text
    assert "Caution: the fit did not converge" in report(model)


def test_methods_and_criteria(women):
    for options, method, criterion in (
        ({"n_agq": 0}, "joint mode", "joint likelihood"),
        ({"n_agq": 5}, "quadrature with 5 points", "quadrature likelihood"),
        ({"prior": Prior()}, "penalised maximum likelihood", "penalised likelihood"),
        ({"link": "cauchit"}, "Laplace approximation", "Laplace-approximated likelihood"),
    ):
        text = str(
            MixedLogisticClassifier("use ~ age + (1 | district)", **options).fit(women).summary()
        )
        assert method in text
        assert criterion in " ".join(text.split())
        assert ("Explained variance" in text) == (options.get("link") != "cauchit")


def test_two_factors_have_an_icc_each(women):
    text = str(MixedLogisticClassifier("use ~ age + (1 | district/urban)").fit(women).summary())
    assert "ICC of district:" in text
    assert "ICC of district:urban:" in text
    assert "ICC of all together:" in text
    assert "groups: district, 60; district:urban, 102" in text


def test_many_correlated_effects_stay_within_80_columns():
    rng = np.random.default_rng(0)
    cells = tuple(f"{v:.2f}" for v in rng.uniform(-1, 1, 14))
    header = ("Groups", "Name", "Variance", "Std.Dev.", "Corr", *[""] * 13)
    lines = Table(header, (("g", "x" * 90, "1.0", "1.0", *cells),), left=2).text(78)
    assert max(map(len, lines)) <= 78
    assert all(cell in " ".join(lines) for cell in cells)


def test_tables_and_numbers():
    table = Table(("", "value"), (("a", "1.0"), ("a long name " * 9, "22.0")))
    lines = table.text(40)
    assert max(map(len, lines)) <= 40
    assert lines[1].endswith(" 1.0")
    assert lines[-1].endswith("22.0")
    assert all(len(line) <= 30 for line in Lines(("word " * 40,)).text(30))
    shown = columns_of_decimals([1.0, -1e-12, 0.0, np.nan], [0.5, 0.25, 0.1, 0.1], deciding=1)
    assert shown[0] == ["1.0000", "-1.00e-12", "0.0000", "NA"]
    assert [shorten("livch[T.3+]", w) for w in (11, 7)] == ["livch[T.3+]", "liv~3+]"]


def test_a_poor_approximation_is_told(women):
    toenail = read("toenail")
    formula = "outcome ~ treatment*time + (1 | patientID)"
    text = str(MixedLogisticClassifier(formula).fit(toenail).summary())
    words = " ".join(text.split())
    assert (
        "The Laplace approximation is poor here: quadrature would move Intercept by about 1."
        in words
    )
    assert "Use n_agq=25" in text
    told = report(MixedLogisticClassifier(formula).fit(toenail))
    assert (
        "Caution: the Laplace approximation is poor here; quadrature (n_agq=25) would move" in told
    )
    assert "approximation" not in report(
        MixedLogisticClassifier(formula, n_agq=9).fit(toenail)
    ).replace("normal approximation", "")
    better = str(MixedLogisticClassifier(formula, n_agq=9).fit(toenail).summary())
    fine = str(MixedLogisticClassifier("use ~ age + (1 | district)").fit(women).summary())
    assert "approximation is poor" not in better + fine
    assert "may be poor" not in better + fine


def test_without_random_effects_against_statsmodels(women):
    """Likelihood-ratio test of all slopes and pseudo-R2, as jtools::summ shows them."""
    sm = pytest.importorskip("statsmodels.api")
    design = np.column_stack(
        [np.ones(len(women)), women["age"], women["urban"] == "Y", women["ch"] == "Y"]
    ).astype(float)
    fit = sm.Logit((women["use"] == "Y").astype(float), design).fit(disp=0)
    text = str(MixedLogisticClassifier("use ~ age + urban + ch").fit(women).summary())
    n = len(women)
    cragg_uhler = (1 - np.exp(-fit.llr / n)) / (1 - np.exp(2 * fit.llnull / n))
    assert f"the intercept zero: chi2(3) = {fit.llr:.1f}, p < 2e-16" in text
    assert f"(Cragg & Uhler) {cragg_uhler:.2f}, (McFadden) {fit.prsquared:.2f}" in text
    weak = str(MixedLogisticClassifier("use ~ age").fit(women).summary())
    fit = sm.Logit((women["use"] == "Y").astype(float), design[:, :2]).fit(disp=0)
    assert f"zero: chi2(1) = {fit.llr:.1f}, p = {fit.llr_pvalue:.4f}" in weak
    assert "chi2" not in str(MixedLogisticClassifier("use ~ 0 + age").fit(women).summary())


def test_weights_and_trials_are_told(women):
    model = MixedLogisticClassifier("use ~ age + (1 | district)")
    weighted = model.fit(women, sample_weight=np.full(len(women), 1.5))
    assert "Number of rows: 1934 (weights sum to 2901); groups: district" in str(weighted.summary())
    assert "from 1934 observations (with weights that sum to 2901) in" in report(weighted)
    plain = model.fit(women)
    assert "Number of rows: 1934; groups" in str(plain.summary())
    assert "from 1934 observations in" in report(plain)


def test_many_coefficients_leave_their_correlations_out(women):
    letters = [chr(ord("A") + i % 23) for i in range(len(women))]
    model = MixedLogisticClassifier("use ~ letter + (1 | district)")
    text = str(model.fit(women.assign(letter=letters)).summary())
    assert "Not shown for 23 coefficients; covariance_ holds covariances." in text


def test_p_values_near_one():
    from sklearn_mllm.presentation.summary import _p_value

    shown = [_p_value(p) for p in (np.nan, 1e-30, 3e-5, 0.05, 0.99994, 0.99996, 1.0)]
    assert shown == ["NA", "<2e-16", "3.00e-05", "0.0500", "0.9999", ">0.9999", ">0.9999"]


def test_wide_and_accented_characters_keep_their_columns(women):
    """East Asian characters take two columns of a terminal, combining accents none."""
    assert [text_width(t) for t in ("abc", "都市", "e\u0301t")] == [3, 4, 2]
    assert shorten("都市部に住む", 7) == "都~む"
    names = {"urban": "都市部の人", "age": "a\u0302ge", "ch": "子供"}
    frame = women.rename(columns=names)
    model = MixedLogisticClassifier(
        "use ~ `都市部の人` * `a\u0302ge` + `子供` + (1 | district)"
    ).fit(frame)
    lines = str(model.summary()).splitlines()
    assert max(map(text_width, lines)) <= 80
    start = lines.index("Fixed effects:") + 1
    header, *rows = lines[start : start + 5]
    end = text_width(header[: header.index("Estimate")]) + len("Estimate")
    for row in rows:
        before = ""
        for letter in row:
            if text_width(before + letter) > end:
                break
            before += letter
        assert text_width(before) == end and before[-1].isdigit()
