"""Start values: the plain regression, and a moment estimate of each variance."""

from __future__ import annotations

import numpy as np

from ..objective.newton import newton_step
from ..objective.reach import reach

__all__ = ["null_log_likelihood", "plain_fit", "start_from", "start_theta"]


def plain_fit(objective, max_iter: int = 1000, tol: float = 2.0) -> tuple[np.ndarray, int]:
    """Coefficients of the model without random effects, shape (p,), and the Newton steps taken.

    Only good enough to start from: it stops at an expected gain of `tol`.
    """
    rows = objective.rows
    beta = np.zeros(rows.p)
    value = -np.inf
    step = np.zeros(rows.p)
    n_steps = 0
    for _ in range(max_iter):
        eta = rows.fixed_predictor(beta)
        new, (s, W, _) = rows.derivatives(eta)
        if not new > value - 1e-9 * abs(value) if np.isfinite(value) else not np.isfinite(new):
            step *= 0.25
            if np.abs(step).max(initial=0.0) < 1e-10:
                break
            beta = beta - 3.0 * step
            continue
        value = new
        if rows.p == 0:
            break
        gradient = rows.transpose_dot(s)
        gram = rows.gram(np.maximum(W, 0.0))
        # against the gradient too: where no row is concave the information is zero
        size = max(float(np.trace(gram)) / rows.p, float(np.abs(gradient).max()), 1e-300)
        gram[np.diag_indices_from(gram)] += 1e-10 * size
        step, gain, _ = newton_step(gram, gradient)
        step *= reach(rows.X, beta, step)
        beta = beta + step
        n_steps += 1
        if gain < tol:
            break
    return beta, n_steps


def start_theta(objective, beta: np.ndarray) -> np.ndarray:
    """Diagonal theta by moments at the plain fit: E (Z's)^2 = G + sd^2 G^2 of each column."""
    structure, layout = objective.structure, objective.layout
    theta = np.zeros(layout.n_theta)
    if not layout.n_theta:
        return theta
    eta = objective.rows.fixed_predictor(beta)
    _, (s, W, _) = objective.rows.derivatives(eta)
    sums = structure.parts(structure.sums(s))
    W = np.maximum(W, 0.0)
    for t in np.flatnonzero(layout.diagonal):
        factor = objective.problem.factors[layout.factor[t]]
        i = layout.row[t]
        weights = W if factor.Z is None else W * factor.Z[i] ** 2
        G = np.bincount(factor.codes, weights=weights, minlength=factor.n_levels)
        score = sums[layout.factor[t]][i]
        denominator = float(G @ G)
        variance = (float(score @ score) - float(G.sum())) / denominator if denominator else 1.0
        theta[t] = np.clip(np.sqrt(max(variance, 0.0)), 0.15, 2.0)
    return theta


def null_log_likelihood(objective) -> float:
    """Log-likelihood of the model with intercept (and offset) alone."""
    rows = objective.rows
    base = np.zeros(rows.n) if rows.offset is None else rows.offset
    intercept, value = 0.0, -np.inf
    step = 0.0
    for _ in range(60):
        new, (s, W, _) = rows.derivatives(base + intercept)
        if not new >= value - 1e-12 * abs(value):
            step *= 0.5
            intercept -= step
            continue
        value = new
        step = float(s.sum()) / max(float(np.maximum(W, 0.0).sum()), 1e-300)
        step = float(np.clip(step, -3.0, 3.0))
        if abs(step) < 1e-12:
            break
        intercept += step
    return value


def start_from(earlier, build) -> np.ndarray | None:
    """Solver parameters of an earlier FitResult of the same model; None if it is another model."""
    terms = build.problem.terms
    kept = build.fixed_map.kept
    if len(earlier.terms) != len(terms) or len(earlier.fixed) <= kept.max(initial=-1):
        return None
    parts = [np.linalg.solve(build.fixed_map.T, earlier.fixed[kept])]
    for old, term, C in zip(earlier.terms, terms, build.random_maps, strict=True):
        if old.covariance.shape[0] != term.size:
            return None
        inverse = np.linalg.inv(C)
        S = inverse @ old.covariance @ inverse.T
        # a variance at zero is a stationary point: start beside it
        S[np.diag_indices_from(S)] += 1e-2 * max(float(np.diag(S).max()), 1e-2)
        L = np.linalg.cholesky(S)
        parts.extend(L[j:, j] for j in range(term.size))
    return np.concatenate(parts)
