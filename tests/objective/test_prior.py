"""Penalties are the log densities they are said to be, with exact derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from toy_problems import one_factor_problem, slope

from sklearn_mllm import Prior
from sklearn_mllm.objective.covariance import CovarianceLayout
from sklearn_mllm.objective.prior import Penalty

NAMES = ("Intercept", "a", "b")
T = np.array([[2.0, 0.3, -0.4], [0.0, 0.5, 0.2], [0.0, 0.0, 3.0]])
C = np.array([[1.2, -0.7], [0.0, 0.4]])
PHI = np.array([0.3, -0.8, 0.5, 0.9, -0.3, 0.6])


def penalty(prior: Prior) -> Penalty:
    layout = CovarianceLayout(one_factor_problem(60, 6, 3, 2))
    return Penalty(prior, NAMES, T, [C], layout)


PRIORS = [
    Prior(),
    Prior(fixed_sd={"b": 0.7}),
    Prior(random="wishart"),
    Prior(random="wishart", df=6.0, scale=1.5),
    Prior(random="gamma", shape=3.0, rate=0.4),
]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_derivatives(prior):
    made = penalty(prior)
    _, gradient, hessian = made(PHI)
    np.testing.assert_allclose(gradient, slope(lambda phi: made(phi)[0], PHI), atol=1e-8)
    np.testing.assert_allclose(hessian, slope(lambda phi: made(phi)[1], PHI), atol=1e-8)


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_values_are_log_densities(prior):
    """Differences of values, in the user's coordinates, since constants are left out."""

    def density(phi):
        beta = T @ phi[:3]
        sds = np.array([10.0, 2.5, 2.5])
        if isinstance(prior.fixed_sd, dict):
            sds = np.array([np.inf, np.inf, 0.7])
        value = -0.5 * np.sum((beta / sds) ** 2)
        L = C @ np.array([[phi[3], 0.0], [phi[4], phi[5]]])
        S = L @ L.T
        if prior.random == "wishart":
            df = 4.5 if prior.df is None else prior.df
            value += 0.5 * (df - 3.0) * np.linalg.slogdet(S)[1]
            value -= 0.5 * np.trace(S) / prior.scale**2
        if prior.random == "gamma":
            sd = np.sqrt(np.diag(S))
            value += np.sum((prior.shape - 1.0) * np.log(sd) - prior.rate * sd)
        return value

    made, other = penalty(prior), PHI * np.array([0.5, 1.5, -1.0, 1.2, 0.7, 0.8])
    assert made(other)[0] - made(PHI)[0] == pytest.approx(density(other) - density(PHI), rel=1e-10)


@pytest.mark.parametrize("random", ["wishart", "gamma"])
def test_no_variance_at_zero(random):
    assert penalty(Prior(random=random))(np.zeros(6))[0] == -np.inf
