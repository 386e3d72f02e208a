"""Has a climb come to a maximum that is known already?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..objective.laplace import Evaluation
from ..objective.newton import newton_step
from .maximize import Maximum

__all__ = ["SameHill", "watch_for"]

#: Log-likelihood below a maximum within which its quadratic is compared with the likelihood, and how
#: well they must agree in height and in slope.
HILL_DROP, HEIGHT_ERROR, SLOPE_ERROR = 0.5, 0.2, 0.4


class SameHill(Exception):
    """A climb has come to the slope of a maximum that is known."""


def watch_for(known: Maximum, layout, p: int) -> Callable[[Evaluation], None]:
    """Ends a climb where the quadratic about a known maximum tells its height and slope."""

    def watch(found: Evaluation) -> None:
        drop = known.value - found.value
        if not (known.finished and 0.0 <= drop < HILL_DROP):
            return
        signs = _orientation(layout, found.phi[p:], known.phi[p:], p)
        pull = -known.hessian @ (signs * found.phi - known.phi)
        expected = 0.5 * float(pull @ (signs * found.phi - known.phi))
        if abs(drop - expected) > HEIGHT_ERROR * drop + 1e-6:
            return
        _, off, definite = newton_step(-known.hessian, signs * found.gradient + pull)
        if definite and off < SLOPE_ERROR**2 * drop + 1e-6:
            raise SameHill

    return watch


def _orientation(layout, theta: np.ndarray, as_in: np.ndarray, p: int) -> np.ndarray:
    """Signs (M,) of columns of Lambda, which do not change it, that give its pivots those of another."""
    turned = np.zeros((len(layout.terms), int(layout.col.max(initial=0)) + 1), dtype=bool)
    pivots = np.flatnonzero(layout.diagonal)
    turned[layout.term_of[pivots], layout.col[pivots]] = theta[pivots] * as_in[pivots] < 0.0
    signs = np.where(turned[layout.term_of, layout.col], -1.0, 1.0)
    return np.concatenate([np.ones(p), signs])
