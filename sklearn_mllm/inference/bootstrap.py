"""Bootstrap of all parameters: new responses from the model, or whole groups drawn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..design.problem import Factor, Problem
from .profile import away_from_zero
from .refit import Refitter

__all__ = ["bootstrap_draws"]

PIECES = 20
#: Expected gain in log-likelihood at which a refit stops; the Newton step that is left is then taken
#: unchecked, and is worth a thousandth of a standard error or less.
REFIT_TOL = 1e-4
#: The same for the joint mode, whose coefficients do not move by that step.
JOINT_TOL = 1e-6


def bootstrap_draws(
    result,
    refitter: Refitter,
    parameters: Callable,
    *,
    cluster: bool,
    n_samples: int,
    random_state,
    n_jobs: int | None,
    verbose: int = 0,
) -> np.ndarray:
    """Estimates of every parameter from `n_samples` refits, NaN rows where a refit fails.

    Parameters
    ----------
    result : FitResult
    refitter : Refitter
    parameters : callable(names, fixed, aliased, terms) -> (labels, values)
    cluster : bool
        Draw levels of the outermost grouping factor with replacement, each with all its rows,
        instead of responses from the model.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, sections 3.8 and 7.2.
    """
    from joblib import Parallel, delayed
    from sklearn.utils import check_random_state

    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, got {n_samples!r}")
    problem = refitter.build.problem
    if cluster:
        _check_nested(problem)
    elif problem.trials is not None and not np.allclose(problem.trials, np.rint(problem.trials)):
        raise ValueError(
            "sample_weight: responses cannot be drawn for weights that are no whole numbers of "
            "trials; use cluster=True or another method"
        )
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_samples)
    pieces = np.array_split(seeds, min(n_samples, PIECES))
    out = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_replicates)(refitter, result.aliased, result.terms, parameters, cluster, piece)
        for piece in pieces
    )
    draws = np.concatenate(out)
    if np.isnan(draws).all():
        raise ValueError("bootstrap: every refit failed; the model is not identified by such data")
    return draws


def _replicates(refitter, aliased, terms, parameters, cluster, seeds) -> np.ndarray:
    from ..objective.covariance import CovarianceLayout

    layout = CovarianceLayout(refitter.build.problem)
    return np.array(
        [_replicate(refitter, layout, aliased, terms, parameters, cluster, int(s)) for s in seeds]
    )


def _replicate(refitter: Refitter, layout, aliased, terms, parameters, cluster, seed) -> np.ndarray:
    """Estimates from one resampled data set."""
    from ..objective.laplace import ModeError
    from ..optimizer.maximize import NotFinite

    build = refitter.build
    p = build.problem.p
    generator = np.random.default_rng(seed)
    if cluster:
        problem = resampled(build.problem, generator)
    else:
        successes = simulated(refitter, layout, generator)
        problem = replace(build.problem, successes=successes)
    start = np.concatenate([refitter.start[:p], away_from_zero(refitter.start[p:])])
    size = len(aliased) + sum(len(t.effects) * (len(t.effects) + 1) // 2 for t in terms)
    failed = np.full(size, np.nan)
    try:
        joint = refitter.n_agq == 0
        outcome = refitter.fit(problem, start, tol=JOINT_TOL if joint else REFIT_TOL)
    except (NotFinite, ModeError):
        return failed
    outcome.objective.close()
    phi = outcome.maximum.phi
    if not joint:
        phi = phi + outcome.maximum.step
    if not outcome.maximum.finished or not np.isfinite(phi).all():
        return failed
    fixed = np.zeros(len(aliased))
    fixed[build.fixed_map.kept] = build.fixed_map.T @ phi[:p]
    drawn = []
    for number, term in enumerate(terms):
        L = build.random_maps[number] @ layout.term_factor(phi[p:], number)
        drawn.append(replace(term, root=L))
    return parameters([""] * len(aliased), fixed, aliased, drawn)[1]


def simulated(refitter: Refitter, layout, generator) -> np.ndarray:
    """Successes drawn from the model with new random effects, shape (n,)."""
    problem = refitter.build.problem
    p = problem.p
    gamma, theta = refitter.start[:p], refitter.start[p:]
    eta = gamma @ problem.X
    if problem.offset is not None:
        eta = eta + problem.offset
    for factor, Lambda in zip(problem.factors, layout.matrices(theta), strict=True):
        b = Lambda @ generator.standard_normal((factor.size, factor.n_levels))
        for i in range(factor.size):
            eta = eta + b[i][factor.codes] * (1.0 if factor.Z is None else factor.Z[i])
    probability = refitter.link.inverse(eta)
    if problem.trials is None:
        return (generator.uniform(size=problem.n) < probability).astype(float)
    trials = np.rint(problem.trials).astype(np.int64)
    return generator.binomial(trials, np.clip(probability, 0.0, 1.0)).astype(float)


def _check_nested(problem: Problem) -> None:
    from ..objective.structures.nested import parents

    if not problem.factors:
        raise ValueError("cluster=True resamples groups, and the model has no grouping factor")
    if parents(problem) is None:
        raise ValueError(
            "cluster=True needs one grouping factor, or nested ones; the groups of crossed factors "
            "cannot be drawn apart: use cluster=False"
        )


def resampled(problem: Problem, generator) -> Problem:
    """Levels of the outermost factor drawn with replacement, each a group of its own."""
    outer = problem.factors[-1]
    order = np.argsort(outer.codes, kind="stable")
    ends = np.cumsum(np.bincount(outer.codes, minlength=outer.n_levels))
    starts = np.concatenate([[0], ends[:-1]])
    drawn = generator.integers(outer.n_levels, size=outer.n_levels)
    sizes = (ends - starts)[drawn]
    rows = np.concatenate([order[starts[j] : ends[j]] for j in drawn])
    copy = np.repeat(np.arange(drawn.size, dtype=np.intp), sizes)
    codes = []
    for factor in problem.factors[:-1]:
        pairs = copy * factor.n_levels + factor.codes[rows]
        codes.append(np.unique(pairs, return_inverse=True)[1].astype(np.intp))
    codes.append(copy)
    # rows are sorted by the first factor
    place = np.argsort(codes[0], kind="stable")
    rows, codes = rows[place], [c[place] for c in codes]
    factors = []
    for factor, new in zip(problem.factors, codes, strict=True):
        Z = None if factor.Z is None else np.ascontiguousarray(factor.Z[:, rows])
        factors.append(Factor(new, int(new.max()) + 1, Z, bool((new[1:] >= new[:-1]).all())))
    return Problem(
        np.ascontiguousarray(problem.X[:, rows]),
        problem.successes[rows],
        None if problem.trials is None else problem.trials[rows],
        None if problem.offset is None else problem.offset[rows],
        tuple(factors),
        problem.terms,
    )
