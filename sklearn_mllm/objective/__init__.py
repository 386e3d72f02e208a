"""Likelihoods of a `Problem` with exact gradients; `objective_for` is the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Prior", "objective_for"]


def __getattr__(name: str):
    if name == "Prior":
        from .prior import Prior

        return Prior
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def objective_for(n_agq: int, problem) -> Callable:
    """Constructor (problem, link, n_threads=...) of the objective that `n_agq` asks for.

    Raises
    ------
    ValueError
        Quadrature is asked for a problem whose integral does not factorise.
    """
    from .laplace import LaplaceObjective

    if n_agq == 1 or not problem.factors:
        return LaplaceObjective
    if n_agq == 0:
        from .joint import JointModeObjective

        return JointModeObjective
    from .quadrature import quadrature_objective

    return quadrature_objective(n_agq, problem)
