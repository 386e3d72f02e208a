"""Random effects of new or changed groups at fixed coefficients and variances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.build import build_problem
from ..objective.laplace import LaplaceObjective
from ..objective.tangents import mode_tangents
from ..result.fit_result import FactorResult, FitResult

__all__ = ["updated_result"]


def updated_result(result: FitResult, link, matrices, response, offset) -> FitResult:
    """`result` with the effects of the levels in these rows found anew from them.

    Parameters
    ----------
    result : FitResult
    link : Link
    matrices : Matrices
        Its codes count the known levels first, then new ones.
    response : Response
    offset : ndarray of shape (n,) or None
    """
    if not result.terms:
        raise ValueError("update_groups: the model has no random effects")
    # only the levels at hand take part, in the user's coordinates of Z
    present = {term.group: np.unique(term.codes) for term in matrices.random}
    random = [
        replace(
            term,
            codes=np.searchsorted(present[term.group], term.codes),
            levels=term.levels[present[term.group]],
        )
        for term in matrices.random
    ]
    kept = ~result.aliased
    build = build_problem(
        np.asfortranarray(matrices.X[:, kept]), response.successes, response.trials, offset, random,
        scale=False,
    )  # fmt: skip
    objective = LaplaceObjective(build.problem, link)
    objective.find_modes(np.concatenate([result.fixed[kept], result.theta]), 1e-18)
    structure, state = objective.structure, objective.state
    modes = structure.parts(structure.scale(state.matrices, objective.u))
    inverse = state.factorization.inverse_blocks()
    p = int(kept.sum())
    moved = structure.parts(structure.scale(state.matrices, mode_tangents(objective)[:p]))
    factors = list(result.factors)
    for f, numbers in enumerate(build.factor_terms):
        target = result.terms[numbers[0]].factor
        Lambda = state.matrices[f]
        conditional = np.einsum("ab,bcj,dc->jad", Lambda, inverse[f], Lambda, optimize=True)
        b, tangent = modes[f].T, np.moveaxis(moved[f], 2, 0).swapaxes(1, 2)
        order = build.level_orders[f]
        if order is not None:
            place = np.empty(len(order), dtype=np.intp)
            place[order] = np.arange(len(order), dtype=np.intp)
            b, conditional, tangent = b[place], conditional[place], tangent[place]
        first = matrices.random[numbers[0]]
        columns = np.concatenate(
            [
                result.terms[n].start + np.arange(len(result.terms[n].effects), dtype=np.intp)
                for n in numbers
            ]
        )
        factors[target] = _merge(
            factors[target], first.levels, present[first.group], b, conditional, tangent, columns
        )
    objective.close()
    # what couples the new levels to the others is not known
    return replace(result, factors=tuple(factors), precision=None)


def _merge(old: FactorResult, levels, at, b, conditional, tangent, columns) -> FactorResult:
    """Put effects (len(at), k) at the places `at` of the longer list of levels."""
    J, k = old.modes.shape
    total = len(levels)
    modes = np.zeros((total, k))
    modes[:J] = old.modes
    covariance = np.zeros((total, k, k))
    covariance[:J] = old.conditional_covariance
    modes[at[:, None], columns] = b
    covariance[at[:, None, None], columns[:, None], columns] = conditional
    slopes = None
    if old.tangent is not None:
        slopes = np.zeros((total, k, old.tangent.shape[2]))
        slopes[:J] = old.tangent
        # of new levels the movement with the variances is left out: it is of second order
        slopes[at[:, None], columns, :] = 0.0
        slopes[at[:, None], columns, : tangent.shape[2]] = tangent
    return replace(
        old, levels=levels, modes=modes, conditional_covariance=covariance, tangent=slopes
    )
