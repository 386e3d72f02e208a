"""The adapter for the `marginaleffects` package, driven by a stand-in that calls what it calls."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC
from types import ModuleType

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mllm import (
    MixedLogisticClassifier,
    marginal_effects,
    marginaleffects_model,
    robust_covariance,
)
from sklearn_mllm.datasets import load_contraception

FORMULA = "use ~ age * ch + I(age^2) + urban + livch + (1 | district)"


@pytest.fixture(scope="module")
def women() -> pd.DataFrame:
    return load_contraception().frame


@pytest.fixture(scope="module")
def model(women) -> MixedLogisticClassifier:
    with pytest.warns(UserWarning, match="linear combinations"):  # livch[T.3+], aliased
        return MixedLogisticClassifier(FORMULA).fit(women)


def with_errors(adapter, function, vcov=True):
    """Values of a function of the coefficients, and delta-method errors by differences."""
    beta, V = adapter.get_coef(), adapter.get_vcov(vcov)
    assert V.shape == (beta.size, beta.size)
    base = function(beta)
    J = np.empty((base.size, beta.size))
    for j in range(beta.size):
        step = np.zeros(beta.size)
        step[j] = 1e-4 * max(np.sqrt(V[j, j]), 1e-4)
        J[:, j] = (function(beta + step) - function(beta - step)) / (2.0 * step[j])
    return base, np.sqrt(np.einsum("ra,ab,rb->r", J, V, J))


def stand_in_predictions(adapter, newdata=None):
    data = adapter.get_modeldata() if newdata is None else newdata
    data = data.with_columns(pl.Series("rowid", range(data.height), dtype=pl.Int32))
    exog = adapter.get_exog(data)

    def predict(beta):
        out = adapter.get_predict(params=beta, newdata=exog)
        assert out.columns == ["rowid", "estimate"]
        assert out["rowid"].dtype == pl.Int32 and out.height == data.height
        return out["estimate"].to_numpy()

    return with_errors(adapter, predict)


def stand_in_average_effects(adapter, eps=1e-4):
    """Averages of slopes of numbers, and of differences to the first level of the others."""
    data = adapter.get_modeldata()
    out = {}
    for name in adapter.find_predictors():
        kind = adapter.get_variable_type(name)
        if kind in ("numeric", "integer"):
            x = data[name].cast(pl.Float64)
            pairs = {name: (x - eps / 2, x + eps / 2, eps)}
        elif kind in ("boolean", "binary"):
            values = [False, True] if kind == "boolean" else [0, 1]
            low, high = (pl.Series([v] * data.height) for v in values)
            pairs = {f"{name}[True - False]": (low, high, 1.0)}
        else:
            assert kind == "character"
            levels = data[name].unique().sort().to_list()
            fill = [pl.Series([v] * data.height, dtype=data[name].dtype) for v in levels]
            pairs = {
                f"{name}[{levels[k]} - {levels[0]}]": (fill[0], fill[k], 1.0)
                for k in range(1, len(levels))
            }
        for label, (low, high, divisor) in pairs.items():
            # rows of all levels come first, and are cut off again from the design
            pad = data[:3]
            low_X, high_X = (
                adapter.get_exog(
                    pl.concat([pad, data.with_columns(v.alias(name))], how="vertical_relaxed")
                )[3:]
                for v in (low, high)
            )

            def effect(beta, low_X=low_X, high_X=high_X, divisor=divisor):
                first = adapter.get_predict(params=beta, newdata=low_X)["estimate"].to_numpy()
                second = adapter.get_predict(params=beta, newdata=high_X)["estimate"].to_numpy()
                return np.array([np.mean(second - first) / divisor])

            value, error = with_errors(adapter, effect)
            out[label] = (value[0], error[0])
    return pd.DataFrame(out, index=["estimate", "std_error"]).T


def test_predictions_and_errors_are_those_of_the_linear_predictor(model, women):
    adapter = marginaleffects_model(model, women)
    found, error = stand_in_predictions(adapter)
    typical = MixedLogisticClassifier(FORMULA, prediction="typical")
    with pytest.warns(UserWarning, match="linear combinations"):
        typical.fit(women)
    expected = typical.predict_proba(women)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    kept = model.fixed_effects_["estimate"].notna().to_numpy()
    X = adapter.get_exog(women)[:, :-1][:, kept]
    V = model.covariance_.to_numpy()[np.ix_(kept, kept)]
    by_formula = expected * (1.0 - expected) * np.sqrt(np.einsum("na,ab,nb->n", X, V, X))
    np.testing.assert_allclose(error, by_formula, rtol=1e-5)


def test_predictions_of_new_rows(model, women):
    grid = pl.DataFrame(
        {"age": [-10.0, 0.0, 10.0], "ch": ["N", "Y", "Y"], "urban": ["Y", "N", "Y"]}
    ).with_columns(livch=pl.lit("1"))
    found, _ = stand_in_predictions(marginaleffects_model(model, women), grid)
    b = model.fixed_effects_["estimate"].fillna(0.0)
    age, ch, urban = np.array([-10.0, 0.0, 10.0]), np.array([0, 1, 1]), np.array([1, 0, 1])
    eta = b["Intercept"] + b["age"] * age + b["ch[T.Y]"] * ch + b["I(age ** 2)"] * age**2
    eta = eta + b["urban[T.Y]"] * urban + b["age:ch[T.Y]"] * age * ch + b["livch[T.1]"]
    np.testing.assert_allclose(found, 1.0 / (1.0 + np.exp(-eta)), rtol=1e-9)


@pytest.mark.parametrize("prediction", ["typical", "marginal"])
def test_average_effects_are_ours(model, women, prediction):
    found = stand_in_average_effects(marginaleffects_model(model, women, prediction=prediction))
    ours = marginal_effects(model, women, prediction=prediction)
    assert set(found.index) == set(ours.index)
    ours = ours.loc[found.index]
    np.testing.assert_allclose(found["estimate"], ours["estimate"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found["std_error"], ours["std_error"], rtol=1e-5)


def other_frame() -> pd.DataFrame:
    generator = np.random.default_rng(11)
    n = 400
    frame = pd.DataFrame(
        {
            "g": np.repeat(np.arange(20), 20),
            "x": generator.normal(size=n),
            "flag": generator.uniform(size=n) < 0.5,
            "dose": generator.integers(1, 4, size=n),
            "treated": generator.integers(0, 2, size=n),
            "shift": generator.normal(size=n),
            "kind": generator.choice(["b", "a"], size=n),
        }
    )
    eta = 0.8 * frame["x"] + 0.5 * frame["flag"] - 0.4 * (frame["dose"] == 2) + frame["shift"]
    eta = eta + 0.9 * generator.normal(size=20)[frame["g"]]
    return frame.assign(y=(generator.uniform(size=n) < 1.0 / (1.0 + np.exp(-eta))).astype(int))


def test_every_kind_of_column_links_offsets_and_slopes():
    frame = other_frame()
    formula = "y ~ x + flag + C(dose) + treated + kind + offset(shift) + (1 + x | g)"
    model = MixedLogisticClassifier(formula, link="probit").fit(frame)
    adapter = marginaleffects_model(model, frame, prediction="marginal")
    assert adapter.get_variable_type() == {
        "x": "numeric", "flag": "boolean", "dose": "character", "treated": "binary",
        "kind": "character",
    }  # fmt: skip
    found = stand_in_average_effects(adapter)
    ours = marginal_effects(model, frame, prediction="marginal")
    # a number 0/1 counts as two levels there, as a number here
    same = [k for k in found.index if not k.startswith(("flag", "treated"))]
    np.testing.assert_allclose(
        found.loc[same, ["estimate", "std_error"]],
        ours.loc[same, ["estimate", "std_error"]],
        rtol=1e-3,
    )
    flag = ours.loc["flag[True - False]", "estimate"]
    assert found.loc["flag[True - False]", "estimate"] == pytest.approx(flag, rel=1e-6)
    rise = [
        model.set_params(prediction="marginal").predict_proba(frame.assign(treated=v))[:, 1]
        for v in (0, 1)
    ]
    difference = found.loc["treated[True - False]", "estimate"]
    assert difference == pytest.approx(np.mean(rise[1] - rise[0]), rel=1e-5)


def test_covariance(model, women):
    adapter = marginaleffects_model(model, women)
    assert adapter.get_vcov(False) is None
    assert np.isfinite(adapter.get_vcov(True)).all()
    with pytest.raises(ValueError, match="robust_covariance"):
        adapter.get_vcov("HC3")
    robust = robust_covariance(model, women)
    other = marginaleffects_model(model, women, covariance=robust)
    kept = robust.notna().any(axis=1).to_numpy()
    np.testing.assert_array_equal(
        other.get_vcov(True)[np.ix_(kept, kept)], robust.to_numpy()[np.ix_(kept, kept)]
    )
    assert list(adapter.get_coefnames()) == list(model.fixed_effects_.index)


def test_rows_and_columns(women):
    formula = "use ~ age + urban + (1 | district)"
    model = MixedLogisticClassifier(formula, missing="drop")
    data = women.assign(note=np.where(women["age"] > 0, "old", "young"))
    data.loc[data.index[:5], "age"] = np.nan
    model.fit(data)
    adapter = marginaleffects_model(model, data)
    rows = adapter.get_modeldata()
    assert rows.height == len(women) - 5 and set(rows.columns) == set(data.columns)
    assert rows["urban"].dtype == pl.Enum(["N", "Y"])
    assert rows["note"].dtype == pl.Enum(["old", "young"])
    assert adapter.find_variables() == ["use", "age", "urban"]
    assert adapter.get_formula() == "~ `age` + `urban`"
    with pytest.raises(ValueError, match="1 of 2 rows miss a predictor"):
        adapter.get_exog(data.iloc[4:6])
    with pytest.raises(ValueError, match="lacks column"):
        marginaleffects_model(model, women.drop(columns="age"))
    with pytest.raises(ValueError, match="lacks column"):
        marginaleffects_model(model, women[["woman", "district"]].to_numpy())
    with pytest.raises(ValueError, match="is not one of 'typical', 'marginal'"):
        marginaleffects_model(model, women, prediction="conditional")


def test_known_to_the_package_where_it_is_installed(model, women, monkeypatch):
    class ModelAbstract(ABC):  # noqa: B024
        pass

    module = ModuleType("marginaleffects.classes.model")
    module.ModelAbstract = ModelAbstract
    for name in ("marginaleffects", "marginaleffects.classes"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert isinstance(marginaleffects_model(model, women), ModelAbstract)
    monkeypatch.setitem(sys.modules, "marginaleffects", None)
    monkeypatch.delitem(sys.modules, "marginaleffects.classes")
    monkeypatch.delitem(sys.modules, module.__name__)
    assert marginaleffects_model(model, women).get_package() == "sklearn_mllm"


def test_the_package_is_not_imported_by_ours():
    code = (
        "import sys, sklearn_mllm\n"
        "[getattr(sklearn_mllm, name) for name in sklearn_mllm.__all__]\n"
        "print('marginaleffects' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
