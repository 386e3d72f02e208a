"""Refits of a fitted model's own problem: with a parameter held, or with new responses."""

from __future__ import annotations

from collections.abc import Callable
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
    penalty : callable(phi) -> (value, gradient, Hessian) or None
        Log prior density in the solver's coordinates.
    make_penalty : callable(random_maps, layout) -> penalty, or None
        The same where the random effects have other coordinates.
    used : ndarray or None
        Rows of the data in use; None is all.
    """

    build: Build
    link: object
    n_agq: int
    start: np.ndarray
    constant: float
    penalty: Callable | None = None
    make_penalty: Callable | None = None
    used: np.ndarray | None = None

    def fit(
        self,
        problem=None,
        start: np.ndarray | None = None,
        tol: float = 1e-8,
        basis: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> Outcome:
        """Maximise the (penalised) likelihood of the training problem or of a changed one.

        `basis` (p, r) and `shift` (p,) tell where the coefficients of a changed problem lie in the
        solver's coordinates: shift + basis gamma.
        """
        from ..objective import objective_for

        problem = self.build.problem if problem is None else problem
        penalty = self.penalty
        if penalty is not None and basis is not None:
            penalty = _on_plane(penalty, basis, shift)
        outcome = fit_problem(
            problem,
            self.link,
            make_objective=objective_for(self.n_agq, problem),
            penalty=penalty,
            tol=tol,
            start=np.array(self.start if start is None else start),
        )
        if penalty is None:
            return outcome
        maximum = outcome.maximum
        value = maximum.value + penalty(maximum.phi)[0]
        return replace(outcome, maximum=replace(maximum, value=value))

    def without_column(self, direction: np.ndarray, value: float):
        """The problem with the constraint direction' gamma = value, one column fewer.

        Returns the problem, the basis N (p, p - 1) and the particular solution (p,):
        gamma = particular + N gamma_rest.
        """
        problem = self.build.problem
        norm = float(direction @ direction)
        particular = direction * (value / norm)
        Q, _ = np.linalg.qr(direction[:, None], mode="complete")
        N = Q[:, 1:]
        offset = particular @ problem.X
        if problem.offset is not None:
            offset = offset + problem.offset
        rest = replace(problem, X=np.ascontiguousarray(N.T @ problem.X), offset=offset)
        return rest, N, particular


def _on_plane(penalty: Callable, basis: np.ndarray, shift: np.ndarray | None) -> Callable:
    """A penalty of (shift + basis gamma, theta) as one of (gamma, theta)."""
    p, r = basis.shape

    def value(phi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        beta = basis @ phi[:r]
        if shift is not None:
            beta = beta + shift
        found, gradient, H = penalty(np.concatenate([beta, phi[r:]]))
        back = np.zeros((H.shape[0], phi.shape[0]))
        back[:p, :r] = basis
        back[p:, r:] = np.eye(phi.shape[0] - r)
        return found, gradient @ back, back.T @ H @ back

    return value


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The rows that a model was fitted to, found again.

    Attributes
    ----------
    rows : Rows
        Complete rows with positive weight, and their design.
    response : Response
        Their weighted successes and trials.
    build : Build
        The problem that they make.
    """

    rows: Rows
    response: Response
    build: Build


def training_data(model, X, y, groups, sample_weight, offset) -> TrainingData:
    """Rows, response and problem of a fit, checked against what the model remembers of them.

    Coefficients, levels, the totals of its `Trace` and the spread of the linear predictor must
    agree.

    Raises
    ------
    ValueError
        The data are not those of the fit.
    """
    from ..estimator.intake import input_table, training_rows
    from ..optimizer.package import trace_of

    if X is None:
        raise ValueError("this method needs the training data again: pass X (and y, groups)")
    table = input_table(model, X, groups, reset=False)
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
    random = rows.matrices.random
    build = build_problem(rows.matrices.X, response.successes, response.trials, rows.offset, random)
    difference = trace_of(build, result.names, [t.group for t in random]).difference(result.trace)
    if difference:
        raise ValueError(
            f"these data are not those of the fit: {difference} here and there; pass the same X, y, "
            "groups and sample_weight"
        )
    spread = _predictor_variance(rows.matrices.X, result.fixed)
    if not np.isclose(spread, result.fixed_predictor_variance, rtol=1e-6, atol=1e-12):
        raise ValueError(
            "these data are not those of the fit: the fixed side of the linear predictor has "
            f"variance {spread:.6g} here, {result.fixed_predictor_variance:.6g} there; pass the same X"
        )
    return TrainingData(rows, response, build)


def _predictor_variance(X: np.ndarray, beta: np.ndarray) -> float:
    eta = X @ beta
    return float(np.var(eta, ddof=1)) if eta.size > 1 else 0.0


def training_problem(
    model, X, y, groups, sample_weight, offset, *, penalised: bool = False
) -> Refitter:
    """Rebuild the problem that a model was fitted to.

    Parameters
    ----------
    penalised : bool, default=False
        Refits may maximise the penalised likelihood of a fit with a prior.

    Raises
    ------
    ValueError
        The data are not those of the fit, or the fit had a prior that is not wanted.
    """
    from ..links import get_link
    from ..objective.covariance import CovarianceLayout
    from ..objective.prior import Penalty
    from ..optimizer.start import start_from

    if X is not None and model.prior is not None and not penalised:
        raise ValueError(
            "the model was fitted with a prior, and this needs the maximum of the likelihood alone; "
            "fit with prior=None, or take Wald tests, or profile or bootstrap intervals"
        )
    data = training_data(model, X, y, groups, sample_weight, offset)
    build, result = data.build, model.result_
    start = start_from(result, build)
    if result.phi.shape == start.shape:
        start = np.array(result.phi)
        moved = start[build.problem.p :]
        moved[np.abs(moved) < 1e-8] = 0.0
    penalty = make_penalty = None
    if model.prior is not None:
        kept = [result.names[j] for j in build.fixed_map.kept]

        def make_penalty(random_maps, layout) -> Penalty:
            return Penalty(model.prior, kept, build.fixed_map.T, random_maps, layout)

        penalty = make_penalty(build.random_maps, CovarianceLayout(build.problem))
    return Refitter(
        build, get_link(result.link), result.n_agq, start, data.response.constant, penalty,
        make_penalty, data.rows.matrices.rows,
    )  # fmt: skip
