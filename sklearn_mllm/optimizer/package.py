"""From an `Outcome` in the solver's coordinates to a `FitResult` in the user's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.build import Build
from ..result.fit_result import FactorResult, FitResult, TermResult
from ..result.trace import Trace
from .fit import Outcome
from .maximize import Maximum
from .precision import precision_of
from .term_errors import term_errors
from .verdict import judge

__all__ = ["covariance_of_parameters", "lower_triangle", "package", "snapshot", "trace_of"]

#: Values from which order statistics are looked for near where a sample has them.
MANY_VALUES = 100_000


def covariance_of_parameters(hessian: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Inverse of the negative Hessian on the free parameters, zero rows for the others.

    An indefinite matrix gives NaN: there is no covariance to report.
    """
    M = hessian.shape[0]
    out = np.zeros((M, M))
    index = np.flatnonzero(free)
    if not index.size:
        return out
    A = -hessian[np.ix_(index, index)]
    diagonal = np.diag(A)
    if not (diagonal > 0.0).all():
        out[np.ix_(index, index)] = np.nan
        return out
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(A * scale * scale[:, None])
    if values.min() <= 0.0:
        out[np.ix_(index, index)] = np.nan
        return out
    inverse = (vectors / values) @ vectors.T
    out[np.ix_(index, index)] = inverse * scale * scale[:, None]
    return out


def _standard_deviations(layout, theta: np.ndarray, maps) -> list[np.ndarray]:
    """User-scale covariance matrix of each term."""
    out = []
    for number, C in enumerate(maps):
        L = C @ layout.term_factor(theta, number)
        out.append(L @ L.T)
    return out


def _covariance_slopes(layout, theta: np.ndarray, number: int, C: np.ndarray, p: int) -> np.ndarray:
    """Derivatives (M, k, k) of a term's covariance L L', L = C Lambda, in (beta, theta)."""
    out = np.zeros((p + layout.n_theta, *C.shape))
    L = C @ layout.term_factor(theta, number)
    start = layout.terms[number].start
    for t in np.flatnonzero(layout.term_of == number):
        # of L one column moves, by a column of C
        moved = np.outer(C[:, layout.row[t] - start], L[:, layout.col[t] - start])
        out[p + t] = moved + moved.T
    return out


def _lower_triangles(covariances: list[np.ndarray]) -> np.ndarray:
    """theta in the user's coordinates."""
    parts = []
    for S in covariances:
        L = lower_triangle(S)
        parts += [L[j:, j] for j in range(len(L))]
    return np.concatenate(parts) if parts else np.zeros(0)


def lower_triangle(S: np.ndarray) -> np.ndarray:
    """Cholesky factor of a covariance matrix, also of a singular one."""
    k = S.shape[0]
    L = np.zeros((k, k))
    for j in range(k):
        pivot = S[j, j] - L[j, :j] @ L[j, :j]
        L[j, j] = np.sqrt(pivot) if pivot > 1e-14 * max(S[j, j], 1e-300) else 0.0
        for i in range(j + 1, k):
            L[i, j] = (S[i, j] - L[i, :j] @ L[j, :j]) / L[j, j] if L[j, j] else 0.0
    return L


def package(
    outcome: Outcome,
    build: Build,
    names: tuple[str, ...],
    random,
    *,
    link: str,
    n_agq: int,
    constant: float,
    null_log_likelihood: float | None,
) -> FitResult:
    """Map a maximum back to the user's coordinates.

    Parameters
    ----------
    outcome : Outcome
    build : Build
    names : tuple of str
        All design columns.
    random : sequence of RandomMatrices
    constant : float
        Part of the log-likelihood that does not depend on parameters.
    null_log_likelihood : float or None
    """
    objective, maximum = outcome.objective, outcome.maximum
    problem, layout = build.problem, objective.layout
    fixed_map = build.fixed_map
    T, p = fixed_map.T, problem.p
    gamma, theta = maximum.phi[:p], maximum.phi[p:]
    fixed = np.zeros(len(names))
    fixed[fixed_map.kept] = T @ gamma
    aliased = np.ones(len(names), dtype=bool)
    aliased[fixed_map.kept] = False

    covariance = covariance_of_parameters(maximum.hessian, outcome.free)
    transform = np.eye(len(maximum.phi))
    transform[:p, :p] = T
    joint = transform @ covariance @ transform.T

    covariances = _standard_deviations(layout, theta, build.random_maps)
    errors = term_errors(layout, theta, build.random_maps, covariance[p:, p:], outcome.free[p:])
    terms = []
    for number, term in enumerate(random):
        layout_term = problem.terms[number]
        terms.append(
            TermResult(
                term.group,
                tuple(term.effects),
                covariances[number],
                layout_term.factor,
                layout_term.start,
                errors[number][0],
                _mean_outer(term),
                errors[number][1],
                _covariance_slopes(layout, theta, number, build.random_maps[number], p),
            )
        )
    factors = _factors(outcome, build, random, covariances)
    precision = precision_of(
        problem,
        objective.state.W,
        layout.matrices(theta),
        [_factor_map(build, f) for f in range(len(problem.factors))],
        build.level_orders,
    )
    kept_names = [names[j] for j in fixed_map.kept]
    verdict = judge(outcome, kept_names, [(t.group, t.effects) for t in terms], T, covariances)

    state = objective.state
    predictor = objective.rows.fixed_predictor(gamma)
    if problem.offset is not None:
        predictor = predictor - problem.offset
    return FitResult(
        names=tuple(names),
        fixed=fixed,
        aliased=aliased,
        theta=_lower_triangles(covariances),
        phi=maximum.phi,
        joint_covariance=joint,
        terms=tuple(terms),
        factors=factors,
        log_likelihood=float(maximum.value + constant),
        null_log_likelihood=null_log_likelihood,
        trace=trace_of(build, names, [t.group for t in random]),
        link=link,
        n_agq=n_agq,
        verdict=verdict,
        fixed_predictor_variance=_variance(predictor),
        precision=precision,
        residual_quantiles=_residual_quantiles(problem, objective.rows.link, state),
    )


def _variance(values: np.ndarray) -> float:
    return float(np.var(values, ddof=1)) if values.shape[0] > 1 else 0.0


def trace_of(build: Build, names, groups) -> Trace:
    """Totals of a problem's data in the user's coordinates.

    Parameters
    ----------
    build : Build
    names : sequence of str
        All design columns.
    groups : sequence of str
        Grouping factor of each term.
    """
    problem, fixed_map = build.problem, build.fixed_map
    k = problem.successes
    n_events = float(k.sum())
    means, scales = np.zeros(0), np.zeros(0)
    if problem.p:
        # the user's columns are T^-T times the solver's, whose size is one
        back = np.linalg.inv(fixed_map.T).T
        means = back @ (problem.X @ k) / n_events
        scales = np.abs(back).sum(axis=1)
    kept = [names[j] for j in fixed_map.kept]
    events = {}
    for factor, order, numbers in zip(
        problem.factors, build.level_orders, build.factor_terms, strict=True
    ):
        sums = np.bincount(factor.codes, weights=k, minlength=factor.n_levels)
        if order is not None:
            placed = np.empty_like(sums)
            placed[order] = sums
            sums = placed
        events[groups[numbers[0]]] = sums
    return Trace(
        n_rows=problem.n,
        n_trials=float(problem.n if problem.trials is None else problem.trials.sum()),
        n_events=n_events,
        column_means=dict(zip(kept, means.tolist(), strict=True)),
        column_scales=dict(zip(kept, scales.tolist(), strict=True)),
        level_events=events,
    )


def _residual_quantiles(problem, link, state) -> tuple[float, ...]:
    """Minimum, quartiles and maximum of (k - m p) / sqrt(m p (1 - p))."""
    if link.name == "logit":
        residuals = state.s / np.sqrt(np.maximum(state.W, 1e-300))
    else:
        m = 1.0 if problem.trials is None else problem.trials
        p, q = link.inverse(state.eta), link.complement(state.eta)
        residuals = (problem.successes - m * p) / np.sqrt(np.maximum(m * p * q, 1e-300))
    return _quartiles(residuals)


def _quartiles(values: np.ndarray) -> tuple[float, ...]:
    """Minimum, quartiles and maximum, interpolated between order statistics; reorders `values`."""
    last = values.shape[0] - 1
    low, high = float(values.min()), float(values.max())
    quartiles = []
    for place in (0.25 * last, 0.5 * last, 0.75 * last):
        below, above = _order_statistics(values, int(place), int(np.ceil(place)))
        quartiles.append(below + (place - int(place)) * (above - below))
    return (low, *quartiles, high)


def _order_statistics(values: np.ndarray, first: int, second: int) -> tuple[float, float]:
    """Two neighbouring order statistics, found among values near them when there are many."""
    n = values.shape[0]
    if n >= MANY_VALUES:
        sample = np.sort(values[:: n // 20_000])
        # five standard errors of a rank of the sample, and a little more
        m = sample.shape[0]
        centre, reach = int(first / n * m), int(3.0 * np.sqrt(m)) + 2
        low, high = sample[max(centre - reach, 0)], sample[min(centre + reach, m - 1)]
        near = values[(values >= low) & (values <= high)]
        before = int(np.count_nonzero(values < low))
        if before <= first and second < before + near.shape[0]:
            values, first, second = near, first - before, second - before
    values.partition([first, second])
    return float(values[first]), float(values[second])


def _mean_outer(term) -> np.ndarray:
    if term.Z is None:
        return np.ones((1, 1))
    return term.Z.T @ term.Z / term.Z.shape[0]


def _factor_map(build: Build, f: int) -> np.ndarray:
    """b = C b_solver for all effects of a factor."""
    k = build.problem.factors[f].size
    C = np.zeros((k, k))
    for number in build.factor_terms[f]:
        term = build.problem.terms[number]
        block = slice(term.start, term.start + term.size)
        C[block, block] = build.random_maps[number]
    return C


def _factors(outcome: Outcome, build: Build, random, covariances) -> tuple[FactorResult, ...]:
    objective, maximum = outcome.objective, outcome.maximum
    if not build.problem.factors:
        return ()
    structure = objective.structure
    state = objective.state
    matrices = objective.layout.matrices(maximum.phi[build.problem.p :])
    modes = structure.parts(structure.scale(matrices, outcome.u))
    inverse = state.factorization.inverse_blocks()
    tangents = _mode_tangents(outcome, build, matrices)
    out = []
    for f, numbers in enumerate(build.factor_terms):
        k, J = structure.shapes[f]
        C = _factor_map(build, f)
        S = np.zeros((k, k))
        effects: list[str] = []
        for number in numbers:
            term = build.problem.terms[number]
            block = slice(term.start, term.start + term.size)
            S[block, block] = covariances[number]
            effects.extend(random[number].effects)
        A = C @ matrices[f]
        # A H^-1 A' of each level, (J, k, k)
        half = np.tensordot(inverse[f], A, axes=(1, 1))
        conditional = np.tensordot(half, A, axes=(0, 1)).swapaxes(1, 2)
        b = (C @ modes[f]).T
        tangent = None
        if tangents is not None:
            tangent = np.tensordot(tangents[f], C, axes=(1, 1)).transpose(1, 2, 0)
        level_order = build.level_orders[f]
        if level_order is not None:
            place = np.empty(J, dtype=np.intp)
            place[level_order] = np.arange(J, dtype=np.intp)
            b, conditional = b[place], conditional[place]
            tangent = None if tangent is None else tangent[place]
        first = random[numbers[0]]
        out.append(
            FactorResult(
                first.group,
                tuple(effects),
                first.levels,
                S,
                np.ascontiguousarray(b),
                conditional,
                tangent,
            )
        )
    return tuple(out)


def _mode_tangents(outcome: Outcome, build: Build, matrices) -> list[np.ndarray] | None:
    """db/d(beta kept, theta of the solver): per factor (M, k, J)."""
    tangent = outcome.maximum.tangent
    if tangent is None:
        return None
    objective = outcome.objective
    layout, p = objective.layout, build.problem.p
    db = objective.structure.scale(matrices, tangent)
    parts = objective.structure.parts(db)
    u = objective.structure.parts(outcome.u)
    for t in range(layout.n_theta):
        f = layout.factor[t]
        parts[f][p + t, layout.row[t]] += u[f][layout.col[t]]
    # solver's gamma -> user's beta
    Tinv = np.linalg.inv(build.fixed_map.T) if p else np.zeros((0, 0))
    out = []
    for part in parts:
        mapped = np.array(part)
        mapped[:p] = np.tensordot(Tinv.T, part[:p], axes=(1, 0))
        out.append(mapped)
    return out


def snapshot(objective, phi: np.ndarray, build: Build, names, random, **about) -> FitResult:
    """The result as it would stand at `phi`, without standard errors."""
    M = phi.shape[0]
    unknown = np.full((M, M), np.nan)
    maximum = Maximum(
        phi, np.zeros(M), objective.state.log_likelihood, -np.eye(M), None, np.zeros(M), np.inf, 0,
        False,
    )  # fmt: skip
    outcome = Outcome(maximum, np.ones(M, dtype=bool), objective, objective.u)
    result = package(outcome, build, names, random, null_log_likelihood=None, **about)
    return replace(result, joint_covariance=unknown)
