"""Logit link: F(eta) = 1 / (1 + exp(-eta))."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit
from scipy.special import logit as scipy_logit

from .average import log_concave_average
from .base import Link

__all__ = ["Logit"]

#: Log odds against what happened from which a block of single trials takes the general way.
_FAR = 30.0
#: Products of factors 1 + t that are worked on side by side, and what their logarithms may reach.
_COLUMNS, _LARGEST_LOG = 128, 640.0


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

    def averaged_predictor(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        # the density has double poles at pi i
        return log_concave_average(self, eta, sd, strip=np.pi, density_strip=2.8)

    def log_density(self, eta: np.ndarray, order: int) -> list[np.ndarray]:
        """log dF/deta, and its first two derivatives unless `order` is 0."""
        out = [log_expit(eta) + log_expit(-eta)]
        if order:
            p, q = expit(eta), expit(-eta)
            out += [q - p, -2.0 * p * q]
        return out

    def from_log_tail(self, log_tail: np.ndarray, upper: bool) -> np.ndarray:
        """eta with log F, or log(1 - F) for the `upper` tail, equal to `log_tail`."""
        eta = log_tail - np.log(-np.expm1(log_tail))
        return -eta if upper else eta

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

    def chunk_derivatives(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, order: int
    ) -> list[np.ndarray]:
        e, miss = _start(eta, k, m)
        tail = np.log1p(e)
        if m is not None:
            tail *= m
        value = miss * eta
        value -= tail
        out = [np.empty(e.shape) for _ in range(order)]
        if order:
            _fill(eta, m, e, e + 1.0, miss, out)
        return [value, *out]

    def accumulate(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, out: list[np.ndarray]
    ) -> float:
        if m is None:
            total = _accumulate_single(eta, k, out)
            if total is not None:
                return total
        e, miss = _start(eta, k, m)
        d = e + 1.0
        # einsum: a block is too small for the threads of BLAS
        total = float(np.einsum("i,i->", miss, eta))
        total -= _log_sum(d, 0.0) if m is None else float(np.einsum("i,i->", m, np.log1p(e)))
        if out:
            _fill(eta, m, e, d, miss, out)
        return total


def _accumulate_single(eta: np.ndarray, k: np.ndarray, out: list[np.ndarray]) -> float | None:
    """`accumulate` for single trials; None where a success is a fraction or a row far out.

    With the odds t = exp(-/+ eta) against what happened, l = -log(1 + t) and its derivatives are
    products of 1 / (1 + t), t / (1 + t) and the sign, without cancellation.
    """
    sign = np.multiply(k, -2.0)
    sign += 1.0
    t = np.multiply(sign, eta)
    worst = float(t.max(initial=0.0))
    if not worst < _FAR or float(np.einsum("i,i->", sign, sign)) != sign.shape[0]:
        return None
    np.exp(t, out=t)
    d = np.add(t, 1.0)
    total = -_log_sum(d, worst)
    if not out:
        return total
    large = np.divide(-1.0, d, out=d)
    small = np.multiply(t, large, out=t)
    np.multiply(sign, small, out=out[0])
    if len(out) > 1:
        w = np.multiply(large, small, out=out[1])
    if len(out) > 2:
        third = np.subtract(small, large, out=out[2])
        third *= sign
        third *= w
    if len(out) > 3:
        _fourth(w, out[3])
    return total


def _start(eta: np.ndarray, k: np.ndarray, m: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """e = exp(-|eta|), and k - m b with b = [eta >= 0], the likelier side.

    With these l = (k - m b) eta - m log(1 + e), a sum of terms of one sign, and p = b -/+ e/(1 + e).
    """
    e = np.abs(eta)
    np.negative(e, out=e)
    np.exp(e, out=e)
    side = eta >= 0.0
    return e, k - side if m is None else k - m * side


def _fill(
    eta: np.ndarray,
    m: np.ndarray | None,
    e: np.ndarray,
    d: np.ndarray,
    miss: np.ndarray,
    out: list[np.ndarray],
) -> None:
    """Writes s, W, W1, W2, as many as `out` holds; spends e and d = 1 + e."""
    large = np.divide(1.0, d, out=d)
    small = np.multiply(e, large, out=e)
    if len(out) > 1:
        w = np.multiply(large, small, out=out[1])
    if len(out) > 3:
        _fourth(w, out[3])
    if len(out) > 2:
        # p - 1/2 = +/- (1/2 - small)
        third = np.subtract(0.5, small, out=out[2])
        np.copysign(third, eta, out=third)
        third *= w
        third *= -2.0
    signed = np.copysign(small, eta, out=e)
    if m is None:
        np.add(miss, signed, out=out[0])
    else:
        signed *= m
        np.add(miss, signed, out=out[0])
        for values in out[1:]:
            values *= m


def _fourth(w: np.ndarray, out: np.ndarray) -> None:
    """W2 = W (1 - 6 W)."""
    np.multiply(w, -6.0, out=out)
    out += 1.0
    out *= w


def _log_sum(d: np.ndarray, worst: float) -> float:
    """sum log d for d in [1, 1 + exp(worst)]: logarithms of products that do not overflow."""
    n = d.shape[0]
    columns = max(_COLUMNS, int(n * (max(worst, 0.0) + 1.0) / _LARGEST_LOG) + 1)
    times = n // columns
    if not times:
        return float(np.log(d).sum())
    products = np.multiply.reduce(d[: columns * times].reshape(times, columns), axis=0)
    rest = d[columns * times :]
    products[: rest.shape[0]] *= rest
    return float(np.log(products).sum())
