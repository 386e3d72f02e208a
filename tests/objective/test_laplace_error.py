"""How far Laplace is off, told at its own estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_problems import nested_problem, reference_problem

from sklearn_mllm.design.problem import Factor
from sklearn_mllm.links import get_link
from sklearn_mllm.objective.curvature import closed_form_hessian
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.laplace_error import laplace_error
from sklearn_mllm.objective.quadrature import QuadratureObjective

LOGIT = get_link("logit")


def at_laplace(identifier):
    _, problem, phi, _ = reference_problem(identifier)
    objective = LaplaceObjective(problem, LOGIT)
    for _ in range(3):  # the last digits, with an exact Newton step or two
        found = objective.evaluate(phi)
        H, _ = closed_form_hessian(objective)
        phi = phi - np.linalg.solve(H, found.gradient)
    return problem, phi, H


def test_one_newton_step_where_laplace_is_good():
    problem, phi, H = at_laplace("students_schools")
    error = laplace_error(problem, LOGIT, phi, H)
    _, _, quadrature, _ = reference_problem("students_schools_agq15")
    assert error.n_steps == 1 and error.converged
    assert np.abs(phi + error.shift - quadrature).max() < 1e-4
    assert np.abs(error.shift_in_standard_errors).max() < 0.01
    assert error.level_differences.shape == (10,)
    assert error.difference == pytest.approx(error.quadrature - error.laplace)
    assert np.allclose(error.standard_errors, np.sqrt(np.diag(np.linalg.inv(-H))))


def test_toenail_where_it_is_not():
    problem, phi, H = at_laplace("toenail_laplace")
    error = laplace_error(problem, LOGIT, phi, H)
    assert error.converged and error.n_agq > 25
    assert abs(error.difference) > 1.0
    assert abs(error.shift_in_standard_errors[-1]) > 0.5
    moved = phi + error.shift
    assert moved[-1] == pytest.approx(4.00665, abs=0.02)
    found = QuadratureObjective(problem, LOGIT, 50).evaluate(moved)
    assert found.value == pytest.approx(-625.39734, abs=2e-3)


def test_held_parameters_and_other_quantities():
    problem, phi, H = at_laplace("students_schools")
    free = np.array([True, True, True, False])
    transform = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    error = laplace_error(problem, LOGIT, phi, H, free=free, transform=transform)
    covariance = np.linalg.inv(-H[:3, :3])
    expected = np.sqrt(transform[0, :3] @ covariance @ transform[0, :3])
    assert error.standard_errors == pytest.approx([expected, 0.0])
    assert error.shift[1] == 0.0
    assert error.shift_in_standard_errors[1] == 0.0


def test_indefinite_hessian_gives_no_shift():
    problem, phi, H = at_laplace("students_schools")
    error = laplace_error(problem, LOGIT, phi, -H)
    assert np.isnan(error.shift).all() and np.isfinite(error.difference)


def test_crossed_factors_are_refused():
    problem = nested_problem((4, 5), 3, (1, 1))
    crossed = Factor(problem.factors[0].codes % 5, 5, None, False)
    problem = replace(problem, factors=(crossed, problem.factors[1]))
    with pytest.raises(ValueError, match="does not factorise"):
        laplace_error(problem, LOGIT, np.zeros(4), -np.eye(4))


def test_a_penalty_is_balanced():
    """The shift is to the maximum of quadrature and penalty together, curvature included."""
    problem, best, H = at_laplace("toenail_laplace")
    weight = 2.0 * np.diag(-H)
    phi = best + 0.3 / np.sqrt(np.diag(-H))
    objective = LaplaceObjective(problem, LOGIT)
    slope = objective.evaluate(phi).gradient
    assert np.abs(slope).max() > 1.0
    # phi is the maximum of Laplace and this penalty
    centre = phi - slope / weight

    def penalty(at):
        return -0.5 * float(weight @ (at - centre) ** 2), -weight * (at - centre), -np.diag(weight)

    hessian = closed_form_hessian(objective)[0] - np.diag(weight)
    found = laplace_error(problem, LOGIT, phi, hessian, penalty=penalty, n_points=25, max_steps=60)
    assert found.remaining_gain < 1e-3
    at = QuadratureObjective(problem, LOGIT, 25).evaluate(phi + found.shift)
    gradient = at.gradient + penalty(phi + found.shift)[1]
    assert 0.5 * gradient @ np.linalg.solve(-hessian, gradient) < 1e-3
    still = QuadratureObjective(problem, LOGIT, 25).evaluate(phi).value + penalty(phi)[0]
    assert at.value + penalty(phi + found.shift)[0] > still + 0.01
