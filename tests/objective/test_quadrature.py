"""Adaptive quadrature for one factor: value against brute force and R, gradient, rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate
from toy_problems import one_factor_problem, reference_problem, slope

from sklearn_mllm.links import get_link
from sklearn_mllm.objective import level_sums, rules
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.quadrature import QuadratureObjective, quadrature_objective

TIGHT = 1e-22


def parameters(objective, sd=1.3):
    p = objective.problem.p
    beta = np.linspace(0.3, -0.4, p)
    return np.concatenate([beta, np.where(objective.layout.diagonal, sd, 0.35)])


# -- rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 8, 15, 50, 200])
def test_rule_integrates_polynomials(n):
    z, w = rules.gauss_hermite(n)
    moment = 1.0
    for power in range(0, min(2 * n, 20), 2):
        assert w @ z**power == pytest.approx(moment, rel=1e-10)
        moment *= power + 1
    assert np.array_equal(z, -z[::-1])


def test_one_point_is_the_centre():
    for k in (1, 2, 3):
        grid = rules.product_grid(1, k)
        assert len(grid) == 1 and not grid.nodes.any() and grid.log_weights[0] == 0.0


def test_product_grid_weighs_one():
    for n, k in [(7, 1), (5, 2), (15, 2), (9, 3), (50, 2)]:
        grid = rules.product_grid(n, k)
        weights = np.exp(grid.log_weights - 0.5 * (grid.nodes**2).sum(axis=1))
        assert abs(weights.sum() - 1.0) < 1e-12
        assert np.allclose((grid.nodes * weights[:, None]).T @ grid.nodes, np.eye(k), atol=1e-10)
    assert len(rules.product_grid(15, 2)) == 225
    assert len(rules.product_grid(25, 2)) == 625
    assert len(rules.product_grid(50, 2)) < 1400


def test_grid_without_end_is_refused():
    with pytest.raises(ValueError, match=r"n_agq=25 means 25\^5"):
        rules.product_grid(25, 5)
    with pytest.raises(ValueError, match="between 1 and"):
        rules.product_grid(0, 1)


def test_pruning_changes_nothing_that_counts(monkeypatch):
    problem = one_factor_problem(200, 15, 2, 2)
    pruned = QuadratureObjective(problem, get_link("logit"), 40)
    assert len(pruned.grid) < 1100
    phi = parameters(pruned)
    value = pruned.evaluate(phi, TIGHT).value
    monkeypatch.setattr(rules, "FULL_GRID", 10_000)
    rules.product_grid.cache_clear()
    full = QuadratureObjective(problem, get_link("logit"), 40)
    rules.product_grid.cache_clear()
    assert len(full.grid) == 1600
    assert value == pytest.approx(full.evaluate(phi, TIGHT).value, abs=1e-7)


# -- value -----------------------------------------------------------------------------------------


def level_density(problem, link, phi, level):
    """exp(f(u)) (2 pi)^(-k/2) of one level as a function of arrays u_1, ..., u_k."""
    (factor,) = problem.factors
    rows = np.flatnonzero(factor.codes == level)
    k = factor.size
    Lam = np.zeros((k, k))
    Lam[np.triu_indices(k)[::-1]] = phi[problem.p :]
    fixed = phi[: problem.p] @ problem.X[:, rows]
    if problem.offset is not None:
        fixed = fixed + problem.offset[rows]
    Z = np.ones((1, rows.size)) if factor.Z is None else factor.Z[:, rows]
    trials = None if problem.trials is None else problem.trials[rows][:, None]

    def density(*u):
        u = np.array([np.ravel(v) for v in u])
        eta = fixed[:, None] + Z.T @ (Lam @ u)
        total = link.derivatives(eta, problem.successes[rows][:, None], trials, 0)[0].sum(axis=0)
        values = np.exp(total - 0.5 * (u * u).sum(axis=0)) / (2 * np.pi) ** (k / 2)
        return values if values.size > 1 else float(values[0])

    return density


@pytest.mark.parametrize("name", ["logit", "probit", "cloglog"])
def test_scalar_term_against_numerical_integration(name):
    link = get_link(name)
    problem = one_factor_problem(60, 8, 2, 1, counts=True, offset=True)
    objective = QuadratureObjective(problem, link, 60)
    phi = parameters(objective)
    values = objective.integrate(phi).values
    for level in range(8):
        density = level_density(problem, link, phi, level)
        exact, _ = integrate.quad(density, -12, 12, epsabs=0, epsrel=1e-11, limit=200)
        assert values[level] == pytest.approx(np.log(exact), abs=1e-8)


def test_vector_term_against_dense_grid():
    link = get_link("logit")
    problem = one_factor_problem(60, 8, 2, 2)
    objective = QuadratureObjective(problem, link, 40)
    phi = parameters(objective)
    values = objective.integrate(phi).values
    grid = np.arange(-9.0, 9.0, 0.06)
    u = np.meshgrid(grid, grid)
    for level in range(8):
        exact = level_density(problem, link, phi, level)(*u).sum() * 0.06**2
        assert values[level] == pytest.approx(np.log(exact), abs=1e-6)


def test_more_points_come_closer():
    problem = one_factor_problem(120, 20, 2, 2)
    values = []
    for n in (1, 3, 5, 9, 21):
        objective = QuadratureObjective(problem, get_link("logit"), n)
        values.append(objective.evaluate(parameters(objective)).value)
    errors = np.abs(np.array(values[:-1]) - values[-1])
    assert (errors[1:] < 0.5 * errors[:-1]).all()


@pytest.mark.parametrize("size", [1, 2])
def test_one_point_is_laplace(size):
    problem = one_factor_problem(150, 20, 3, size, counts=True)
    link = get_link("logit")
    quadrature, laplace = QuadratureObjective(problem, link, 1), LaplaceObjective(problem, link)
    phi = parameters(quadrature)
    expected, found = laplace.evaluate(phi, TIGHT), quadrature.evaluate(phi, TIGHT)
    assert found.value == expected.value
    assert np.array_equal(found.gradient, expected.gradient)
    # and by the quadrature's own formulas
    integral = QuadratureObjective(problem, link, 1).integrate(phi, TIGHT)
    gradient = np.concatenate([problem.X @ integral.r, integral.theta.sum(axis=1)])
    assert integral.values.sum() == pytest.approx(expected.value, abs=1e-11)
    assert np.allclose(gradient, expected.gradient, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "identifier",
    [
        "contraception_agq10",
        "toenail_agq25",
        "cbpp_herd_agq9",
        "bacteria_trt_week_agq20",
        "students_schools_agq15",
    ],
)
def test_reference_value(identifier):
    case, problem, phi, constant = reference_problem(identifier)
    found = QuadratureObjective(problem, get_link("logit"), case["n_agq"]).evaluate(phi)
    assert found.value + constant == pytest.approx(case["reference"]["loglik"], rel=1e-11)


def test_toenail_with_fifty_points():
    _, problem, _, _ = reference_problem("toenail_agq25")
    phi = np.array([-1.61832979, -0.16077962, -0.39100304, -0.13679053, 4.00664716])
    found = QuadratureObjective(problem, get_link("logit"), 50).evaluate(phi)
    assert found.value == pytest.approx(-625.39734, abs=1e-5)
    assert np.abs(found.gradient).max() < 1e-3


def test_no_overflow_at_extreme_parameters():
    problem = one_factor_problem(400, 3, 1, 1)
    objective = QuadratureObjective(problem, get_link("logit"), 30)
    for phi in ([0.0, 300.0], [40.0, 1e-8], [0.0, 0.0]):
        found = objective.evaluate(np.array(phi))
        assert np.isfinite(found.value) and np.isfinite(found.gradient).all()


# -- gradient --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_agq", [2, 3, 5, 15])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_gradient(size, n_agq):
    if n_agq**size > 1000:
        n_agq = 7
    problem = one_factor_problem(110, 20, 2, size, counts=size == 1, offset=True)
    objective = QuadratureObjective(problem, get_link("logit"), n_agq)
    phi = parameters(objective)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, phi)
    assert np.abs(numeric - objective.evaluate(phi, TIGHT).gradient).max() < 1e-8


@pytest.mark.parametrize("name", ["probit", "cloglog", "cauchit"])
def test_gradient_of_other_links(name):
    problem = one_factor_problem(150, 20, 2, 1, counts=True)
    objective = QuadratureObjective(problem, get_link(name), 5)
    phi = parameters(objective, sd=0.6)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, phi)
    assert np.abs(numeric - objective.evaluate(phi, TIGHT).gradient).max() < 1e-7


def test_two_terms_on_one_factor():
    from dataclasses import replace

    from sklearn_mllm.design.problem import Term

    problem = one_factor_problem(110, 15, 2, 3)
    problem = replace(problem, terms=(Term(0, 1, 2), Term(0, 0, 1)))
    objective = QuadratureObjective(problem, get_link("logit"), 3)
    phi = parameters(objective)
    numeric = slope(lambda x: objective.evaluate(x, TIGHT).value, phi)
    assert np.abs(numeric - objective.evaluate(phi, TIGHT).gradient).max() < 1e-8


def test_blocks_and_threads_change_nothing(monkeypatch):
    problem = one_factor_problem(500, 40, 2, 2)
    link = get_link("logit")
    whole = QuadratureObjective(problem, link, 5)
    phi = parameters(whole)
    expected = whole.evaluate(phi, TIGHT)
    monkeypatch.setattr(level_sums, "BLOCK_ROWS", 64)
    parts = QuadratureObjective(problem, link, 5, n_threads=2)
    assert len(parts.structure.by_level.tasks) > 5
    found = parts.evaluate(phi, TIGHT)
    parts.close()
    assert found.value == pytest.approx(expected.value, abs=1e-10)
    assert np.allclose(found.gradient, expected.gradient, rtol=0, atol=1e-10)


def test_mode_tangents():
    problem = one_factor_problem(200, 20, 2, 2)
    objective = QuadratureObjective(problem, get_link("logit"), 3)
    phi = parameters(objective)

    def modes(x):
        objective.evaluate(x, TIGHT)
        return objective.u

    numeric = slope(modes, phi)
    objective.evaluate(phi, TIGHT)
    assert np.abs(numeric.T - objective.mode_tangents()).max() < 1e-8


def test_needs_a_grouping_factor():
    from dataclasses import replace

    problem = replace(one_factor_problem(30, 5, 1, 1), factors=(), terms=())
    with pytest.raises(ValueError, match="needs a grouping factor"):
        quadrature_objective(5, problem)


def test_nodes_where_scores_overflow_weigh_nothing():
    """Failures under cloglog: next to the mode lie predictors of hundreds."""
    problem = one_factor_problem(30, 5, 1, 1)
    problem = replace(problem, successes=np.zeros(30))
    objective = QuadratureObjective(problem, get_link("cloglog"), n_agq=9)
    with np.errstate(over="raise", invalid="raise"):
        found = objective.evaluate(np.array([0.0, 1e5]), TIGHT)
    assert np.isfinite(found.value) and np.isfinite(found.gradient).all()
