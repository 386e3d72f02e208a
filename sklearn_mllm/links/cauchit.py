"""Cauchit link: F(eta) = 1/2 + arctan(eta)/pi."""

from __future__ import annotations

import numpy as np

from .average import heavy_tailed_average
from .base import SymmetricLink

__all__ = ["Cauchit"]

#: |eta| is held here, so that powers of it stay finite.
_LIMIT = 1e100


def _tail(t: np.ndarray) -> np.ndarray:
    """F(-|t|) = arctan(1/|t|)/pi, which does not cancel."""
    with np.errstate(divide="ignore", over="ignore"):  # arctan(inf) is right
        return np.arctan(1.0 / np.abs(t)) / np.pi


class Cauchit(SymmetricLink):
    """Heavy tails; the log-likelihood of a row is not concave everywhere (W may be negative)."""

    name = "cauchit"
    latent_variance = None

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        eta = np.asarray(eta, dtype=float)
        tail = _tail(eta)
        return np.where(eta < 0.0, tail, 1.0 - tail)[()]

    def density(self, eta: np.ndarray) -> np.ndarray:
        eta = np.clip(eta, -_LIMIT, _LIMIT)
        return 1.0 / (np.pi * (1.0 + np.square(eta)))

    def link(self, p: np.ndarray) -> np.ndarray:
        p = np.asarray(p, dtype=float)
        with np.errstate(divide="ignore"):
            tail = 1.0 / np.tan(np.pi * np.minimum(p, 1.0 - p))
        return np.where(p < 0.5, -tail, tail)[()]

    def averaged_predictor(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        return heavy_tailed_average(self, eta, sd)

    def log_inverse_derivatives(self, t: np.ndarray, order: int) -> list[np.ndarray]:
        t = np.clip(t, -_LIMIT, _LIMIT)
        negative = t < 0.0
        tail = _tail(t)
        F = np.where(negative, tail, 1.0 - tail)
        out = [np.where(negative, np.log(F), np.log1p(-tail))]
        if not order:
            return out
        c = 1.0 / (1.0 + t * t)
        r = c / (np.pi * F)
        out.append(r)
        if order > 1:
            # with g = (log f)' = -2 t c: r' = r (g - r)
            tc = t * c
            v = -2.0 * tc - r
            r1 = r * v
            out.append(r1)
        if order > 2:
            v1 = 4.0 * tc * tc - 2.0 * c - r1
            r2 = r1 * v + r * v1
            out.append(r2)
        if order > 3:
            g2 = tc * (12.0 * c - 16.0 * tc * tc)
            out.append(r2 * v + 2.0 * r1 * v1 + r * (g2 - r2))
        return out
