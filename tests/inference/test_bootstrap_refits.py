"""A replicate's shortened refit lands where the full fit of the same responses does."""

from __future__ import annotations

from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client

from sklearn_mllm import MixedLogisticClassifier, confidence_intervals
from sklearn_mllm.datasets import load_contraception
from sklearn_mllm.inference.bootstrap import bootstrap_draws, simulated
from sklearn_mllm.inference.intervals import _parameters
from sklearn_mllm.inference.refit import training_problem
from sklearn_mllm.objective.covariance import CovarianceLayout


@pytest.mark.parametrize(
    "formula, n_agq",
    [
        ("use ~ age*ch + I(age^2) + urban + (1 | urban:district)", 1),
        ("use ~ age + urban + (1 + urban | district)", 1),
        ("use ~ age + urban + (1 | district)", 0),
        ("use ~ age + urban + (1 | district)", 7),
    ],
)
def test_replicates_are_maxima_of_their_responses(formula, n_agq):
    women = load_contraception().frame
    model = MixedLogisticClassifier(formula, n_agq=n_agq).fit(women)
    refitter = training_problem(model, women, None, None, None, None)
    draws = bootstrap_draws(
        model.result_, refitter, _parameters, cluster=False, n_samples=6, random_state=4, n_jobs=1
    )
    layout = CovarianceLayout(refitter.build.problem)
    error = np.nanstd(draws, axis=0)
    for draw, seed in zip(draws, np.random.RandomState(4).randint(2**31 - 1, size=6), strict=True):
        successes = simulated(refitter, layout, np.random.default_rng(int(seed)))
        outcome = refitter.fit(replace(refitter.build.problem, successes=successes), tol=1e-11)
        outcome.objective.close()
        phi, p = outcome.maximum.phi, refitter.build.problem.p
        fixed = refitter.build.fixed_map.T @ phi[:p]
        terms = []
        for number, term in enumerate(model.result_.terms):
            L = refitter.build.random_maps[number] @ layout.term_factor(phi[p:], number)
            terms.append(replace(term, root=L))
        _, full = _parameters(model.result_.names, fixed, model.result_.aliased, terms)
        np.testing.assert_array_less(np.abs(draw - full), 5e-3 * error)


def test_bootstrap_refuses_other_data():
    women = load_contraception().frame
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    with pytest.raises(ValueError, match="not those of the fit"):
        confidence_intervals(
            model, women.assign(age=women["age"] * 2.0), method="bootstrap", n_samples=2
        )


def test_replicates_on_a_cluster():
    """The workers of a dask cluster draw the same replicates."""
    women = load_contraception().frame
    model = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    options = {"method": "bootstrap", "n_samples": 6, "random_state": 0}
    here = confidence_intervals(model, women, **options)
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None):
        with joblib.parallel_config(backend="dask"):
            there = confidence_intervals(model, women, **options)
    pd.testing.assert_frame_equal(there, here)
