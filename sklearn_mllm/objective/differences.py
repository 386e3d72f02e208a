"""Hessian by differences of an exact gradient."""

from __future__ import annotations

import numpy as np

from .laplace import LaplaceObjective
from .tangents import mode_tangents

__all__ = ["BASE_MODE_TOL", "difference_hessian", "is_one_sided"]

#: Step in standardised coordinates: error of order step^2 against rounding of order 1e-11 / step.
STEP = 2e-4
#: Modes follow their tangent from the centre, so that their error is even in the step and cancels.
MODE_TOL = 1e-10
#: Step of one-sided differences, whose error is of its order.
ONE_SIDED_STEP = 1e-5
#: Difference of an approximate gradient from the exact one, against the curvature times the parameter
#: (or one, on the scale of the predictor), up to which approximate curvature is taken: what that leaves
#: of relative error in a standard error is up to ten times it.
APPROXIMATE_SHARE = 1e-5
#: Modes of one-sided differences: at the centre all but exact, beside it in error by the square of
#: the step, which is short.
BASE_MODE_TOL = 1e-18


def is_one_sided(objective) -> bool:
    """Whether one evaluation for each parameter has to do, because they are dear."""
    return isinstance(objective, LaplaceObjective) and objective.structure.dear


def difference_hessian(objective) -> tuple[np.ndarray, np.ndarray]:
    """Hessian (M, M) and du/d(parameters) (M, q) at the objective's last evaluation.

    From evaluations of the gradient on both sides of each parameter, or on one (`is_one_sided`), with
    modes predicted from the tangent; the objective is left where it was.
    """
    if is_one_sided(objective):
        return _one_sided(objective)
    evaluate = objective.evaluate
    phi = np.array(objective.state.phi[-objective.n_parameters :])
    evaluate(phi, MODE_TOL)
    tangent = _tangent(objective)
    follows = tangent.shape[0] == phi.shape[0]
    centre = objective.u
    H = np.empty((phi.shape[0], phi.shape[0]))
    for i in range(phi.shape[0]):
        rise = np.zeros(phi.shape[0])
        for sign in (1.0, -1.0):
            moved = phi.copy()
            moved[i] += sign * STEP
            if follows:
                objective.tangent = None
                objective.u = centre + sign * STEP * tangent[i]
            rise += sign * evaluate(moved, MODE_TOL).gradient
        H[i] = rise / (2.0 * STEP)
    if follows:
        objective.u = centre
    evaluate(phi, MODE_TOL)
    if follows:
        objective.tangent = tangent
    return 0.5 * (H + H.T), tangent


def _one_sided(objective: LaplaceObjective) -> tuple[np.ndarray, np.ndarray]:
    """By the structure's approximation, where it has one, but for rows that it is not good enough for."""
    phi = np.array(objective.state.phi)
    if objective.state.decrement > BASE_MODE_TOL:
        objective.evaluate(phi, BASE_MODE_TOL)
    base = objective.latest.gradient
    tangent = objective.tangent = _tangent(objective)
    H = np.zeros((phi.shape[0], phi.shape[0]))
    exact = np.ones(phi.shape[0], dtype=bool)
    with objective.staying():
        if objective.structure.approximates:
            with objective.structure.approximately():
                near = objective.evaluate(phi, MODE_TOL).gradient
                _fill_rows(objective, phi, near, exact, H)
            size = np.ones_like(phi)
            size[objective.problem.p :] = np.abs(phi[objective.problem.p :])
            exact = np.abs(base - near) > APPROXIMATE_SHARE * size * np.abs(np.diag(H))
        _fill_rows(objective, phi, base, exact, H)
    lower = 0.5 * (H + H.T)
    # an exact row is worth more than an approximate column
    mixed = exact[:, None] != exact
    return np.where(mixed, np.where(exact[:, None], H, H.T), lower), tangent


def _fill_rows(
    objective, phi: np.ndarray, base: np.ndarray, rows: np.ndarray, H: np.ndarray
) -> None:
    """Rows of the Hessian by one-sided differences from the gradient `base` at phi."""
    for i in np.flatnonzero(rows):
        beside = phi.copy()
        beside[i] += ONE_SIDED_STEP
        H[i] = (objective.evaluate(beside, MODE_TOL).gradient - base) / ONE_SIDED_STEP


def _tangent(objective) -> np.ndarray:
    own = getattr(objective, "mode_tangents", None)
    return mode_tangents(objective) if own is None else own()
