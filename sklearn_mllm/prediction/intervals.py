"""Intervals for predicted probabilities, on the scale of the linear predictor.

eta = x' beta + z' b with b = b(beta, theta) its conditional mode: the delta method over the
parameters, plus the conditional variance of b given them (Kass & Steffey 1989, JASA 84). An averaged
probability moves with beta and with the variance that it is averaged over.
"""

from __future__ import annotations

import numpy as np

from ..result.fit_result import FitResult
from ..result.wald import normal_reach
from .probabilities import fixed_part, new_variance_slopes, probabilities, random_part

__all__ = ["intervals", "link_variance"]


def link_variance(result: FitResult, matrices, prediction: str) -> np.ndarray:
    """Variance of the known part of each row's linear predictor, shape (n,)."""
    n = matrices.X.shape[0]
    kept = ~result.aliased
    # in the coordinates xi of the parameters, which are N(0, I)
    gradient = matrices.X[:, kept] @ result.joint_root[: int(kept.sum())]
    extra = np.zeros(n)
    levels: list[np.ndarray] = []
    columns_of: list[np.ndarray] = []
    if prediction == "conditional":
        for f, factor in enumerate(result.factors):
            k = len(factor.effects)
            z = np.zeros((n, k))
            codes = None
            for term_result, term in zip(result.terms, matrices.random, strict=True):
                if term_result.factor != f:
                    continue
                columns = slice(term_result.start, term_result.start + len(term.effects))
                z[:, columns] = 1.0 if term.Z is None else term.Z
                codes = term.codes
            known = np.flatnonzero(codes >= 0)
            level = codes[known]
            zk = z[known]
            levels.append(codes)
            columns_of.append(z)
            if result.precision is None:
                half = np.einsum("na,nab->nb", zk, factor.conditional_root[level])
                extra[known] += np.einsum("nb,nb->n", half, half)
            if factor.tangent is not None:
                gradient[known] += np.einsum("na,nam->nm", zk, factor.tangent[level])
    if levels and result.precision is not None:
        # effects of different factors on one row are not independent given the data
        extra = result.precision.variances(result.precision.combinations(levels, columns_of))
    return np.einsum("nm,nm->n", gradient, gradient) + extra


def intervals(
    result: FitResult, link, matrices, offset, prediction: str, unseen: str, level: float
) -> dict[str, np.ndarray]:
    """Columns probability, std_error (link scale), conf_low, conf_high."""
    n = matrices.X.shape[0]
    p, _ = probabilities(result, link, matrices, offset, prediction, unseen)
    eta = fixed_part(result, matrices.X, offset)
    variance = link_variance(result, matrices, prediction)
    if prediction == "conditional" and result.terms:
        known, new = random_part(result, matrices.random, n)
        eta = eta + known
        variance = variance + new
    elif prediction == "marginal" and result.terms:
        eta, variance = _averaged(result, link, matrices, eta)
    reach = normal_reach(level)
    se = np.sqrt(np.maximum(variance, 0.0))
    return {
        "probability": p,
        "std_error": se,
        "conf_low": link.inverse(eta - reach * se),
        "conf_high": link.inverse(eta + reach * se),
    }


def _averaged(result, link, matrices, eta) -> tuple[np.ndarray, np.ndarray]:
    """Link of the averaged probabilities, and its variance."""
    n = len(eta)
    _, new = random_part(result, matrices.random, n, everything_unseen=True)
    middle, by_eta, by_variance = link.averaged_derivatives(eta, np.sqrt(new))
    slopes = new_variance_slopes(result, matrices.random, n, everything_unseen=True)
    slopes *= by_variance[:, None]
    kept = ~result.aliased
    fixed = matrices.X[:, kept] @ result.joint_root[: int(kept.sum())]
    slopes += by_eta[:, None] * fixed
    return middle, np.einsum("nm,nm->n", slopes, slopes)
