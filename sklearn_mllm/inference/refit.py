"""Refits of a fitted model's own problem: with a parameter held, or with new responses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..design.build import Build, build_problem
from ..optimizer.fit import Outcome, fit_problem

__all__ = ["Refitter", "training_problem"]


@dataclass(frozen=True, eq=False)
class Refitter:
    """The training problem of a fitted model, and what a refit needs.

    Attributes
    ----------
    build : Build
    start : ndarray of shape (M,)
        The model's estimate in the solver's coordinates.
    """

    build: Build
    link: object
    n_agq: int
    start: np.ndarray
    constant: float

    def fit(self, problem=None, start: np.ndarray | None = None, tol: float = 1e-8) -> Outcome:
        """Maximise the likelihood of the training problem or of a changed one."""
        from ..objective import objective_for

        problem = self.build.problem if problem is None else problem
        return fit_problem(
            problem,
            self.link,
            make_objective=objective_for(self.n_agq, problem),
            tol=tol,
            start=np.array(self.start if start is None else start),
        )

    def without_column(self, direction: np.ndarray, value: float):
        """The problem with the constraint direction' gamma = value, one column fewer.

        Returns the problem and the basis N (p, p - 1): gamma = particular + N gamma_rest.
        """
        problem = self.build.problem
        norm = float(direction @ direction)
        particular = direction * (value / norm)
        Q, _ = np.linalg.qr(direction[:, None], mode="complete")
        N = Q[:, 1:]
        offset = particular @ problem.X
        if problem.offset is not None:
            offset = offset + problem.offset
        return replace(problem, X=np.ascontiguousarray(N.T @ problem.X), offset=offset), N


def training_problem(model, X, y, groups, sample_weight, offset) -> Refitter:
    """Rebuild the problem that a model was fitted to.

    Raises
    ------
    ValueError
        The data are not those of the fit.
    """
    from ..estimator.checks import check_offset, check_weights
    from ..estimator.fitting import learn_response
    from ..estimator.intake import input_table, training_rows
    from ..links import get_link
    from ..optimizer.start import start_from

    if X is None:
        raise ValueError("this method needs the training data again: pass X (and y, groups)")
    if model.prior is not None:
        raise ValueError(
            "the model was fitted with a prior, and a refit here would maximise the likelihood "
            "alone; fit with prior=None, or take Wald intervals and tests"
        )
    table = input_table(model, X, y, groups, reset=False)
    weights = check_weights(sample_weight, table.n_rows)
    offset = check_offset(offset, table.n_rows)
    rows = training_rows(model, table, y, weights, offset)
    response = learn_response(rows.y, rows.counts, rows.weights, classes=model.classes_)
    result = model.result_
    if rows.matrices.X.shape[0] != result.n_rows or rows.matrices.names != result.names:
        raise ValueError(
            f"these data are not those of the fit: {rows.matrices.X.shape[0]} rows here, "
            f"{result.n_rows} there"
        )
    total = result.n_rows if response.trials is None else float(response.trials.sum())
    mean = float(response.successes.sum()) / total
    if not np.isclose(mean, result.mean_response, rtol=1e-9, atol=1e-12):
        raise ValueError(
            f"y (or sample_weight) is not that of the fit: its mean response is {mean:.6g}, that "
            f"of the fit {result.mean_response:.6g}; pass the same data"
        )
    build = build_problem(
        rows.matrices.X, response.successes, response.trials, rows.offset, rows.matrices.random
    )
    start = start_from(result, build)
    if result.phi.shape == start.shape:
        start = np.array(result.phi)
        moved = start[build.problem.p :]
        moved[np.abs(moved) < 1e-8] = 0.0
    return Refitter(build, get_link(result.link), result.n_agq, start, response.constant)
