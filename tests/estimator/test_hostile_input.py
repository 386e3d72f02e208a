"""Bad input either fits soundly or is refused by the name of the culprit, with a remedy."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hostile import FORMULA, make, with_values
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from sklearn_mllm import MixedLogisticClassifier, Prior


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ z + (1 | g)", "'z'"),
        ("y ~ x + (1 | school)", "grouping factor 'school'"),
        ("y ~ X + (1 | g)", "did you mean 'x'"),
        ("y ~ x + 1 | g", "parentheses"),
        ("y ~ x + (1 | g", r"'\('"),
        ("y ~ x + 1 | g)", r"'\)'"),
        ("y ~ x + ( | g)", "before the bar"),
        ("y ~ x + (1 | )", "grouping factor"),
        ("y ~ x + (1 | g | g)", "one bar"),
        ("y ~ x ~ g", "'~'"),
        ("y ~", "right"),
        ("", "right"),
        ("y ~ x + y + (1 | g)", "response 'y'"),
        ("y ~ x + (1 | g) + (1 | g)", "twice"),
        ("y ~ x + + (1 | g)", r"\+"),
        ("y ~ open('x') + (1 | g)", "'open'"),
        ("y ~ __import__('os') + (1 | g)", "__import__"),
        ("y ~ x.__class__ + (1 | g)", "__class__"),
        ("y ~ np.log(x) + (1 | g)", "np"),
        ("y ~ x[0] + (1 | g)", r"'\['"),
        ("y ~ {x} + (1 | g)", r"'\{'"),
        ("y ~ eval(x) + (1 | g)", "'eval'"),
        ("y ~ I(lambda: 0) + (1 | g)", "':'|lambda"),
        ("y ~ log(x) + (1 | g)", "log"),
        ("y ~ x + (1 | log(g))", "grouping factor"),
        ("y ~ x; g", "';'"),
        ("cbind(x, y, g) ~ 1 + (1 | g)", "cbind"),
    ],
)
def test_formula(formula, words):
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier(formula).fit(make())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop(columns="x"), "'x'"),
        (lambda d: d.drop(columns="y"), "'y'"),
        (with_values("x", [3, 4], np.nan), r"'x' \(2\)"),
        (with_values("g", [3], np.nan), r"'g' \(1\)"),
        (with_values("x", [3], np.inf), "'x'.*inf"),
        (with_values("y", [3], np.nan), "NaN"),
        (lambda d: d.assign(y=1), "class"),
        (lambda d: d.assign(y=np.arange(len(d)) % 3), "binary"),
        (lambda d: d.assign(y=d["x"]), "continuous"),
        (lambda d: d.iloc[:0], "0 sample"),
        (lambda d: d.assign(x=pd.Timestamp("2024-01-01")), "'x'.*dates"),
        (lambda d: d.assign(x=d["x"] + 1j), "[Cc]omplex"),
    ],
)
def test_data(change, words):
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier(FORMULA).fit(change(make()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample_weight": -np.ones(240)}, "sample_weight.*negative"),
        ({"sample_weight": np.zeros(240)}, "sample_weight is zero"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
        ({"sample_weight": np.full(240, np.nan)}, "sample_weight"),
        ({"offset": np.ones(3)}, "offset"),
        ({"offset": np.full(240, np.inf)}, "offset"),
        ({"groups": np.ones(3)}, "groups"),
        ({"groups": "g"}, r"'\(1 \| g\)'"),
        ({"y": np.ones(3)}, "inconsistent"),
        ({"y": "y"}, "'y ~ ...'"),
        ({"groups": {"x": np.zeros(240)}}, "'x'.*different values"),
    ],
)
def test_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier(FORMULA).fit(make(), **arguments)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"link": "log"}, "link='log'"),
        ({"n_agq": -1}, "n_agq"),
        ({"n_agq": 2.5}, "n_agq"),
        ({"missing": "omit"}, "missing"),
        ({"prediction": "mean"}, "prediction"),
        ({"unseen_groups": "skip"}, "unseen_groups"),
        ({"tol": 0}, "tol"),
        ({"tol": float("inf")}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"prior": "normal"}, "prior"),
        ({"prior": 2.5}, r"Prior\(fixed_sd=2.5\), got 2.5"),
        ({"formula": 3}, "formula"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_parameters(parameters, words):
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier(**{"formula": FORMULA, **parameters}).fit(make())


def test_a_factor_of_one_level_is_named():
    frame = make().assign(f="only", h="all")
    with pytest.warns(UserWarning, match=r"factor 'f' has the single level 'only'.*left out"):
        model = MixedLogisticClassifier("y ~ x + f + (1 | g)").fit(frame)
    assert model.fixed_effects_.index.tolist() == ["Intercept", "x"]
    # with a column of its own it says something
    whole = MixedLogisticClassifier("y ~ 0 + f + x + (0 + h | g)").fit(frame)
    assert whole.fixed_effects_.index.tolist() == ["f[only]", "x"]
    np.testing.assert_allclose(whole.log_likelihood_, model.log_likelihood_, rtol=1e-9)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        MixedLogisticClassifier(FORMULA).predict(make())


def test_prediction_input():
    frame = make()
    model = MixedLogisticClassifier("y ~ x + f + (1 | g)").fit(frame)
    with pytest.raises(ValueError, match=r"'f'.*'c'"):
        model.predict(frame.assign(f="c"))
    with pytest.raises(ValueError, match="'g'"):
        model.predict(frame.drop(columns="g"))
    with pytest.raises(ValueError, match="'x'"):
        model.predict(frame.drop(columns="x"))
    model.set_params(unseen_groups="error")
    with pytest.raises(ValueError, match=r"'g'.*update_groups"):
        model.predict(frame.assign(g=99))
    assert model.set_params(prediction="typical").predict(frame.drop(columns="g")).shape == (240,)


def test_groups_that_predict_lacks():
    frame = make()
    model = MixedLogisticClassifier().fit(frame[["x"]], frame["y"], groups=frame["g"])
    with pytest.raises(ValueError, match=r"'groups'.*pass groups=, as in fit"):
        model.predict(frame[["x"]])


def test_missing_drop():
    frame = make()
    holes = with_values("x", [0, 5], np.nan)(frame)
    holes = with_values("g", [7], np.nan)(holes)
    complete = MixedLogisticClassifier(FORMULA).fit(holes.dropna())
    dropped = MixedLogisticClassifier(FORMULA, missing="drop").fit(holes)
    assert dropped.log_likelihood_ == pytest.approx(complete.log_likelihood_, abs=1e-9)
    assert dropped.n_observations_ == 237
    proba = dropped.predict_proba(holes)
    assert np.isnan(proba[[0, 5, 7]]).all()
    assert np.isfinite(np.delete(proba, [0, 5, 7], axis=0)).all()
    assert np.isnan(dropped.predict(holes)[0])


@pytest.mark.parametrize("kind", ["single", "per_row", "pairs"])
def test_odd_groups_fit(kind):
    frame = make()
    codes = {"single": 0, "per_row": np.arange(240), "pairs": np.arange(240) // 2}[kind]
    model = MixedLogisticClassifier(FORMULA).fit(frame.assign(g=codes))
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(model.predict_proba(frame.assign(g=codes))).all()


def test_groups_all_of_one_class():
    frame = make()
    frame.loc[frame["g"] < 6, "y"] = 1
    frame.loc[frame["g"] >= 6, "y"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MixedLogisticClassifier(FORMULA).fit(frame)
    assert np.isfinite(model.fixed_effects_["estimate"]).all()
    assert not model.converged_ or model.variance_components_["std_dev"].iloc[0] > 3


def test_collinear_and_constant_columns_are_named():
    frame = make().assign(z=lambda d: 2 * d["x"] + 1, c=3.0)
    with pytest.warns(UserWarning, match=r"'z', 'c'|'c'.*'z'"):
        model = MixedLogisticClassifier("y ~ x + z + c + (1 | g)").fit(frame)
    table = model.fixed_effects_
    assert table.loc[["z", "c"]].isna().all().all()
    assert list(model.coef_[0, 1:]) == [0.0, 0.0]
    plain = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-9)


@pytest.mark.parametrize("n_agq", [1, 9])
def test_what_the_warning_of_a_boundless_variance_says_to_pass_bounds_it(n_agq):
    rows = np.arange(120)
    frame = pd.DataFrame({"g": rows // 4, "x": np.sin(rows), "y": rows // 4 % 2})
    model = MixedLogisticClassifier("y ~ x + (1 | g)", n_agq=n_agq)
    words = r"the variance of 'Intercept' in 'g'.*prior=(Prior\([^)]*\)) keeps it finite"
    with pytest.warns(ConvergenceWarning) as caught:
        # the default has no upper bound, as the words say
        model.set_params(prior=Prior(random="wishart")).fit(frame)
    told = re.search(words, str(caught[0].message))
    assert told and "as no infinite scale does" in str(caught[0].message)
    bounded = eval(told[1], {"Prior": Prior})
    assert model.set_params(prior=bounded).fit(frame).converged_
    assert 1.0 < model.variance_components_["std_dev"].item() < 15.0


def test_separation_is_named_and_a_prior_mends_it():
    frame = make().assign(s=lambda d: (d["y"] == 1).astype(float))
    with pytest.warns(ConvergenceWarning, match=r"'s'.*prior="):
        model = MixedLogisticClassifier("y ~ x + s + (1 | g)").fit(frame)
    assert not model.converged_
    assert np.isfinite(model.fixed_effects_["estimate"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        again = MixedLogisticClassifier("y ~ x + s + (1 | g)").fit(frame)
    assert again.fixed_effects_["estimate"].equals(model.fixed_effects_["estimate"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mended = MixedLogisticClassifier(
            "y ~ x + s + (1 | g)", prior=Prior(fixed_sd=2.5, random="wishart")
        ).fit(frame)
    assert mended.converged_
    assert abs(mended.fixed_effects_.loc["s", "estimate"]) < 15


def test_zero_variance_is_reported_in_words_without_a_warning():
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"g": np.repeat(np.arange(30), 20), "x": generator.normal(size=600)})
    frame["y"] = np.tile([0, 1], 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.is_singular_
    assert model.variance_components_["variance"].iloc[0] == 0.0
    assert "variance of 'Intercept' in 'g' is zero" in model.convergence_.message


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_correlation_is_reported_with_its_sign(sign):
    generator = np.random.default_rng(1)
    g, x = np.repeat(np.arange(25), 12), generator.normal(size=300)
    b = generator.normal(size=25)[g]
    y = (generator.uniform(size=300) < 1 / (1 + np.exp(-b - 0.9 * b * x))).astype(int)
    frame = pd.DataFrame({"x": sign * x, "g": g, "y": y})
    model = MixedLogisticClassifier("y ~ x + (1 + x | g)").fit(frame)
    assert model.is_singular_ and model.converged_
    words = f"the correlation of 'Intercept' and 'x' in 'g' is {sign:+d}"
    assert words in model.convergence_.message


@pytest.mark.parametrize(
    "labels", [(False, True), ("no", "yes"), (1, 2), (-1, 1), (0.0, 1.0), (b"a", b"b")]
)
def test_labels_of_any_type(labels):
    frame = make()
    y = np.array(labels)[frame["y"]]
    model = MixedLogisticClassifier(FORMULA).fit(frame.drop(columns="y"), y)
    reference = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)
    assert set(model.predict(frame)) <= set(labels)


@pytest.mark.parametrize("name", ["my col", "a.b", "1", "x-y", "ü", "if", "C"])
def test_names_with_any_characters(name):
    frame = make().rename(columns={"x": name})
    model = MixedLogisticClassifier(f"y ~ `{name}` + (1 | g)").fit(frame)
    reference = MixedLogisticClassifier(FORMULA).fit(make())
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)
    assert name in model.fixed_effects_.index[1]
    default = MixedLogisticClassifier().fit(frame[[name]], frame["y"], groups=frame["g"])
    assert default.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)


def test_levels_with_any_characters():
    frame = make()
    levels = np.array(["a:b", "<b>", "ü ", "'", '"', "a\\", "None", "1", "1.0", "x|y", "", "nan"])
    model = MixedLogisticClassifier("y ~ x + (1 | g)").fit(frame.assign(g=levels[frame["g"]]))
    reference = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)
    assert set(model.random_effects_["level"]) == set(levels)


def test_names_of_columns_for_an_array():
    """As when the step before in a pipeline hands on an array."""
    frame = make()
    with pytest.raises(ValueError, match=r"'x'.*X is an array.*set_output"):
        MixedLogisticClassifier("~ x + (1 | g)").fit(frame[["x", "g"]].to_numpy(), frame["y"])


def test_text_beside_numbers_in_arrays_and_lists():
    frame = make()
    reference = MixedLogisticClassifier("y ~ x + f + (1 | g)").fit(frame)
    mixed = frame[["x", "f", "g"]]
    for X in (mixed.to_numpy(), mixed.to_numpy().tolist()):
        model = MixedLogisticClassifier("~ x0 + x1 + (1 | x2)").fit(X, frame["y"])
        assert model.fixed_effects_.index.tolist() == ["Intercept", "x0", "x1[T.b]"]
        assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)
        assert model.predict_proba(X[:3]) == pytest.approx(reference.predict_proba(frame.head(3)))
    with pytest.raises(ValueError, match=r"array of text.*dtype object"):
        model.fit(mixed.to_numpy().astype(str), frame["y"])
    # what a step before has made an array of is not silently something else
    with pytest.raises(ValueError, match=r"'x'.*X is an array.*set_output"):
        MixedLogisticClassifier("~ x + f + (1 | g)").fit(mixed.to_numpy(), frame["y"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_only_the_columns_of_an_array_that_are_used_must_be_complete(value):
    frame = make()
    X = frame[["x", "g", "x"]].to_numpy()
    X[:4, 2] = value
    model = MixedLogisticClassifier("~ x0 + (1 | x1)").fit(X, frame["y"])
    reference = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.log_likelihood_ == pytest.approx(reference.log_likelihood_, abs=1e-9)
    assert model.predict_proba(X) == pytest.approx(reference.predict_proba(frame))
    words = r"'x2' \(4\).*missing='drop'" if np.isnan(value) else "'x2' holds 4 infinite"
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier("~ x0 + x2 + (1 | x1)").fit(X, frame["y"])


def test_an_array_after_a_frame_has_the_columns_of_the_frame():
    frame = make()
    X = frame[["g", "x"]]
    for formula, groups in (("~ x + (1 | g)", None), (None, frame["f"])):
        model = MixedLogisticClassifier(formula).fit(X, frame["y"], groups=groups)
        with pytest.warns(UserWarning, match="feature names"):
            proba = model.predict_proba(X.to_numpy(), groups)
        assert np.array_equal(proba, model.predict_proba(X, groups))
    with pytest.raises(ValueError, match="3 features"), pytest.warns(UserWarning, match="names"):
        model.predict_proba(np.ones((2, 3)), groups=["a", "a"])


def test_all_columns_need_neither_response_nor_groups_to_predict():
    frame = make()
    model = MixedLogisticClassifier("y ~ . + (1 | g)").fit(frame)
    expected = model.predict_proba(frame)
    assert np.array_equal(model.predict_proba(frame.drop(columns="y")), expected)
    apart = MixedLogisticClassifier("y ~ . + (1 | g)").fit(frame.drop(columns="y"), frame["y"])
    assert np.array_equal(apart.predict_proba(frame), expected)
    model.set_params(prediction="typical")
    bare = frame[["x", "f"]]
    assert np.array_equal(model.predict_proba(bare), model.predict_proba(frame))
    for other in (bare[["f", "x"]], bare.assign(z=1.0), bare[["x"]]):
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict_proba(other)


def test_a_formula_set_after_the_fit_changes_nothing():
    frame = make()
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    before = model.predict_proba(frame)
    other = frame[["g", "f", "x"]].assign(more=1)
    for formula in (None, "y ~ . + (1 | g)", "y ~ ) ("):
        assert np.array_equal(model.set_params(formula=formula).predict_proba(other), before)


@pytest.mark.parametrize("where", ["X", "groups"])
def test_lazy_frames(where):
    pl = pytest.importorskip("polars")
    frame = make()
    lazy = pl.DataFrame({"x": frame["x"].tolist(), "g": frame["g"].tolist()}).lazy()
    arguments = {"X": frame[["x"]], "y": frame["y"], "groups": frame["g"], where: lazy}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=f"{where} is a lazy frame.*collect"):
            MixedLogisticClassifier().fit(**arguments)


def test_complex_weights():
    with pytest.raises(ValueError, match="sample_weight must be numbers"):
        MixedLogisticClassifier(FORMULA).fit(make(), sample_weight=np.full(240, 1j))


# -- the response and its score --------------------------------------------------------------------
