"""Hessian by central differences of an exact gradient."""

from __future__ import annotations

import numpy as np

from .tangents import mode_tangents

__all__ = ["difference_hessian"]

#: Step in standardised coordinates: error of order step^2 against rounding of order 1e-11 / step.
STEP = 2e-4
#: Modes follow their tangent from the centre, so that their error is even in the step and cancels.
MODE_TOL = 1e-10


def difference_hessian(objective) -> tuple[np.ndarray, np.ndarray]:
    """Hessian (M, M) and du/d(parameters) (M, q) at the objective's last evaluation.

    2 M evaluations of the gradient, each with its modes predicted from the tangent; the objective
    is left where it was.
    """
    evaluate = objective.evaluate
    phi = np.array(objective.state.phi[-objective.n_parameters :])
    evaluate(phi, MODE_TOL)
    own = getattr(objective, "mode_tangents", None)
    tangent = mode_tangents(objective) if own is None else own()
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
