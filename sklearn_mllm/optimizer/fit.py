"""From a `Problem` to its maximum: start, ascent, boundary, verdict."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from ..design.problem import Factor, Problem
from ..objective.curvature import has_closed_form
from ..objective.differences import BASE_MODE_TOL, is_one_sided
from ..objective.hessian import hessian as objective_hessian
from ..objective.joint import JointModeObjective, joint_start
from ..objective.laplace import Evaluation, LaplaceObjective, ModeError
from ..objective.reach import reach
from ..objective.rows import blas_threads
from ..objective.tangents import mode_tangents
from .hills import SameHill, watch_for
from .maximize import START_MODE_TOL, TIGHT_MODE_TOL, Maximum, NotFinite, maximize
from .start import plain_fit, start_theta

__all__ = ["Outcome", "ascend", "blas_limit", "fit_problem"]

#: Rows from which the fit starts on a subsample, and the share of them that is one in.
SUBSAMPLE_FROM = 60_000
SUBSAMPLE_SHARE = 20
#: Rows from which an evaluation is worth saving.
MANY_ROWS = 50_000
#: n * p up to which every step takes an exact Hessian when it has a closed form.
CHEAP_HESSIAN = 400_000


@dataclass(frozen=True, eq=False)
class Outcome:
    """A maximum with what is fixed at the boundary.

    Attributes
    ----------
    maximum : Maximum
    free : ndarray of shape (M,), bool
        False for a theta held at zero because the maximum lies there.
    objective : LaplaceObjective
        At the maximum, with its modes.
    u : ndarray of shape (q,)
    """

    maximum: Maximum
    free: np.ndarray
    objective: LaplaceObjective
    u: np.ndarray


def step_cap(problem: Problem) -> Callable[[np.ndarray, np.ndarray], float]:
    """Fraction of a step that takes no predictor and no standard deviation too far at once."""
    p = problem.p

    def cap(phi: np.ndarray, step: np.ndarray) -> float:
        limit = reach(problem.X, phi[:p], step[:p])
        if step.shape[0] > p:
            room = 0.4 + 0.7 * np.abs(phi[p:])
            limit = min(limit, 1.0 / max(float((np.abs(step[p:]) / room).max()), 1.0))
        return limit

    return cap


def ascend(
    objective,
    start: np.ndarray,
    free: np.ndarray,
    negative_hessian: np.ndarray | None,
    *,
    tol: float,
    max_iter: int,
    cheap_hessian: bool,
    penalty: Callable | None = None,
    progress: Callable | None = None,
    trusted: bool = False,
    near: bool = False,
    watch: Callable[[Evaluation], None] | None = None,
) -> Maximum:
    """`maximize` on one objective; its Hessian also serves to predict the modes.

    `watch` sees each evaluation and may end the ascent by an exception.
    """
    evaluate = objective.evaluate
    at = start
    if penalty is not None:

        def evaluate(phi: np.ndarray, mode_tol: float) -> Evaluation:
            nonlocal at
            at = phi
            plain = objective.evaluate(phi, mode_tol)
            value, gradient, _ = penalty(phi)
            return Evaluation(phi, plain.value + value, plain.gradient + gradient)

    if watch is not None:
        watched = evaluate

        def evaluate(phi: np.ndarray, mode_tol: float) -> Evaluation:
            found = watched(phi, mode_tol)
            watch(found)
            return found

    def take_hessian():
        H, tangent = objective_hessian(objective)
        objective.tangent = tangent
        if penalty is not None:
            H = H + penalty(at)[2]
        return H, tangent

    tell = None
    if progress is not None:

        def tell(step: int, phi: np.ndarray, value: float, gain: float) -> None:
            progress(objective, step, phi, value, gain)

    one_sided = is_one_sided(objective)
    dear = one_sided or (objective.problem.n >= MANY_ROWS and has_closed_form(objective))
    maximum = maximize(
        evaluate,
        take_hessian,
        start,
        free=free,
        negative_hessian=negative_hessian,
        cheap_hessian=cheap_hessian,
        cap=step_cap(objective.problem),
        tol=tol,
        max_iter=max_iter,
        progress=tell,
        tight_tol=BASE_MODE_TOL if one_sided else TIGHT_MODE_TOL,
        dear=dear,
        trusted=trusted,
        near=near,
        loose=objective.structure.approximating,
        pivots=objective.problem.p + np.flatnonzero(objective.layout.diagonal),
    )
    if objective.structure.q == 0 and maximum.finished and not dear:
        evaluate(maximum.phi, TIGHT_MODE_TOL)
        maximum = replace(maximum, hessian=take_hessian()[0])
    if maximum.tangent is None and trusted and isinstance(objective, LaplaceObjective):
        maximum = replace(maximum, tangent=mode_tangents(objective))
    if maximum.phi is not objective.state.phi and maximum.tangent is not None and dear:
        # the last step was taken without an evaluation: the modes follow it
        objective.u = objective.u + (maximum.phi - objective.state.phi) @ maximum.tangent
    return replace(maximum, modes=objective.u)


def return_to(objective, maximum: Maximum) -> None:
    """Put the objective back to a maximum, with its modes and buffers."""
    objective.u, objective.tangent = maximum.modes, None
    objective.evaluate(maximum.phi, TIGHT_MODE_TOL)


def subsample(problem: Problem, n_rows: int) -> Problem:
    """A fixed subsample: whole levels of the first factor, or thinned rows when it has few."""
    generator = np.random.default_rng(20240229)
    if not problem.factors or problem.factors[0].n_levels < 400 or len(problem.factors) > 1:
        keep = np.sort(generator.choice(problem.n, n_rows, replace=False))
    else:
        factor = problem.factors[0]
        counts = np.bincount(factor.codes, minlength=factor.n_levels)
        order = generator.permutation(factor.n_levels)
        enough = int(np.searchsorted(np.cumsum(counts[order]), n_rows)) + 1
        chosen = np.zeros(factor.n_levels, dtype=bool)
        chosen[order[:enough]] = True
        keep = np.flatnonzero(chosen[factor.codes])
    factors = []
    for factor in problem.factors:
        codes = factor.codes[keep]
        present = np.zeros(factor.n_levels, dtype=np.intp)
        present[codes] = 1
        relabelled = (np.cumsum(present) - 1)[codes]
        Z = None if factor.Z is None else np.ascontiguousarray(factor.Z[:, keep])
        factors.append(Factor(relabelled, int(present.sum()), Z, factor.sorted))
    return Problem(
        np.ascontiguousarray(problem.X[:, keep]),
        problem.successes[keep],
        None if problem.trials is None else problem.trials[keep],
        None if problem.offset is None else problem.offset[keep],
        tuple(factors),
        problem.terms,
    )


def fit_problem(
    problem: Problem,
    link,
    *,
    make_objective: Callable = LaplaceObjective,
    penalty: Callable | None = None,
    n_threads: int = 1,
    tol: float = 1e-9,
    max_iter: int = 100,
    start: np.ndarray | None = None,
    progress: Callable | None = None,
) -> Outcome:
    """Maximise the likelihood of a problem.

    Parameters
    ----------
    make_objective : callable(problem, link, n_threads=...)
    penalty : callable(phi) -> (value, gradient, Hessian), optional
        Log prior density; for the joint mode a `Penalty`, whose parts it takes.
    tol : float
        Expected further gain in log-likelihood at which to stop.
    start : ndarray of shape (M,), optional
        (beta, theta) to start from.

    Raises
    ------
    NotFinite
        When the likelihood cannot be evaluated at any start value.
    """
    objective = make_objective(problem, link, n_threads=n_threads)
    with blas_limit(objective):
        return _fit(objective, problem, link, penalty, n_threads, tol, max_iter, start, progress)


def blas_limit(objective) -> AbstractContextManager:
    """Holds the threads of BLAS at what the objective's structure can use."""
    limit = objective.structure.blas_threads
    return nullcontext() if limit is None else blas_threads().limit(limits=limit, user_api="blas")


def _fit(
    objective, problem: Problem, link, penalty, n_threads, tol, max_iter, start, progress
) -> Outcome:
    layout = objective.layout
    negative_hessian = None
    given = start is not None
    closed_form = has_closed_form(objective)
    joint = isinstance(objective, JointModeObjective)
    p = objective.problem.p
    cheap = closed_form and problem.n * max(problem.p, 1) <= CHEAP_HESSIAN
    if start is None and problem.n >= SUBSAMPLE_FROM and closed_form:
        small = subsample(problem, max(4000, problem.n // SUBSAMPLE_SHARE))
        try:
            first = fit_problem(small, link, n_threads=n_threads, tol=1e-4, max_iter=30)
        except NotFinite:
            first = None
        if first is not None and first.maximum.finished:
            start = first.maximum.phi
            moved = start[p:]
            start[p:] = np.where(layout.diagonal & (np.abs(moved) < 0.05), 0.05, moved)
            ratio = problem.n / small.n
            negative_hessian = -first.maximum.hessian * ratio
    if start is None and not joint and not isinstance(objective, LaplaceObjective):
        start, negative_hessian = _laplace_start(problem, link, n_threads)
    n_plain = 0
    if start is None:
        beta, n_plain = plain_fit(objective)
        start = np.concatenate([beta, start_theta(objective, beta)])
    if joint and start.shape[0] > objective.n_parameters:
        objective.beta, start = start[: problem.p], start[problem.p :]
    if negative_hessian is None and not closed_form and not joint:
        start, negative_hessian = _joint_start(objective, start, given)
    settings = {"tol": tol, "max_iter": max_iter, "cheap_hessian": cheap, "penalty": penalty}
    if joint and penalty is not None:
        objective.prior_precision, settings["penalty"] = penalty.precision, penalty.of_theta
    if objective.structure.approximates and (joint or isinstance(objective, LaplaceObjective)):
        maximum, free = _search_by_approximation(
            objective, start, negative_hessian, settings, progress
        )
    else:
        maximum, free = _search(objective, start, negative_hessian, settings, progress)
    if not problem.factors:
        # Newton steps all the way: the number of them is what other programs tell
        maximum = replace(maximum, n_steps=maximum.n_steps + n_plain)
    if joint:
        maximum, free = _complete(objective, maximum, free)
    if penalty is not None:
        maximum = replace(maximum, value=maximum.value - penalty(maximum.phi)[0])
    return Outcome(maximum, free, objective, objective.u)


def _complete(objective: JointModeObjective, maximum: Maximum, free: np.ndarray):
    """The maximum over theta as one over (beta, theta)."""
    phi = objective.joint_parameters()
    p = phi.shape[0] - maximum.phi.shape[0]
    none = np.zeros(p)
    maximum = replace(
        maximum,
        phi=phi,
        gradient=np.concatenate([none, maximum.gradient]),
        hessian=objective.joint_hessian(maximum.hessian),
        tangent=objective.mode_tangents(),
        step=np.concatenate([none, maximum.step]),
    )
    return maximum, np.concatenate([np.ones(p, dtype=bool), free])


def _laplace_start(problem: Problem, link, n_threads: int):
    """The Laplace maximum and its curvature, where it is not far out."""
    try:
        first = fit_problem(problem, link, n_threads=n_threads, tol=1e-3, max_iter=30)
    except NotFinite:
        return None, None
    first.objective.close()
    if np.abs(first.maximum.phi).max(initial=0.0) > 8.0 or not first.free.all():
        return None, None
    return first.maximum.phi, -first.maximum.hessian


def _joint_start(objective, start: np.ndarray, given: bool):
    """A better start, and a first negative Hessian, from joint steps on (beta, u) and theta.

    A start that was given, from an earlier fit, is left only for one that is no lower.
    """
    beta, theta = objective.split(start)
    try:
        found = joint_start(objective, beta, theta)
    except (ModeError, np.linalg.LinAlgError):  # far out the scores' matrix may be singular
        return start, None
    if given:
        try:
            before = objective.evaluate(start, START_MODE_TOL)
        except ModeError:
            before = None
        if before is not None and np.isfinite(before.value):
            modes = objective.u
            try:
                after = objective.evaluate(found.phi, START_MODE_TOL)
            except ModeError:
                after = None
            if after is None or not after.value > before.value - START_MODE_TOL:
                objective.u = modes
                return start, None
    objective.u = found.u
    return found.phi, found.negative_hessian


def _search(objective, start: np.ndarray, negative_hessian, settings: dict, progress):
    """The highest maximum found, and which parameters are free there."""
    free = np.ones(objective.n_parameters, dtype=bool)
    maximum = ascend(objective, start, free, negative_hessian, progress=progress, **settings)
    maximum, free = _settle_boundary(objective, maximum, free, settings)
    return _second_look(objective, start, maximum, free, settings)


class FarOut(Exception):
    """A variance beyond what an approximation is good for."""


def _search_by_approximation(objective, start, negative_hessian, settings: dict, progress):
    """The search by the structure's approximation; then the last steps by exact evaluations."""
    p = objective.problem.p

    def near(objective, step: int, phi: np.ndarray, value: float, gain: float) -> None:
        if np.abs(phi[p:]).max(initial=0.0) > HUGE_SD:
            raise FarOut
        if progress is not None:
            progress(objective, step, phi, value, gain)

    try:
        with objective.structure.approximately():
            first, free = _search(objective, start, negative_hessian, settings, near)
    except (NotFinite, ModeError, FarOut):
        # conjugate gradients do not get there, or no faster and with more noise than exact elimination
        objective.u, objective.tangent = np.zeros_like(objective.u), None
        return _search(objective, start, negative_hessian, settings, progress)
    objective.u, objective.tangent = first.modes, None
    pivots = p + np.flatnonzero(objective.layout.diagonal)
    near_zero = pivots[np.abs(first.phi[pivots]) < NEAR_ZERO]
    if near_zero.size and _rises_from_zero(objective, first.phi, near_zero, settings["penalty"]):
        phi = first.phi.copy()
        phi[near_zero] = MODERATE_SD
        phi, A = _joint_start(objective, phi, False)
        return _search(objective, phi, A, settings, progress)
    last = ascend(
        objective, first.phi, free, -first.hessian,
        progress=progress, near=first.finished, **settings,
    )  # fmt: skip
    last, free = _settle_boundary(objective, last, free, settings)
    return replace(last, n_steps=first.n_steps + last.n_steps), free


def _rises_from_zero(objective, phi: np.ndarray, pivots: np.ndarray, penalty) -> bool:
    """Whether the likelihood proper rises with a variance that an approximation leaves at zero."""
    beside = phi.copy()
    beside[pivots] = BESIDE_ZERO
    found = objective.evaluate(beside, START_MODE_TOL**2)
    gradient = found.gradient if penalty is None else found.gradient + penalty(beside)[1]
    objective.tangent = None
    return bool((gradient[pivots] > 0.0).any())


#: Standard deviation at which the slope tells whether zero is a maximum, and where to go on if not.
BESIDE_ZERO, MODERATE_SD = 0.02, 0.3
#: Standard deviation (on the scale of the predictor) below which zero is tried.
NEAR_ZERO = 0.05
#: Move of a pivot to zero that leaves the Hessian as it is, but for the square of this.
SAME_HESSIAN = 1e-3
#: Standard deviation on the same scale above which another maximum is looked for.
HUGE_SD = 8.0
#: Where that climb begins.
FAR_SD = 10.0


def _settle_boundary(objective, maximum: Maximum, free: np.ndarray, settings: dict):
    """Set to zero, exactly, each diagonal theta whose likelihood is no lower there.

    With a zero pivot the rest of its row of Lambda can be rotated into later pivots, so it is held
    at zero as well.
    """
    layout, p = objective.layout, objective.problem.p
    theta = maximum.phi[p:]
    near = [
        int(t)
        for t in np.argsort(np.abs(theta))
        if layout.diagonal[t] and free[p + t] and abs(theta[t]) < NEAR_ZERO
    ]
    for t in near:
        phi, held = rotate_to_zero(layout, maximum.phi, p, t)
        trial_free = free.copy()
        trial_free[p + np.array(held)] = False
        # the likelihood is even in a pivot: so near to zero the Hessian is that at zero
        move = float(np.abs(phi - maximum.phi).max())
        same = move < SAME_HESSIAN and maximum.finished
        A = -maximum.hessian if move < NEAR_ZERO else None
        objective.u, objective.tangent = maximum.modes, None
        try:
            candidate = ascend(objective, phi, trial_free, A, trusted=same, **settings)
        except NotFinite:
            continue
        slack = 1e-7 * max(1.0, abs(maximum.value)) ** 0.5
        candidate = replace(candidate, n_steps=candidate.n_steps + maximum.n_steps)
        if candidate.value >= maximum.value - slack:
            maximum, free = candidate, trial_free
    if near:
        # back to the maximum that was kept, so that modes and buffers belong to it
        return_to(objective, maximum)
    return maximum, free


def _second_look(objective, start: np.ndarray, maximum: Maximum, free: np.ndarray, settings: dict):
    """A zero or a huge variance may be one of two maxima: climb again from moderate ones.

    With rare events or few rows a group, the Laplace likelihood can fall from zero and rise again.
    """
    layout, p = objective.layout, objective.problem.p
    huge = np.abs(maximum.phi[p:]).max(initial=0.0) > HUGE_SD
    joint = isinstance(objective, JointModeObjective)
    if free.all() and not huge:
        return maximum, free
    looks = [(start[:p], 2.0 if huge else 1.0)]
    if huge and objective.problem.n < SUBSAMPLE_FROM:
        # far out there may be many maxima: one more climb, from where this one ended
        looks.append((maximum.phi[:p], FAR_SD))
    best, best_free = maximum, free
    for beta, sd in looks:
        phi, A = np.concatenate([beta, np.where(layout.diagonal, sd, 0.0)]), None
        if sd == FAR_SD and not has_closed_form(objective) and not joint:
            phi, A = _joint_start(objective, phi, False)
        everything = np.ones_like(free)
        try:
            other = ascend(
                objective, phi, everything, A, watch=watch_for(best, layout, p), **settings
            )
            other, other_free = _settle_boundary(objective, other, everything, settings)
        except (NotFinite, SameHill):
            continue
        steps = other.n_steps + best.n_steps
        if other.value > best.value + 1e-6:
            best, best_free = other, other_free
        best = replace(best, n_steps=steps)
    return_to(objective, best)
    return best, best_free


def rotate_to_zero(layout, phi: np.ndarray, p: int, t: int) -> tuple[np.ndarray, list[int]]:
    """Parameters with the pivot `t` of its term at zero and an equal covariance as nearly as can be.

    Returns the parameters and the thetas (the pivot and its column) to hold at zero.
    """
    term = layout.terms[layout.term_of[t]]
    i = layout.row[t] - term.start
    L = layout.term_factor(phi[p:], layout.term_of[t]).copy()
    L[i, i] = 0.0
    # the column of a zero pivot moves into later columns: QR of the rows below
    rest = L[i + 1 :, i:]
    if rest.size and np.abs(L[i + 1 :, i]).max(initial=0.0) > 0.0:
        R = np.linalg.qr(rest.T, mode="r").T
        below = R[:, : rest.shape[0]]
        L[i + 1 :, i] = 0.0
        L[i + 1 :, i + 1 :] = below * np.where(np.diag(below) < 0.0, -1.0, 1.0)
    out = phi.copy()
    held = []
    for index in np.flatnonzero(layout.term_of == layout.term_of[t]):
        r, c = layout.row[index] - term.start, layout.col[index] - term.start
        out[p + index] = L[r, c]
        if c == i:
            held.append(int(index))
    return out, held
