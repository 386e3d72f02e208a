"""Averages of an inverse link over a normal random effect: E F(eta + sd z), z ~ N(0, 1).

The trapezoidal rule on the whole line converges geometrically for functions that are analytic in a
strip (Trefethen & Weideman 2014, SIAM Review 56): with poles at distance d the error is about
exp(-2 pi d / h), and 2 exp(-2 pi^2 / h^2) for the normal density itself. The step follows from
that, for an absolute error below 1e-10 at any standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["normal_average"]

_DIGITS = 24.0
_REACH = 6.8
_CHUNK = 200_000


def _nodes(strip: float, sd: float) -> tuple[np.ndarray, np.ndarray]:
    distance = strip / sd if sd > 0.0 else np.inf
    h = min(2.0 * np.pi * distance / _DIGITS, np.sqrt(2.0 * np.pi**2 / _DIGITS))
    half = int(np.ceil(_REACH / h))
    z = h * np.arange(-half, half + 1)
    w = np.exp(-0.5 * z * z)
    return z, w / w.sum()


def normal_average(
    inverse: Callable, strip: float, eta: np.ndarray, sd: np.ndarray | float
) -> np.ndarray:
    """E F(eta + sd z), z ~ N(0, 1).

    Parameters
    ----------
    inverse : callable
        F, of arrays of shape (m,).
    strip : float
        Half-width of the strip about the real line in which F is analytic and bounded.
    eta : ndarray of shape (n,)
    sd : float or ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)
    """
    sd = np.broadcast_to(np.asarray(sd, dtype=float), eta.shape)
    if not eta.size:
        return np.zeros(0)
    out = np.empty(eta.shape[0])
    largest = float(sd.max())
    if largest == 0.0:
        return inverse(eta)
    # one rule for rows whose standard deviations are within a factor of two
    scale = np.floor(np.log2(np.maximum(sd, 1e-3 * largest)))
    for value in np.unique(scale):
        rows = np.flatnonzero(scale == value)
        z, w = _nodes(strip, float(sd[rows].max()))
        size = max(1, _CHUNK // z.shape[0])
        for a in range(0, rows.shape[0], size):
            part = rows[a : a + size]
            grid = eta[part, None] + sd[part, None] * z
            out[part] = inverse(grid.ravel()).reshape(grid.shape) @ w
    return out
