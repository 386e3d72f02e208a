"""How far a step on the coefficients may go: a limit on the predictor, the same in any coordinates."""

from __future__ import annotations

import numpy as np

__all__ = ["reach"]

#: Change of a row's predictor that one step may always make, and the share of the largest predictor
#: that it may make besides. Under separation that grows geometrically, and the way is short.
NEAR, SHARE = 8.0, 0.7
#: Largest change of a coefficient (of a standardised column) that is not worth a pass over the rows.
SMALL = 0.1


def reach(X: np.ndarray, beta: np.ndarray, step: np.ndarray) -> float:
    """Fraction of a step from `beta` that may be taken; X has shape (p, n)."""
    if not np.abs(step).max(initial=0.0) > SMALL:
        return 1.0
    move = float(np.abs(step @ X).max(initial=0.0))
    if move <= NEAR:
        return 1.0
    return min(1.0, (NEAR + SHARE * float(np.abs(beta @ X).max())) / move)
