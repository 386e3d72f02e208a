"""Random-effects structures; `choose` is the one place that decides between them."""

from __future__ import annotations

from ...design.problem import Problem
from ..rows import Workers
from .base import LOWEST, Factorization, Structure, Visit

__all__ = ["LOWEST", "Factorization", "Structure", "Visit", "choose"]


def choose(problem: Problem, workers: Workers) -> Structure:
    """The cheapest structure that covers the problem's grouping factors."""
    if not problem.factors:
        from .none import NoEffects

        return NoEffects(problem, workers)
    if len(problem.factors) == 1:
        from .one_factor import OneFactor

        return OneFactor(problem, workers)
    from .nested import Nested, parents

    nesting = parents(problem)
    if nesting is not None and all(factor.sorted for factor in problem.factors):
        return Nested(problem, workers, nesting)
    from .crossed import Crossed

    return Crossed(problem, workers)
