"""The joint mode of coefficients and random effects, start values and tangents."""

from __future__ import annotations

import numpy as np
import pytest
from toy_problems import one_factor_problem, slope

from sklearn_mllm.links import get_link
from sklearn_mllm.objective.curvature import closed_form_hessian
from sklearn_mllm.objective.joint import JointModeObjective, fisher_theta, joint_start
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.tangents import mode_tangents
from sklearn_mllm.optimizer.fit import fit_problem

LOGIT = get_link("logit")
TIGHT = 1e-22


def guess(objective, sd=0.8):
    return np.where(objective.layout.diagonal, sd, 0.2)


@pytest.mark.parametrize("name", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("size", [1, 2])
def test_gradient(size, name):
    problem = one_factor_problem(250, 25, 3, size, counts=True, offset=True)
    objective = JointModeObjective(problem, get_link(name))
    theta = guess(objective)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, theta)
    assert np.abs(numeric - objective.evaluate(theta, TIGHT).gradient).max() < 1e-7


def test_is_the_laplace_likelihood_where_coefficients_and_effects_are_stationary():
    problem = one_factor_problem(250, 25, 3, 2)
    objective = JointModeObjective(problem, LOGIT)
    theta = guess(objective)
    found = objective.evaluate(theta)
    laplace = LaplaceObjective(problem, LOGIT)
    expected = laplace.evaluate(objective.joint_parameters(), TIGHT)
    assert found.value == pytest.approx(expected.value, abs=1e-10)
    assert np.abs(problem.X @ laplace.state.s).max() < 1e-8
    assert objective.problem.p == 0 and objective.n_parameters == theta.shape[0]


def assert_coefficients_follow(objective, theta):
    """Their derivatives in theta against differences; leaves the objective at theta."""

    def coefficients(x):
        objective.evaluate(x, TIGHT)
        return objective.beta

    numeric = slope(coefficients, theta)
    objective.evaluate(theta, TIGHT)
    assert np.abs(numeric - objective.beta_tangent).max() < 1e-7


def test_coefficients_follow_theta():
    objective = JointModeObjective(one_factor_problem(250, 25, 3, 2), LOGIT)
    theta = guess(objective)
    assert_coefficients_follow(objective, theta)
    H = objective.joint_hessian(-np.eye(3))
    profiled = H[3:, 3:] - H[3:, :3] @ np.linalg.solve(H[:3, :3], H[:3, 3:])
    assert np.allclose(profiled, -np.eye(3))
    assert np.allclose(np.linalg.solve(-H[:3, :3], H[:3, 3:]), objective.beta_tangent)


@pytest.mark.parametrize("size", [1, 2])
def test_a_prior_on_the_coefficients_is_part_of_the_joint_mode(size):
    problem = one_factor_problem(250, 25, 3, size, counts=True, offset=True)
    objective = JointModeObjective(problem, LOGIT)
    root = np.array([[0.9, 0.2, 0.0], [0.0, 2.0, -0.5], [0.0, 0.0, 4.0]])
    Q = objective.prior_precision = root.T @ root
    theta = guess(objective)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, theta)
    found = objective.evaluate(theta, TIGHT)
    assert np.abs(numeric - found.gradient).max() < 1e-7
    beta = objective.beta
    assert np.abs(problem.X @ objective.state.s - Q @ beta).max() < 1e-8
    laplace = LaplaceObjective(problem, LOGIT).evaluate(objective.joint_parameters(), TIGHT)
    assert found.value == pytest.approx(laplace.value - 0.5 * beta @ Q @ beta, abs=1e-10)
    assert_coefficients_follow(objective, theta)
    # given theta, the coefficients have the curvature of the joint density and the prior
    m, I = theta.shape[0], np.eye(theta.shape[0])
    H = objective.joint_hessian(-I)
    profiled = H[3:, 3:] - H[3:, :3] @ np.linalg.solve(H[:3, :3], H[:3, 3:])
    assert np.allclose(profiled, -I)
    free = JointModeObjective(problem, LOGIT)
    free.laplace.find_modes(objective.joint_parameters(), TIGHT)
    assert np.allclose(-H[:3, :3], free._linearise().schur + Q) and H.shape == (3 + m, 3 + m)


def test_without_coefficients():
    problem = one_factor_problem(250, 25, 0, 1)
    found = JointModeObjective(problem, LOGIT).evaluate(np.array([0.7]), TIGHT)
    expected = LaplaceObjective(problem, LOGIT).evaluate(np.array([0.7]), TIGHT)
    assert found.value == expected.value
    assert np.array_equal(found.gradient, expected.gradient)


def test_mode_tangents_agree_with_the_closed_form():
    objective = LaplaceObjective(one_factor_problem(250, 25, 3, 2), LOGIT)
    objective.evaluate(np.array([0.3, 0.0, -0.2, 0.9, 0.2, 0.6]), TIGHT)
    _, expected = closed_form_hessian(objective)
    assert np.allclose(mode_tangents(objective), expected, rtol=0, atol=1e-12)


def test_fisher_information_survives_a_zero_variance():
    objective = LaplaceObjective(one_factor_problem(250, 25, 3, 2), LOGIT)
    objective.evaluate(np.zeros(6))
    state = objective.state
    information = fisher_theta(
        objective.layout, state.matrices, state.factorization.inverse_blocks()
    )
    assert np.linalg.eigvalsh(information).min() > 0.0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_start_is_close_and_its_metric_fits(size):
    problem = one_factor_problem(3000, 80, 4, size)
    best = fit_problem(problem, LOGIT).maximum
    objective = LaplaceObjective(problem, LOGIT)
    start = joint_start(objective, np.zeros(problem.p), guess(objective, 0.4), 3)
    assert best.value - objective.evaluate(start.phi).value < 6.0
    L = np.linalg.inv(np.linalg.cholesky(start.negative_hessian))
    ratio = np.linalg.eigvalsh(L @ -best.hessian @ L.T)
    assert ratio.min() > 0.4 and ratio.max() < 2.0
