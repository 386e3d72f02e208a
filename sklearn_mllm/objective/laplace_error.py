"""How far the Laplace approximation is off at a fitted model, without fitting again.

The likelihood at the Laplace estimates by adaptive quadrature, with as many points as it takes for
n and 2n - 1 points to agree, against its Laplace approximation: in all, per level of the
(outermost) grouping factor, and what it would do to the estimates. With g the difference of the two
gradients and H the Hessian of the Laplace log-likelihood, one Newton step on the quadrature's
likelihood moves the parameters by -H^-1 g. Where that step is small it is the answer; where it is
not, H is not the curvature of the quadrature's likelihood, and a few BFGS steps that start with it
follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ..design.problem import Problem
from .laplace import ModeError
from .newton import newton_step
from .quadrature import quadrature_objective
from .rules import MAX_POINTS

__all__ = ["LaplaceError", "laplace_error"]

#: Points per dimension of the first comparison.
FIRST_POINTS = 5
#: Expected gain in log-likelihood from which a step is checked by an evaluation.
ENOUGH_GAIN = 1e-3


@dataclass(frozen=True, eq=False)
class LaplaceError:
    """The error of the Laplace approximation at given parameters.

    Attributes
    ----------
    n_agq : int
        Points per dimension of the quadrature that was used.
    precision : float
        Change of the log-likelihood by the last refinement of the grid.
    converged : bool
        Whether the refinement ended because the change was small enough.
    laplace, quadrature : float
        Log-likelihood by either approximation, without constants.
    level_differences : ndarray of shape (J,)
        Quadrature less Laplace per level of the outermost factor.
    shift : ndarray of shape (R,)
        Expected change of each quantity in moving from the Laplace to the quadrature estimates.
    standard_errors : ndarray of shape (R,)
        Of the Laplace fit.
    n_steps : int
        Steps behind `shift`; 1 is the plain Newton step.
    remaining_gain : float
        Rise in log-likelihood that a further step would still bring.
    """

    n_agq: int
    precision: float
    converged: bool
    laplace: float
    quadrature: float
    level_differences: np.ndarray
    shift: np.ndarray
    standard_errors: np.ndarray
    n_steps: int
    remaining_gain: float

    @property
    def difference(self) -> float:
        """Quadrature less Laplace log-likelihood."""
        return float(self.level_differences.sum())

    @property
    def shift_in_standard_errors(self) -> np.ndarray:
        """Shift over standard error, shape (R,); 0 where both are zero."""
        still = (self.shift == 0.0) & (self.standard_errors == 0.0)
        return np.divide(
            self.shift, np.where(still, 1.0, self.standard_errors), out=np.zeros(self.shift.shape)
        )


def laplace_error(
    problem: Problem,
    link,
    phi: np.ndarray,
    hessian: np.ndarray,
    *,
    free: np.ndarray | None = None,
    penalty: Callable | None = None,
    transform: np.ndarray | None = None,
    tol: float = 1e-3,
    max_steps: int = 6,
    max_nodes: int = 5000,
    n_points: int | None = None,
    n_threads: int = 1,
) -> LaplaceError:
    """Compare the Laplace approximation at `phi` with adaptive quadrature.

    Parameters
    ----------
    problem : Problem
        With one grouping factor, or nested ones.
    link : Link
    phi : ndarray of shape (M,)
        (beta, theta) of a Laplace fit.
    hessian : ndarray of shape (M, M)
        Of the Laplace log-likelihood (and of a penalty, where there is one).
    free : ndarray of shape (M,), bool, optional
        Parameters not held at a boundary; the others do not move.
    penalty : callable(phi) -> (value, gradient, Hessian), optional
        Log prior density of the fit.
    transform : ndarray of shape (R, M), optional
        Derivatives of the quantities of interest in (beta, theta), such as the map from the
        solver's to the user's coordinates; the identity by default.
    tol : float
        The grid is refined until the log-likelihood changes by less than this, or by less than
        1% of its difference to the Laplace approximation.
    max_steps : int
        Steps on the quadrature's likelihood; further ones are taken while they promise more than
        1e-3 in log-likelihood. 0 for the plain Newton step, not evaluated.
    max_nodes : int
        Largest grid of one factor.
    n_points : int, optional
        This many points per dimension, without refinement; `precision` is then infinite.

    Raises
    ------
    ValueError
        For crossed factors, or without any.
    ModeError
        When the conditional modes are not found at `phi`.
    """
    largest = max((factor.size for factor in problem.factors), default=1)
    values, gradient = _integrate(problem, link, phi, 1, n_threads)
    laplace, slope = values, gradient
    n, precision, converged = 1, np.inf, False
    sequence = _refinements(largest, max_nodes) if n_points is None else [n_points]
    for points in sequence:
        coarse = values
        values, gradient = _integrate(problem, link, phi, points, n_threads)
        if not np.isfinite(values).all():
            raise ModeError("the quadrature log-likelihood is not finite at these parameters")
        if n > 1:
            precision = abs(float((values - coarse).sum()))
            converged = precision < max(tol, 0.01 * abs(float((values - laplace).sum())))
        n = points
        if converged:
            break

    M = phi.shape[0]
    index = np.arange(M) if free is None else np.flatnonzero(free)
    block = np.ix_(index, index)
    A = np.eye(M) if transform is None else transform
    covariance, step = np.zeros((M, M)), np.zeros(M)
    try:
        covariance[block] = linalg.inv(linalg.cholesky(-hessian[block], lower=True))
        covariance = covariance.T @ covariance
        definite = True
    except linalg.LinAlgError:
        definite = False
        covariance[block], step[index] = np.nan, np.nan
    n_steps, gain = 0, np.nan
    if definite:

        def density(at: np.ndarray) -> tuple[float, np.ndarray]:
            return (0.0, np.zeros(M)) if penalty is None else penalty(at)[:2]

        def climb(move: np.ndarray) -> tuple[float, np.ndarray]:
            at = phi.copy()
            at[index] += move
            with np.errstate(over="ignore", invalid="ignore"):
                new_values, new_gradient = _integrate(problem, link, at, n, n_threads)
            if not np.isfinite(new_gradient).all():
                raise ModeError("the step leads to where the likelihood cannot be had")
            prior, pull = density(at)
            value = float(new_values.sum()) + prior - float(rest[index] @ move)
            return value, (new_gradient + pull - rest)[index]

        prior, pull = density(phi)
        # what the estimates leave of the slope is no matter of the approximation
        rest = slope + pull
        start = float(values.sum()) + prior, (gradient - slope)[index]
        step[index], n_steps, gain = _ascend(climb, start, -hessian[block], max_steps)
    errors = np.sqrt(np.einsum("ra,ab,rb->r", A, covariance, A))
    return LaplaceError(
        n, precision, converged, float(laplace.sum()), float(values.sum()), values - laplace,
        A @ step, errors, n_steps, gain,
    )  # fmt: skip


def _integrate(problem, link, phi, points, n_threads) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood of each level, and the gradient, with `points` per dimension."""
    objective = quadrature_objective(points, problem)(problem, link, n_threads=n_threads)
    try:
        found = objective.integrate(phi, 1e-14)
        gradient = np.concatenate([objective.rows.transpose_dot(found.r), found.theta.sum(axis=1)])
    finally:
        objective.close()
    return found.values, gradient


def _refinements(size: int, max_nodes: int) -> Iterator[int]:
    """n, 2n - 1, ... as far as the grid stays within `max_nodes`."""
    n = FIRST_POINTS
    while n == FIRST_POINTS or (n**size <= max_nodes and n <= MAX_POINTS):
        yield n
        n = 2 * n - 1


def _ascend(climb: Callable, start, A: np.ndarray, max_steps: int) -> tuple[np.ndarray, int, float]:
    """BFGS steps from zero with the negative Hessian A; move, number of steps, remaining gain."""
    move = np.zeros(A.shape[0])
    value, gradient = start
    step, gain, _ = newton_step(A, gradient)
    if max_steps == 0:
        return step, 0, gain
    n_steps = 0
    while n_steps < max_steps:
        n_steps += 1
        if gain < ENOUGH_GAIN:
            # not worth an evaluation
            return move + step, n_steps, 0.0
        for _ in range(8):
            try:
                new_value, new_gradient = climb(move + step)
            except ModeError:
                new_value = -np.inf
            if new_value > value:
                break
            step = 0.3 * step
        else:
            break
        move = move + step
        change, As = gradient - new_gradient, A @ step
        if float(step @ change) > 0.0:
            A = A - np.outer(As, As) / (step @ As) + np.outer(change, change) / (step @ change)
        value, gradient = new_value, new_gradient
        step, gain, _ = newton_step(A, gradient)
    return move, n_steps, gain
