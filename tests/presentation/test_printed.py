"""Tables on a terminal of 80 columns, as pandas takes it by default."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier, compare_models
from sklearn_mllm.datasets import load_contraception
from sklearn_mllm.design.printed import PrintedFrame


@pytest.fixture(autouse=True)
def terminal():
    with pd.option_context("display.max_columns", 0, "display.width", 80):
        yield


@pytest.fixture(scope="module")
def models():
    women = load_contraception().frame
    formulas = (
        "use ~ age*ch + I(age^2) + urban + livch",
        "use ~ age*ch + I(age^2) + urban + livch + (1 | urban:district)",
    )
    with pytest.warns(UserWarning, match="linear combinations"):
        return [MixedLogisticClassifier(f).fit(women) for f in formulas]


def test_a_comparison_shows_whole(models):
    table = compare_models(*models)
    lines = str(table).split("\n")
    assert max(map(len, lines)) <= 80
    assert lines[:2] == [f"[{i + 1}] {m.formula}" for i, m in enumerate(models)]
    for column in table.columns:
        assert str(table).split("Note")[0].split().count(column) == 1
    assert "..." not in str(table)
    p = table["p_value"].iloc[1]
    assert f"{p:.6e}" in str(table)
    # what the columns of p-values are stands below
    note = " ".join(str(table).split("Note: ")[1].split())
    assert note == f"{table.attrs['note']}."
    assert "<p>Note: p_value takes" in table._repr_html_()
    assert str(compare_models(m_0=models[0], m_1=models[1])).count("\nm_1 ") == 2


def test_labels_of_many_lines_and_plain_frames(models):
    wide = "use ~ " + " + ".join(f"a_rather_long_name_{i}" for i in range(9))
    text = str(PrintedFrame({f"column_{i}": [1.5, 2.5] for i in range(12)}, index=[wide, "b"]))
    assert max(map(len, text.split("\n"))) <= 80
    assert "".join(text.split("[2]")[0].split()) == f"[1]{wide.replace(' ', '')}"
    # what fits is printed as pandas prints it, and so is what has very many columns
    fixed = models[1].fixed_effects_
    assert str(fixed) == str(pd.DataFrame(fixed))
    many = PrintedFrame({f"column_{i}": [1.5] for i in range(40)})
    assert str(many) == str(pd.DataFrame(many))
    names = [f"urban[T.Y]:poly(age, 3)[{i}]" for i in range(len(fixed))]
    assert "conf_high" in str(fixed.set_axis(names)) and "..." not in str(fixed.set_axis(names))
    assert "..." in str(pd.DataFrame(fixed.set_axis(names)))


def test_it_is_a_data_frame(models):
    table = compare_models(*models)
    pd.testing.assert_frame_equal(table, pd.DataFrame(table))
    assert isinstance(table.round(2)[["aic"]], PrintedFrame)
    assert "Note" not in str(table.round(2))
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)), table)
    assert models[1].covariance_.to_numpy().shape == (9, 9)
