"""Validation of the estimator's parameters."""

from __future__ import annotations

from numbers import Integral, Real

from ..links import LINKS

__all__ = ["check_parameters"]

CHOICES = {
    "missing": ("raise", "drop"),
    "prediction": ("conditional", "typical", "marginal"),
    "unseen_groups": ("marginal", "typical", "error"),
}


def check_parameters(estimator) -> None:
    """Raise ValueError that names the parameter, its value and what is allowed."""
    for name, allowed in (("link", tuple(LINKS)), *CHOICES.items()):
        value = getattr(estimator, name)
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")
    if estimator.formula is not None and not isinstance(estimator.formula, str):
        raise ValueError(
            f"formula must be a string or None, got {type(estimator.formula).__name__}"
        )
    _integer("n_agq", estimator.n_agq, 0)
    _integer("max_iter", estimator.max_iter, 1)
    if not isinstance(estimator.tol, Real) or not 0.0 < estimator.tol < 1.0:
        raise ValueError(f"tol must be a number between 0 and 1, got {estimator.tol!r}")
    if estimator.n_jobs is not None:
        if not isinstance(estimator.n_jobs, Integral) or estimator.n_jobs == 0:
            raise ValueError(f"n_jobs must be None or a non-zero integer, got {estimator.n_jobs!r}")
    if estimator.prior is not None:
        from ..objective.prior import Prior

        if not isinstance(estimator.prior, Prior):
            raise ValueError(
                "prior must be None or a sklearn_mllm.Prior, e.g. Prior(fixed_sd=2.5), got "
                f"{estimator.prior!r}"
            )


def _integer(name: str, value, lowest: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be an integer >= {lowest}, got {value!r}")
