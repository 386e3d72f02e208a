"""Complementary log-log link: F(eta) = 1 - exp(-exp(eta))."""

from __future__ import annotations

import numpy as np

from .average import log_concave_average
from .base import Link

__all__ = ["Cloglog"]

#: Beyond this exp(eta) is held, so that sums stay finite.
_LIMIT = 700.0


class Cloglog(Link):
    """Proportional hazards in grouped time."""

    name = "cloglog"
    latent_variance = np.pi**2 / 6.0
    median = float(np.log(np.log(2.0)))

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        return -np.expm1(-np.exp(np.minimum(eta, _LIMIT)))

    def complement(self, eta: np.ndarray) -> np.ndarray:
        return np.exp(-np.exp(np.minimum(eta, _LIMIT)))

    def density(self, eta: np.ndarray) -> np.ndarray:
        eta = np.minimum(eta, _LIMIT)
        return np.exp(eta - np.exp(eta))

    def link(self, p: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(-np.log1p(-np.asarray(p, dtype=float)))

    def averaged_predictor(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        return log_concave_average(self, eta, sd, strip=0.5 * np.pi, density_strip=1.2)

    def log_density(self, eta: np.ndarray, order: int) -> list[np.ndarray]:
        """log dF/deta, and its first two derivatives unless `order` is 0."""
        e = np.exp(np.minimum(eta, _LIMIT))
        return [eta - e, 1.0 - e, -e] if order else [eta - e]

    def from_log_tail(self, log_tail: np.ndarray, upper: bool) -> np.ndarray:
        """eta with log F, or log(1 - F) for the `upper` tail, equal to `log_tail`."""
        if upper:
            return np.log(-log_tail)
        # -log(1 - p) is p where p is small enough
        near = np.log(-np.log1p(-np.exp(np.maximum(log_tail, -50.0))))
        return np.where(log_tail > -50.0, near, log_tail)

    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        t = np.minimum(eta, _LIMIT)
        e = np.exp(t)
        p = -np.expm1(-e)
        with np.errstate(divide="ignore"):
            low = np.where(t < -30.0, t - 0.5 * e, np.log(p))
        one = [np.where(e > 1.0, np.log1p(-np.exp(-np.maximum(e, 1.0))), low)]
        zero = [-e] * (order + 1)
        if order:
            # r = e / (exp(e) - 1) = dlogF/deta
            small = e < 1e-2
            with np.errstate(over="ignore"):
                r = np.where(e < 1e-300, 1.0, e / np.expm1(np.maximum(e, 1e-300)))
            one.append(r)
            if order > 1:
                # r' = r (1 - e - r); v = 1 - e - r = -e/2 - e^2/12 + e^4/720 - ...
                z = np.minimum(e, 1e-2)
                zz = z * z
                series = z * (-0.5 + z * (-1.0 / 12.0 + zz * (1.0 / 720.0 - zz / 30240.0)))
                v = np.where(small, series, 1.0 - e - r)
                r1 = r * v
                one.append(r1)
                if order > 2:
                    v1 = -e - r1
                    r2 = r1 * v + r * v1
                    one.append(r2)
                    if order > 3:
                        v2 = -e - r2
                        one.append(r2 * v + 2.0 * r1 * v1 + r * v2)
        return one, zero
