"""Standardised coefficients against a refit of a frame that was standardised by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier, Prior, standardized_effects

COLUMNS = ["estimate", "std_error", "conf_low", "conf_high"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    n = 600
    g = np.repeat(np.arange(30), n // 30)
    x = 40.0 + 7.0 * generator.normal(size=n)
    binary = (generator.uniform(size=n) < 0.3).astype(int)
    kind = generator.choice(["a", "b", "c"], size=n)
    eta = 0.1 * (x - 40.0) + 0.7 * binary - 0.4 * (kind == "b")
    eta = eta + 0.8 * generator.normal(size=30)[g]
    y = (generator.uniform(size=n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "g": g, "x": x, "binary": binary, "kind": kind})


def by_hand(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    out = frame.copy()
    for name in names:
        values = frame[name].to_numpy(dtype=float)
        centred = values - values.sum() / values.size
        out[name] = centred / np.sqrt((centred**2).sum() / (values.size - 1))
    return out


def agree(table: pd.DataFrame, other: pd.DataFrame) -> None:
    assert list(table.index) == list(other.index)
    np.testing.assert_allclose(table[COLUMNS], other[COLUMNS], rtol=1e-5, atol=1e-6)


FORMULA = "y ~ x * binary + I(x^2) + kind + (1 | g)"


def test_two_valued_numbers_are_standardised_too(frame):
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    again = MixedLogisticClassifier(FORMULA).fit(by_hand(frame, "x", "binary"))
    agree(standardized_effects(model, frame), again.fixed_effects_)


def test_columns_to_keep(frame):
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    again = MixedLogisticClassifier(FORMULA).fit(by_hand(frame, "x"))
    agree(standardized_effects(model, frame, keep="binary"), again.fixed_effects_)
    formula = "y ~ log(x) + binary + (1 | g)"
    model = MixedLogisticClassifier(formula).fit(frame)
    again = MixedLogisticClassifier(formula).fit(by_hand(frame, "binary"))
    agree(standardized_effects(model, frame, keep=["x"]), again.fixed_effects_)


@pytest.mark.parametrize("keep", ["kind", ["x", "g"], "z"])
def test_keep_names_numeric_columns(frame, keep):
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    with pytest.raises(ValueError, match="no numeric column of the formula; they are x, binary"):
        standardized_effects(model, frame, keep=keep)


def test_factors_booleans_offsets_and_numbers_in_C_stay(frame):
    data = frame.assign(flag=frame["x"] > 43.0, shift=0.01 * frame["x"])
    formula = "y ~ x + flag + C(binary) + kind + offset(shift) + (1 | g)"
    model = MixedLogisticClassifier(formula).fit(data)
    again = MixedLogisticClassifier(formula).fit(by_hand(data, "x"))
    agree(standardized_effects(model, data), again.fixed_effects_)


def test_rows_that_the_fit_dropped_do_not_count(frame):
    data = frame.copy()
    data.loc[data.index[:40], "kind"] = None
    data.loc[data.index[:40], "x"] = 1000.0
    model = MixedLogisticClassifier(FORMULA, missing="drop").fit(data)
    again = MixedLogisticClassifier(FORMULA).fit(by_hand(data.iloc[40:], "x", "binary"))
    agree(standardized_effects(model, data), again.fixed_effects_)
    weight = np.r_[np.zeros(40), np.ones(len(frame) - 40)]
    model = MixedLogisticClassifier(FORMULA).fit(frame, sample_weight=weight)
    again = MixedLogisticClassifier(FORMULA).fit(by_hand(frame.iloc[40:], "x", "binary"))
    agree(standardized_effects(model, frame, sample_weight=weight), again.fixed_effects_)


def test_labels_apart_groups_apart_and_a_prior(frame):
    model = MixedLogisticClassifier("x + binary + (1 | g)", prior=Prior()).fit(
        frame[["x", "binary"]], frame["y"], groups={"g": frame["g"]}
    )
    table = standardized_effects(
        model, frame[["x", "binary"]], frame["y"], groups={"g": frame["g"]}
    )
    again = MixedLogisticClassifier("x + binary + (1 | g)", prior=Prior()).fit(
        by_hand(frame, "x", "binary"), frame["y"]
    )
    agree(table, again.fixed_effects_)


def test_arrays(frame):
    X = frame[["x", "binary"]].to_numpy(dtype=float)
    model = MixedLogisticClassifier().fit(X, frame["y"], groups=frame["g"])
    again = MixedLogisticClassifier().fit(
        by_hand(frame, "x", "binary")[["x", "binary"]].to_numpy(), frame["y"], groups=frame["g"]
    )
    agree(standardized_effects(model, X, frame["y"], groups=frame["g"]), again.fixed_effects_)


def test_other_data_than_those_of_the_fit(frame):
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    with pytest.raises(ValueError, match="599 rows here, 600 there"):
        standardized_effects(model, frame.iloc[1:])
    with pytest.raises(ValueError, match="mean response"):
        standardized_effects(model, frame.assign(y=1 - frame["y"]))
    with pytest.raises(ValueError, match="not those of the fit"):
        standardized_effects(model, frame.assign(x=frame["x"] + frame["g"]))
    with pytest.raises(ValueError, match=r"coefficients are .* there"):
        standardized_effects(model, frame.assign(kind=frame["kind"].replace("c", "d")))
    with pytest.raises(ValueError, match="sample_weight"):
        standardized_effects(model, frame, sample_weight=1.0 + frame["y"])
    with pytest.raises(ValueError, match="training data"):
        standardized_effects(model, None)


def test_logarithms_and_roots_stay_defined(frame):
    """As effectsize: after standardising, the column starts at 1 for a logarithm, at 0 for a root."""
    rng = np.random.default_rng(0)
    sizes = {name: rng.lognormal(size=len(frame)) for name in ("size", "part", "z")}
    positive = frame.assign(**sizes)
    formula = "y ~ log(size + 1) + sqrt(part) + z + (1 | g)"
    table = standardized_effects(MixedLogisticClassifier(formula).fit(positive), positive)

    def moved(column, start):
        z = (column - column.mean()) / column.std()
        return z if start is None else z - z.min() + start

    by_hand = frame.assign(
        size=moved(positive["size"], 1.0),
        part=moved(positive["part"], 0.0),
        z=moved(positive["z"], None),
    )
    agree(table, MixedLogisticClassifier(formula).fit(by_hand).fixed_effects_)
