"""Averages of an inverse link over a normal random effect: E F(eta + sd z), z ~ N(0, 1).

The trapezoidal rule on the whole line converges geometrically for functions that are analytic in a
strip (Trefethen & Weideman 2014, SIAM Review 56): with the strip's half-width d the error is about
exp(-2 pi d / h), and 2 exp(-2 pi^2 s^2 / h^2) for a normal density of standard deviation s.

What is integrated is the smaller of the probability and its complement, in one of two variables.
With T the distribution function of the latent variable (or its complement) and f its density,

    E T(eta + sd z) = int T(eta + sd z) phi(z) dz = int Phi(+-(eta - x) / sd) f(x) dx:

the first has the singularities of T at a distance that shrinks with sd, the second those of f whatever
the standard deviation. For logit and cloglog both integrands are log-concave, so the rule is centred
at the maximum, with a step that follows from the curvature there and from the strip, and reaches as
far as the integrand does: the average is accurate relative to its own size, however small. Cauchit is
not log-concave but has no small probabilities; x = sinh(v) makes its density sech(v) / pi.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import log_ndtr, ndtr

__all__ = ["heavy_tailed_average", "log_concave_average"]

#: Negative logarithm of the relative error of a rule.
_DIGITS = 27.0
#: Step of the rule for a normal density, in standard deviations.
_NORMAL_STEP = np.sqrt(2.0 * np.pi**2 / _DIGITS)
#: Standard deviations from the centre at which a normal density is as good as zero.
_REACH = np.sqrt(2.0 * _DIGITS)
#: Standard deviation from which the latent variable is integrated over.
_LARGE_SD = 2.0
#: |eta| / sd from which a normal density does not see the pole of the Cauchy distribution.
_POLE_OUT_OF_SIGHT = 7.0
#: Step in v = arsinh(x) that does up to there.
_SINH_STEP = 0.078
#: Nodes on each side of the centre; more are asked for only where log p is below -1e5.
_MOST_NODES = 20_000
_CHUNK = 200_000


def log_concave_average(
    link, eta: np.ndarray, sd: np.ndarray | float, *, strip: float, density_strip: float
) -> np.ndarray:
    """The predictor of E F(eta + sd z) for a link whose density is log-concave.

    Parameters
    ----------
    link : Link
        With `log_density` and `from_log_tail`.
    eta : ndarray of shape (n,)
    sd : float or ndarray of shape (n,)
    strip, density_strip : float
        Half-widths of the strips about the real line in which F, and its derivative, are analytic
        and bounded.

    Returns
    -------
    ndarray of shape (n,)
    """
    sd = np.broadcast_to(np.asarray(sd, dtype=float), np.shape(eta))
    out = np.array(eta, dtype=float)
    upper, large = out > link.median, sd > _LARGE_SD
    for tail in (False, True):
        for latent in (False, True):
            rows = np.flatnonzero((sd > 0.0) & (upper == tail) & (large == latent))
            if not rows.size:
                continue
            e, s = out[rows], sd[rows]
            if latent:
                integrand, width, scale = _over_latent, np.full(rows.shape, density_strip), s
            else:
                integrand, width, scale = _over_effect, strip / s, np.ones(rows.shape)

            def g(of, x, order, e=e, s=s, integrand=integrand, tail=tail):
                shape = (-1,) + (1,) * (x.ndim - 1)
                return integrand(link, e[of].reshape(shape), s[of].reshape(shape), tail, x, order)

            out[rows] = link.from_log_tail(_log_integral(g, width, scale), tail)
    return out


def _over_effect(link, eta, sd, upper: bool, z: np.ndarray, order: int) -> list[np.ndarray]:
    """log T(eta + sd z) + log phi(z) with its derivatives in z."""
    tail = link.log_derivatives(eta + sd * z, order)[int(upper)]
    out = [tail[0] - 0.5 * z * z - 0.5 * np.log(2.0 * np.pi)]
    if order:
        out += [sd * tail[1] - z, sd * sd * tail[2] - 1.0]
    return out


def _over_latent(link, eta, sd, upper: bool, x: np.ndarray, order: int) -> list[np.ndarray]:
    """log Phi(+-(eta - x) / sd) + log f(x) with its derivatives in x."""
    sign = -1.0 if upper else 1.0
    t = sign * (eta - x) / sd
    density = link.log_density(x, order)
    cumulated = log_ndtr(t)
    out = [density[0] + cumulated]
    if order:
        ratio = np.exp(-0.5 * t * t - cumulated) / np.sqrt(2.0 * np.pi)
        out.append(density[1] - sign * ratio / sd)
        out.append(density[2] - ratio * np.maximum(t + ratio, 0.0) / (sd * sd))
    return out


def _strip_step(strip: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Step for a strip's half-width and a normal factor, which grows like exp(y^2 / 2 scale^2)."""
    # beyond this a wider strip gains less than the factor grows
    y = np.minimum(strip / scale, np.sqrt(2.0 * _DIGITS))
    return 2.0 * np.pi * y * scale / (_DIGITS + 0.5 * y * y)


def _log_integral(g: Callable, strip: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """log of the integral of exp(g), a log-concave function for each row.

    Parameters
    ----------
    g : callable(rows, x, order) -> list
        log of the integrand and `order` derivatives for some rows, x of shape (rows, ...).
    strip : ndarray of shape (n,)
        Half-width of each integrand's strip.
    scale : ndarray of shape (n,)
        Standard deviation of its normal factor.
    """
    centre, width = _mode(g, strip.shape[0])
    step = np.minimum(_NORMAL_STEP * width, _strip_step(strip, scale))
    top = g(np.arange(strip.shape[0]), centre, 0)[0]
    left, right = (_distance(g, centre, top, side * _REACH * width) for side in (-1.0, 1.0))
    total = _trapezoid(
        lambda of, x: np.exp(np.minimum(g(of, centre[of, None] + x, 0)[0] - top[of, None], 1.0)),
        step, left, right,
    )  # fmt: skip
    return top + np.log(total)


def _trapezoid(f: Callable, step: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Integrals of f(rows, x) over x from -left to right, one for each row."""
    before, after = (np.minimum(np.ceil(side / step), _MOST_NODES) for side in (left, right))
    # rows that need about as many nodes share their numbers
    size = np.ceil(2.0 * np.log2(before + after))
    out = np.empty(step.shape)
    for value in np.unique(size):
        rows = np.flatnonzero(size == value)
        k = np.arange(-before[rows].max(), after[rows].max() + 1.0)
        share = max(1, _CHUNK // k.shape[0])
        for a in range(0, rows.shape[0], share):
            part = rows[a : a + share]
            out[part] = step[part] * f(part, step[part, None] * k).sum(axis=1)
    return out


def _mode(g: Callable, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a concave g is largest, to a fraction of its width there, and that width."""
    x, width = np.zeros(n), np.ones(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    active = np.arange(n)
    for number in range(200):
        _, slope, curvature = g(active, x[active], 2)
        width[active] = 1.0 / np.sqrt(np.maximum(-curvature, 1e-300))
        rising = slope > 0.0
        low[active] = np.where(rising, x[active], low[active])
        high[active] = np.where(rising, high[active], x[active])
        far = np.abs(slope) * width[active] > 0.3
        active, slope = active[far], slope[far]
        if not active.size:
            break
        # where the curvature fades out a step may be far too long: no more than doubling
        limit = 10.0 + np.abs(x[active])
        trial = x[active] + np.clip(slope * width[active] ** 2, -limit, limit)
        between = np.isfinite(low[active]) & np.isfinite(high[active])
        # and where it grows like exp far too short
        halve = between & ((trial <= low[active]) | (trial >= high[active]) | (number % 4 == 3))
        trial[halve] = 0.5 * (low[active[halve]] + high[active[halve]])
        x[active] = trial
    return x, width


def _distance(g: Callable, centre: np.ndarray, top: np.ndarray, first: np.ndarray) -> np.ndarray:
    """How far from the centre, in the direction of `first`, exp(g) is as good as zero."""
    distance = np.array(first)
    active = np.arange(distance.shape[0])
    while active.size:
        value = g(active, centre[active] + distance[active], 0)[0]
        active = active[value > top[active] - _DIGITS]
        distance[active] *= 2.0
    return np.abs(distance)


def heavy_tailed_average(link, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
    """The predictor of E F(eta + sd z) for the Cauchy distribution function F.

    Parameters
    ----------
    link : Link
    eta : ndarray of shape (n,)
    sd : float or ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
    """
    sd = np.broadcast_to(np.asarray(sd, dtype=float), np.shape(eta))
    out = np.array(eta, dtype=float)
    # F(-|eta| + ...): the smaller of the two probabilities
    size = np.abs(out)
    seen, small = size <= _POLE_OUT_OF_SIGHT * sd, sd <= _LARGE_SD
    rows = np.flatnonzero((sd > 0.0) & (small | ~seen))
    if rows.size:
        e, s = size[rows, None], sd[rows, None]
        # the pole of F lies at 1 / sd in z, unless the density is as good as zero there
        strip = np.where(seen[rows], 1.0 / sd[rows], np.inf)
        reach = np.full(rows.shape, _REACH)
        density = np.sqrt(2.0 * np.pi)
        tail = _trapezoid(
            lambda of, z: link.inverse(s[of] * z - e[of]) * np.exp(-0.5 * z * z) / density,
            _strip_step(strip, np.ones(rows.shape)), reach, reach,
        )  # fmt: skip
        out[rows] = np.copysign(link.link(tail), out[rows])
    rows = np.flatnonzero(seen & ~small)
    if rows.size:
        e, s = size[rows, None], sd[rows, None]
        # from here on the normal distribution function is constant, and the density falls like exp
        reach = np.minimum(np.arcsinh(size[rows] + 9.0 * sd[rows]) + 1.5 * _DIGITS, 700.0)
        tail = _trapezoid(
            lambda of, v: ndtr((-e[of] - np.sinh(v)) / s[of]) / (np.pi * np.cosh(v)),
            np.full(rows.shape, _SINH_STEP), reach, reach,
        )  # fmt: skip
        out[rows] = np.copysign(link.link(tail), out[rows])
    return out
