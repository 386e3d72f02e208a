"""Refits of a fitted model's own problem: with a parameter held, or with new responses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..design.build import Build, build_problem
from ..design.response import Response, learn_response
from ..design.row_vectors import check_offset, check_weights
from ..optimizer.fit import Outcome, fit_problem

if TYPE_CHECKING:
    from ..estimator.intake import Rows

__all__ = ["Refitter", "TrainingData", "training_data", "training_problem"]


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


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The rows that a model was fitted to, found again.

    Attributes
    ----------
    rows : Rows
        Complete rows with positive weight, and their design.
    response : Response
        Their weighted successes and trials.
    """

    rows: Rows
    response: Response


def training_data(model, X, y, groups, sample_weight, offset) -> TrainingData:
    """Rows and response of a fit, checked against what the model remembers of them.

    Rows, coefficients, levels, mean response and the spread of the linear predictor must agree.

    Raises
    ------
    ValueError
        The data are not those of the fit.
    """
    from ..estimator.intake import input_table, training_rows

    if X is None:
        raise ValueError("this method needs the training data again: pass X (and y, groups)")
    table = input_table(model, X, y, groups, reset=False)
    weights = check_weights(sample_weight, table.n_rows)
    offset = check_offset(offset, table.n_rows)
    rows = training_rows(model, table, y, weights, offset)
    response = learn_response(rows.y, rows.counts, rows.weights, classes=model.classes_)
    result = model.result_
    n_rows = rows.matrices.X.shape[0]
    if n_rows != result.n_rows:
        raise ValueError(
            f"these data are not those of the fit: {n_rows} rows here, {result.n_rows} there"
        )
    if rows.matrices.names != result.names:
        raise ValueError(
            "these data are not those of the fit: the coefficients are "
            f"{', '.join(rows.matrices.names)} here, {', '.join(result.names)} there"
        )
    total = n_rows if response.trials is None else float(response.trials.sum())
    mean = float(response.successes.sum()) / total
    if not np.isclose(mean, result.mean_response, rtol=1e-9, atol=1e-12):
        raise ValueError(
            f"y (or sample_weight) is not that of the fit: its mean response is {mean:.6g}, that "
            f"of the fit {result.mean_response:.6g}; pass the same data"
        )
    spread = _predictor_variance(rows.matrices.X, result.fixed)
    if not np.isclose(spread, result.fixed_predictor_variance, rtol=1e-6, atol=1e-12):
        raise ValueError(
            "X is not that of the fit: the fixed side of the linear predictor has variance "
            f"{spread:.6g} here, {result.fixed_predictor_variance:.6g} there; pass the same data"
        )
    return TrainingData(rows, response)


def _predictor_variance(X: np.ndarray, beta: np.ndarray) -> float:
    eta = X @ beta
    return float(np.var(eta, ddof=1)) if eta.size > 1 else 0.0


def training_problem(model, X, y, groups, sample_weight, offset) -> Refitter:
    """Rebuild the problem that a model was fitted to.

    Raises
    ------
    ValueError
        The data are not those of the fit, or the fit had a prior.
    """
    from ..links import get_link
    from ..optimizer.start import start_from

    if X is not None and model.prior is not None:
        raise ValueError(
            "the model was fitted with a prior, and a refit here would maximise the likelihood "
            "alone; fit with prior=None, or take Wald intervals and tests"
        )
    data = training_data(model, X, y, groups, sample_weight, offset)
    rows, response, result = data.rows, data.response, model.result_
    build = build_problem(
        rows.matrices.X, response.successes, response.trials, rows.offset, rows.matrices.random
    )
    start = start_from(result, build)
    if result.phi.shape == start.shape:
        start = np.array(result.phi)
        moved = start[build.problem.p :]
        moved[np.abs(moved) < 1e-8] = 0.0
    return Refitter(build, get_link(result.link), result.n_agq, start, response.constant)
