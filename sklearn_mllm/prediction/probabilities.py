"""Linear predictors and probabilities of new rows from a `FitResult`."""

from __future__ import annotations

import numpy as np

from ..result.fit_result import FitResult

__all__ = [
    "decision_values",
    "effect_variance",
    "effect_variance_slopes",
    "effect_variance_weights",
    "probabilities",
    "random_part",
    "unseen_levels",
]


def fixed_part(result: FitResult, X: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
    """offset + X beta, shape (n,)."""
    eta = X @ result.fixed
    return eta if offset is None else eta + offset


def unseen_levels(random) -> list[tuple[str, int, int]]:
    """Terms with unknown levels: (group, number of rows, first such row)."""
    out, done = [], set()
    for term in random:
        if term.group in done:
            continue
        done.add(term.group)
        missing = np.flatnonzero(term.codes < 0)
        if missing.size:
            out.append((term.group, int(missing.size), int(missing[0])))
    return out


def random_part(
    result: FitResult, random, n: int, *, everything_unseen: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Known random effects z'b, and the variance z'Sz of those not known, each (n,)."""
    eta, variance = np.zeros(n), np.zeros(n)
    for term_result, term in zip(result.terms, random, strict=True):
        factor = result.factors[term_result.factor]
        known = np.zeros(n, dtype=bool) if everything_unseen else term.codes >= 0
        all_known = bool(known.all())
        codes = term.codes
        columns = factor.modes[:, term_result.start : term_result.start + len(term.effects)]
        if not everything_unseen and factor.modes.shape[0]:
            if all_known:
                b = np.take(columns, codes, axis=0)
            else:
                b = np.where(known[:, None], np.take(columns, np.maximum(codes, 0), axis=0), 0.0)
            eta += b[:, 0] if term.Z is None else np.einsum("na,na->n", b, term.Z)
        if not all_known:
            variance += np.where(known, 0.0, effect_variance(term_result, term.Z))
    return eta, variance


def new_variance_slopes(
    result: FitResult, random, n: int, *, everything_unseen: bool = False
) -> np.ndarray:
    """Derivatives in xi of the second array of `random_part`, shape (n, M)."""
    out = np.zeros((n, result.joint_root.shape[1]))
    for term_result, term in zip(result.terms, random, strict=True):
        rows = np.arange(n) if everything_unseen else np.flatnonzero(term.codes < 0)
        Z = np.ones((1, 1)) if term.Z is None else term.Z[rows]
        out[rows] += effect_variance_slopes(Z, term_result.root, term_result.root_tangent)
    return out


def effect_variance_slopes(Z: np.ndarray, root: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """Derivatives of z'LL'z in xi, (rows, M), for L = `root` and dL/dxi = `tangent`."""
    return 2.0 * np.einsum("nb,na,mab->nm", Z @ root, Z, tangent, optimize=True)


def effect_variance_weights(Z: np.ndarray) -> np.ndarray:
    """What the rows of S's upper triangle weigh in z'Sz, each covariance twice: (rows, k (k + 1) / 2)."""
    a, b = np.triu_indices(Z.shape[1])
    return Z[:, a] * Z[:, b] * np.where(a == b, 1.0, 2.0)


def effect_variance(term, Z: np.ndarray | None) -> np.ndarray | float:
    """Variance z'Sz of a term's share in the predictor of each row, (n,) or a number."""
    if Z is None:
        return float(term.root[0, 0] ** 2)
    half = Z @ term.root
    return np.einsum("na,na->n", half, half)


def decision_values(
    result: FitResult, link, matrices, offset, prediction: str, unseen: str
) -> np.ndarray:
    """Linear predictor whose inverse link is the predicted probability, shape (n,)."""
    eta, variance = _parts(result, matrices, offset, prediction, unseen)
    return link.averaged_predictor(eta, np.sqrt(variance)) if variance.any() else eta


def probabilities(
    result: FitResult, link, matrices, offset, prediction: str, unseen: str
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the event and of its complement, each (n,)."""
    eta = decision_values(result, link, matrices, offset, prediction, unseen)
    return link.inverse(eta), link.complement(eta)


def _parts(result, matrices, offset, prediction: str, unseen: str):
    n = matrices.X.shape[0]
    eta = fixed_part(result, matrices.X, offset)
    if prediction == "typical" or not result.terms:
        return eta, np.zeros(n)
    if prediction == "marginal":
        _, variance = random_part(result, matrices.random, n, everything_unseen=True)
        return eta, variance
    known, variance = random_part(result, matrices.random, n)
    if unseen == "typical":
        variance = np.zeros(n)
    return eta + known, variance
