"""Is the Laplace approximation good enough for this fit? Asked by default on small data.

The next terms of the expansion of the log-likelihood cost next to nothing at the mode: with leverages h,
c = h W' and v = H^-1 Lambda' Z' c,

    D = - sum_i W''_i h_i^2 / 8 + c' Z Lambda v / 8 + sum_ik W'_i W'_k g_ik^3 / 12,

g = Z Lambda H^-1 Lambda' Z' (Shun & McCullagh 1995, J. R. Stat. Soc. B 57; Raudenbush, Yang & Yosef
2000, J. Comput. Graph. Stat. 9). With one effect a level the last sum is 2/3 of the one before it, and is
taken so throughout. For small variances D grows with their square, so that 4 D / theta is about its slope
and that times a standard error about what it moves theta by, in standard errors, rather too much than too
little; several thetas share it by their squares. Where this is small nothing more is done. Where it is
not, one pass of quadrature gives the slopes in all parameters; crossed factors, which have no quadrature,
take differences of D, where evaluations are cheap.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..objective.laplace import LaplaceObjective, ModeError
from ..objective.laplace_error import laplace_error
from ..objective.structures.nested import parents
from ..result.fit_result import LaplaceCheck
from .fit import Outcome

__all__ = ["SMALL_ROWS", "check_laplace"]

#: Rows up to which a fit is checked.
SMALL_ROWS = 50_000
#: Shift in standard errors from which the rough figure is not left at that.
SUSPECT = 0.25
#: Points per dimension of the pass that follows, from few to many, and rows times nodes that it may take.
N_POINTS, MOST_NODES = (5, 7, 9, 15, 25), 250_000
#: Relative step of the differences for crossed factors.
STEP = 1e-3


def check_laplace(
    outcome: Outcome,
    link,
    T: np.ndarray,
    names: list[str],
    terms: list[tuple[str, tuple[str, ...]]],
    penalty: Callable | None = None,
) -> LaplaceCheck | None:
    """Check a Laplace fit; None where there is nothing to check, or too much.

    The objective's buffers are overwritten.

    Parameters
    ----------
    outcome : Outcome
    link : Link
    T : ndarray of shape (p, p)
        beta = T gamma.
    names : list of str
        The kept coefficients.
    terms : list of (group, effects)
    penalty : callable(phi) -> (value, gradient, Hessian), optional
        Of the fit.
    """
    objective, maximum = outcome.objective, outcome.maximum
    problem, p = objective.problem, T.shape[0]
    if (
        type(objective) is not LaplaceObjective
        or not problem.factors
        or problem.n > SMALL_ROWS
        or not maximum.finished
        or not outcome.free.any()
    ):
        return None
    layout = objective.layout
    theta = maximum.phi[p:]
    errors = _standard_errors(maximum.hessian, outcome.free)
    moving = np.flatnonzero(layout.diagonal & outcome.free[p:] & (np.abs(theta) > 1e-8))
    if errors is None or not moving.size:
        return None
    words = [*names, *(_words(layout, terms, t) for t in range(layout.n_theta))]
    difference, size = _next_terms(objective)
    shares = theta[moving] ** 2 / float((theta[moving] ** 2).sum())
    rough = 4.0 * size * shares * errors[p + moving] / np.abs(theta[moving])
    worst = int(np.argmax(rough))
    if rough[worst] < SUSPECT:
        return LaplaceCheck(difference, float(rough[worst]), words[p + moving[worst]], 0)
    if objective.structure.dear:
        return LaplaceCheck(difference, float(rough[worst]), words[p + moving[worst]], 0)
    try:
        if len(problem.factors) == 1 or parents(problem) is not None:
            return _by_quadrature(outcome, link, T, words, difference, rough, moving, penalty)
        return _by_differences(objective, maximum, errors, words, difference, moving)
    except ModeError:
        return LaplaceCheck(difference, float(rough[worst]), words[p + moving[worst]], 0)


def _next_terms(objective: LaplaceObjective) -> tuple[float, float]:
    """D at the last evaluation, and the sum of the sizes of its terms."""
    state, structure = objective.state, objective.structure
    _, (_, _, W1, W2) = objective.rows.derivatives(state.eta, order=4)
    h = state.factorization.leverages()
    fourth = -float(np.einsum("i,i,i->", W2, h, h)) / 8.0
    h *= W1
    c = structure.scale([m.T for m in state.matrices], structure.sums(h))
    third = float(c @ state.factorization.solve(c)) * (5.0 / 24.0)
    return fourth + third, abs(fourth) + abs(third)


def _by_quadrature(outcome, link, T, words, difference, rough, moving, penalty) -> LaplaceCheck:
    objective, maximum, p = outcome.objective, outcome.maximum, T.shape[0]
    problem = objective.problem
    dimensions = sum(factor.size for factor in problem.factors)
    allowed = [k for k in N_POINTS if problem.n * float(k) ** dimensions <= MOST_NODES]
    if not allowed:
        worst = int(np.argmax(rough))
        return LaplaceCheck(difference, float(rough[worst]), words[p + moving[worst]], 0)
    transform = np.eye(maximum.phi.shape[0])
    transform[:p, :p] = T
    found = laplace_error(
        problem, link, maximum.phi, maximum.hessian,
        free=outcome.free, penalty=penalty, transform=transform, n_points=allowed[-1],
        max_steps=6 if len(problem.factors) == 1 else 0,
    )  # fmt: skip
    share = np.abs(found.shift_in_standard_errors)
    share[~np.isfinite(share)] = 0.0
    worst = int(np.argmax(share))
    return LaplaceCheck(found.difference, float(share[worst]), words[worst], allowed[-1])


def _by_differences(objective, maximum, errors, words, difference, moving) -> LaplaceCheck:
    """Slopes of D in the variances by one-sided differences."""
    p, phi = objective.problem.p, maximum.phi
    slope = np.zeros(phi.shape[0])
    objective.u, objective.tangent = maximum.modes, None
    for t in moving:
        beside = phi.copy()
        beside[p + t] *= 1.0 + STEP
        objective.find_modes(beside, 1e-10)
        slope[p + t] = (_next_terms(objective)[0] - difference) / (beside[p + t] - phi[p + t])
    index = p + moving
    shift = np.linalg.solve(-maximum.hessian[np.ix_(index, index)], slope[index])
    share = np.abs(shift) / errors[index]
    worst = int(np.argmax(share))
    return LaplaceCheck(difference, float(share[worst]), words[index[worst]], 0)


def _standard_errors(hessian: np.ndarray, free: np.ndarray) -> np.ndarray | None:
    index = np.flatnonzero(free)
    try:
        covariance = np.linalg.inv(-hessian[np.ix_(index, index)])
    except np.linalg.LinAlgError:
        return None
    variances = np.diag(covariance)
    if not (np.isfinite(variances) & (variances > 0.0)).all():
        return None
    out = np.zeros(hessian.shape[0])
    out[index] = np.sqrt(variances)
    return out


def _words(layout, terms, t: int) -> str:
    number = int(layout.term_of[t])
    group, effects = terms[number]
    term = layout.terms[number]
    i, j = int(layout.row[t]) - term.start, int(layout.col[t]) - term.start
    if i == j:
        return f"the standard deviation of {effects[i]!r} in {group!r}"
    return f"the correlation of {effects[j]!r} and {effects[i]!r} in {group!r}"
