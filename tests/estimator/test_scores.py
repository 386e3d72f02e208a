"""Missing responses, scores and the arguments of prediction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
from hostile import FORMULA, make, with_values
from sklearn.model_selection import cross_val_score

from sklearn_mllm import MixedLogisticClassifier


def counts():
    generator = np.random.default_rng(1)
    frame = make().assign(n=generator.integers(1, 6, 240))
    return frame.assign(s=generator.binomial(frame["n"], 0.3 + 0.4 * frame["y"]))


@pytest.mark.parametrize(
    ("formula", "column", "words"),
    [
        ("y ~ x + (1 | g)", "y", r"'y' \(2\)"),
        ("f ~ x + (1 | g)", "f", r"'f' \(2\)"),
        ("I(f == 'a') ~ x + (1 | g)", "f", r"'f' \(2\)"),
        ("cbind(s, n - s) ~ x + (1 | g)", "n", r"'n' \(2\)"),
    ],
)
def test_missing_responses_are_named_and_counted(formula, column, words):
    frame = counts()
    holes = frame.astype({column: object})
    holes.loc[[3, 8], column] = None
    with pytest.raises(ValueError, match=words + ".*missing='drop'"):
        MixedLogisticClassifier(formula).fit(holes)
    complete = MixedLogisticClassifier(formula).fit(frame.drop(index=[3, 8]))
    weight = np.where(np.isin(np.arange(240), [3, 8]), 0.0, 1.0)
    dropped = MixedLogisticClassifier(formula, missing="drop").fit(holes)
    unused = MixedLogisticClassifier(formula).fit(holes, sample_weight=weight)
    for model in (dropped, unused):
        assert model.log_likelihood_ == pytest.approx(complete.log_likelihood_, abs=1e-9)


def test_missing_dates_as_labels():
    frame = make()
    days = pd.Series(pd.to_datetime(np.where(frame["y"] == 1, "2021-01-02", "2021-01-01")))
    model = MixedLogisticClassifier("~ x + (1 | g)", missing="drop")
    assert model.fit(frame, days.where(frame.index > 3)).n_observations_ == 236


@pytest.mark.parametrize("labels", [(0, 1), ("no", "yes"), (False, True)])
def test_score_leaves_out_incomplete_rows(labels):
    frame = make()
    y = pd.Series(np.array(labels)[frame["y"]])
    holes = with_values("x", [0, 5], np.nan)(frame)
    model = MixedLogisticClassifier("~ x + (1 | g)", missing="drop").fit(holes, y)
    complete = np.setdiff1d(np.arange(240), [0, 5])
    expected = (model.predict(holes)[complete] == y.to_numpy()[complete]).mean()
    assert model.score(holes, y) == pytest.approx(expected)
    half = (np.arange(240) < 120).astype(float)
    assert model.score(holes, y, sample_weight=half) == pytest.approx(
        model.score(holes.head(120), y.head(120))
    )
    with pytest.raises(ValueError, match="score: no row is complete"):
        model.score(holes.assign(x=np.nan), y)


def test_score_of_the_left_side():
    frame = make()
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    assert model.score(frame) == model.score(frame, frame["y"])
    with pytest.raises(ValueError, match="requires y"):
        MixedLogisticClassifier("~ x + (1 | g)").fit(frame, frame["y"]).score(frame)


def test_score_of_counts_is_that_of_the_trials():
    frame = counts()
    formula = "cbind(s, n - s) ~ x + (1 | g)"
    model = MixedLogisticClassifier(formula).fit(frame)
    both = np.column_stack([frame["s"], frame["n"] - frame["s"]])
    trials = frame.loc[frame.index.repeat(frame["n"])]
    place = trials.groupby(level=0).cumcount()
    expected = model.score(trials, (place < trials["s"]).astype(int))
    assert model.score(frame) == model.score(frame, both) == pytest.approx(expected)
    weight = np.arange(240) % 3
    doubled = frame.loc[frame.index.repeat(weight)]
    assert model.score(frame, sample_weight=weight) == pytest.approx(model.score(doubled))
    for y in (frame["f"], frame["y"]):
        with pytest.raises(ValueError, match="leave y out"):
            MixedLogisticClassifier(formula).fit(frame, y)


def test_score_takes_an_offset():
    frame = make()
    offset = 5.0 * frame["y"].to_numpy() - 2.5
    model = MixedLogisticClassifier(FORMULA).fit(frame)
    right = model.predict(frame, offset=offset) == frame["y"]
    assert model.score(frame, frame["y"], offset=offset) == right.mean() > model.score(frame)


@pytest.mark.parametrize("level", [0, 1, 1.5, "a", None])
def test_level(level):
    model = MixedLogisticClassifier(FORMULA).fit(make())
    with pytest.raises(ValueError, match="level must be between"):
        model.predict_interval(make(), level=level)


@pytest.mark.parametrize("n_samples", [0, 2.5, "3", None])
def test_n_samples(n_samples):
    model = MixedLogisticClassifier(FORMULA).fit(make())
    with pytest.raises(ValueError, match="n_samples must be an integer"):
        model.simulate(make(), n_samples=n_samples)


def test_an_offset_routed_to_fit_is_routed_to_the_score():
    frame = make()
    offset = 5.0 * frame["y"].to_numpy() - 2.5
    rows = np.arange(240)
    folds = [(rows[::2], rows[1::2])]
    with sklearn.config_context(enable_metadata_routing=True):
        (score,) = cross_val_score(
            MixedLogisticClassifier(FORMULA).set_fit_request(offset=True),
            frame, frame["y"], params={"offset": offset}, cv=folds,
        )  # fmt: skip
    train, test = folds[0]
    model = MixedLogisticClassifier(FORMULA).fit(frame.iloc[train], offset=offset[train])
    assert score == model.score(frame.iloc[test], offset=offset[test])
