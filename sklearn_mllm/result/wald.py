"""Normal tests and intervals of estimates with standard errors."""

from __future__ import annotations

from numbers import Real

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["normal_reach", "wald_columns"]


def normal_reach(level: float) -> float:
    """Standard errors from the estimate to either end of a normal interval.

    Raises
    ------
    ValueError
        `level` is no number between 0 and 1.
    """
    if not isinstance(level, Real) or not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    return float(ndtri(0.5 + 0.5 * level))


def wald_columns(
    estimate: np.ndarray, error: np.ndarray, level: float = 0.95, *, null: np.ndarray | float = 0.0
) -> dict[str, np.ndarray]:
    """Columns estimate, std_error, z, p_value, conf_low, conf_high, the test against `null`."""
    reach = normal_reach(level) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (estimate - null) / error
    return {
        "estimate": estimate,
        "std_error": error,
        "z": z,
        "p_value": 2.0 * ndtr(-np.abs(z)),
        "conf_low": estimate - reach,
        "conf_high": estimate + reach,
    }
