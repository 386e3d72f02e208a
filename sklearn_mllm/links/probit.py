"""Probit link: F(eta) = Phi(eta)."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, ndtr, ndtri

from .base import SymmetricLink

__all__ = ["Probit"]

_ROOT_HALF = np.sqrt(0.5)
_ROOT_TWO_OVER_PI = np.sqrt(2.0 / np.pi)

#: |eta| is held here, so that eta^2 stays finite.
_LIMIT = 1e150

#: Below this the excess a = t + r comes from a continued fraction of this many terms.
_FAR, _TERMS = -4.0, 40


def _excess(x: np.ndarray, order: int) -> list[np.ndarray]:
    """a(t) = t + phi(t)/Phi(t) at t = -x and its derivatives in t, for x > 4.

    By the continued fraction a = 1/(x + 2/(x + 3/(x + ...))), differentiated term by term: all
    terms are of the size of the result, where t + r and its likes lose every digit.
    """
    f = [x.copy(), np.ones_like(x), np.zeros_like(x), np.zeros_like(x)][: order + 1]
    for j in range(_TERMS, 1, -1):
        f = _reciprocal(j, f)
        f[0] += x
        if order:
            f[1] += 1.0
    return [a if d % 2 == 0 else -a for d, a in enumerate(_reciprocal(1, f))]


def _reciprocal(j: int, f: list[np.ndarray]) -> list[np.ndarray]:
    """g = j/f and its derivatives, from those of f: all derivatives of f g = j vanish."""
    g = [j / f[0]]
    if len(f) > 1:
        g.append(-(f[1] * g[0]) / f[0])
    if len(f) > 2:
        g.append(-(f[2] * g[0] + 2.0 * f[1] * g[1]) / f[0])
    if len(f) > 3:
        g.append(-(f[3] * g[0] + 3.0 * (f[2] * g[1] + f[1] * g[2])) / f[0])
    return g


class Probit(SymmetricLink):
    """Normal latent variable of variance one."""

    name = "probit"
    latent_variance = 1.0

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        return ndtr(eta)

    def density(self, eta: np.ndarray) -> np.ndarray:
        eta = np.clip(eta, -_LIMIT, _LIMIT)
        return np.exp(-0.5 * np.square(eta)) / np.sqrt(2.0 * np.pi)

    def link(self, p: np.ndarray) -> np.ndarray:
        return ndtri(p)

    def averaged_predictor(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        return eta / np.hypot(1.0, sd)

    def log_inverse_derivatives(self, t: np.ndarray, order: int) -> list[np.ndarray]:
        # with r = phi/Phi and a = t + r the derivatives are r, -r a = a' - 1, a'', a'''
        t = np.clip(t, -_LIMIT, _LIMIT)
        negative = t < 0.0
        scaled = erfcx(np.abs(t) * _ROOT_HALF)
        square = -0.5 * t * t
        kernel = np.exp(square)
        tail = 0.5 * scaled * kernel  # Phi(-|t|)
        out = [np.where(negative, np.log(0.5 * scaled) + square, np.log1p(-tail))]
        if not order:
            return out
        upper = (0.5 * _ROOT_TWO_OVER_PI) * kernel / (1.0 - tail)
        r = np.where(negative, _ROOT_TWO_OVER_PI / scaled, upper)
        out.append(r)
        if order == 1:
            return out
        a = t + r
        far = np.flatnonzero(t < _FAR)
        exact = _excess(-t[far], order - 1) if far.size else []
        if far.size:
            a[far] = exact[0]
        first = -r * a
        out.append(first)
        if order > 2:
            slope = 1.0 + first
            second = -(first * a + r * slope)
            if far.size:
                slope[far] = exact[1]
                second[far] = exact[2]
            out.append(second)
        if order > 3:
            third = -(second * a + 2.0 * first * slope + r * second)
            if far.size:
                third[far] = exact[3]
            out.append(third)
        return out
