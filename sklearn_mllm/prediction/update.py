"""Random effects of new or changed groups at fixed coefficients and variances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.build import build_problem
from ..objective import blocks as bl
from ..objective.laplace import LaplaceObjective
from ..objective.tangents import mode_tangents
from ..optimizer.precision import precision_of
from ..optimizer.roots import lower_triangle
from ..result.fit_result import FactorResult, FitResult, TermResult
from ..result.precision import Pairs, Precision
from ..result.superseded import with_levels

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
    moved = _tangents(objective, result, int(kept.sum()))
    factors, targets = list(result.factors), []
    for f, numbers in enumerate(build.factor_terms):
        target = result.terms[numbers[0]].factor
        targets.append(target)
        Lambda = state.matrices[f]
        half = bl.cholesky(inverse[f])[0]
        conditional = np.tensordot(half, Lambda, axes=(0, 1)).transpose(1, 2, 0)
        b = modes[f].T
        tangent = np.moveaxis(moved[f], 2, 0).swapaxes(1, 2)
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
    precision = result.precision
    if precision is not None:
        roots = [precision.roots[target] for target in targets]
        same = [np.eye(len(root)) for root in roots]
        new = precision_of(build.problem, state.W, roots, same, build.level_orders)
        at = [present[factor.group] for factor in factors]
        precision = None if new is None else with_levels(precision, _in_order(new, targets), at)
    objective.close()
    return replace(result, factors=tuple(factors), precision=precision)


def _tangents(objective: LaplaceObjective, result: FitResult, p: int) -> list[np.ndarray]:
    """Derivatives of the modes b in xi of the fit (`FitResult.joint_root`), per factor (M, k, J)."""
    structure, layout, state = objective.structure, objective.layout, objective.state
    moved = structure.parts(structure.scale(state.matrices, mode_tangents(objective)))
    u = structure.parts(objective.u)
    for t in range(layout.n_theta):
        f = layout.factor[t]
        moved[f][p + t, layout.row[t]] += u[f][layout.col[t]]
    slopes = np.vstack([result.joint_root[:p], *map(_theta_slopes, result.terms)])
    return [np.tensordot(slopes.T, part, axes=1) for part in moved]


def _theta_slopes(term: TermResult) -> np.ndarray:
    """Derivatives of a term's lower triangle, column by column, in xi of the fit, (m, M).

    From those of S = L L': dL with dL L' + L dL' = dS, and no movement of columns at zero.
    """
    L = lower_triangle(term.root)
    columns = []
    for j in range(len(L)):
        for i in range(j, len(L)):
            moved = np.zeros_like(L)
            moved[i] = L[:, j]
            columns.append((moved + moved.T).ravel())
    half = term.root_tangent @ term.root.T
    slopes = (half + half.swapaxes(1, 2)).reshape(len(half), -1)
    return np.linalg.lstsq(np.array(columns).T, slopes.T, rcond=None)[0]


def _in_order(precision: Precision, targets: list[int]) -> Precision:
    """The same with its factors at other places."""
    place = np.argsort(targets)
    pairs = {}
    for (f, g), pair in precision.pairs.items():
        a, b = targets[f], targets[g]
        if a > b:
            a, b = b, a
            pair = Pairs(pair.second, pair.first, pair.blocks.swapaxes(1, 2))
        pairs[a, b] = pair
    return Precision(
        tuple(precision.roots[f] for f in place), tuple(precision.diagonal[f] for f in place), pairs
    )


def _merge(old: FactorResult, levels, at, b, conditional, tangent, columns) -> FactorResult:
    """Put effects (len(at), k) at the places `at` of the longer list of levels."""
    J, k = old.modes.shape
    total = len(levels)
    modes = np.zeros((total, k))
    modes[:J] = old.modes
    roots = np.zeros((total, k, k))
    roots[:J] = old.conditional_root
    modes[at[:, None], columns] = b
    roots[at[:, None, None], columns[:, None], columns] = conditional
    slopes = None
    if old.tangent is not None:
        slopes = np.zeros((total, k, old.tangent.shape[2]))
        slopes[:J] = old.tangent
        slopes[at[:, None], columns] = tangent
    return replace(old, levels=levels, modes=modes, conditional_root=roots, tangent=slopes)
