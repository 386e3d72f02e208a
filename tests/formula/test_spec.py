"""ModelSpec: what is learnt, and that it replays on new rows."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm.design.table import make_table
from sklearn_mllm.formula import FormulaError, ModelSpec, parse, response_values


def make_data(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "use": rng.choice(["N", "Y"], n),
            "age": rng.normal(size=n),
            "age2": rng.normal(size=n),
            "ch": rng.choice(["a", "b", "c"], n),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n), ["s", "m", "l", "xl"]),
            "flag": rng.random(n) > 0.5,
            "k": rng.integers(1, 4, n),
            "my col": rng.normal(size=n),
            "a.b": rng.normal(size=n),
            "class": rng.normal(size=n),
            "2015": rng.normal(size=n),
            "positive": rng.uniform(1.0, 2.0, n),
            "s": rng.integers(0, 5, n),
            "n": np.full(n, 9),
            "g": rng.integers(0, 6, n),
            "h": rng.choice(["u", "v"], n),
        }
    )


DATA = make_data()


def learn(formula, data=DATA, groups=None, **options):
    return ModelSpec.learn(parse(formula), make_table(data, groups), **options)


# -- design ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula, names",
    [
        ("~ 1", ["Intercept"]),
        ("~ 0", []),
        ("~ age", ["Intercept", "age"]),
        ("~ 0 + age + age2", ["age", "age2"]),
        ("~ age*ch", ["Intercept", "age", "ch[T.b]", "ch[T.c]", "age:ch[T.b]", "age:ch[T.c]"]),
        ("~ ch:age + age", ["Intercept", "age", "ch[T.b]:age", "ch[T.c]:age"]),
        ("~ 0 + ch", ["ch[a]", "ch[b]", "ch[c]"]),
        ("~ ch*h - ch:h - 1 + age", ["ch[a]", "ch[b]", "ch[c]", "h[T.v]", "age"]),
        ("~ h/age", ["Intercept", "h[T.v]", "h[u]:age", "h[v]:age"]),
        ("~ size", ["Intercept", "size[T.m]", "size[T.l]"]),
        ("~ flag", ["Intercept", "flag"]),
        ("~ k", ["Intercept", "k"]),
        ("~ factor(k)", ["Intercept", "C(k)[T.2]", "C(k)[T.3]"]),
        ("~ C(flag)", ["Intercept", "C(flag)[T.True]"]),
        (
            "~ C(ch, contr.treatment('b'))",
            ["Intercept", "C(ch, contr.treatment('b'))[T.a]", "C(ch, contr.treatment('b'))[T.c]"],
        ),
        ("~ I(age^2)", ["Intercept", "I(age ** 2)"]),
        ("~ I(age > 0)", ["Intercept", "I(age > 0)"]),
        ("~ `my col`*h", ["Intercept", "my col", "h[T.v]", "my col:h[T.v]"]),
        ("~ I(`my col`^2) + I(a.b*2)", ["Intercept", "I(`my col` ** 2)", "I(a.b * 2)"]),
        ("~ class + `2015` + a.b", ["Intercept", "class", "2015", "a.b"]),
        ("~ poly(age, 2)", ["Intercept", "poly(age, 2)[1]", "poly(age, 2)[2]"]),
        ("~ scale(age) + center(age2)", ["Intercept", "scale(age)", "center(age2)"]),
        ("~ bs(age, df=4)", ["Intercept", *(f"bs(age, df=4)[{i}]" for i in range(1, 5))]),
        ("~ ns(age, 3)", ["Intercept", *(f"ns(age, 3)[{i}]" for i in range(1, 4))]),
        ("~ log(positive)", ["Intercept", "log(positive)"]),
    ],
)
def test_names_are_formulaics(formula, names):
    spec, matrices = learn(formula)
    assert list(matrices.names) == names == list(spec.names)
    assert matrices.X.shape == (60, len(names))


def test_names_and_values_equal_formulaic():
    from formulaic import model_matrix

    text = (
        "age*ch + size:age2 + I(age ** 2) + flag + C(k) + poly(age, 3) + scale(age2) + "
        "bs(positive, df=5) + cs(positive, df=4) + log(positive) + `my col`:h"
    )
    expected = model_matrix(text, DATA.assign(size=DATA["size"].cat.remove_unused_categories()))
    _, matrices = learn(f"~ {text}")
    assert list(matrices.names) == list(expected.columns)
    np.testing.assert_allclose(matrices.X, expected.to_numpy(dtype=float), atol=1e-13)


FORMULAS = [
    "~ age + age2",
    "~ age*ch + I(age^2) + size + flag + (1 | g)",
    "~ poly(age, 3) + scale(age2) + center(positive) + bs(age2, df=5) + ns(positive, 3)",
    "~ C(k) + factor(flag):age + C(age > 0) + (0 + ch | g) + (poly(age, 2) | h)",
    "~ I(ch == 'a') + `my col`:class + log(a.b^2 + 1) + (1 + age | g:h)",
    "~ 0 + ch:h + offset(log(n) - age) + (age || h/g)",
    "~ cc(positive, df=4) + C(ch, contr.sum) + C(k, contr.poly)",
    "~ . - class + (1 | g) + (1 | h)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_replay_gives_the_same_rows(formula):
    spec, learnt = learn(formula)
    rows = np.array([3, 50, 4, 4, 17])
    for other in (spec, pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
        again = other.replay(make_table(DATA.iloc[rows]))
        np.testing.assert_allclose(again.X, learnt.X[rows], atol=1e-12)
        assert again.names == learnt.names and again.rows is None
        if learnt.offset is not None:
            np.testing.assert_allclose(again.offset, learnt.offset[rows])
        for a, b in zip(again.random, learnt.random, strict=True):
            assert (a.group, a.effects) == (b.group, b.effects)
            assert a.levels.tolist() == b.levels.tolist()
            np.testing.assert_array_equal(a.codes, b.codes[rows])
            assert (a.Z is None) == (b.Z is None)
            if a.Z is not None:
                np.testing.assert_allclose(a.Z, b.Z[rows], atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_columns_are_contiguous(formula):
    spec, learnt = learn(formula)
    for matrices in (learnt, spec.replay(make_table(DATA))):
        for array in (matrices.X, *(t.Z for t in matrices.random if t.Z is not None)):
            assert array.dtype == np.float64 and array.flags.f_contiguous


def test_one_row_and_no_row():
    spec, learnt = learn("~ age*ch + (age | g)")
    one = spec.replay(make_table(DATA.iloc[:1]))
    np.testing.assert_allclose(one.X, learnt.X[:1])
    none = spec.replay(make_table(DATA.iloc[:0]))
    assert none.X.shape == (0, 6) and none.random[0].codes.shape == (0,)
    assert none.random[0].Z.shape == (0, 2)


def test_intercept_term_has_no_matrix():
    _, matrices = learn("~ (1 | g) + (0 + age | g) + (age | h)")
    assert matrices.random[0].Z is None
    assert matrices.random[1].effects == ("age",) and matrices.random[1].Z.shape == (60, 1)
    assert matrices.random[2].effects == ("Intercept", "age")
    np.testing.assert_array_equal(matrices.random[2].Z[:, 0], 1.0)


def test_a_double_bar_parts_terms_and_not_levels():
    double, written = learn("~ (age + ch || g)"), learn("~ (1 | g) + (0 + age | g) + (0 + ch | g)")
    for _, matrices in (double, written):
        assert [term.effects for term in matrices.random] == [
            ("Intercept",), ("age",), ("ch[a]", "ch[b]", "ch[c]"),
        ]  # fmt: skip


def test_same_power_in_both_spellings():
    a, b = learn("~ I(age^2)")[1], learn("~ I(age**2)")[1]
    assert a.names == b.names
    np.testing.assert_array_equal(a.X, b.X)


def test_training_rows_are_not_kept():
    formula = "~ age + poly(age, 2) + I(age^2) + scale(age2)"
    sizes = [len(pickle.dumps(learn(formula, make_data(n))[0])) for n in (50, 5000)]
    assert abs(sizes[1] - sizes[0]) < 200
    spec, _ = learn("~ age*ch + (1 | g)", make_data(5000))
    spec.replay(make_table(DATA))
    assert len(pickle.dumps(spec)) < 10_000


def test_narrow_numbers_do_not_wrap():
    data = pd.DataFrame(
        {"i": np.array([100, 127, -128], dtype=np.int8), "u": np.uint8([0, 1, 255])}
    )
    _, matrices = learn("~ I(i^2) + I(u - 2)", data)
    np.testing.assert_array_equal(matrices.X[:, 1], [10000, 16129, 16384])
    np.testing.assert_array_equal(matrices.X[:, 2], [-2, -1, 253])


def test_dot():
    data = DATA[["use", "age", "age2", "ch", "g"]]
    assert learn("use ~ . + (1 | g)", data)[1].names == (
        "Intercept", "age", "age2", "ch[T.b]", "ch[T.c]",
    )  # fmt: skip
    assert learn("use ~ . + I(age^2)", data[["use", "age", "age2"]])[1].names == (
        "Intercept", "age2", "I(age ** 2)",
    )  # fmt: skip
    assert learn("use ~ .^2 - age:age2", data[["use", "age", "age2"]])[1].names == (
        "Intercept", "age", "age2",
    )  # fmt: skip
    names = learn(
        "~ . + (1 | site)", np.ones((4, 2)), {"site": [1, 1, 2, 2], "other": [1, 2, 3, 4]}
    )
    assert names[1].names == ("Intercept", "x0", "x1")


def test_levels_follow_the_categorical_and_else_are_sorted():
    data = pd.DataFrame({"f": ["b", "a", "c", "b"], "g": ["z", "y", "z", "y"]})
    data["c"] = pd.Categorical(data["f"], ["c", "b", "a", "unused"])
    data["i"] = pd.Categorical([3, 1, 2, 3], [2, 3, 1])
    assert learn("~ f", data)[1].names == ("Intercept", "f[T.b]", "f[T.c]")
    assert learn("~ c", data)[1].names == ("Intercept", "c[T.b]", "c[T.a]")
    assert learn("~ i", data)[1].names == ("Intercept", "i[T.3]", "i[T.1]")
    # levels without a row in use leave no column
    keep = np.array([True, True, False, True])
    assert learn("~ f", data, keep=keep)[1].names == ("Intercept", "f[T.b]")


def test_levels_of_any_characters():
    values = ["a:b", "[T.x]", "q'\"", "", "é ", "a:b"]
    data = pd.DataFrame({"f": values, "x": np.arange(6.0)})
    spec, matrices = learn("~ f*x + (1 | f)", data)
    assert matrices.X.shape == (6, 10)
    assert set(matrices.random[0].levels) == set(values)
    np.testing.assert_array_equal(spec.replay(make_table(data)).X, matrices.X)


# -- missing, infinite, unknown --------------------------------------------------------------------


def holed():
    data = DATA.head(10).copy()
    data.loc[0, "age"] = np.nan
    data.loc[[1, 2], "ch"] = None
    data["g"] = data["g"].astype(float)
    data.loc[3, "g"] = np.nan
    data.loc[4, "2015"] = np.nan
    return data


def test_missing_values_are_named_and_counted():
    with pytest.raises(FormulaError, match=r"missing values \(NaN\)") as caught:
        learn("~ age*ch + (1 | g)", holed())
    for words in ("'age' (1)", "'ch' (2)", "'g' (1)", "missing='drop'"):
        assert words in str(caught.value)
    assert "2015" not in str(caught.value)


def test_missing_rows_are_dropped():
    spec, matrices = learn("~ age*ch + (1 | g)", holed(), missing="drop")
    assert matrices.rows.tolist() == [False] * 4 + [True] * 6
    expected = learn("~ age*ch + (1 | g)", DATA.iloc[4:10])[1]
    np.testing.assert_array_equal(matrices.X, expected.X)
    assert matrices.random[0].codes.shape == (6,)
    again = spec.replay(make_table(holed()), missing="drop")
    np.testing.assert_array_equal(again.rows, matrices.rows)
    np.testing.assert_array_equal(again.X, matrices.X)
    without = spec.replay(make_table(holed()), missing="drop", random=False)
    assert without.rows.sum() == 7 and without.random == ()
    with pytest.raises(FormulaError, match=r"'g' \(1\)"):
        spec.replay(make_table(holed()[["age", "ch", "g"]].assign(age=0.0, ch="a")))


def test_rows_not_in_use_do_not_matter():
    keep = np.array([False] * 4 + [True] * 6)
    spec, matrices = learn("~ age*ch + (1 | g)", holed(), keep=keep)
    np.testing.assert_array_equal(matrices.rows, keep)
    data = holed()
    data.loc[:3, "ch"] = "never seen"
    again = spec.replay(make_table(data), keep=keep)
    np.testing.assert_array_equal(again.X, matrices.X)


def test_all_rows_missing():
    with pytest.raises(FormulaError, match="no complete row"):
        learn("~ age", DATA.assign(age=np.nan), missing="drop")


@pytest.mark.parametrize("missing", ["raise", "drop"])
def test_infinite_values(missing):
    data = DATA.assign(age=np.where(np.arange(60) < 2, np.inf, 1.0))
    with pytest.raises(FormulaError, match=r"column 'age' holds 2 infinite"):
        learn("~ age", data, missing=missing)
    assert learn("~ age2 + (1 | age)", data)[1].random[0].levels.tolist() == [1.0, np.inf]


def test_values_whose_sum_overflows_are_fine():
    learn("~ age", DATA.assign(age=np.where(np.arange(60) < 30, 1.7e308, 1e308)))


def test_terms_that_are_not_finite():
    with pytest.raises(FormulaError, match=r"'log\(age\)' is not finite in \d+ row"):
        learn("~ log(age)")
    spec, _ = learn("~ log(positive)")
    with pytest.raises(FormulaError, match="not finite in 60 row"):
        spec.replay(make_table(DATA.assign(positive=0.0)))


@pytest.mark.parametrize(
    "formula, words",
    [
        ("~ agee", "did you mean 'age'"),
        ("~ Use", "did you mean 'use'"),
        ("~ . - agge2", "did you mean 'age2'"),
        ("~ (1 | gg)", "grouping factor 'gg'.*did you mean 'g'"),
        ("~ (agg | g)", "column 'agg'"),
        ("~ zzzzzz", "'zzzzzz'.*there are 'use', 'age'"),
    ],
)
def test_unknown_columns(formula, words):
    with pytest.raises(FormulaError, match=words):
        learn(formula)


def test_columns_missing_at_prediction():
    spec, _ = learn("~ age + (1 | g)")
    with pytest.raises(FormulaError, match="grouping factor 'g'"):
        spec.replay(make_table(DATA[["age"]]))
    assert spec.replay(make_table(DATA[["age"]]), random=False).random == ()
    with pytest.raises(FormulaError, match="column 'age'"):
        spec.replay(make_table(DATA[["g"]]))


@pytest.mark.parametrize(
    "formula, change",
    [
        ("~ ch", {"ch": "d"}),
        ("~ size", {"size": "xl"}),
        ("~ C(ch)", {"ch": "d"}),
        ("~ factor(k)", {"k": 9}),
        ("~ age + C(k):age", {"k": 9}),
        ("~ age + (0 + factor(k) | g)", {"k": 9}),
        ("~ (ch | g)", {"ch": "d"}),
    ],
)
def test_new_level_of_a_fixed_effect(formula, change):
    spec, _ = learn(formula)
    name, value = next(iter(change.items()))
    data = DATA.astype({"size": object})
    data[name] = [value, *data[name][1:]]
    with pytest.raises(FormulaError, match=f"column '{name}' holds new level.*{value!r}.*known"):
        spec.replay(make_table(data))


def test_new_value_of_an_expression_in_C():
    spec, _ = learn("~ C(k > 2)")
    assert spec.replay(make_table(DATA.assign(k=1))).X[:, 1].sum() == 0.0
    spec, _ = learn("~ C(k + 1)")
    with pytest.raises(FormulaError, match="cannot be evaluated"):
        spec.replay(make_table(DATA.assign(k=9)))


def test_numbers_that_become_text():
    spec, _ = learn("~ age")
    with pytest.raises(FormulaError, match="'age' held numbers in fit"):
        spec.replay(make_table(DATA.assign(age="old")))
    spec, learnt = learn("~ k")
    again = spec.replay(make_table(DATA.assign(k=DATA["k"].astype("category"))))
    np.testing.assert_array_equal(again.X, learnt.X)


def test_text_that_becomes_numbers():
    data = DATA.assign(ch=DATA["ch"].map({"a": "1", "b": "2", "c": "3"}))
    spec, learnt = learn("~ ch", data)
    again = spec.replay(make_table(data.assign(ch=data["ch"].astype(int))))
    np.testing.assert_array_equal(again.X, learnt.X)


@pytest.mark.parametrize(
    "formula, words",
    [
        ("~ log(ch)", r"'log\(ch\)' cannot be evaluated"),
        ("~ bs(age, df=1)", "cannot be evaluated"),
        ("~ (1 | g) + (age | g)", "'Intercept' varies over 'g' in two"),
        ("~ (age | g:h) + (0 + age | h:g)", "'age' varies over 'h:g' in two"),
    ],
)
def test_terms_that_do_not_fit_the_data(formula, words):
    with pytest.raises(FormulaError, match=words):
        learn(formula)


def test_columns_that_are_no_design():
    data = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=4),
            "mixed": [1, "a", 2, "b"],
            "z": [1j, 2, 3, 4],
            "lists": [[1], [2], [1], [2]],
        }
    )
    data["day"] = data["when"].dt.date
    data["month"] = data["when"].dt.to_period("M")
    data["month_object"] = data["month"].astype(object)
    data["wait"] = data["when"] - data["when"][0]
    for name, words in [
        ("when", "dates"),
        ("day", "dates"),
        ("month", "dates"),
        ("month_object", "dates"),
        ("wait", "dates"),
        ("mixed", "mixes"),
        ("z", "Complex"),
        ("lists", "lists"),
    ]:
        with pytest.raises(FormulaError, match=f"'{name}'.*{words}"):
            learn(f"~ {name}", data)
    levels = learn("~ (1 | when)", data)[1].random[0].levels
    assert levels[0] == pd.Timestamp("2020-01-01")
    assert len(learn("~ (1 | day)", data)[1].random[0].levels) == 4
    assert learn("~ (1 | mixed)", data)[1].random[0].levels.tolist() == [1, 2, "a", "b"]


# -- the left side ---------------------------------------------------------------------------------


def test_response_values():
    def values(formula, data=DATA, **options):
        return response_values(parse(formula), make_table(data), **options)

    assert list(values("use ~ 1")) == DATA["use"].tolist()
    assert list(values("factor(use) ~ 1")) == DATA["use"].tolist()
    expected = (DATA["use"] == "Y").to_numpy()
    np.testing.assert_array_equal(values("I(use == 'Y') ~ 1"), expected)
    np.testing.assert_array_equal(values("use == 'Y' ~ 1"), expected)
    successes, failures = values("cbind(s, n - s) ~ 1")
    np.testing.assert_array_equal(successes, DATA["s"])
    np.testing.assert_array_equal(failures, 9.0 - DATA["s"])
    keep = np.arange(60) % 2 == 0
    assert list(values("use ~ 1", keep=keep)) == DATA["use"][keep].tolist()
    with pytest.raises(FormulaError, match=r"response 'usee'.*did you mean 'use'"):
        values("usee ~ 1")


def test_missing_response_values_stay_missing():
    data = DATA.assign(s=DATA["s"].where(DATA.index != 3), use=DATA["use"].where(DATA.index != 4))
    successes, failures = response_values(parse("cbind(s, n - s) ~ 1"), make_table(data))
    assert np.flatnonzero(np.isnan(failures)).tolist() == [3]
    assert np.flatnonzero(np.isnan(successes)).tolist() == [3]
    event = response_values(parse("I(use == 'Y') ~ 1"), make_table(data))
    assert np.flatnonzero(np.isnan(event)).tolist() == [4]


# -- the design is formulaic's ---------------------------------------------------------------------

FACTORS = [
    "age", "age2", "ch", "h", "use", "flag", "k", "`my col`", "C(k)", "I(age ** 2)", "log(positive)",
    "C(ch, Treatment('b'))", "C(h, Sum())", "poly(age, 2)", "scale(age2)", "I(ch == 'a')", "I(age > 0)",
    "center(positive)", "bs(age, df=4, include_intercept=True)",
]  # fmt: skip


def random_side(rng):
    """Some terms of up to three factors, each written once."""
    terms = {}
    for _ in range(rng.integers(1, 7)):
        factors = rng.choice(FACTORS, rng.choice([1, 1, 2, 2, 3]), replace=False)
        terms.setdefault(frozenset(factors), ":".join(factors))
    return " + ".join([rng.choice(["1", "0"]), *sorted(terms.values(), key=lambda t: t.count(":"))])


@pytest.mark.parametrize("seed", range(40))
def test_random_designs_equal_formulaics(seed):
    from formulaic import model_matrix

    text = random_side(np.random.default_rng(seed))
    expected = model_matrix(text, DATA)
    spec, matrices = learn(f"~ {text}")
    assert list(matrices.names) == [str(name) for name in expected.columns]
    np.testing.assert_allclose(matrices.X, expected.to_numpy(dtype=float), atol=1e-12)
    again = spec.replay(make_table(DATA.iloc[::-1]))
    np.testing.assert_allclose(again.X[::-1], matrices.X, atol=1e-12)
    assert [j for term in spec.fixed.terms for j in term.columns] == list(range(len(spec.names)))


def test_integers_do_not_wrap_and_take_negative_powers():
    data = pd.DataFrame({"i": [3_000_000_000, 2, 1], "b": [True, False, True]})
    _, matrices = learn("~ I(i^3) + I(i^-1) + I(-b) + i:i + i:b", data)
    np.testing.assert_allclose(matrices.X[:, 1], [2.7e28, 8.0, 1.0])
    np.testing.assert_allclose(matrices.X[:, 2], [1.0 / 3e9, 0.5, 1.0])
    np.testing.assert_array_equal(matrices.X[:, 3], [-1.0, 0.0, -1.0])
    np.testing.assert_array_equal(matrices.X[:, -1], [3e9, 0.0, 1.0])
