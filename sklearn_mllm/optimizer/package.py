"""From an `Outcome` in the solver's coordinates to a `FitResult` in the user's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.build import Build
from ..objective import blocks as bl
from ..result.fit_result import FactorResult, FitResult, TermResult
from ..result.trace import Trace
from .fit import Outcome
from .maximize import Maximum
from .precision import precision_of
from .roots import inverse_root, lower_triangle
from .term_errors import term_errors
from .verdict import judge

__all__ = ["package", "snapshot", "trace_of"]

#: Values from which order statistics are looked for near where a sample has them.
MANY_VALUES = 100_000


def _root_tangent(layout, number: int, C: np.ndarray, root: np.ndarray) -> np.ndarray:
    """dL/dxi of a term's root L = C Lambda, (M, k, k), for theta = root xi, root of shape (m, M)."""
    out = np.zeros((root.shape[1], *C.shape))
    start = layout.terms[number].start
    for t in np.flatnonzero(layout.term_of == number):
        # one column of L moves, by a column of C
        moved = np.multiply.outer(root[t], C[:, layout.row[t] - start])
        out[:, :, layout.col[t] - start] += moved
    return out


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

    root = inverse_root(maximum.hessian, outcome.free)
    joint_root = np.concatenate([T @ root[:p], root[p:]])
    theta_covariance = root[p:] @ root[p:].T

    relative = [layout.term_factor(theta, number) for number in range(len(problem.terms))]
    roots = [C @ L for C, L in zip(build.random_maps, relative, strict=True)]
    errors = term_errors(layout, theta, build.random_maps, theta_covariance, outcome.free[p:])
    terms = []
    for number, term in enumerate(random):
        layout_term = problem.terms[number]
        terms.append(
            TermResult(
                term.group,
                tuple(term.effects),
                roots[number],
                layout_term.factor,
                layout_term.start,
                errors[number][0],
                *_mean_squares(problem, layout_term, build.random_maps[number], relative[number]),
                errors[number][1],
                _root_tangent(layout, number, build.random_maps[number], root[p:]),
            )
        )
    triangles = [lower_triangle(L) for L in roots]
    factors = _factors(outcome, build, random, roots, root)
    precision = precision_of(
        problem,
        objective.state.W,
        layout.matrices(theta),
        [_factor_map(build, f) for f in range(len(problem.factors))],
        build.level_orders,
    )
    kept_names = [names[j] for j in fixed_map.kept]
    verdict = judge(
        outcome, kept_names, [(t.group, t.effects) for t in terms], T, build.random_maps
    )

    state = objective.state
    predictor = objective.rows.fixed_predictor(gamma)
    if problem.offset is not None:
        predictor = predictor - problem.offset
    return FitResult(
        names=tuple(names),
        fixed=fixed,
        aliased=aliased,
        theta=np.concatenate([L[j:, j] for L in triangles for j in range(len(L))] or [np.zeros(0)]),
        phi=maximum.phi,
        joint_root=joint_root,
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


def _mean_squares(problem, term, C: np.ndarray, L: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean square of each column of a term's Z, (k,), and the mean over the rows of z'Sz.

    From the solver's Z, whose columns are centred, and its factor L of S: b = C b_solver.
    """
    Z = problem.factors[term.factor].Z
    if Z is None:
        return np.ones(1), float(L[0, 0] ** 2)
    Z = Z[term.start : term.start + term.size]
    outer = Z @ Z.T / Z.shape[1]
    back = np.linalg.inv(C)
    return np.einsum("ai,ab,bi->i", back, outer, back), float(np.sum((outer @ L) * L))


def _factor_map(build: Build, f: int) -> np.ndarray:
    """b = C b_solver for all effects of a factor."""
    k = build.problem.factors[f].size
    C = np.zeros((k, k))
    for number in build.factor_terms[f]:
        term = build.problem.terms[number]
        block = slice(term.start, term.start + term.size)
        C[block, block] = build.random_maps[number]
    return C


def _factors(
    outcome: Outcome, build: Build, random, roots, root: np.ndarray
) -> tuple[FactorResult, ...]:
    objective, maximum = outcome.objective, outcome.maximum
    if not build.problem.factors:
        return ()
    structure = objective.structure
    state = objective.state
    matrices = objective.layout.matrices(maximum.phi[build.problem.p :])
    modes = structure.parts(structure.scale(matrices, outcome.u))
    inverse = state.factorization.inverse_blocks()
    tangents = _mode_tangents(outcome, build, matrices, root)
    out = []
    for f, numbers in enumerate(build.factor_terms):
        k, J = structure.shapes[f]
        C = _factor_map(build, f)
        L = np.zeros((k, k))
        effects: list[str] = []
        for number in numbers:
            term = build.problem.terms[number]
            block = slice(term.start, term.start + term.size)
            L[block, block] = roots[number]
            effects.extend(random[number].effects)
        A = C @ matrices[f]
        # A R with R R' = H^-1 of each level, (J, k, k)
        half = bl.cholesky(inverse[f])[0]
        conditional = np.ascontiguousarray(np.tensordot(half, A, axes=(0, 1)).transpose(1, 2, 0))
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
                L,
                np.ascontiguousarray(b),
                conditional,
                tangent,
            )
        )
    return tuple(out)


def _mode_tangents(
    outcome: Outcome, build: Build, matrices, root: np.ndarray
) -> list[np.ndarray] | None:
    """db/dxi with the solver's (beta, theta) = root xi: per factor (M, k, J)."""
    tangent = outcome.maximum.tangent
    if tangent is None:
        return None
    objective = outcome.objective
    layout, p = objective.layout, build.problem.p
    parts = objective.structure.parts(objective.structure.scale(matrices, tangent))
    u = objective.structure.parts(outcome.u)
    for t in range(layout.n_theta):
        f = layout.factor[t]
        parts[f][p + t, layout.row[t]] += u[f][layout.col[t]]
    return [np.tensordot(root.T, part, axes=(1, 0)) for part in parts]


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
    return replace(result, joint_root=unknown)
