"""The four operations of every structure against dense linear algebra, and which one is chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import hadamard

from sklearn_mllm.design.build import build_problem
from sklearn_mllm.formula import RandomMatrices
from sklearn_mllm.links import get_link
from sklearn_mllm.objective import differences
from sklearn_mllm.objective.differences import difference_hessian
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.rows import Workers
from sklearn_mllm.objective.structures import choose
from sklearn_mllm.objective.structures.crossed import Crossed
from sklearn_mllm.objective.structures.iterative import IterativeFactorization, Probes
from sklearn_mllm.objective.structures.nested import Nested
from sklearn_mllm.objective.structures.one_factor import OneFactor
from sklearn_mllm.optimizer.fit import fit_problem
from sklearn_mllm.optimizer.verdict import judge


def _within(generator, codes: np.ndarray, n_outer: int) -> np.ndarray:
    """Codes of a factor that holds the levels of `codes`, all of its levels in use."""
    outer = generator.integers(0, n_outer, codes.max() + 1)
    outer[:n_outer] = np.arange(n_outer)
    return generator.permutation(n_outer)[outer][codes]


def _codes(generator, n: int, n_levels: int) -> np.ndarray:
    codes = np.concatenate([np.arange(n_levels), generator.integers(0, n_levels, n - n_levels)])
    return generator.permutation(codes)


def design(kind: str, n: int = 300, seed: int = 0, shuffle: bool = False):
    """A problem of one kind of random effects; `shuffle` gives its rows in another order."""
    generator = np.random.default_rng(seed)
    x, z = generator.normal(size=(2, n))
    ones = np.ones(n)
    a = _codes(generator, n, 40)
    b = _within(generator, a, 12)
    c = _within(generator, b, 4)
    d, e = _codes(generator, n, 9), _codes(generator, n, 5)
    vector = np.column_stack([ones, x])
    layouts = {
        "one": [("a", a, vector), ("a", a, z[:, None])],
        "nested": [("b", b, None), ("a", a, None)],
        "nested, three levels": [("c", c, None), ("a", a, z[:, None]), ("b", b, vector)],
        "nested, same columns": [("c", c, vector), ("b", b, vector), ("a", a, vector)],
        "crossed": [("d", d, None), ("a", a, None)],
        "crossed, three factors": [("d", d, vector), ("a", a, None), ("e", e, z[:, None])],
        "nested and crossed": [("b", b, vector), ("a", a, None), ("d", d, None), ("d", d, x[:, None])],
        "each row a level": [("o", generator.permutation(n), None), ("a", a, vector)],
        "the same groups twice": [("a", a, None), ("relabelled", generator.permutation(40)[a], None)],
    }  # fmt: skip
    order = np.random.default_rng(7).permutation(n) if shuffle else np.arange(n)
    y = (generator.random(n) < 1.0 / (1.0 + np.exp(-x - 0.8 * generator.normal(size=40)[a]))) * 1.0
    random = []
    for group, codes, Z in layouts[kind]:
        effects = tuple(f"z{i}" for i in range(1 if Z is None else Z.shape[1]))
        levels = tuple(str(level) for level in range(codes.max() + 1))
        Z = None if Z is None else Z[order]
        random.append(RandomMatrices(group, effects, levels, codes[order].astype(np.intp), Z))
    X = np.column_stack([ones, x])[order]
    return build_problem(X, y[order], None, None, random, scale=False).problem


KINDS = {
    "one": OneFactor,
    "nested": Nested,
    "nested, three levels": Nested,
    "nested, same columns": Nested,
    "crossed": Crossed,
    "crossed, three factors": Crossed,
    "nested and crossed": Crossed,
    "each row a level": Nested,
    "the same groups twice": Nested,
}


def dense_design(problem) -> np.ndarray:
    """Z, shape (n, q), in the layout of `u`."""
    blocks = []
    for factor in problem.factors:
        indicator = np.eye(factor.n_levels)[factor.codes]
        columns = [np.ones(problem.n)] if factor.Z is None else factor.Z
        blocks.extend(indicator * column[:, None] for column in columns)
    return np.hstack(blocks)


def random_matrices(objective, generator) -> tuple[list[np.ndarray], np.ndarray]:
    matrices = objective.layout.matrices(generator.normal(size=objective.layout.n_theta))
    Lambda = np.zeros((objective.structure.q,) * 2)
    for part, matrix, (_, J) in zip(
        objective.structure.slices, matrices, objective.structure.shapes, strict=True
    ):
        Lambda[part, part] = np.kron(matrix, np.eye(J))
    return matrices, Lambda


@pytest.mark.parametrize("kind", KINDS)
def test_four_operations_are_those_of_dense_algebra(kind):
    problem = design(kind)
    objective = LaplaceObjective(problem, get_link("logit"))
    structure = objective.structure
    assert type(structure) is KINDS[kind]
    generator = np.random.default_rng(1)
    matrices, Lambda = random_matrices(objective, generator)
    W = generator.uniform(0.05, 0.3, problem.n)
    ZL = dense_design(problem) @ Lambda
    H = ZL.T @ (W[:, None] * ZL) + np.eye(structure.q)
    inverse = np.linalg.inv(H)

    F = structure.factorize(W, matrices)
    assert F.definite
    np.testing.assert_allclose(F.logdet, np.linalg.slogdet(H)[1], rtol=1e-12)
    rhs = generator.normal(size=(3, structure.q))
    np.testing.assert_allclose(F.solve(rhs), rhs @ inverse, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(F.solve(rhs[0]), inverse @ rhs[0], rtol=1e-9, atol=1e-11)
    leverages = np.einsum("ia,ab,ib->i", ZL, inverse, ZL)
    np.testing.assert_allclose(F.leverages(), leverages, rtol=1e-9, atol=1e-12)
    traces = inverse @ (ZL.T @ (W[:, None] * dense_design(problem)))
    blocks = F.inverse_blocks()
    for part, block, trace, (k, J) in zip(
        structure.slices, blocks, F.theta_traces(), structure.shapes, strict=True
    ):
        own = inverse[part, part].reshape(k, J, k, J)
        np.testing.assert_allclose(block, np.einsum("ajbj->abj", own), rtol=1e-9, atol=1e-12)
        expected = np.einsum("ajbj->ba", traces[part, part].reshape(k, J, k, J))
        np.testing.assert_allclose(trace, expected, rtol=1e-9, atol=1e-10)

    v = generator.normal(size=problem.n)
    u = generator.normal(size=structure.q)
    Z = dense_design(problem)
    np.testing.assert_allclose(structure.sums(v), Z.T @ v, rtol=1e-11, atol=1e-12)
    eta = structure.predictor(u, v, np.empty(problem.n))
    np.testing.assert_allclose(eta, v + Z @ u, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_gradient_is_the_slope_of_the_value(kind, link):
    objective = LaplaceObjective(design(kind), get_link(link))
    generator = np.random.default_rng(2)
    theta = np.where(objective.layout.diagonal, 0.7, 0.2)
    phi = np.concatenate([[-0.2, 0.3], theta]) + 0.05 * generator.normal(
        size=objective.n_parameters
    )
    gradient = objective.evaluate(phi, 1e-24).gradient
    for i in range(phi.shape[0]):
        values = []
        for factor in (-2, -1, 1, 2):
            moved = phi.copy()
            moved[i] += factor * 1e-3
            values.append(objective.evaluate(moved, 1e-24).value)
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-3
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_rows_changes_nothing(kind):
    phi = None
    results = []
    for shuffle in (False, True):
        problem = design(kind, shuffle=shuffle)
        objective = LaplaceObjective(problem, get_link("logit"))
        if phi is None:
            theta = np.where(objective.layout.diagonal, 0.9, -0.3)
            phi = np.concatenate([[0.1, 0.4], theta])
        results.append(objective.evaluate(phi))
    np.testing.assert_allclose(results[0].value, results[1].value, rtol=1e-12)
    np.testing.assert_allclose(results[0].gradient, results[1].gradient, rtol=1e-8, atol=1e-9)


def test_nested_algebra_is_that_of_crossed_factors():
    problem = design("nested, three levels", n=900)
    link = get_link("logit")
    nested, crossed = LaplaceObjective(problem, link), LaplaceObjective(problem, link)
    crossed.structure = Crossed(problem, Workers())
    phi = np.concatenate([[0.2, -0.4], np.where(nested.layout.diagonal, 0.8, 0.3)])
    a, b = nested.evaluate(phi), crossed.evaluate(phi)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-13)
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-9, atol=1e-10)


def test_one_row_out_of_place_makes_factors_crossed():
    problem = design("nested")
    codes = problem.factors[1].codes.copy()
    codes[-1] = 0 if codes[-1] else 1
    assert type(choose(problem, Workers())) is Nested
    moved = replace(problem.factors[1], codes=codes)
    problem = replace(problem, factors=(problem.factors[0], moved))
    assert type(choose(problem, Workers())) is Crossed


# -- probes ------------------------------------------------------------------------------------------

CROSSED = ["crossed", "crossed, three factors", "nested and crossed"]


@pytest.mark.parametrize("kind", CROSSED)
def test_probes_are_right_on_average(kind):
    """With probes +-e_i in place of random signs every mean is the exact trace."""
    problem = design(kind)
    objective = LaplaceObjective(problem, get_link("logit"))
    structure = objective.structure
    generator = np.random.default_rng(3)
    matrices, _ = random_matrices(objective, generator)
    W = generator.uniform(0.05, 0.3, problem.n)
    exact = structure.factorize(W, matrices)
    # orthogonal signs: their mean outer product is the identity, up to columns that are left out
    size = 1 << (structure.q1 - 1).bit_length()
    probes = Probes(structure.q1)
    probes.signs = hadamard(size).astype(float)[: structure.q1]
    found = IterativeFactorization(structure, W, matrices, probes)
    rhs = generator.normal(size=(2, structure.q))
    np.testing.assert_allclose(found.solve(rhs), exact.solve(rhs), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found.logdet, exact.logdet, rtol=1e-7)
    np.testing.assert_allclose(found.leverages().copy(), exact.leverages(), rtol=1e-6, atol=1e-8)
    for a, b in zip(found.inverse_blocks(), exact.inverse_blocks(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    for a, b in zip(found.theta_traces(), exact.theta_traces(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", CROSSED)
def test_random_probes_are_within_their_error(kind):
    problem = design(kind, n=900)
    objective = LaplaceObjective(problem, get_link("logit"))
    structure = objective.structure
    matrices, _ = random_matrices(objective, np.random.default_rng(4))
    W = np.random.default_rng(5).uniform(0.05, 0.3, problem.n)
    exact = structure.factorize(W, matrices)
    found = IterativeFactorization(structure, W, matrices, Probes(structure.q1, 400))
    assert 0.0 < found.logdet_error < 0.1
    assert abs(found.logdet - exact.logdet) < 4.0 * found.logdet_error
    h, expected = found.leverages().copy(), exact.leverages()
    assert np.abs(h - expected).mean() < 0.05 * expected.mean()


def test_leading_directions_alone_come_close():
    """Hardly anything of log|T|, and next to nothing of the gradient in standard errors, is missed."""
    problem = crossed_rows(n=20_000)
    objective = LaplaceObjective(problem, get_link("logit"))
    structure = objective.structure
    phi = np.array([0.3, 0.5, 1.0, 0.6])
    exact = objective.evaluate(phi)
    errors = np.sqrt(np.diag(np.linalg.inv(-difference_hessian(objective)[0])))
    without = IterativeFactorization(structure, objective.state.W, objective.state.matrices, None)
    missed = objective.state.factorization.logdet - without.logdet
    structure.approximates = True
    with structure.approximately():
        found = objective.evaluate(phi)
    left = 2.0 * (exact.value - found.value)
    assert missed < -0.5
    assert abs(left) < 0.02 * abs(missed)
    assert np.abs((found.gradient - exact.gradient) * errors).max() < 3e-4
    # outside, the factorisation is exact again
    np.testing.assert_allclose(objective.evaluate(phi).value, exact.value, rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, None, np.inf])
def test_curvature_by_the_approximation_where_it_is_good_enough(share, monkeypatch):
    problem = crossed_rows()
    objective = LaplaceObjective(problem, get_link("logit"))
    phi = np.array([0.3, 0.5, 1.0, 0.6])
    objective.evaluate(phi)
    expected, _ = difference_hessian(objective)
    objective.structure.dear = objective.structure.approximates = True
    if share is not None:
        monkeypatch.setattr(differences, "APPROXIMATE_SHARE", share)
    objective.evaluate(phi, 1e-20)
    evaluations = []
    factorize = objective.structure.factorize

    def counted(*given):
        evaluations.append(objective.structure.approximating)
        return factorize(*given)

    monkeypatch.setattr(objective.structure, "factorize", counted)
    found, _ = difference_hessian(objective)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((found - expected) / scale).max() < (1e-3 if share == np.inf else 5e-4)
    if share == 0.0:
        assert np.abs((found - expected) / scale).max() < 2e-5
    # all by the approximation, and exact ones for all or none
    assert sum(evaluations) == 5
    assert len(evaluations) - 5 == {0.0: 4, np.inf: 0}.get(share, len(evaluations) - 5)


def crossed_rows(n=4000, users=250, items=160, seed=0):
    """A problem of two crossed factors whose levels meet here and there."""
    generator = np.random.default_rng(seed)
    u, i = _codes(generator, n, users), _codes(generator, n, items)
    x = generator.normal(size=n)
    eta = 0.3 + 0.5 * x + generator.normal(size=users)[u] + 0.6 * generator.normal(size=items)[i]
    y = (generator.random(n) < 1.0 / (1.0 + np.exp(-eta))) * 1.0
    random = [
        RandomMatrices("u", ("1",), tuple(map(str, range(users))), u.astype(np.intp), None),
        RandomMatrices("i", ("1",), tuple(map(str, range(items))), i.astype(np.intp), None),
    ]
    X = np.column_stack([np.ones(n), x])
    return build_problem(X, y, None, None, random).problem


CROSSED_INIT = Crossed.__init__


def fit_by(way: str, problem, monkeypatch):
    """A fit by the Schur complement, by probes, or by leading directions and one exact evaluation."""

    def constructor(self, problem, workers, iterative=None):
        CROSSED_INIT(self, problem, workers, way == "probes")
        self.approximates = way == "both"
        self.dear = way != "exact"

    monkeypatch.setattr(Crossed, "__init__", constructor)
    return fit_problem(problem, get_link("logit"))


def test_three_ways_to_the_same_fit(monkeypatch):
    problem = crossed_rows()
    exact, probes, both = (fit_by(way, problem, monkeypatch) for way in ("exact", "probes", "both"))
    covariance = np.linalg.inv(-exact.maximum.hessian)
    errors = np.sqrt(np.diag(covariance))
    # one exact evaluation leaves nothing of the approximation in estimates and log-likelihood
    assert abs(both.maximum.value - exact.maximum.value) < 1e-6
    assert np.abs((both.maximum.phi - exact.maximum.phi) / errors).max() < 2e-4
    # and little in standard errors
    found = np.sqrt(np.diag(np.linalg.inv(-both.maximum.hessian)))
    np.testing.assert_allclose(found, errors, rtol=2e-4)
    # probes alone: within their own error, small against the errors of estimation
    error = 0.5 * probes.objective.state.factorization.logdet_error
    assert 0.0 < error < 0.5
    terms = [(f"g{number}", ("Intercept",)) for number in range(len(problem.terms))]
    kept = [f"x{j}" for j in range(problem.p)]
    verdict = judge(probes, kept, terms, np.eye(problem.p), [np.eye(1)] * len(terms))
    assert verdict.log_likelihood_error == error
    assert abs(probes.maximum.value - exact.maximum.value) < 4.0 * error
    assert np.abs((probes.maximum.phi - exact.maximum.phi) / errors).max() < 0.005
    np.testing.assert_allclose(both.u, exact.u, atol=1e-5)


def test_short_differences_are_the_long_ones():
    problem = crossed_rows(n=1500, users=90, items=60)
    objective = LaplaceObjective(problem, get_link("logit"))
    phi = np.array([0.3, 0.5, 1.0, 0.6])
    objective.evaluate(phi)
    two_sided, tangent = difference_hessian(objective)
    objective.structure.dear = True
    before = objective.evaluate(phi, 1e-20)
    one_sided, other = difference_hessian(objective)
    np.testing.assert_allclose(one_sided, two_sided, rtol=2e-5, atol=2e-5 * np.abs(two_sided).max())
    np.testing.assert_allclose(other, tangent, rtol=1e-6, atol=1e-7)
    # the objective is left where it was
    assert objective.latest is before
    np.testing.assert_array_equal(objective.state.phi, phi)
    after = LaplaceObjective(problem, get_link("logit"))
    after.evaluate(phi, 1e-20)
    np.testing.assert_allclose(objective.state.eta, after.state.eta, atol=1e-9)
    np.testing.assert_allclose(objective.u, after.u, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_rough_modes_cost_second_order_errors(kind):
    """The step that is left of the modes is in the value: its error falls as the decrement's."""
    problem = design(kind)
    objective = LaplaceObjective(problem, get_link("logit"))
    phi = np.concatenate([[0.2, 0.5], 0.9 * objective.layout.diagonal])
    exact = objective.evaluate(phi, 1e-20).value
    errors = []
    for tol in (1e-1, 1e-4):
        objective.u = np.zeros(objective.structure.q)
        errors.append(abs(objective.evaluate(phi, tol).value - exact))
        # without the correction the value is off by half the decrement alone
        assert errors[-1] < 0.1 * objective.state.decrement
    objective.close()
