"""Every reference fit: likelihood, estimates, standard errors, modes and probabilities."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from reference_cases import case_ids, load_case, our_name

from sklearn_mllm import MixedLogisticClassifier


def fit_case(identifier):
    case, frame = load_case(identifier)
    model = MixedLogisticClassifier(case["formula"], link=case["link"], n_agq=case["n_agq"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no false alarms
        model.fit(
            frame,
            sample_weight=None if case["weights"] is None else frame[case["weights"]],
            offset=None if case["offset"] is None else frame[case["offset"]],
        )
    return case, frame, model


@pytest.fixture(scope="module", params=case_ids())
def fitted(request):
    return fit_case(request.param)


def group_key(model, key):
    """R's name of a term's factor in ours; R numbers the second term on a factor district.1."""
    name = key.split(".")[0]
    for group in model.n_groups_:
        if sorted(group.split(":")) == sorted(name.split(":")):
            return group
    raise KeyError(key)


def test_log_likelihood(fitted):
    case, _, model = fitted
    reference = case["reference"]["loglik"]
    assert model.log_likelihood_ == pytest.approx(reference, rel=1e-6)
    assert model.log_likelihood_ >= reference - 1e-6
    assert model.converged_


def test_criteria(fitted):
    case, _, model = fitted
    for name in ("aic", "bic", "deviance"):
        assert getattr(model, f"{name}_") == pytest.approx(case["reference"][name], rel=1e-7)
    assert model.n_observations_ == case["n_obs"]
    assert model.df_model_ == case["reference"]["df"]


def test_fixed_effects(fitted):
    case, _, model = fitted
    table = model.fixed_effects_
    for name, value in case["reference"]["fixed"].items():
        row = table.loc[our_name(name, case)]
        assert abs(row["estimate"] - value["est"]) < 1e-3 * value["se"]
        assert row["std_error"] == pytest.approx(value["se"], rel=1e-3)
    covariance = model.covariance_.to_numpy()
    reference = np.array(case["reference"]["vcov_fixed"])
    order = [
        list(model.covariance_.index).index(our_name(n, case)) for n in case["reference"]["fixed"]
    ]
    scale = np.sqrt(np.outer(np.diag(reference), np.diag(reference)))
    assert np.abs(covariance[np.ix_(order, order)] - reference).max() / scale.max() < 1e-2
    assert (np.abs(covariance[np.ix_(order, order)] - reference) / scale).max() < 2e-3


def test_standard_deviations(fitted):
    case, _, model = fitted
    components = model.variance_components_
    used = []
    for key, term in case["reference"]["random"].items():
        group = group_key(model, key)
        for name, sd in zip(term["names"], term["sd"], strict=True):
            rows = components[
                (components["group"] == group) & (components["term"] == our_name(name, case))
            ]
            assert len(rows) == 1
            used.append(rows.index[0])
            assert rows["std_dev"].iloc[0] == pytest.approx(sd, rel=1e-3, abs=1e-5)
        if len(term["names"]) > 1:
            S = model.random_covariances_[group].to_numpy()
            with np.errstate(invalid="ignore"):
                R = S / np.sqrt(np.outer(np.diag(S), np.diag(S)))
            for i in range(len(S)):
                for j in range(i):
                    if term["corr"][i][j] is not None:
                        assert R[i, j] == pytest.approx(term["corr"][i][j], abs=1e-3)
    assert len(used) == len(components)


def test_modes(fitted):
    case, _, model = fitted
    effects = model.random_effects_
    effects = effects.assign(level=effects["level"].map(str)).set_index(["group", "level", "term"])
    for key, levels in case["reference"]["ranef_mode"].items():
        group = group_key(model, key)
        names = case["reference"]["random"][key]["names"]
        swapped = group != key.split(".")[0]
        for level, values in levels.items():
            label = ":".join(reversed(level.split(":"))) if swapped else level
            for name, value in zip(names, values, strict=True):
                row = effects.loc[(group, label, our_name(name, case))]
                assert row["estimate"] == pytest.approx(value, abs=1e-4)
        for level, values in case["reference"]["cond_sd"][key].items():
            label = ":".join(reversed(level.split(":"))) if swapped else level
            for name, value in zip(names, values, strict=True):
                row = effects.loc[(group, label, our_name(name, case))]
                assert row["std_error"] == pytest.approx(value, abs=1e-4)


def test_probabilities(fitted):
    case, frame, model = fitted
    reference = case["reference"]
    proba = model.predict_proba(frame)[:, 1]
    first = slice(0, len(reference["fitted_first10"]))
    assert proba[first] == pytest.approx(reference["fitted_first10"], abs=1e-4)
    assert proba.mean() == pytest.approx(reference["fitted_mean"], abs=1e-5)
    assert np.square(proba).sum() == pytest.approx(reference["fitted_sum_sq"], rel=1e-5)
    typical = model.set_params(prediction="typical").predict_proba(frame)[:, 1]
    model.set_params(prediction="conditional")
    assert typical[first] == pytest.approx(reference["population_first10"], abs=1e-4)
