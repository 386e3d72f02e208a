"""The estimator among scikit-learn's tools."""

from __future__ import annotations

import pickle
import warnings
from importlib import import_module
from importlib.util import find_spec

import dask.dataframe
import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import check_scoring, confusion_matrix
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_contraception

M_05 = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"
FORMULAS = [
    "use ~ age + urban + livch + (1 | district)",
    "use ~ age + I(age^2) + urban + ch + (1 | district)",
    M_05,
]


#: Where scikit-learn still makes mistakes that it has mended since.
OLD = parse_version(sklearn.__version__) < parse_version("1.8")


def check_negative_values(name, estimator):
    """`check_positive_only_tag_during_fit` as it stands since 1.8: integers stay integers."""
    X, y = load_iris(return_X_y=True)
    X = np.round(X - X.min()).astype(np.int32)
    X -= X.mean().astype(X.dtype)
    clone(estimator).fit(X, np.minimum(y, 1))


@pytest.fixture
def mended_checks(monkeypatch):
    """Before 1.8 two of the checks are wrong for a binary classifier that takes categories.

    One subtracts a mean from integers in place. One makes two classes by the label that comes
    first, so that a shuffled y is another y.
    """
    if OLD:
        monkeypatch.setattr(
            estimator_checks, "check_positive_only_tag_during_fit", check_negative_values
        )
        monkeypatch.setattr(
            estimator_checks,
            "_enforce_estimator_tags_y",
            lambda estimator, y: np.where(y == y.min(), y, y.min() + 1) if y.size else y,
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_check_estimator(link, mended_checks):
    results = check_estimator(MixedLogisticClassifier(link=link), on_skip=None, on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 50


@pytest.fixture(scope="module")
def women():
    return load_contraception().frame


@pytest.fixture(scope="module")
def fitted(women):
    return MixedLogisticClassifier(M_05).fit(women, women["use"])


def test_pickle_and_clone(women, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(women), fitted.predict_proba(women))
    unfitted = clone(fitted)
    assert not hasattr(unfitted, "result_")
    assert unfitted.get_params() == fitted.get_params()


def test_a_fitted_estimator_holds_no_rows(women, fitted):
    many = pd.concat([women] * 10, ignore_index=True)
    large = MixedLogisticClassifier(M_05).fit(many, many["use"])
    size = len(pickle.dumps(fitted))
    assert len(pickle.dumps(large)) < size + 200
    assert size < 200_000


def test_cross_validation_with_groups_in_x(women):
    folds = KFold(4, shuffle=True, random_state=0)
    scores = cross_val_score(MixedLogisticClassifier(M_05), women, women["use"], cv=folds)
    assert scores.shape == (4,)
    assert scores.mean() > 0.6


def test_every_group_unseen(women):
    proba = cross_val_predict(
        MixedLogisticClassifier(M_05), women, women["use"], groups=women["district"],
        cv=GroupKFold(4), method="predict_proba",
    )  # fmt: skip
    assert np.isfinite(proba).all()
    assert ((proba > 0) & (proba < 1)).all()


def test_grid_search_over_formula_and_link(women):
    search = GridSearchCV(
        MixedLogisticClassifier(),
        {"formula": FORMULAS, "link": ["logit", "probit"]},
        cv=KFold(3, shuffle=True, random_state=0),
        scoring="neg_log_loss",
        n_jobs=2,
    ).fit(women, women["use"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["formula"] in FORMULAS


def test_pipeline_and_column_transformer(women):
    half = FunctionTransformer(lambda frame: frame.assign(age=frame["age"] / 2))
    piped = make_pipeline(half, MixedLogisticClassifier(M_05)).fit(women, women["use"])
    plain = MixedLogisticClassifier(M_05).fit(women, women["use"])
    assert piped.predict_proba(women) == pytest.approx(plain.predict_proba(women), abs=1e-6)
    columns = ColumnTransformer(
        [("keep", "passthrough", ["use", "age", "ch", "urban", "district"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    piped = make_pipeline(columns, MixedLogisticClassifier(M_05)).fit(women, women["use"])
    assert piped[-1].log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-8)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(women, method):
    model = CalibratedClassifierCV(MixedLogisticClassifier(M_05), method=method, cv=3)
    proba = model.fit(women, women["use"]).predict_proba(women)
    assert proba.shape == (len(women), 2)


def test_threshold_and_voting(women):
    tuned = TunedThresholdClassifierCV(
        MixedLogisticClassifier(M_05), scoring="balanced_accuracy", cv=3
    ).fit(women, women["use"])
    assert set(tuned.predict(women)) <= {"N", "Y"}
    numbers = ColumnTransformer([("age", "passthrough", ["age"])])
    vote = VotingClassifier(
        [
            ("mixed", MixedLogisticClassifier(M_05)),
            ("plain", make_pipeline(numbers, LogisticRegression())),
        ],
        voting="soft",
    ).fit(women, women["use"])
    assert vote.predict_proba(women).shape == (len(women), 2)


def test_routing_off_says_that_no_groups_arrive(women):
    X = women[["age"]]
    with pytest.warns(UserWarning, match="no grouping factor"):
        cross_val_score(
            MixedLogisticClassifier(), X, women["use"], groups=women["district"], cv=GroupKFold(3)
        )


def default_scoring(pipeline):
    """None; before 1.8 the default scorer of a pipeline has to be told that score takes groups."""
    return check_scoring(pipeline).set_score_request(groups=True) if OLD else None


def test_routing_on_needs_no_request(women):
    X = women[["age"]].to_numpy()
    groups = women["district"].to_numpy()
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_val_score(
            MixedLogisticClassifier(), X, women["use"], params={"groups": groups}, cv=GroupKFold(3)
        )
        assert np.isfinite(scores).all()
        pipeline = make_pipeline(FunctionTransformer(), MixedLogisticClassifier())
        result = cross_validate(
            pipeline, X, women["use"], params={"groups": groups}, cv=3, return_estimator=True,
            scoring=default_scoring(pipeline),
        )  # fmt: skip
        assert np.isfinite(result["test_score"]).all()
        assert np.isfinite(result["estimator"][0].score(X, women["use"], groups=groups))
        assert result["estimator"][0][-1].n_groups_["groups"] >= 40
        search = GridSearchCV(MixedLogisticClassifier(), {"link": ["logit", "probit"]}, cv=3)
        search.fit(X, women["use"], groups=groups)
        assert search.best_estimator_.n_groups_ == {"groups": 60}


def test_groups_argument_equals_column(women):
    named = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    apart = MixedLogisticClassifier("~ age + (1 | groups)").fit(
        women[["age"]], women["use"], groups=women["district"]
    )
    default = MixedLogisticClassifier().fit(women[["age"]], women["use"], groups=women["district"])
    array = MixedLogisticClassifier().fit(
        women[["age"]].to_numpy(), women["use"], groups=women["district"].to_numpy()
    )
    for other in (apart, default, array):
        assert other.log_likelihood_ == pytest.approx(named.log_likelihood_, abs=1e-9)
    assert list(array.fixed_effects_.index) == ["Intercept", "x0"]
    frame = MixedLogisticClassifier("use ~ age + (1 | urban:district)").fit(
        women[["age"]], women["use"], groups=women[["urban", "district"]]
    )
    assert frame.n_groups_ == {"urban:district": 102}


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dask"])
def test_frames_of_other_libraries(library, women, fitted):
    plain = women.astype({"use": str, "urban": str, "ch": str})
    frame = {
        "polars": lambda: polars.DataFrame({name: plain[name].to_list() for name in plain}),
        "pyarrow": lambda: pyarrow.table({name: plain[name].to_list() for name in plain}),
        "dask": lambda: dask.dataframe.from_pandas(women, npartitions=3),
    }[library]()
    model = MixedLogisticClassifier(M_05).fit(frame, frame["use"])
    assert model.log_likelihood_ == pytest.approx(fitted.log_likelihood_, abs=1e-9)
    assert model.feature_names_in_.tolist() == women.columns.tolist()
    probabilities = fitted.predict_proba(women)
    np.testing.assert_allclose(model.predict_proba(frame), probabilities, atol=1e-9)
    # models of one library predict rows of another
    np.testing.assert_allclose(model.predict_proba(women), probabilities, atol=1e-9)
    interval = model.predict_interval(frame)
    np.testing.assert_allclose(interval["probability"], probabilities[:, 1], atol=1e-9)
    # without the response, and by the left side of the formula
    assert model.fit(frame).predict_proba(frame).shape == (1934, 2)


def test_column_transformer_without_frames(women):
    """Its array of text and numbers has the columns x0, x1, ...; text is a factor."""
    X, y = women[["district", "age", "urban", "livch"]], women["use"]
    by_name = MixedLogisticClassifier("~ age + urban + livch + (1 | district)").fit(X, y)
    steps = make_column_transformer(
        ("passthrough", ["district", "age"]), ("passthrough", ["urban", "livch"])
    )
    plain = make_pipeline(steps, MixedLogisticClassifier("~ x1 + x2 + x3 + (1 | x0)"))
    expected = by_name.predict_proba(X.head(5))
    assert plain.fit(X, y).predict_proba(X.head(5)) == pytest.approx(expected)


def test_confusion_matrix_of_the_tutorial(women, fitted):
    table = confusion_matrix(women["use"], fitted.predict(women))
    precision = 100 * np.diag(table) / table.sum(axis=0)
    recall = 100 * np.diag(table) / table.sum(axis=1)
    assert precision == pytest.approx([70.96, 64.29], abs=0.005)
    assert recall == pytest.approx([82.98, 47.43], abs=0.005)


def test_callbacks(women):
    model = MixedLogisticClassifier(M_05)
    if find_spec("sklearn.callback") is None:  # before 1.9 no estimator has them
        assert not hasattr(model, "set_callbacks")
        assert model.fit(women, women["use"]).converged_
        return
    callback = import_module("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model.set_callbacks(monitor)
    model.fit(women, women["use"])
    assert model.converged_
    assert monitor.get_logs()


def test_verbose_prints_steps(women, capsys):
    MixedLogisticClassifier(M_05, verbose=1).fit(women, women["use"])
    assert "log-likelihood" in capsys.readouterr().out


def test_warm_start(women):
    model = MixedLogisticClassifier(M_05, warm_start=True).fit(women, women["use"])
    steps = model.n_iter_
    model.fit(women, women["use"])
    assert model.n_iter_ <= steps
    assert model.log_likelihood_ == pytest.approx(-1177.23725910735, abs=1e-6)


def test_a_failed_fit_changes_nothing(women, fitted):
    before = fitted.predict_proba(women)
    model = pickle.loads(pickle.dumps(fitted))
    with pytest.raises(ValueError):
        model.fit(women.drop(columns="age"), women["use"])
    with pytest.raises(ValueError):
        model.fit(women, np.repeat("Y", len(women)))
    assert np.array_equal(model.predict_proba(women), before)
