"""Random effects of new or changed groups at fixed coefficients and variances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.build import build_problem
from ..objective.laplace import LaplaceObjective
from ..result.fit_result import FactorResult, FitResult

__all__ = ["updated_result"]


def updated_result(result: FitResult, spec, link, matrices, response, offset):
    """`spec` and `result` with the effects of the levels in these rows found anew.

    Parameters
    ----------
    matrices : Matrices
        With `levels` and `codes` of the rows at hand: every level that occurs, known or not.

    Returns
    -------
    (ModelSpec, FitResult)
    """
    if not result.terms:
        raise ValueError("update_groups: the model has no random effects")
    n = matrices.X.shape[0]
    base = matrices.X @ result.fixed
    if offset is not None:
        base = base + offset
    # theta enters in the user's own coordinates: no columns of X, unscaled Z
    build = build_problem(
        np.empty((n, 0)), response.successes, response.trials, base, matrices.random, scale=False
    )
    objective = LaplaceObjective(build.problem, link)
    objective.find_modes(result.theta, 1e-16)
    structure, state = objective.structure, objective.state
    Lambda = state.matrices
    modes = structure.parts(structure.scale(Lambda, objective.u))
    inverse = state.factorization.inverse_blocks()
    factors = list(result.factors)
    labels = {}
    for f, numbers in enumerate(build.factor_terms):
        target = result.terms[numbers[0]].factor
        old = factors[target]
        b = modes[f].T
        conditional = np.einsum("ab,bcj,dc->jad", Lambda[f], inverse[f], Lambda[f], optimize=True)
        order = build.level_orders[f]
        if order is not None:
            place = np.empty(len(order), dtype=np.intp)
            place[order] = np.arange(len(order), dtype=np.intp)
            b, conditional = b[place], conditional[place]
        columns = _columns(result, numbers, target)
        factors[target] = _merge(old, matrices.random[numbers[0]].levels, b, conditional, columns)
        labels[old.group] = factors[target].levels
    objective.close()
    return spec.with_levels(labels), replace(result, factors=tuple(factors))


def _columns(result: FitResult, numbers, target: int) -> np.ndarray:
    """Places of the build's columns among the factor's effects."""
    places = []
    for number in numbers:
        term = result.terms[number]
        places.extend(range(term.start, term.start + len(term.effects)))
    return np.array(places, dtype=np.intp)


def _merge(old: FactorResult, levels, b, conditional, columns) -> FactorResult:
    known = {level: j for j, level in enumerate(old.levels.tolist())}
    fresh = [level for level in levels.tolist() if level not in known]
    J, k = old.modes.shape
    total = J + len(fresh)
    place = {level: J + i for i, level in enumerate(fresh)}
    at = np.array([known.get(v, place.get(v)) for v in levels.tolist()], dtype=np.intp)
    modes = np.zeros((total, k))
    modes[:J] = old.modes
    covariance = np.zeros((total, k, k))
    covariance[:J] = old.conditional_covariance
    all_levels = np.empty(total, dtype=object)
    all_levels[:J] = old.levels
    all_levels[J:] = fresh
    modes[at[:, None], columns] = b
    covariance[at[:, None, None], columns[:, None], columns] = conditional
    tangent = None
    if old.tangent is not None:
        tangent = np.zeros((total, k, old.tangent.shape[2]))
        tangent[:J] = old.tangent
    return replace(
        old, levels=all_levels, modes=modes, conditional_covariance=covariance, tangent=tangent
    )
