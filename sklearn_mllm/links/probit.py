"""Probit link: F(eta) = Phi(eta)."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

from .base import Link

__all__ = ["Probit"]

_ROOT = np.sqrt(2.0 / np.pi)


def mills_derivatives(t: np.ndarray, order: int) -> list[np.ndarray]:
    """log Phi(t) and its derivatives r, -r(t + r), ..., accurate as t -> -inf.

    With r = phi/Phi: L' = r, and a = t + r is positive and tends to -1/t, so that r' = -r a loses
    digits by cancellation in the far tail; there a and the higher derivatives come from the
    continued fraction of Mills' ratio, R(x) = 1/(x + 1/(x + 2/(x + ...))), x = -t.
    """
    out = [log_ndtr(t)]
    if not order:
        return out
    r = _ROOT / erfcx(-t / np.sqrt(2.0))
    out.append(r)
    if order == 1:
        return out
    a = t + r
    far = t < -5.0
    if far.any():
        a = np.where(far, _excess(np.where(far, -t, 6.0)), a)
    first = -r * a
    out.append(first)
    if order > 2:
        # a' = 1 - r a; near -inf r a -> 1 - 1/t^2
        slope = 1.0 - r * a
        if far.any():
            slope = np.where(far, _excess_slope(np.where(far, -t, 6.0)), slope)
        second = -(first * a + r * slope)
        out.append(second)
        if order > 3:
            curve = -(first * a + r * slope)
            if far.any():
                curve = np.where(far, _excess_curve(np.where(far, -t, 6.0)), curve)
            out.append(-(second * a + 2.0 * first * slope + r * curve))
    return out


def _tail(x: np.ndarray, derivatives: int) -> list[np.ndarray]:
    """a(x) = 1/(x + 2/(x + 3/(x + ...))) for x > 5 and its derivatives in x."""
    zeros = np.zeros_like(x)
    f, f1, f2 = np.array(x), np.ones_like(x), zeros
    for j in range(60, 1, -1):
        g = j / f
        g1 = -g * f1 / f
        g2 = -(g1 * f1 + g * f2) / f - g1 * f1 / f
        g2 += 0.0
        f, f1, f2 = x + g, 1.0 + g1, g2
    a = 1.0 / f
    a1 = -f1 * a * a
    a2 = (2.0 * f1 * f1 * a - f2) * a * a
    return [a, a1, a2][: derivatives + 1]


def _excess(x):
    return _tail(x, 0)[0]


def _excess_slope(x):
    return -_tail(x, 1)[1]


def _excess_curve(x):
    return _tail(x, 2)[2]


class Probit(Link):
    """Normal latent variable of variance one."""

    name = "probit"
    latent_variance = 1.0

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        return ndtr(eta)

    def complement(self, eta: np.ndarray) -> np.ndarray:
        return ndtr(-np.asarray(eta))

    def density(self, eta: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * np.square(eta)) / np.sqrt(2.0 * np.pi)

    def link(self, p: np.ndarray) -> np.ndarray:
        return ndtri(p)

    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        one = mills_derivatives(eta, order)
        zero = mills_derivatives(-eta, order)
        # derivatives of an odd order change sign with the argument
        return one, [v if d % 2 == 0 else -v for d, v in enumerate(zero)]
