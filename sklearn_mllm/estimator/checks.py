"""Validation of the estimator's parameters and row-wise arguments."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

__all__ = ["check_offset", "check_parameters", "check_weights"]

LINKS = ("logit", "probit", "cloglog", "cauchit")
CHOICES = {
    "link": LINKS,
    "missing": ("raise", "drop"),
    "prediction": ("conditional", "typical", "marginal"),
    "unseen_groups": ("marginal", "typical", "error"),
}


def check_parameters(estimator) -> None:
    """Raise ValueError that names the parameter, its value and what is allowed."""
    for name, allowed in CHOICES.items():
        value = getattr(estimator, name)
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
    if estimator.formula is not None and not isinstance(estimator.formula, str):
        raise ValueError(
            f"formula must be a string or None, got {type(estimator.formula).__name__}"
        )
    _integer("n_agq", estimator.n_agq, 0)
    _integer("max_iter", estimator.max_iter, 1)
    if not isinstance(estimator.tol, Real) or not estimator.tol > 0:
        raise ValueError(f"tol must be a positive number, got {estimator.tol!r}")
    if estimator.n_jobs is not None:
        if not isinstance(estimator.n_jobs, Integral) or estimator.n_jobs == 0:
            raise ValueError(f"n_jobs must be None or a non-zero integer, got {estimator.n_jobs!r}")
    if estimator.prior is not None:
        from ..objective.prior import Prior

        if not isinstance(estimator.prior, Prior):
            raise ValueError(
                f"prior must be None or a sklearn_mllm.Prior, got {type(estimator.prior).__name__}"
            )
        if estimator.n_agq == 0:
            raise ValueError("prior is not available with n_agq=0 (the joint mode); use n_agq=1")


def _integer(name: str, value, lowest: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be an integer >= {lowest}, got {value!r}")


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
