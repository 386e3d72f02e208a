"""X, groups and y in any container."""

import subprocess
import sys

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from sklearn_mllm.design.response import counts_response, encode_response
from sklearn_mllm.design.table import is_frame, make_table
from sklearn_mllm.formula import ModelSpec, parse

# -- Table -----------------------------------------------------------------------------------------

VALUES = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 6.0]])


@pytest.mark.parametrize(
    "X",
    [
        VALUES,
        np.asfortranarray(VALUES),
        VALUES.tolist(),
        sparse.csr_matrix(VALUES),
        sparse.csc_array(VALUES),
        sparse.coo_matrix(VALUES),
    ],
    ids=["C", "F", "list", "csr", "csc", "coo"],
)
def test_arrays(X):
    table = make_table(X)
    assert list(table.columns) == ["x0", "x1"] and table.n_rows == 3
    np.testing.assert_array_equal(table.column("x1"), VALUES[:, 1])
    _, matrices = ModelSpec.learn(parse("~ ."), table)
    np.testing.assert_array_equal(matrices.X[:, 1:], VALUES)


def test_feature_names():
    assert list(make_table(VALUES, feature_names=["a", "b"]).columns) == ["a", "b"]
    with pytest.raises(ValueError, match="1 feature names for 2 columns"):
        make_table(VALUES, feature_names=["a"])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        make_table(VALUES[:, 0])


def test_frames_are_not_copied():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=[7, 7])
    table = make_table(frame)
    assert is_frame(frame) and not is_frame(VALUES)
    assert np.shares_memory(table.column("a"), frame["a"].to_numpy())
    out = table.frame(["b", "a"])
    assert list(out.columns) == ["b", "a"] and out.index.tolist() == [0, 1]
    assert out["b"].tolist() == ["x", "y"]


def test_columns_are_read_only_when_used():
    class Frame(pd.DataFrame):
        def __getitem__(self, key):
            assert key == "a"
            return super().__getitem__(key)

    table = make_table(Frame({"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    ModelSpec.learn(parse("~ a"), table)


def test_dask_frames():
    """The wanted columns of every partition are computed once, together, in order."""
    frame = pd.DataFrame({"a": np.arange(9.0), "b": list("qpqpqpqpq"), "c": np.ones(9)})
    parts = []

    def load(part):
        parts.append(list(part.columns))
        return part

    lazy = dd.from_pandas(frame, npartitions=3).map_partitions(load, meta=frame.iloc[:0])
    table = make_table(lazy, wanted=["a", "b", "unknown"])
    assert len(parts) == 3 and table.n_rows == 9 and list(table.columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(table.column("a"), frame["a"])
    assert table.column("b").tolist() == frame["b"].tolist()
    assert len(parts) == 3
    np.testing.assert_array_equal(table.column("c"), frame["c"])
    # no column is wanted: one tells the number of rows
    assert make_table(lazy, groups=lazy["b"], wanted=[]).n_rows == 9


def test_frames_that_cannot_be_read():
    class Strange:
        columns = ("a",)

    with pytest.raises(ValueError, match=r"Strange is no data frame.*pandas or polars"):
        make_table(Strange())


def test_names_become_text():
    table = make_table(pd.DataFrame({0: [1.0], "a": [2.0], ("b", 1): [3.0]}))
    assert list(table.columns) == ["0", "a", "('b', 1)"]
    assert table.column("0")[0] == 1.0
    with pytest.raises(ValueError, match=r"several columns.*'1'"):
        make_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(ValueError, match=r"several columns.*'a'"):
        make_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_polars_without_arrow():
    frame = pl.DataFrame(
        {
            "x": [1.0, 2.0, None, 4.0],
            "i": pl.Series([1, 2, 3, 4], dtype=pl.Int8),
            "f": ["b", "a", "b", None],
            "e": pl.Series(["lo", "hi", "lo", "hi"], dtype=pl.Enum(["lo", "hi", "top"])),
            "c": pl.Series(["q", "p", "q", "p"], dtype=pl.Categorical),
            "b": [True, False, True, False],
            "bn": [True, None, True, False],
            "d": pl.Series([1, 2, 1, 2]).cast(pl.Date),
        }
    )
    table = make_table(frame)
    _, matrices = ModelSpec.learn(parse("~ e + c + b + i + (1 | d)"), table)
    assert matrices.names == ("Intercept", "e[T.hi]", "c[T.q]", "b", "i")
    np.testing.assert_array_equal(matrices.X[:, 1], [0, 1, 0, 1])
    np.testing.assert_array_equal(matrices.X[:, 2], [1, 0, 1, 0])
    assert matrices.random[0].codes.tolist() == [0, 1, 0, 1]
    _, matrices = ModelSpec.learn(parse("~ x + f + bn"), table, missing="drop")
    assert matrices.rows.tolist() == [True, False, False, False]
    # the levels learnt from one library hold for the other
    spec, learnt = ModelSpec.learn(parse("~ e*i + (1 | c)"), table)
    columns = {name: frame[name].to_list() for name in ("e", "i", "c")}
    again = spec.replay(make_table(pd.DataFrame(columns)))
    np.testing.assert_array_equal(again.X, learnt.X)
    np.testing.assert_array_equal(again.random[0].codes, learnt.random[0].codes)


@pytest.mark.parametrize(
    "values, design",
    [
        (pd.array([1, 2, 3], dtype="Int64"), [1, 2, 3]),
        (pd.array([1.5, 2, 3], dtype="Float32"), [1.5, 2, 3]),
        (pd.array([True, False, True], dtype="boolean"), [1, 0, 1]),
        (pd.arrays.SparseArray([0.0, 0.0, 3.0]), [0, 0, 3]),
        (np.array([1, 2, 3], dtype=object), [1, 2, 3]),
        (np.array([1, 2.5, 3], dtype=object), [1, 2.5, 3]),
        (np.array([True, False, True], dtype=object), [1, 0, 1]),
        (np.array([1, 2, 300], dtype=np.float16), [1, 2, 300]),
        (np.array([10**30, 2, 3], dtype=object), [1e30, 2, 3]),
    ],
)
def test_numbers_of_any_type(values, design):
    spec, matrices = ModelSpec.learn(parse("~ 0 + v"), make_table(pd.DataFrame({"v": values})))
    np.testing.assert_array_equal(matrices.X[:, 0], design)
    assert matrices.names == ("v",)
    again = spec.replay(make_table(pd.DataFrame({"v": values})))
    np.testing.assert_array_equal(again.X, matrices.X)


# -- groups ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "groups, columns",
    [
        ([1, 2, 2], {"groups": [1, 2, 2]}),
        (["a", "b", "b"], {"groups": ["a", "b", "b"]}),
        ([1, "a", "a"], {"groups": [1, "a", "a"]}),
        (np.array(["a", "b", "b"]), {"groups": ["a", "b", "b"]}),
        (pd.Series([1, 2, 2], name="school", index=[9, 8, 7]), {"groups": [1, 2, 2]}),
        (pd.Categorical(["b", "a", "a"]), {"groups": ["b", "a", "a"]}),
        (range(3), {"groups": [0, 1, 2]}),
        (np.array([[1], [2], [2]]), {"groups": [1, 2, 2]}),
        (np.array([[1, 5], [2, 5], [2, 6]]), {"groups0": [1, 2, 2], "groups1": [5, 5, 6]}),
        (pd.DataFrame({"s": [1, 2, 2], "t": list("abb")}), {"s": [1, 2, 2], "t": list("abb")}),
        ({"s": [1, 2, 2], "t": ("a", "b", "b")}, {"s": [1, 2, 2], "t": list("abb")}),
        ({"s": pd.Series([1, 2, 2], index=[5, 6, 7])}, {"s": [1, 2, 2]}),
    ],
)
def test_groups(groups, columns):
    table = make_table(VALUES, groups)
    assert table.group_columns == tuple(columns)
    for name, values in columns.items():
        assert list(table.column(name)) == values
    formula = "~ . + " + " + ".join(f"(1 | {name})" for name in columns)
    _, matrices = ModelSpec.learn(parse(formula), table)
    assert matrices.names == ("Intercept", "x0", "x1")
    for term in matrices.random:
        assert [term.levels[c] for c in term.codes] == columns[term.group]


def test_groups_as_rows_of_a_list():
    table = make_table(VALUES, [["a", 1], ["a", 2], ["b", 2]])
    assert table.group_columns == ("groups0", "groups1")
    levels = ModelSpec.learn(parse("~ (1 | groups0:groups1)"), table)[1].random[0].levels
    assert levels.tolist() == ["a:1", "a:2", "b:2"]
    one = make_table(VALUES, [[1], [2], [2]])
    assert one.group_columns == ("groups",) and one.column("groups").tolist() == [1, 2, 2]


def test_polars_groups():
    assert list(make_table(VALUES, pl.Series("s", ["a", "b", "b"])).column("groups")) == list("abb")
    table = make_table(VALUES, pl.DataFrame({"s": [1, 2, 2]}))
    assert table.group_columns == ("s",)


@pytest.mark.parametrize(
    "groups", [[1, 2], np.ones(4), {"s": [1, 2]}, pd.DataFrame({"s": [1]}), np.ones((2, 2))]
)
def test_lengths_must_agree(groups):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_table(VALUES, groups)


@pytest.mark.parametrize("groups", [3, "abc", np.ones((3, 1, 1)), {"s": [[1, 2]] * 3}])
def test_groups_that_are_no_columns(groups):
    with pytest.raises(ValueError, match=r"one value for each row|inconsistent"):
        make_table(VALUES, groups)


def test_the_same_name_in_X_and_groups():
    X = pd.DataFrame({"g": ["a", None, "b"], "x": [1.0, 2.0, 3.0]})
    table = make_table(X, {"g": ["a", None, "b"]})
    assert list(table.columns) == ["g", "x"] and table.group_columns == ("g",)
    with pytest.raises(ValueError, match="column 'g' stands in X and in groups"):
        make_table(X, {"g": ["a", None, "c"]})


# -- response --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y, classes, events",
    [
        ([0, 1, 1], [0, 1], [0, 1, 1]),
        (["Y", "N", "Y"], ["N", "Y"], [1, 0, 1]),
        (np.array(["b", "a"]), ["a", "b"], [1, 0]),
        ([True, False], [False, True], [1, 0]),
        ([1.0, -1.0, 1.0], [-1.0, 1.0], [1, 0, 1]),
        ([2, 1], [1, 2], [1, 0]),
        (np.array([1, 0, 1], dtype=np.int8), [0, 1], [1, 0, 1]),
        (np.array(["x", "y"], dtype=object), ["x", "y"], [0, 1]),
        (np.array([True, False], dtype=object), [False, True], [1, 0]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"], [1, 0]),
        (pd.Series(["b", "a"], dtype="string"), ["a", "b"], [1, 0]),
        (pd.Series([1, 0], dtype="Int64"), [0, 1], [1, 0]),
        (pd.Series([True, False], dtype="boolean"), [False, True], [1, 0]),
        (np.array([[1], [0]]), [0, 1], [1, 0]),
    ],
)
def test_labels(y, classes, events):
    found, y01 = encode_response(y)
    assert found.tolist() == classes
    assert y01.dtype == np.float64 and y01.tolist() == events
    again = encode_response(y, found)
    assert again[0] is found and again[1].tolist() == events


def test_polars_labels():
    found, y01 = encode_response(pl.Series(["b", "a", "b"]))
    assert found.tolist() == ["a", "b"] and y01.tolist() == [1, 0, 1]


def test_labels_of_an_earlier_fit():
    classes = np.array(["no", "yes"], dtype=object)
    assert encode_response(["yes", "yes"], classes)[1].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"'maybe'.*not in fit"):
        encode_response(["yes", "maybe"], classes)


def test_the_type_of_labels_is_kept():
    assert encode_response(np.array(["b", "a"]))[0].dtype.kind == "U"
    assert encode_response(np.array([1, 0], dtype=np.int8))[0].dtype == np.int8
    assert encode_response(np.array([True, False]))[0].dtype == bool


@pytest.mark.parametrize(
    "y, words",
    [
        ([1, 1, 1], "one class"),
        (["a", "a"], "class"),
        ([False, False], "at least 2 classes"),
        (
            [0, 1, 2],
            "Only binary classification is supported. The type of the target is multiclass",
        ),
        (["a", "b", "c"], "Only binary classification is supported"),
        ([0.5, 1.2, 3.3], "Unknown label type"),
        ([0.5, 1.5], "Unknown label type.*proportions.*cbind"),
        ([0.0, np.nan, 1.0], "1 missing value"),
        (["a", None, "b"], "1 missing value"),
        (pd.Series([1, None, 0], dtype="Int64"), "1 missing value"),
        ([0.0, np.inf], "infinity"),
        (np.array([1, "a"], dtype=object), "cannot be ordered"),
        (np.ones((3, 2)), "1-dimensional"),
    ],
)
def test_labels_that_are_no_response(y, words):
    with pytest.raises(ValueError, match=words):
        encode_response(y)


def test_counts():
    successes, trials, constant = counts_response(np.array([2.0, 0.0]), np.array([1.0, 3.0]), None)
    assert successes.tolist() == [2, 0] and trials.tolist() == [3, 3]
    assert constant == pytest.approx(np.log(3.0))
    weighted = counts_response(np.array([2.0, 0.0]), np.array([1.0, 3.0]), np.array([2.0, 1.0]))
    assert weighted[2] == pytest.approx(2.0 * np.log(3.0))


@pytest.mark.parametrize(
    "successes, failures, words",
    [
        ([1.0, -1.0], [1.0, 1.0], "successes are negative in 1 row"),
        ([1.0, 1.0], [1.0, -1.0], "failures are negative"),
        ([1.0, np.nan], [1.0, 1.0], "missing or infinite"),
        ([1.0, 1.0], [np.inf, 1.0], "missing or infinite"),
        ([0.0, 0.0], [0.0, 0.0], "no trial"),
        ([0.0, 0.0], [1.0, 2.0], "one class"),
        ([3.0, 1.0], [0.0, 0.0], "one class"),
    ],
)
def test_counts_that_are_none(successes, failures, words):
    with pytest.raises(ValueError, match=words):
        counts_response(np.array(successes), np.array(failures), None)


# -- cost ------------------------------------------------------------------------------------------


def test_import_is_cheap():
    code = (
        "import sys, sklearn_mllm.formula, sklearn_mllm.design.table, sklearn_mllm.design.response\n"
        "sklearn_mllm.formula.parse('y ~ x + (1 | g)')\n"
        "heavy = {'pandas', 'formulaic', 'sklearn', 'scipy', 'narwhals'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
