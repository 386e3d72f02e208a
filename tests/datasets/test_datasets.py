"""Bundled data: the reference files to the last value, scikit-learn's conventions, the generator."""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from reference_cases import FOLDER, case_ids, load_case

from sklearn_mllm import datasets
from sklearn_mllm.datasets import load_cbpp, load_toenail, load_verbagg, make_schools

LOADERS = {
    "contraception": ("use", ["N", "Y"]),
    "cbpp": ("incidence", None),
    "toenail": ("outcome", ["mild", "severe"]),
    "verbagg": ("r2", ["N", "Y"]),
}
each = pytest.mark.parametrize("name", list(LOADERS))


def loader(name):
    return getattr(datasets, f"load_{name}")


@each
def test_same_bytes_as_the_reference_data_and_packed_without_a_date(name):
    packed = (files("sklearn_mllm.datasets") / "data" / f"{name}.csv.gz").read_bytes()
    assert gzip.decompress(packed) == (FOLDER / "data" / f"{name}.csv").read_bytes()
    assert packed[4:8] == bytes(4)


@each
def test_values_and_levels_are_those_of_the_reference_cases(name):
    frame = loader(name)().frame
    cases = [load_case(i) for i in case_ids()]
    cases = [(c, f) for c, f in cases if c["data"] == f"data/{name}.csv"]
    assert cases
    for case, reference in cases:
        assert list(frame.columns) == list(reference.columns)
        for column, levels in case["categorical"].items():
            assert list(frame[column].cat.categories) == levels
        for column in frame.columns:
            assert list(frame[column]) == list(reference[column])
    assert not frame.isna().any().any()


@each
def test_bunch(name):
    response, labels = LOADERS[name]
    bunch = loader(name)()
    assert response in bunch.frame and response not in bunch.data
    pd.testing.assert_frame_equal(bunch.data, bunch.frame.drop(columns=response))
    pd.testing.assert_series_equal(bunch.target, bunch.frame[response])
    assert bunch.feature_names == list(bunch.data.columns)
    assert (labels is None) == (bunch.target_names is None)
    assert labels is None or list(bunch.target_names) == labels
    assert "Source:" in bunch.DESCR
    for column in bunch.frame.columns:
        assert f"\n{column} " in bunch.DESCR


@each
def test_return_x_y_and_arrays(name):
    bunch = loader(name)()
    X, y = loader(name)(return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)
    plain = loader(name)(as_frame=False)
    X, y = loader(name)(return_X_y=True, as_frame=False)
    assert plain.frame is None
    assert isinstance(X, np.ndarray) and isinstance(y, np.ndarray)
    np.testing.assert_array_equal(X, plain.data)
    np.testing.assert_array_equal(y, plain.target)
    assert X.shape == bunch.data.shape
    assert list(y) == list(bunch.target)


@pytest.mark.parametrize("name", ["contraception", "cbpp", "toenail", "verbagg"])
def test_arrays_hold_numbers_of_levels(name):
    frame = loader(name)().data
    X = loader(name)(as_frame=False).data
    for j, column in enumerate(frame.columns):
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            levels = frame[column].cat.categories
            assert [levels[int(v)] for v in X[:, j]] == list(frame[column])
        else:
            assert list(X[:, j]) == list(frame[column])


def test_every_call_gives_its_own_data():
    first = load_toenail()
    first.frame.loc[0, "time"] = 99.0
    assert load_toenail().frame.loc[0, "time"] == 0.0


def test_counts_add_up():
    frame = load_cbpp().frame
    assert (frame["incidence"] + frame["failures"] == frame["size"]).all()
    assert "cbind(incidence, failures)" in load_cbpp().DESCR


def test_verbagg_is_a_full_table():
    frame = load_verbagg().frame
    assert frame.groupby(["id", "item"]).size().eq(1).all()
    assert (frame["id"].nunique(), frame["item"].nunique()) == (316, 24)


def test_schools_follow_their_parameters():
    bunch = make_schools(400, 100, school_sd=0.5, random_state=3)
    frame = bunch.frame
    assert list(frame.columns) == ["school", "experience", "funding", "passed"]
    assert frame.groupby("school").size().eq(100).all()
    assert frame.groupby("school")["funding"].nunique().eq(1).all()
    funding = frame.groupby("school")["funding"].first()
    assert frame["experience"].mean() == pytest.approx(5.0, abs=0.05)
    assert frame["experience"].std() == pytest.approx(2.0, abs=0.05)
    assert funding.mean() == pytest.approx(100.0, abs=4.0)
    assert funding.std() == pytest.approx(20.0, abs=3.0)
    assert bunch.school_effects.shape == (400,)
    assert bunch.school_effects.std() == pytest.approx(0.5, abs=0.08)
    assert bunch.coefficients == {"Intercept": -1.0, "experience": 0.5, "funding": 0.01}
    eta = -1.0 + 0.5 * frame["experience"] + 0.01 * frame["funding"]
    p = 1.0 / (1.0 + np.exp(-eta - bunch.school_effects[frame["school"] - 1]))
    residual = (frame["passed"] - p).sum() / np.sqrt((p * (1.0 - p)).sum())
    assert abs(residual) < 4.0


def test_schools_are_reproducible_and_10_by_50_by_default():
    a, b = make_schools(random_state=7), make_schools(random_state=7)
    pd.testing.assert_frame_equal(a.frame, b.frame)
    assert a.frame.shape == (500, 4)
    assert not a.frame.equals(make_schools(random_state=8).frame)
    generator = np.random.RandomState(7)
    pd.testing.assert_frame_equal(make_schools(random_state=generator).frame, a.frame)
    X, y = make_schools(random_state=7, return_X_y=True)
    pd.testing.assert_frame_equal(X, a.data)
    pd.testing.assert_series_equal(y, a.target)
    assert make_schools(3, 5, school_sd=0.0, random_state=0).school_effects.tolist() == [0.0] * 3


def test_schools_refuse_none():
    for sizes in ({"n_schools": 0}, {"n_students": -1}, {"n_students": 2.5}, {"n_schools": "3"}):
        with pytest.raises(ValueError, match="n_schools and n_students must be integers >= 1"):
            make_schools(**sizes)
