"""Arguments with one number for each row: weights and offset."""

from __future__ import annotations

import numpy as np

__all__ = ["check_offset", "check_weights"]


def _row_vector(name: str, values, n: int) -> np.ndarray:
    try:
        if getattr(getattr(values, "dtype", None), "kind", None) == "c":
            raise TypeError("complex numbers")
        out = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, one for each row of X") from error
    if out.ndim == 0:
        out = np.full(n, float(out))
    if out.ndim == 2 and out.shape[1] == 1:
        out = out[:, 0]
    if out.ndim != 1:
        raise ValueError(f"{name} must be 1-dimensional, got an array of shape {out.shape}")
    if out.shape[0] != n:
        raise ValueError(
            f"{name}.shape == {out.shape}, expected ({n},): one value for each row of X"
        )
    if not np.isfinite(out).all():
        bad = int((~np.isfinite(out)).sum())
        raise ValueError(
            f"{name} holds {bad} NaN or infinite value(s); replace them or drop the rows"
        )
    return out


def check_weights(sample_weight, n: int) -> np.ndarray | None:
    """Weights of shape (n,), or None for all ones.

    Raises
    ------
    ValueError
        Negative, not finite, all zero, or of the wrong length.
    """
    if sample_weight is None:
        return None
    out = _row_vector("sample_weight", sample_weight, n)
    if (out < 0.0).any():
        raise ValueError(
            f"sample_weight has {int((out < 0.0).sum())} negative value(s); a weight says how often "
            "a row counts and must be >= 0"
        )
    if not out.any():
        raise ValueError("sample_weight is zero for every row: nothing is left to fit")
    return None if (out == 1.0).all() else out


def check_offset(offset, n: int) -> np.ndarray | None:
    """Offset of shape (n,), or None."""
    return None if offset is None else _row_vector("offset", offset, n)
