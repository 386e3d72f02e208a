"""Profile-likelihood intervals of fixed effects, standard deviations and correlations.

A profile is the maximal log-likelihood with one parameter held. A fixed effect is a linear function
of the solver's coefficients, so its column moves into the offset. For a standard deviation or a
correlation the term's effects are put in an order in which its covariance factor R has
R[0, 0] = sd, or (R[1, 0], R[1, 1]) = sd_1 (cor, sqrt(1 - cor^2)): both are linear in R.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from ..objective.laplace import Evaluation, ModeError
from ..optimizer.maximize import TIGHT_MODE_TOL, Maximum, maximize
from ..result.wald import normal_reach
from .refit import Refitter

__all__ = ["away_from_zero", "profile_limits", "profile_table"]

#: Doublings of the first step out, after which a limit counts as infinite.
MAX_STEPS_OUT = 12


def profile_limits(
    result,
    refitter: Refitter,
    estimates: np.ndarray,
    wanted: np.ndarray,
    level: float,
    tell: list[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals, NaN for parameters that are not wanted or have no estimate.

    Parameters
    ----------
    result : FitResult
    refitter : Refitter
    estimates : ndarray of shape (R,)
        Fixed effects, then standard deviations of all terms, then correlations.
    wanted : ndarray of shape (R,), bool
    level : float
    tell : list of str, optional
        Names of the parameters: print each when its interval is found.
    """
    z = normal_reach(level)
    low, high = np.full(estimates.shape, np.nan), np.full(estimates.shape, np.nan)

    def visit(at: int, profile: Callable, error: float, top: float, bounds) -> None:
        low[at], high[at] = limits(profile, estimates[at], error, top, z, bounds)
        if tell is not None:
            print(f"profile of {tell[at]}: [{low[at]:.4g}, {high[at]:.4g}]", flush=True)

    _visit_profiles(visit, result, refitter, estimates, wanted)
    return low, high


def profile_table(
    result,
    refitter: Refitter,
    names: list[str],
    estimates: np.ndarray,
    wanted: np.ndarray,
    level: float,
    n_points: int,
):
    """Signed roots of the profile deviance from limit to limit, and somewhat beyond.

    Returns
    -------
    DataFrame
        parameter, value, signed_root: at the estimate, at the limits of `level` and at `n_points`
        values between limits 1.3 times as far in the signed root.
    """
    import pandas as pd

    z = normal_reach(level)
    parts = []

    def visit(at: int, profile: Callable, error: float, top: float, bounds) -> None:
        inner = limits(profile, estimates[at], error, top, z, bounds)
        outer = limits(profile, estimates[at], error, top, 1.3 * z, bounds)
        ends = np.array([o if np.isfinite(o) else i for i, o in zip(inner, outer, strict=True)])
        # no limit at all on one side: as far as two and a half errors
        reach = 2.5 * error * np.array([-1.0, 1.0])
        ends = np.where(np.isfinite(ends), ends, estimates[at] + reach)
        values = np.linspace(*ends, n_points)
        # at the limits the deviance is known, and the estimate has none
        values = values[
            np.abs(values[:, None] - [estimates[at], *inner]).min(axis=1) > 1e-9 * error
        ]
        roots = [np.sqrt(max(2.0 * (top - profile(v)), 0.0)) for v in values]
        known = [(estimates[at], 0.0)]
        for sign, end, bound in zip((-1.0, 1.0), inner, bounds, strict=True):
            if np.isfinite(end) and end != bound:
                known.append((end, sign * z))
            elif np.isfinite(end) and end != estimates[at]:
                known.append((end, sign * np.sqrt(max(2.0 * (top - profile(end)), 0.0))))
        signed = np.sign(values - estimates[at]) * roots
        pairs = sorted([*known, *zip(values.tolist(), signed.tolist(), strict=True)])
        table = pd.DataFrame(pairs, columns=["value", "signed_root"])
        table.insert(0, "parameter", names[at])
        parts.append(table)

    _visit_profiles(visit, result, refitter, estimates, wanted)
    if not parts:
        return pd.DataFrame(columns=["parameter", "value", "signed_root"])
    return pd.concat(parts, ignore_index=True)


def _visit_profiles(visit: Callable, result, refitter: Refitter, estimates, wanted) -> None:
    """Call visit(place, profile, rough standard error, maximum, bounds) for each wanted parameter."""
    build = refitter.build
    best = refitter.fit()
    top, phi = best.maximum.value, best.maximum.phi
    best.objective.close()
    wanted = wanted & np.isfinite(estimates)
    errors = np.sqrt(np.maximum(np.diag(result.joint_covariance), 0.0))
    for place, j in enumerate(build.fixed_map.kept):
        if wanted[j]:
            error = errors[place] if errors[place] > 0.0 else 0.1 + 0.1 * abs(estimates[j])
            visit(j, fixed_profile(refitter, place, phi), error, top, (-np.inf, np.inf))
    at = len(result.names)
    for number, term in enumerate(result.terms):
        for i in range(len(term.effects)):
            if wanted[at]:
                error = term.std_error_sd[i]
                if not (np.isfinite(error) and error > 0.0):
                    error = 0.3 / np.sqrt(max(term.mean_square[i], 1e-300))
                with term_profile(refitter, number, phi, term.covariance, (i,)) as profile:
                    visit(at, profile, error, top, (0.0, np.inf))
            at += 1
    for number, term in enumerate(result.terms):
        for j in range(len(term.effects)):
            for i in range(j):
                if wanted[at]:
                    error = 0.05 + 0.25 * (1.0 - estimates[at] ** 2)
                    with term_profile(refitter, number, phi, term.covariance, (i, j)) as profile:
                        visit(at, profile, error, top, (-1.0, 1.0))
                at += 1


def limits(
    profile: Callable[[float], float],
    estimate: float,
    error: float,
    top: float,
    z: float,
    bounds: tuple[float, float],
) -> list[float]:
    """Where the signed root of the profile reaches -z and z; the bound where it never does."""

    def excess(value: float) -> float:
        # a prior may rule a value out: far beyond, but finite
        return min(np.sqrt(max(2.0 * (top - profile(value)), 0.0)), 1e3) - z

    ends = []
    for sign, bound in zip((-1.0, 1.0), bounds, strict=True):
        inner, step = float(np.clip(estimate, *bounds)), 1.2 * z * error
        for _ in range(MAX_STEPS_OUT):
            outer = float(np.clip(estimate + sign * step, *bounds))
            beyond = excess(outer)
            if beyond >= 0.0 or outer == bound:
                break
            inner, step = outer, 1.6 * step
        if beyond < 0.0:
            ends.append(bound)
        elif outer == inner:
            ends.append(outer)
        else:
            ends.append(brentq(excess, inner, outer, xtol=1e-5 * error, rtol=1e-10))
    return ends


def fixed_profile(refitter: Refitter, place: int, phi: np.ndarray) -> Callable[[float], float]:
    """Maximal log-likelihood with one fixed effect held."""
    build = refitter.build
    p = build.problem.p
    direction = build.fixed_map.T[place]

    def value(held: float) -> float:
        problem, N, particular = refitter.without_column(direction, held)
        start = np.concatenate([N.T @ phi[:p], away_from_zero(phi[p:])])
        outcome = refitter.fit(problem, start, basis=N, shift=particular)
        outcome.objective.close()
        return outcome.maximum.value

    return value


def away_from_zero(theta: np.ndarray) -> np.ndarray:
    """theta with zeros, where the likelihood is stationary, moved off."""
    return np.where(np.abs(theta) < 1e-3, 0.05, theta)


@dataclass(eq=False)
class TermProfile:
    """Maximal log-likelihood with one parameter of a term's covariance held.

    Attributes
    ----------
    objective : object
        On the problem with the term's effects in the order (those held, others), each scaled.
    start : ndarray of shape (M,)
        The estimate in its parameters.
    own : ndarray of shape (m,)
        Parameters of the term: its factor R, column by column.
    scales : ndarray of shape (k,)
        Standard deviation of each effect, in the order above, for one unit of R.
    pair : bool
        A correlation is held, not a standard deviation.
    penalty : callable(phi) -> (value, gradient, Hessian) or None
        Log prior density in these parameters.
    """

    objective: object
    start: np.ndarray
    own: np.ndarray
    scales: np.ndarray
    pair: bool
    penalty: Callable | None

    def __enter__(self) -> TermProfile:
        return self

    def __exit__(self, *error) -> None:
        self.objective.close()

    def __call__(self, held: float) -> float:
        M, k = self.start.shape[0], self.scales.shape[0]
        basis, fixed, psi = np.eye(M), np.zeros(M), self.start.copy()
        positive: list[int] = []
        # R is stored column by column: R[0, 0], ..., R[k - 1, 0], R[1, 1], ...
        if self.pair:
            lower, pivot = int(self.own[1]), int(self.own[k])
            length = np.hypot(psi[lower], psi[pivot])
            basis[lower, lower], basis[pivot, lower] = held, np.sqrt(1.0 - held * held)
            basis = np.delete(basis, pivot, axis=1)
            psi[lower] = length
            psi = np.delete(psi, pivot)
            # own is increasing and the pivot comes after both: their places in psi are the same
            positive = [int(self.own[0]), lower]
        else:
            # with a zero pivot, the rest of its column can be rotated into later ones
            gone = self.own[:k] if held == 0.0 else self.own[:1]
            fixed[self.own[0]] = held / self.scales[0]
            basis, psi = np.delete(basis, gone, axis=1), np.delete(psi, gone)
        if self.penalty is not None and self.penalty(fixed + basis @ psi)[0] == -np.inf:
            return -np.inf
        return _maximum_on(self.objective, self.penalty, basis, fixed, psi, positive).value


def _maximum_on(
    objective, penalty, basis: np.ndarray, fixed: np.ndarray, psi: np.ndarray, positive: list[int]
) -> Maximum:
    """Maximise over phi = fixed + basis psi, with psi[positive] not below zero.

    The correlation held would change its sign with that of one of these standard deviations.
    """
    from ..objective.hessian import hessian
    from ..optimizer.fit import step_cap

    cap_of = step_cap(objective.problem)
    objective.tangent = None

    def evaluate(at: np.ndarray, mode_tol: float) -> Evaluation:
        if (at[positive] < 0.0).any():
            raise ModeError("a standard deviation is negative")
        phi = fixed + basis @ at
        found = objective.evaluate(phi, mode_tol)
        value, gradient = found.value, found.gradient
        if penalty is not None:
            more, slope, _ = penalty(phi)
            value, gradient = value + more, gradient + slope
        return Evaluation(at, value, basis.T @ gradient)

    def curvature():
        H, tangent = hessian(objective)
        objective.tangent = tangent
        if penalty is not None:
            H = H + penalty(objective.state.phi)[2]
        return basis.T @ H @ basis, None

    def cap(at: np.ndarray, step: np.ndarray) -> float:
        return cap_of(fixed + basis @ at, basis @ step)

    maximum = maximize(
        evaluate,
        curvature,
        psi,
        free=np.ones(psi.shape[0], dtype=bool),
        negative_hessian=None,
        cheap_hessian=True,
        cap=cap,
        tol=1e-8,
        max_iter=100,
    )
    evaluate(maximum.phi, TIGHT_MODE_TOL)
    return maximum


def term_profile(
    refitter: Refitter, number: int, phi: np.ndarray, covariance: np.ndarray, first: tuple[int, ...]
) -> TermProfile:
    """The profile of the standard deviation of effect `first`, or the correlation of two."""
    from ..objective import objective_for
    from ..objective.covariance import CovarianceLayout

    build = refitter.build
    problem = build.problem
    p = problem.p
    term = problem.terms[number]
    factor = problem.factors[term.factor]
    C = build.random_maps[number]
    k = term.size
    order = [*first, *(a for a in range(k) if a not in first)]
    scales = np.array([abs(float(C[0, 0]))])
    maps = list(build.random_maps)
    S = covariance
    if factor.Z is not None:
        rows = slice(term.start, term.start + k)
        # z' b = (C^-T z)' (C b): the user's columns, reordered, scaled to mean square one
        Z = np.linalg.solve(C.T, factor.Z[rows])[order]
        scales = 1.0 / np.sqrt(np.maximum(np.mean(Z * Z, axis=1), 1e-300))
        stacked = np.array(factor.Z)
        stacked[rows] = Z * scales[:, None]
        factors = list(problem.factors)
        factors[term.factor] = replace(factor, Z=np.ascontiguousarray(stacked))
        problem = replace(problem, factors=tuple(factors))
        # b[order] = scales * (what R makes)
        maps[number] = np.zeros((k, k))
        maps[number][order, range(k)] = scales
    S = S[np.ix_(order, order)] / np.outer(scales, scales)
    S[np.diag_indices(k)] += 1e-6 * max(float(np.diag(S).max()), 1e-3)
    R = np.linalg.cholesky(S)
    layout = CovarianceLayout(problem)
    own = p + np.flatnonzero(layout.term_of == number)
    start = np.concatenate([phi[:p], away_from_diagonal_zero(layout, phi[p:])])
    start[own] = np.concatenate([R[j:, j] for j in range(k)])
    objective = objective_for(refitter.n_agq, problem)(problem, refitter.link)
    penalty = None
    if refitter.make_penalty is not None:
        penalty = refitter.make_penalty(maps, layout)
    return TermProfile(objective, start, own, scales, len(first) == 2, penalty)


def away_from_diagonal_zero(layout, theta: np.ndarray) -> np.ndarray:
    """theta with pivots at zero moved off, other entries as they are."""
    return np.where(layout.diagonal, away_from_zero(theta), theta)
