"""Grouping factors: levels, their order, and the codes of new rows."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm.design.table import make_table
from sklearn_mllm.formula import FormulaError, Grouping, ModelSpec, parse
from sklearn_mllm.formula.columns import read_columns
from sklearn_mllm.formula.levels import text_of


def columns_of(**columns):
    table = make_table(pd.DataFrame(columns))
    return read_columns(table, list(columns), grouping=True)


def learn(**columns):
    return Grouping.learn(tuple(columns), columns_of(**columns))


@pytest.mark.parametrize(
    "values, levels",
    [
        ([3, 1, 2, 3], [1, 2, 3]),
        ([-5, 10**12, 7, -5], [-5, 7, 10**12]),
        (np.array([127, -128, 0], dtype=np.int8), [-128, 0, 127]),
        (np.array([2**63 + 5, 3, 2**63 + 5], dtype=np.uint64), [3, 2**63 + 5]),
        (np.array([-(2**63), 2**63 - 1]), [-(2**63), 2**63 - 1]),
        ([2.5, 1.0, 2.5], [1.0, 2.5]),
        ([True, False, True], [False, True]),
        ([True, True], [True]),
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "1"], ["1", "10", "9"]),
        ([(1, 2), (0, 5), (1, 2)], [(0, 5), (1, 2)]),
        (pd.array([3, 1], dtype="Int64"), [1, 3]),
        (pd.array(["y", "x"], dtype="string"), ["x", "y"]),
        (pd.Categorical(["b", "a", "b"], ["b", "c", "a"]), ["b", "a"]),
        (pd.Series(["b", "a"], dtype=object), ["a", "b"]),
    ],
)
def test_levels_in_order(values, levels):
    grouping, codes = learn(g=values)
    assert grouping.levels.dtype == object and grouping.levels.tolist() == levels
    assert codes.dtype == np.intp
    assert [grouping.levels[c] for c in codes] == list(values)
    np.testing.assert_array_equal(grouping.replay(columns_of(g=values)), codes)


def test_interactions_have_only_the_levels_that_occur():
    a, b = ["N", "Y", "N", "Y"], [35, 2, 2, 35]
    grouping, codes = learn(a=a, b=b)
    assert grouping.levels.tolist() == ["N:2", "N:35", "Y:2", "Y:35"]
    assert codes.tolist() == [1, 2, 0, 3]
    grouping, codes = learn(a=a[:3], b=b[:3])
    assert grouping.levels.tolist() == ["N:2", "N:35", "Y:2"]
    new = columns_of(a=["Y", "N", "Z", "N"], b=[35, 35, 2, 99])
    assert grouping.replay(new).tolist() == [-1, 1, -1, -1]


def test_interaction_labels():
    grouping, _ = learn(a=[1.0, 2.5], b=[True, False], c=["x", "y:z"])
    assert grouping.levels.tolist() == ["1:True:x", "2.5:False:y:z"]
    assert grouping.label == "a:b:c"
    assert learn(g=[2.0, 1.5])[0].labels.tolist() == ["1.5", "2"]
    assert text_of(3.0) == "3" and text_of("3.0") == "3.0"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(4, 3), (50, 40, 30), (3000, 3000)])
def test_interactions_against_pandas(seed, sizes):
    rng = np.random.default_rng(seed)
    data = {f"c{i}": rng.integers(0, size, 500) for i, size in enumerate(sizes)}
    grouping, codes = learn(**data)
    expected = pd.DataFrame(data).groupby(list(data), sort=True).ngroup().to_numpy()
    np.testing.assert_array_equal(codes, expected)
    text = [":".join(map(str, row)) for row in zip(*data.values())]
    assert [grouping.levels[c] for c in codes] == text
    np.testing.assert_array_equal(grouping.replay(columns_of(**data)), codes)
    again = pickle.loads(pickle.dumps(grouping))
    np.testing.assert_array_equal(again.replay(columns_of(**data)), codes)


def test_too_many_combinations():
    wide = np.arange(100_000)
    with pytest.raises(FormulaError, match=r"'a:b:c:d'.*combinations"):
        learn(a=wide, b=wide, c=wide, d=wide)


@pytest.mark.parametrize(
    "learnt, new, codes",
    [
        ([1, 2, 3], [3, 9, 1, -4], [2, -1, 0, -1]),
        ([1, 2, 3], [3.0, 2.5, 1.0], [2, -1, 0]),
        ([1.0, 2.0], [2, 1, 3], [1, 0, -1]),
        ([1, 2], ["2", "1", "x"], [1, 0, -1]),
        (["1", "2"], [2, 1, 3], [1, 0, -1]),
        ([1.0, 2.0], ["2", "1"], [1, 0]),
        (["a", "b"], pd.Categorical(["b", "z"], ["z", "b", "a"]), [1, -1]),
        (pd.Categorical(["b", "a"], ["b", "a"]), ["a", "b", "c"], [1, 0, -1]),
        ([5, 7], [6, 6], [-1, -1]),
        ([1, 2], np.array([2**63 + 1, 1], dtype=np.uint64), [-1, 0]),
        ([100, 200], np.array([100, -56], dtype=np.int8), [0, -1]),
        ([1, 10**15], [10**15, 2], [1, -1]),
        ([True, False], [1, 0], [1, 0]),
        (["a"], ["b", "c"], [-1, -1]),
    ],
)
def test_new_rows_by_equality_of_values(learnt, new, codes):
    grouping, _ = learn(g=learnt)
    assert grouping.replay(columns_of(g=new)).tolist() == codes


def test_extend():
    grouping, _ = learn(g=[5, 7])
    wide, codes = grouping.extend(columns_of(g=[9, 5, 1]))
    assert wide.levels.tolist() == [5, 7, 1, 9]
    assert codes.tolist() == [3, 0, 2]
    assert grouping.levels.tolist() == [5, 7]
    same, codes = grouping.extend(columns_of(g=[7]))
    assert same.levels.tolist() == [5, 7] and codes.tolist() == [1]


def test_extend_interaction():
    grouping, _ = learn(a=["x", "y"], b=[2, 4])
    wide, codes = grouping.extend(columns_of(a=["y", "w", "x", "x"], b=[4, 2, 3, 4]))
    assert wide.levels[:2].tolist() == ["x:2", "y:4"]
    assert [wide.levels[c] for c in codes] == ["y:4", "w:2", "x:3", "x:4"]
    assert sorted(wide.levels) == ["w:2", "x:2", "x:3", "x:4", "y:4"]
    again = wide.replay(columns_of(a=["w", "x", "y"], b=[2, 2, 2]))
    assert [wide.levels[c] if c >= 0 else None for c in again] == ["w:2", "x:2", None]
    wider, codes = wide.extend(columns_of(a=["q", "w"], b=[1, 2]))
    assert wider.levels[:5].tolist() == wide.levels.tolist()
    assert [wider.levels[c] for c in codes] == ["q:1", "w:2"]


def test_spec_extend():
    data = pd.DataFrame({"x": [1.0, 2.0, 3.0], "g": ["b", "a", "b"], "h": [1, 1, 2]})
    spec, _ = ModelSpec.learn(parse("~ x + (x | g) + (1 | g:h)"), make_table(data))
    new = data.assign(g=["c", "a", "c"])
    wide, matrices = spec.extend(make_table(new))
    assert matrices.random[0].levels.tolist() == ["a", "b", "c"]
    assert matrices.random[0].codes.tolist() == [2, 0, 2]
    assert matrices.random[0].Z.shape == (3, 2)
    again = wide.replay(make_table(new))
    for a, b in zip(again.random, matrices.random, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)
        assert a.levels.tolist() == b.levels.tolist()
    assert spec.replay(make_table(new)).random[0].codes.tolist() == [-1, 0, -1]
    assert wide.parsed == spec.parsed


def test_a_column_in_both_sides():
    data = pd.DataFrame({"f": ["b", "a", "b"], "k": [1, 2, 1]})
    spec, matrices = ModelSpec.learn(parse("~ f + (1 | f:k)"), make_table(data))
    assert matrices.names == ("Intercept", "f[T.b]")
    assert matrices.random[0].levels.tolist() == ["a:2", "b:1"]
    with pytest.raises(FormulaError, match="new level"):
        spec.replay(make_table(data.assign(f=["b", "a", "c"])))
