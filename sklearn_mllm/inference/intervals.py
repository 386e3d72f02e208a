"""Confidence intervals: Wald, profile likelihood, bootstrap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from .refit import Refitter, training_problem

__all__ = ["confidence_intervals"]

METHODS = ("wald", "profile", "bootstrap")


def confidence_intervals(
    model,
    X=None,
    y=None,
    groups=None,
    *,
    method: str = "wald",
    level: float = 0.95,
    n_samples: int = 1000,
    random_state=None,
    n_jobs: int | None = None,
    sample_weight=None,
    offset=None,
):
    """Confidence intervals for fixed effects, standard deviations and correlations.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X, y, groups, sample_weight, offset
        The training data again, for "profile" and "bootstrap".
    method : {"wald", "profile", "bootstrap"}
        "wald": normal, standard deviations on the log scale. "profile": the parameter values that
        a likelihood-ratio test does not reject, for fixed effects and for the standard deviations
        of terms with one effect (those of other terms and correlations get NaN). "bootstrap":
        percentiles over refits to responses simulated from the model with new random effects.
    level : float, default=0.95
    n_samples : int, default=1000
        Bootstrap replicates.
    random_state : int, RandomState or None
        Of the bootstrap.
    n_jobs : int or None
        Processes of the bootstrap.

    Returns
    -------
    DataFrame
        Index: coefficient names, `sd(effect|group)`, `cor(effect,effect|group)`; columns estimate,
        conf_low, conf_high. With "bootstrap", `.attrs["n_failed"]` counts refits that failed.

    References
    ----------
    Venables & Ripley (2002), section 8.4, for the signed root of the profile.
    """
    import pandas as pd
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model, "result_")
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(map(repr, METHODS))}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    result = model.result_
    names, estimates = _parameters(result.names, result.fixed, result.aliased, result.terms)
    failed = 0
    if method == "wald":
        low, high = _wald(result, estimates, level)
    else:
        refitter = training_problem(model, X, y, groups, sample_weight, offset)
        if method == "profile":
            low, high = _profile(result, refitter, estimates, level)
        else:
            low, high, failed = _bootstrap(result, refitter, level, n_samples, random_state, n_jobs)
    table = pd.DataFrame({"estimate": estimates, "conf_low": low, "conf_high": high}, index=names)
    table.attrs.update(method=method, level=level)
    if method == "bootstrap":
        table.attrs["n_failed"] = failed
    return table


def _parameters(names, fixed, aliased, terms) -> tuple[list[str], np.ndarray]:
    labels = list(names)
    values = list(np.where(aliased, np.nan, fixed))
    for term in terms:
        sds = np.sqrt(np.diag(term.covariance))
        labels += [f"sd({effect}|{term.group})" for effect in term.effects]
        values += list(sds)
    for term in terms:
        sds = np.sqrt(np.diag(term.covariance))
        for j, second in enumerate(term.effects):
            for i, first in enumerate(term.effects[:j]):
                labels.append(f"cor({first},{second}|{term.group})")
                product = sds[i] * sds[j]
                values.append(term.covariance[i, j] / product if product > 0.0 else np.nan)
    return labels, np.array(values)


def _wald(result, estimates: np.ndarray, level: float):
    z = float(ndtri(0.5 + 0.5 * level))
    low, high = np.full(estimates.shape, np.nan), np.full(estimates.shape, np.nan)
    p = len(result.names)
    with np.errstate(invalid="ignore"):
        reach = z * np.sqrt(np.diag(result.fixed_covariance))
    low[:p], high[:p] = estimates[:p] - reach, estimates[:p] + reach
    at = p
    for term in result.terms:
        k = len(term.effects)
        sd = estimates[at : at + k]
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.exp(z * term.std_error_sd / sd)
        low[at : at + k], high[at : at + k] = sd / factor, sd * factor
        at += k
    return low, high


# -- profile ---------------------------------------------------------------------------------------


def _profile(result, refitter: Refitter, estimates: np.ndarray, level: float):
    z = float(ndtri(0.5 + 0.5 * level))
    build = refitter.build
    best = refitter.fit()
    top = best.maximum.value
    best.objective.close()
    low, high = np.full(estimates.shape, np.nan), np.full(estimates.shape, np.nan)
    errors = np.sqrt(np.maximum(np.diag(result.joint_covariance), 0.0))
    for place, j in enumerate(build.fixed_map.kept):
        value = _fixed_profile(refitter, place, best.maximum.phi)
        low[j], high[j] = _limits(value, estimates[j], errors[place], top, z, -np.inf)
    at = len(result.names)
    for number, term in enumerate(result.terms):
        if len(term.effects) == 1:
            value = _sd_profile(refitter, number, best.maximum.phi)
            error = term.std_error_sd[0]
            error = error if np.isfinite(error) else 0.3
            low[at], high[at] = _limits(value, estimates[at], error, top, z, 0.0)
        at += len(term.effects)
    return low, high


def _limits(profile, estimate: float, error: float, top: float, z: float, bound: float):
    """Where the signed root of the profile reaches -z and z; `bound` where it never does."""

    def excess(value: float) -> float:
        return np.sqrt(max(2.0 * (top - profile(value)), 0.0)) - z

    ends = []
    for sign in (-1.0, 1.0):
        inner, step = estimate, 1.2 * z * error
        outer = max(estimate + sign * step, bound)
        while outer > bound and excess(outer) < 0.0 and step < 100.0 * error:
            inner, step = outer, 1.6 * step
            outer = max(estimate + sign * step, bound)
        beyond = excess(outer)
        if beyond < 0.0:
            ends.append(bound if sign < 0 and np.isfinite(bound) else sign * np.inf)
        elif outer == inner:
            ends.append(outer)
        else:
            ends.append(brentq(excess, inner, outer, xtol=1e-5 * max(error, 1e-300), rtol=1e-10))
    return ends


def _fixed_profile(refitter: Refitter, place: int, phi: np.ndarray):
    """Maximal log-likelihood with one fixed effect held."""
    build = refitter.build
    p = build.problem.p
    direction = build.fixed_map.T[place]

    def value(held: float) -> float:
        problem, N = refitter.without_column(direction, held)
        start = np.concatenate([N.T @ phi[:p], _away_from_zero(phi[p:])])
        outcome = refitter.fit(problem, start)
        outcome.objective.close()
        return outcome.maximum.value

    return value


def _sd_profile(refitter: Refitter, number: int, phi: np.ndarray):
    """Maximal log-likelihood with the standard deviation of a one-effect term held."""
    from ..objective import objective_for
    from ..optimizer.fit import ascend

    build = refitter.build
    p = build.problem.p
    scale = abs(float(build.random_maps[number][0, 0]))
    objective = objective_for(refitter.n_agq, build.problem)(build.problem, refitter.link)
    t = p + int(np.flatnonzero(objective.layout.term_of == number)[0])
    free = np.ones(phi.shape[0], dtype=bool)
    free[t] = False
    start = np.concatenate([phi[:p], _away_from_zero(phi[p:])])

    def value(held: float) -> float:
        start[t] = held / scale
        maximum = ascend(objective, start, free, None, tol=1e-8, max_iter=60, cheap_hessian=True)
        return maximum.value

    return value


def _away_from_zero(theta: np.ndarray) -> np.ndarray:
    return np.where(np.abs(theta) < 1e-3, 0.05, theta)


# -- bootstrap ---------------------------------------------------------------------------------------


def _bootstrap(result, refitter: Refitter, level, n_samples, random_state, n_jobs):
    from joblib import Parallel, delayed
    from sklearn.utils import check_random_state

    if n_samples < 2:
        raise ValueError(f"n_samples must be at least 2, got {n_samples!r}")
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_samples)
    pieces = np.array_split(seeds, min(n_samples, 20))
    out = Parallel(n_jobs=n_jobs)(
        delayed(_replicates)(refitter, result.aliased, result.terms, piece) for piece in pieces
    )
    draws = np.concatenate(out)
    failed = int(np.isnan(draws).all(axis=1).sum())
    if failed == n_samples:
        raise ValueError("bootstrap: every refit failed; the model is not identified by such data")
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(draws, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0)
    return low, high, failed


def _replicates(refitter: Refitter, aliased, terms, seeds) -> np.ndarray:
    return np.array([_replicate(refitter, aliased, terms, int(seed)) for seed in seeds])


def _replicate(refitter: Refitter, aliased, terms, seed: int) -> np.ndarray:
    """Estimates from one simulated response; NaN where the refit fails."""
    from ..objective.covariance import CovarianceLayout
    from ..objective.laplace import ModeError
    from ..optimizer.maximize import NotFinite

    build = refitter.build
    problem, p = build.problem, build.problem.p
    layout = CovarianceLayout(problem)
    generator = np.random.default_rng(seed)
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
        successes = (generator.uniform(size=problem.n) < probability).astype(float)
    else:
        successes = generator.binomial(np.rint(problem.trials).astype(int), probability).astype(
            float
        )
    start = np.concatenate([gamma, _away_from_zero(theta)])
    size = len(aliased) + sum(len(t.effects) * (len(t.effects) + 1) // 2 for t in terms)
    try:
        outcome = refitter.fit(replace(problem, successes=successes), start, tol=1e-6)
    except (NotFinite, ModeError):
        return np.full(size, np.nan)
    outcome.objective.close()
    phi = outcome.maximum.phi
    fixed = np.full(len(aliased), np.nan)
    fixed[build.fixed_map.kept] = build.fixed_map.T @ phi[:p]
    drawn = []
    for number, term in enumerate(terms):
        L = build.random_maps[number] @ layout.term_factor(phi[p:], number)
        drawn.append(replace(term, covariance=L @ L.T))
    return _parameters([""] * len(aliased), np.nan_to_num(fixed), aliased, drawn)[1]
