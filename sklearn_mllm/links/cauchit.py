"""Cauchit link: F(eta) = 1/2 + arctan(eta)/pi."""

from __future__ import annotations

import numpy as np

from .base import Link

__all__ = ["Cauchit"]


def _tail_probability(t: np.ndarray) -> np.ndarray:
    """F(t), by arctan(1/t) where t is negative."""
    with np.errstate(divide="ignore"):
        inverse = np.arctan(1.0 / np.abs(t)) / np.pi
    return np.where(t < 0.0, inverse, 1.0 - inverse)


def _one_side(t: np.ndarray, order: int) -> list[np.ndarray]:
    """log F(t) and its derivatives."""
    F = _tail_probability(t)
    upper = np.maximum(1.0 - F, 0.0)
    with np.errstate(divide="ignore"):
        exact = np.arctan(1.0 / np.abs(t)) / np.pi
    out = [np.where(t < 0.0, np.log(F), np.log1p(-np.where(t < 0.0, upper, exact)))]
    if not order:
        return out
    c = 1.0 / (1.0 + t * t)
    r = c / (np.pi * F)
    out.append(r)
    if order > 1:
        # r' = r (g - r), g = d log f = -2 t c
        g = -2.0 * t * c
        r1 = r * (g - r)
        out.append(r1)
        if order > 2:
            g1 = -2.0 * c + 4.0 * t * t * c * c
            r2 = r1 * (g - r) + r * (g1 - r1)
            out.append(r2)
            if order > 3:
                g2 = 12.0 * t * c * c - 16.0 * t**3 * c**3
                out.append(r2 * (g - r) + 2.0 * r1 * (g1 - r1) + r * (g2 - r2))
    return out


class Cauchit(Link):
    """Heavy tails; the log-likelihood of a row is not concave everywhere (W may be negative)."""

    name = "cauchit"
    latent_variance = None

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        return _tail_probability(np.asarray(eta, dtype=float))

    def complement(self, eta: np.ndarray) -> np.ndarray:
        return _tail_probability(-np.asarray(eta, dtype=float))

    def density(self, eta: np.ndarray) -> np.ndarray:
        return 1.0 / (np.pi * (1.0 + np.square(eta)))

    def link(self, p: np.ndarray) -> np.ndarray:
        p = np.asarray(p, dtype=float)
        return np.where(p < 0.5, -1.0 / np.tan(np.pi * p), 1.0 / np.tan(np.pi * (1.0 - p)))

    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        one, zero = _one_side(eta, order), _one_side(-eta, order)
        return one, [v if d % 2 == 0 else -v for d, v in enumerate(zero)]
