"""Newton and quasi-Newton ascent of a likelihood in a handful of outer steps.

The quantity that steers everything is the expected further gain g' A^-1 g / 2, A the negative
Hessian: it has the units of the log-likelihood and does not change with the scale of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..objective.laplace import Evaluation, ModeError
from ..objective.newton import newton_step

__all__ = ["Maximum", "NotFinite", "maximize"]

#: Squared Newton decrements at which the modes are good enough: what they leave of error in the
#: gradient is worth less log-likelihood than that.
LOOSE_MODE_TOL = 1e-4
#: The same at the start, which is far off.
START_MODE_TOL = 1e-2
TIGHT_MODE_TOL = 1e-11
#: Expected gain below which quasi-Newton hands over to the exact Hessian. The last step is taken
#: from there, and the Hessian is reported: standard errors are off by the order of its root.
QUASI_TOL = 1e-8
#: The same where an exact Hessian costs no more than an evaluation.
CHEAP_QUASI_TOL = 1e-7
#: Expected gain from which the next point is likely to be within DEAR_QUASI_TOL.
NEARLY_THERE = 1e-4
#: Expected gain up to which a Hessian from an approximation still belongs to where the search stands.
TRUSTED_GAIN = 1e-3
#: Expected gain up to which a Newton step with the exact Hessian needs no evaluation: it is exact to the
#: power 3/2 of the gain. Longer steps lead away, as under separation, and the verdict has to see them.
LAST_STEP_GAIN, LAST_STEP_LENGTH = 1e-5, 1e-2
#: The same where evaluations are dear, which they are with many levels, and curvature changes little.
DEAR_QUASI_TOL = 2e-7
#: Expected gain by a quasi-Newton matrix from which few steps should do; when they do not, or a climb
#: is long, the matrix is wrong in some direction and the exact Hessian takes its place.
CLOSE_GAIN = 1e-5
CLOSE_STEPS, LONG_CLIMB = 3, 25
#: Smallest eigenvalue of the scaled negative Hessian below which the curvature along a ridge changes
#: so fast that the Hessian is taken again after the last step.
RIDGE = 0.01
#: The same where that step moved a pivot by more than this share: the likelihood is even in it, and next
#: to zero its curvature changes on the scale of the pivot itself (of this size at least).
PIVOT_MOVE, PIVOT_SIZE = 1e-3, 0.1
#: Rise in log-likelihood that counts as none, four steps in a row.
IDLE_RISE = 1e-7


#: Shares of the way back to the start at which an evaluation is tried again.
STEPS_BACK = (0.0, 1e-6, 1e-4, 1e-2, 0.1, 0.3, 0.6, 1.0)


class NotFinite(ArithmeticError):
    """The likelihood could not be evaluated at the start values, or no more on the way from there."""


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where the ascent stopped.

    Attributes
    ----------
    phi, gradient : ndarray of shape (M,)
    value : float
    hessian : ndarray of shape (M, M)
    tangent : ndarray of shape (M, q) or None
        Derivatives of the modes in phi.
    step : ndarray of shape (M,)
        The Newton step that was left.
    gain : float
        Its expected worth in log-likelihood.
    n_steps : int
    finished : bool
        False when the steps ran out or no step up was found.
    modes : ndarray of shape (q,) or None
        Modes of the random effects at `phi`.
    """

    phi: np.ndarray
    gradient: np.ndarray
    value: float
    hessian: np.ndarray
    tangent: np.ndarray | None
    step: np.ndarray
    gain: float
    n_steps: int
    finished: bool
    modes: np.ndarray | None = None


def bfgs_update(A: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """BFGS update of the negative Hessian with Powell's damping; `change` is -(g1 - g0)."""
    As = A @ step
    sAs = float(step @ As)
    sy = float(step @ change)
    if sAs <= 0.0:
        return A
    if sy < 0.2 * sAs:
        weight = 0.8 * sAs / (sAs - sy)
        change = weight * change + (1.0 - weight) * As
        sy = float(step @ change)
    return A - np.outer(As, As) / sAs + np.outer(change, change) / sy


def maximize(
    evaluate: Callable[[np.ndarray, float], Evaluation],
    hessian: Callable[[], tuple[np.ndarray, np.ndarray | None]],
    start: np.ndarray,
    *,
    free: np.ndarray,
    negative_hessian: np.ndarray | None,
    cheap_hessian: bool,
    cap: Callable[[np.ndarray, np.ndarray], float],
    tol: float,
    max_iter: int,
    progress: Callable[[int, np.ndarray, float, float], None] | None = None,
    tight_tol: float = TIGHT_MODE_TOL,
    dear: bool = False,
    trusted: bool = False,
    near: bool = False,
    loose: bool = False,
    pivots: Sequence[int] = (),
) -> Maximum:
    """Climb from `start` until the expected further gain is below `tol`.

    Parameters
    ----------
    evaluate : callable(phi, mode_tol) -> Evaluation
    hessian : callable() -> (H, tangent) at the parameters evaluated last
    start : ndarray of shape (M,)
    free : ndarray of shape (M,), bool
        Parameters that may move.
    negative_hessian : ndarray of shape (M, M) or None
        A first guess; None takes the exact Hessian at the start.
    cheap_hessian : bool
        Whether an exact Hessian costs about as much as an evaluation; then each step is Newton's.
    cap : callable(phi, step) -> float
        Largest fraction of a step that may be taken.
    tol : float
    max_iter : int
        Outer steps.
    progress : callable(step, phi, value, gain), optional
    tight_tol : float
        Squared Newton decrement of the modes where a Hessian is to be taken.
    dear : bool
        Whether evaluations are so dear that the last Newton step, worth next to nothing, is taken
        without one.
    trusted : bool
        Whether `negative_hessian` is as good as exact near `start`.
    near : bool
        Whether `start` is so good that a Hessian may be taken there.
    loose : bool
        Whether to stop where the exact Hessian would be taken; the one given back is then a guess.
    pivots : sequence of int
        Parameters in which the likelihood is even.
    """
    index = np.flatnonzero(free)
    block = np.ix_(index, index)
    phi = np.array(start, dtype=float)
    try:
        start_tol = TIGHT_MODE_TOL if trusted else START_MODE_TOL
        current = evaluate(phi, tight_tol if near else start_tol)
    except ModeError as error:
        raise NotFinite(str(error)) from error
    if not np.isfinite(current.value):
        raise NotFinite("the log-likelihood is not finite at the start values")
    H = tangent = None
    A = negative_hessian
    # `fresh`: A is the exact negative Hessian, taken within QUASI_TOL of where we stand
    fresh = trusted and A is not None
    if fresh:
        H = -A
    trust = TRUSTED_GAIN if fresh else None
    finished, at_tight = False, near
    taken_at = None
    n_steps = n_idle = n_close = n_quasi = 0
    hand_over = CHEAP_QUASI_TOL if cheap_hessian else DEAR_QUASI_TOL if dear else QUASI_TOL
    while True:
        if A is None:
            try:
                H, tangent = hessian()
            except ModeError:
                fresh = False
                break
            A, fresh, trust, taken_at = -H, True, None, phi
            n_close = n_quasi = 0
        step = np.zeros_like(phi)
        step[index], gain, _ = newton_step(A[block], current.gradient[index])
        if progress is not None:
            progress(n_steps, phi, current.value, gain)
        if gain < (tol if fresh else hand_over):
            if fresh or loose:
                finished = True
                H = H if fresh else -A
                break
            if not at_tight:
                current, _ = _settled(evaluate, phi, start, tight_tol)
                phi = current.phi
            A = None
            continue
        if fresh and dear and gain < LAST_STEP_GAIN and np.abs(step).max() < LAST_STEP_LENGTH:
            phi, finished = phi + step, True
            current = Evaluation(phi, current.value + gain, np.zeros_like(step))
            step, gain = np.zeros_like(step), 0.0
            break
        if n_steps >= max_iter:
            break
        if n_close > CLOSE_STEPS or n_quasi > LONG_CLIMB:
            if not at_tight:
                current, _ = _settled(evaluate, phi, start, tight_tol)
                phi = current.phi
            A = None
            continue
        # a point that may serve for the Hessian is evaluated once, well enough
        closing = dear and not fresh and gain < NEARLY_THERE
        mode_tol = tight_tol if closing else _mode_tol(gain, tight_tol < TIGHT_MODE_TOL)
        accepted = _climb(evaluate, current, step, gain, min(1.0, cap(phi, step)), mode_tol)
        if accepted is None:
            current, _ = _settled(evaluate, phi, start, tight_tol)
            fresh = fresh and current.phi is phi
            phi = current.phi
            if fresh:
                # no step up from an exact Newton direction: rounding is all that is left
                finished = gain < 1e-6 * max(1.0, abs(current.value)) ** 0.5
                break
            A = None
            continue
        n_steps += 1
        # promised gains that do not come true: a ridge that leads to infinity
        n_idle = n_idle + 1 if gain < 1e-3 and accepted.value - current.value < IDLE_RISE else 0
        if n_idle > 3:
            phi, current, fresh = accepted.phi, accepted, False
            break
        if cheap_hessian and gain > hand_over:
            A = None
        else:
            A = bfgs_update(A, accepted.phi - phi, current.gradient - accepted.gradient)
            n_quasi += 1
            n_close += gain < CLOSE_GAIN
            fresh = fresh and gain < (hand_over if trust is None else trust)
        phi, current, at_tight = accepted.phi, accepted, closing
    if not fresh and not (loose and finished):
        current, (H, tangent) = _settled(evaluate, phi, start, tight_tol, hessian)
        phi = current.phi
        step = np.zeros_like(phi)
        step[index], gain, _ = newton_step(-H[block], current.gradient[index])
    elif taken_at is not None and taken_at is not phi and not dear:
        if _pivot_moved(taken_at, phi, pivots) or _has_ridge(-H[block]):
            current, (H, tangent) = _settled(evaluate, phi, start, tight_tol, hessian)
            phi = current.phi
    return Maximum(phi, current.gradient, current.value, H, tangent, step, gain, n_steps, finished)


def _settled(
    evaluate: Callable,
    phi: np.ndarray,
    start: np.ndarray,
    mode_tol: float,
    then: Callable[[], Any] = lambda: None,
) -> tuple[Evaluation, Any]:
    """Evaluation at `phi` and what `then` gives, or short of it on the way from `start` where there are no
    modes.

    Where the density of the effects is not concave, the Laplace likelihood rises without bound towards
    parameters at which a mode vanishes, and a search may end next to these.
    """
    for back in STEPS_BACK:
        try:
            return evaluate(phi + back * (start - phi) if back else phi, mode_tol), then()
        except ModeError as error:
            last = error
    raise NotFinite(str(last)) from last


def _pivot_moved(before: np.ndarray, after: np.ndarray, pivots: Sequence[int]) -> bool:
    at = np.array(pivots, dtype=np.intp)
    size = np.maximum(np.abs(after[at]), PIVOT_SIZE)
    return bool((np.abs(after - before)[at] > PIVOT_MOVE * size).any())


def _has_ridge(negative_hessian: np.ndarray) -> bool:
    diagonal = np.diag(negative_hessian)
    if not diagonal.size or not (diagonal > 0.0).all():
        return False
    scale = 1.0 / np.sqrt(diagonal)
    return float(np.linalg.eigvalsh(negative_hessian * scale * scale[:, None])[0]) < RIDGE


def _mode_tol(gain: float, loose: bool) -> float:
    """Squared Newton decrement of the modes that does for a step with this expected gain.

    What it leaves in the gradient must be worth less than the gain of the step after this one; it
    may be `loose` where each of very many levels has a small share of it.
    """
    share = 1e-3 if loose else 1e-4
    return float(np.clip(share * min(gain, gain * gain), TIGHT_MODE_TOL, LOOSE_MODE_TOL))


def _climb(
    evaluate: Callable,
    current: Evaluation,
    step: np.ndarray,
    gain: float,
    fraction: float,
    mode_tol: float,
) -> Evaluation | None:
    """The first point along `step` with enough of the expected rise; None when there is none."""
    slack = 1e-11 * max(1.0, abs(current.value)) if gain < 1e-5 else 0.0
    for _ in range(25):
        try:
            candidate = evaluate(current.phi + fraction * step, mode_tol)
        except ModeError:
            fraction *= 0.25
            continue
        rise = candidate.value - current.value
        if np.isfinite(rise) and rise >= 1e-4 * fraction * gain - slack:
            return candidate
        fraction *= 0.3
    return None
