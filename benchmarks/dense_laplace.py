"""An independent Laplace log-likelihood: whole matrices, nothing shared with the package.

Slow and plain, a third opinion where two engines differ: Z is one dense matrix, the modes come from
Newton steps with halving, the determinant from a dense Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, special

__all__ = ["dense_laplace"]


def _row_terms(link: str, eta: np.ndarray) -> tuple[np.ndarray, ...]:
    """log p and log(1 - p) with their first two derivatives in eta."""
    if link == "logit":
        p, q = special.expit(eta), special.expit(-eta)
        return special.log_expit(eta), q, -p * q, special.log_expit(-eta), -p, -p * q
    if link == "probit":
        up = np.exp(-0.5 * eta**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(eta))
        down = np.exp(-0.5 * eta**2 - 0.5 * np.log(2.0 * np.pi) - special.log_ndtr(-eta))
        return (
            special.log_ndtr(eta), up, -up * (eta + up),
            special.log_ndtr(-eta), -down, -down * (down - eta),
        )  # fmt: skip
    rate = np.exp(np.minimum(eta, 500.0))
    ratio = np.where(rate > 1e-12, rate / np.expm1(np.clip(rate, 1e-300, 700.0)), 1.0 - rate / 2)
    with np.errstate(divide="ignore"):
        log_p = np.where(rate > 1e-8, np.log(-np.expm1(-rate)), eta - rate / 2.0)
    slope = np.where(rate > 1e-6, 1.0 - rate - ratio, -rate / 2.0)
    return log_p, ratio, ratio * slope, -rate, -rate, -rate


def dense_laplace(
    X: np.ndarray,
    successes: np.ndarray,
    trials: np.ndarray,
    offset: np.ndarray,
    terms: Sequence[tuple[np.ndarray, np.ndarray]],
    link: str,
    beta: np.ndarray,
    covariances: Sequence[np.ndarray],
) -> float:
    """Laplace log-likelihood at given parameters, binomial constants left out.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    successes, trials, offset : ndarray of shape (n,)
    terms : sequence of (codes (n,), Z (n, k))
    link : {"logit", "probit", "cloglog"}
    beta : ndarray of shape (p,)
    covariances : sequence of ndarray of shape (k, k)
        One a term; singular ones are fine.

    Raises
    ------
    ArithmeticError
        The modes are not found, or the joint density has no proper maximum.
    """
    n = X.shape[0]
    blocks = []
    for (codes, Z), S in zip(terms, covariances, strict=True):
        values, vectors = np.linalg.eigh(S)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        scaled = Z @ root
        wide = np.zeros((n, codes.max() + 1, Z.shape[1]))
        wide[np.arange(n), codes] = scaled
        blocks.append(wide.reshape(n, -1))
    A = np.concatenate(blocks, axis=1)
    eta0 = X @ beta + offset
    failures = trials - successes
    u = np.zeros(A.shape[1])

    def at(u: np.ndarray):
        eta = eta0 + A @ u
        log_p, p1, p2, log_q, q1, q2 = _row_terms(link, eta)
        terms = np.where(successes > 0.0, successes * log_p, 0.0)
        terms = terms + np.where(failures > 0.0, failures * log_q, 0.0)
        s = np.where(successes > 0.0, successes * p1, 0.0) + failures * q1
        W = -np.where(successes > 0.0, successes * p2, 0.0) - failures * q2
        return float(terms.sum()) - 0.5 * float(u @ u), s, W

    value, s, W = at(u)
    for _ in range(500):
        gradient = A.T @ s - u
        H = (A.T * np.maximum(W, 0.0)) @ A
        H[np.diag_indices_from(H)] += 1.0
        step = linalg.solve(H, gradient, assume_a="pos")
        if gradient @ step < 1e-18 * max(1.0, abs(value)):
            break
        fraction = 1.0
        while True:
            new = at(u + fraction * step)
            if new[0] >= value or fraction < 1e-10:
                break
            fraction *= 0.5
        if fraction < 1e-10:
            break
        u = u + fraction * step
        value, s, W = new
    if np.abs(A.T @ s - u).max() > 1e-5:
        raise ArithmeticError("the modes were not found")
    H = (A.T * W) @ A
    H[np.diag_indices_from(H)] += 1.0
    try:
        factor = linalg.cholesky(H, lower=True)
    except linalg.LinAlgError as error:
        raise ArithmeticError("the joint density has no proper maximum") from error
    return value - float(np.log(np.diag(factor)).sum())
