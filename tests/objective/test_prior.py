"""Penalties are the log densities they are said to be, with exact derivatives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize
from toy_problems import one_factor_problem, slope

from sklearn_mllm import MixedLogisticClassifier, Prior
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


def test_a_wishart_that_is_flat_at_zero_has_its_derivatives_there():
    made = penalty(Prior(random="wishart", df=3.0, scale=1.5))
    at = PHI * np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    _, gradient, hessian = made(at)
    np.testing.assert_allclose(gradient, slope(lambda phi: made(phi)[0], at), atol=1e-8)
    np.testing.assert_allclose(hessian, slope(lambda phi: made(phi)[1], at), atol=1e-8)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"df": np.nan}, "df must be a finite number >= 2, got nan"),
        ({"df": 1.5}, "df must be a finite number >= 2"),
        ({"df": "many"}, "df must be a finite number"),
        ({"shape": np.inf}, "shape must be a finite number >= 1"),
        ({"rate": -1.0}, "rate must be a finite number >= 0"),
        ({"scale": None}, "scale must be a positive number"),
        ({"fixed_sd": "wide"}, "positive numbers, or None, got 'wide'"),
        ({"fixed_sd": {"x": -1.0}}, "positive numbers, or None, got -1.0"),
        ({"intercept_sd": 0.0}, "positive numbers, or None, got 0.0"),
    ],
    ids=str,
)
def test_values_that_are_no_prior_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Prior(**settings)


def test_a_wishart_without_a_mode_names_the_term_and_what_to_pass():
    frame = crossed_rows()
    flat = Prior(random="wishart", df=2.5)
    words = r"df=2.5 is too few for the 2 effects \('Intercept', 'x'\) of 'h'.*pass df >= 3, or df="
    with pytest.raises(ValueError, match=words):
        MixedLogisticClassifier("y ~ x + (1 | g) + (1 + x | h)", prior=flat).fit(frame)
    assert MixedLogisticClassifier("y ~ x + (1 | g) + (1 | h)", prior=flat).fit(frame).converged_


def crossed_rows(n=300):
    generator = np.random.default_rng(0)
    g, h = generator.integers(0, 20, n), generator.integers(0, 12, n)
    x = 3.0 + 2.0 * generator.normal(size=n)
    eta = generator.normal(size=20)[g] + generator.normal(size=12)[h] + 0.5 * (x - 3.0)
    y = (generator.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"x": x, "s": y * (generator.random(n) < 0.1), "g": g, "h": h, "y": y})


def joint_by_plain_algebra(frame, groups, prior):
    """Maximise the penalised n_agq=0 likelihood by Nelder and Mead over dense Newton steps."""
    X = np.column_stack([np.ones(len(frame)), frame["x"], frame["s"]])
    units = [np.eye(frame[g].nunique())[frame[g]] for g in groups]
    q = sum(Z.shape[1] for Z in units)
    sds = [prior.intercept_sd, prior.fixed_sd, prior.fixed_sd]
    Q = np.concatenate([1.0 / np.square(sds), np.ones(q)])

    def parts(theta):
        A = np.hstack([X, *(t * Z for t, Z in zip(theta, units, strict=True))])
        b = np.zeros(A.shape[1])
        for _ in range(60):
            p = 1 / (1 + np.exp(-A @ b))
            H = A.T @ (A * (p * (1 - p))[:, None]) + np.diag(Q)
            step = np.linalg.solve(H, A.T @ (frame["y"] - p) - Q * b)
            b = b + step
            if np.abs(step).max() < 1e-13:
                break
        eta, u = A @ b, b[3:]
        likelihood = float(np.sum(frame["y"] * eta - np.logaddexp(0, eta)) - u @ u / 2)
        likelihood -= 0.5 * np.linalg.slogdet(H[3:, 3:])[1]
        prior_value = -0.5 * float(Q[:3] * b[:3] @ b[:3])
        prior_value += sum(1.5 * np.log(abs(t)) - 0.5 * (t / prior.scale) ** 2 for t in theta)
        return likelihood, prior_value, b[:3]

    best = optimize.minimize(
        lambda theta: -sum(parts(theta)[:2]), [0.8] * len(groups), method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-10},
    )  # fmt: skip
    likelihood, _, beta = parts(best.x)
    return likelihood, beta, np.abs(best.x)


@pytest.mark.parametrize("groups", [["g"], ["g", "h"]], ids=str)
def test_the_penalised_joint_mode_agrees_with_plain_algebra(groups):
    """Separated data, which the unpenalised joint mode has no estimate for."""
    frame = crossed_rows()
    prior = Prior(fixed_sd=0.3, intercept_sd=0.5, random="wishart", scale=0.7)
    formula = "y ~ x + s + " + " + ".join(f"(1 | {g})" for g in groups)
    model = MixedLogisticClassifier(formula, n_agq=0, prior=prior).fit(frame)
    likelihood, beta, sds = joint_by_plain_algebra(frame, groups, prior)
    assert model.converged_
    assert model.log_likelihood_ == pytest.approx(likelihood, abs=1e-5)
    np.testing.assert_allclose(model.fixed_effects_["estimate"], beta, atol=1e-5)
    np.testing.assert_allclose(model.variance_components_["std_dev"], sds, atol=1e-5)
    # the Laplace fit has nearly the same curvature
    laplace = MixedLogisticClassifier(formula, prior=prior).fit(frame)
    errors = [m.fixed_effects_["std_error"] for m in (model, laplace)]
    np.testing.assert_allclose(*errors, rtol=0.05)


def test_the_penalised_joint_mode_of_slopes_is_a_maximum_of_its_own_objective():
    """No move of theta, the coefficients following, leads up; a start elsewhere leads there."""
    frame = crossed_rows(600)
    prior = Prior(fixed_sd=0.3, random="gamma", shape=2.0, rate=0.5)
    model = MixedLogisticClassifier("y ~ x + (1 + x | g)", n_agq=0, prior=prior).fit(frame)
    assert model.converged_ and model.convergence_.gradient_norm < 1e-4
    again = MixedLogisticClassifier(
        "y ~ x + (1 + x | g)", n_agq=0, prior=prior, warm_start=True
    ).fit(frame[:300])
    again.fit(frame)
    np.testing.assert_allclose(
        again.fixed_effects_["estimate"], model.fixed_effects_["estimate"], rtol=1e-5
    )
    free = MixedLogisticClassifier("y ~ x + (1 + x | g)", n_agq=0).fit(frame)
    wide = Prior(fixed_sd=1e6, intercept_sd=1e6)
    as_free = MixedLogisticClassifier("y ~ x + (1 + x | g)", n_agq=0, prior=wide).fit(frame)
    np.testing.assert_allclose(as_free.fixed_effects_, free.fixed_effects_, rtol=1e-6)


@pytest.mark.parametrize("random", ["wishart", "gamma"])
def test_no_variance_at_zero(random):
    assert penalty(Prior(random=random))(np.zeros(6))[0] == -np.inf
