"""Recursive adaptive quadrature for nested factors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_problems import nested_problem, slope

from sklearn_mllm.design.problem import Factor, Term
from sklearn_mllm.links import get_link
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.quadrature import quadrature_objective

LOGIT = get_link("logit")
TIGHT = 1e-22


def make(problem, n_agq):
    return quadrature_objective(n_agq, problem)(problem, LOGIT)


def parameters(objective):
    return np.concatenate([[0.1, 0.3], np.where(objective.layout.diagonal, 1.2, 0.3)])


SHAPES = [((6, 4), (1, 1)), ((5, 3), (2, 1)), ((5, 3), (1, 2)), ((3, 3, 2), (1, 1, 1))]


@pytest.mark.parametrize("n_agq", [2, 3, 5])
@pytest.mark.parametrize("shape, sizes", SHAPES)
def test_gradient(shape, sizes, n_agq):
    objective = make(nested_problem(shape, 3, sizes), n_agq)
    phi = parameters(objective)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, phi)
    assert np.abs(numeric - objective.evaluate(phi, TIGHT).gradient).max() < 1e-8


@pytest.mark.parametrize("shape, sizes", SHAPES)
def test_one_point_is_laplace(shape, sizes):
    problem = nested_problem(shape, 3, sizes)
    objective = make(problem, 1)
    phi = parameters(objective)
    expected = LaplaceObjective(problem, LOGIT).evaluate(phi, TIGHT)
    assert objective.evaluate(phi, TIGHT).value == expected.value
    integral = objective.integrate(phi, TIGHT)
    gradient = np.concatenate([problem.X @ integral.r, integral.theta.sum(axis=1)])
    assert integral.values.sum() == pytest.approx(expected.value, abs=1e-10)
    assert np.allclose(gradient, expected.gradient, rtol=0, atol=1e-10)


def brute_force(problem, phi) -> np.ndarray:
    """Log-likelihood of each outer level of two scalar nested factors, by the trapezoidal rule."""
    inner, outer = problem.factors
    theta = dict(zip([term.factor for term in problem.terms], phi[problem.p :], strict=True))
    grid = np.arange(-8.5, 8.5, 0.05)
    weight = np.exp(-0.5 * grid**2) * 0.05 / np.sqrt(2 * np.pi)
    fixed = phi[: problem.p] @ problem.X
    out = np.empty(outer.n_levels)
    for a in range(outer.n_levels):
        total = np.zeros(grid.size)
        for b in np.unique(inner.codes[outer.codes == a]):
            rows = inner.codes == b
            eta = fixed[rows][:, None, None] + theta[1] * grid[:, None] + theta[0] * grid
            l = LOGIT.derivatives(eta, problem.successes[rows][:, None, None], None, 0)[0]
            total += np.log(np.exp(l.sum(axis=0)) @ weight)
        out[a] = np.log(np.exp(total) @ weight)
    return out


def test_value_against_numerical_integration():
    problem = nested_problem((5, 3), 3, (1, 1))
    phi = np.array([0.1, 0.3, 1.4, 0.9])
    exact = brute_force(problem, phi)
    errors = [np.abs(make(problem, n).integrate(phi).values - exact).max() for n in (1, 5, 25)]
    assert errors[0] > 1e-2
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 1e-6


def test_three_levels_with_a_trivial_one_are_two():
    problem = nested_problem((5, 3), 3, (1, 1))
    codes = np.arange(problem.n, dtype=np.intp)
    finest = Factor(codes, problem.n, None, True)
    terms = (*(replace(term, factor=term.factor + 1) for term in problem.terms), Term(0, 0, 1))
    three = replace(problem, factors=(finest, *problem.factors), terms=terms)
    phi = np.array([0.1, 0.3, 1.4, 0.9])
    expected = make(problem, 7).evaluate(phi, TIGHT)
    found = make(three, 7).evaluate(np.append(phi, 0.0), TIGHT)
    assert found.value == pytest.approx(expected.value, abs=1e-10)
    assert np.allclose(found.gradient[:-1], expected.gradient, rtol=0, atol=1e-9)
    assert abs(found.gradient[-1]) < 1e-12


def test_outer_levels_may_come_in_any_order():
    problem = nested_problem((4, 5), 3, (1, 2))
    inner, outer = problem.factors
    phi = np.array([0.1, 0.3, 1.2, 0.3, 0.9, 0.8])
    expected = make(problem, 4).evaluate(phi, TIGHT)
    # the inner levels of the outer ones in turn
    order = np.argsort(inner.codes % 5, kind="stable")
    turn = np.array([5 * (j % 4) + j // 4 for j in range(20)])
    codes = np.argsort(turn)[inner.codes[order]]
    factors = (
        Factor(codes, 20, inner.Z, True),
        replace(outer, codes=outer.codes[order], Z=outer.Z[:, order], sorted=False),
    )
    moved = replace(
        problem, X=problem.X[:, order], successes=problem.successes[order], factors=factors
    )
    found = make(moved, 4).evaluate(phi, TIGHT)
    assert found.value == pytest.approx(expected.value, abs=1e-10)
    assert np.allclose(found.gradient, expected.gradient, rtol=0, atol=1e-9)


def test_crossed_factors_are_refused():
    problem = nested_problem((4, 5), 3, (1, 1))
    inner, outer = problem.factors
    crossed = Factor(inner.codes % 5, 5, None, False)
    with pytest.raises(ValueError, match="does not factorise into small ones; use n_agq=1"):
        quadrature_objective(5, replace(problem, factors=(crossed, outer)))
