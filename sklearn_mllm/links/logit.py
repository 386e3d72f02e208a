"""Logit link: F(eta) = 1 / (1 + exp(-eta))."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from scipy.special import logit as scipy_logit

from .base import Link

__all__ = ["Logit"]

#: Factors of (1 + e) in (1, 2] whose product stays below the largest double.
_PRODUCT = 512


class Logit(Link):
    """Canonical link; W = m p (1 - p) is both observed and expected information."""

    name = "logit"
    latent_variance = np.pi**2 / 3.0

    def inverse(self, eta: np.ndarray) -> np.ndarray:
        return expit(eta)

    def complement(self, eta: np.ndarray) -> np.ndarray:
        return expit(-np.asarray(eta))

    def density(self, eta: np.ndarray) -> np.ndarray:
        return expit(eta) * expit(-np.asarray(eta))

    def link(self, p: np.ndarray) -> np.ndarray:
        return scipy_logit(p)

    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        tail = np.log1p(np.exp(-np.abs(eta)))
        one = [np.minimum(eta, 0.0) - tail]
        zero = [-np.maximum(eta, 0.0) - tail]
        if order:
            p, q = expit(eta), expit(-eta)
            one.append(q)
            zero.append(-p)
            w = p * q
            shared = [-w, -w * (q - p), -w * (1.0 - 6.0 * w)][: order - 1]
            one += shared
            zero += shared
        return one, zero

    def accumulate(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, out: list[np.ndarray]
    ) -> float:
        e = np.abs(eta)
        np.negative(e, out=e)
        np.exp(e, out=e)
        d = e + 1.0
        # l = k eta - m (max(eta, 0) + log(1 + e))
        if m is None:
            total = float(k @ eta) - float(np.maximum(eta, 0.0).sum()) - _log_sum(d)
        else:
            base = np.maximum(eta, 0.0)
            base += np.log1p(e)
            total = float(k @ eta) - float(m @ base)
        if not out:
            return total
        large = np.divide(1.0, d, out=d)
        small = np.multiply(e, large, out=e)
        p = np.where(eta >= 0.0, large, small)
        w = None
        if len(out) > 1:
            w = np.multiply(large, small, out=out[1])
        if len(out) > 3:
            fourth = np.multiply(w, -6.0, out=out[3])
            fourth += 1.0
            fourth *= w
        if len(out) > 2:
            third = np.multiply(p, -2.0, out=out[2])
            third += 1.0
            third *= w
        if m is None:
            np.subtract(k, p, out=out[0])
        else:
            p *= m
            np.subtract(k, p, out=out[0])
            for values in out[1:]:
                values *= m
        return total


def _log_sum(d: np.ndarray) -> float:
    """sum log d for d in [1, 2]: logarithms of products of up to 512 factors."""
    n = d.shape[0]
    columns = n // _PRODUCT
    total = 0.0
    if columns:
        head = d[: columns * _PRODUCT].reshape(_PRODUCT, columns)
        total = float(np.log(np.multiply.reduce(head, axis=0)).sum())
    if n - columns * _PRODUCT:
        total += float(np.log(np.multiply.reduce(d[columns * _PRODUCT :])))
    return total
