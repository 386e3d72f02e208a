"""Fused passes over sorted rows against the general ones, in one block of rows and in many."""

from __future__ import annotations

import numpy as np
import pytest
from test_structures import design

from sklearn_mllm.links import get_link
from sklearn_mllm.objective import level_sums
from sklearn_mllm.objective.covariance import CovarianceLayout
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.objective.rows import RowPasses, Workers
from sklearn_mllm.objective.structures import Structure, choose
from sklearn_mllm.objective.structures.sorted_rows import SortedRows

SORTED = ["one", "nested", "nested, three levels", "each row a level"]


@pytest.fixture(params=[16_384, 37], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(level_sums, "BLOCK_ROWS", request.param)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", SORTED)
def test_the_same_as_the_general_passes(kind, n_threads):
    problem = design(kind)
    workers = Workers(n_threads)
    structure = choose(problem, workers)
    assert isinstance(structure, SortedRows)
    assert len(structure.by_level.tasks) in (1, *range(5, 300))
    layout = CovarianceLayout(problem)
    rng = np.random.default_rng(1)
    beta, dbeta = rng.normal(size=(2, problem.p))
    b, db = rng.normal(size=(2, structure.q))
    matrices = layout.matrices(rng.normal(size=layout.n_theta))

    def results(owner):
        rows = RowPasses(
            problem.X, problem.successes, None, np.linspace(-1.0, 1.0, problem.n),
            get_link("probit"), workers,
        )  # fmt: skip
        eta0, eta = rows.fixed_predictor(beta).copy(), np.empty(problem.n)
        at = owner.visit(structure, b, eta0, eta, rows)
        F = owner.factorize_at(structure, at, matrices)
        pull = owner.pull(structure, F, at, matrices, rows)
        moved = owner.moved_sums(structure, beta, dbeta, db, at.W, rows)
        assert rows.fixed_predictor(beta + dbeta) == pytest.approx(eta0 + dbeta @ problem.X)
        return at.log_likelihood, eta, at.s, at.W, at.W1, at.Zs, F.logdet, *pull, moved

    for ours, general in zip(results(type(structure)), results(Structure), strict=True):
        assert ours == pytest.approx(general, rel=1e-11, abs=1e-11)
    workers.close()


def test_a_move_from_elsewhere_leaves_no_stale_predictor():
    objective = LaplaceObjective(design("one"), get_link("logit"))
    rows, p = objective.rows, objective.problem.p
    beta, step = np.ones(p), np.full(p, 0.5)
    rows.fixed_predictor(beta)
    move = rows.fixed_move(beta + 1.0, step)
    for block in rows.blocks:
        assert move(block) == pytest.approx(step @ objective.problem.X[:, block])
    assert rows.fixed_predictor(beta) == pytest.approx(beta @ objective.problem.X)
    assert rows.spare is rows.product(step)
    assert rows.fixed_predictor(beta) == pytest.approx(beta @ objective.problem.X)
    objective.close()


def test_a_predictor_far_out_is_no_warning():
    problem = design("one")
    objective = LaplaceObjective(problem, get_link("cloglog"))
    at = objective.structure.visit(
        np.full(objective.structure.q, 1e300), np.zeros(problem.n), np.empty(problem.n),
        objective.rows,
    )  # fmt: skip
    assert not at.log_likelihood > -1e100
    assert not at.Zs.any()
    objective.close()
