"""Builds the `Problem` that the solver sees, and keeps the way back to the user's coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrange import arrange
from .problem import Factor, Problem, Term
from .scaling import FixedMap, gather, random_map, standardize_fixed

__all__ = ["Build", "build_problem"]


@dataclass(frozen=True, eq=False)
class Build:
    """A problem with the maps back from the solver's coordinates.

    Attributes
    ----------
    problem : Problem
    fixed_map : FixedMap
    random_maps : tuple of ndarray
        Per term (k, k): b = C b_solver.
    order : ndarray of shape (n,) or None
        Row of the input that stands at each place.
    factor_terms : tuple of tuple of int
        Terms of each of the problem's factors.
    level_orders : tuple of (ndarray or None)
        Per factor: the input's level at each of the problem's level places.
    """

    problem: Problem
    fixed_map: FixedMap
    random_maps: tuple[np.ndarray, ...]
    order: np.ndarray | None
    factor_terms: tuple[tuple[int, ...], ...]
    level_orders: tuple[np.ndarray | None, ...]


def build_problem(
    X: np.ndarray,
    successes: np.ndarray,
    trials: np.ndarray | None,
    offset: np.ndarray | None,
    random,
    *,
    scale: bool = True,
) -> Build:
    """Sort, scale and lay out a data set for the solver.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Fixed-effects design; not changed.
    successes : ndarray of shape (n,)
    trials, offset : ndarray of shape (n,) or None
    random : sequence of RandomMatrices
        Terms with equal `group` share a factor.
    scale : bool, default=True
        False leaves all columns in the user's coordinates (for evaluations at given parameters).
    """
    groups: dict[str, list[int]] = {}
    for number, term in enumerate(random):
        groups.setdefault(term.group, []).append(number)
    members = list(groups.values())
    codes = [random[numbers[0]].codes for numbers in members]
    n_levels = [len(random[numbers[0]].levels) for numbers in members]
    if members:
        arrangement = arrange(codes, n_levels)
        order, factor_order = arrangement.order, arrangement.factor_order
        level_orders = tuple(arrangement.level_orders)
    else:
        order, factor_order, level_orders = None, (), ()

    n, p = X.shape
    if scale:
        columns, fixed_map = standardize_fixed(X, order)
    else:
        columns = gather(X, order)
        fixed_map = FixedMap(np.arange(p, dtype=np.intp), np.eye(p))

    maps: list[np.ndarray] = [np.eye(len(term.effects)) for term in random]
    factors, terms = [], [None] * len(random)
    factor_terms = []
    for place, f in enumerate(factor_order):
        numbers = members[f]
        level_codes = _take(codes[f], order)
        level_order = level_orders[place]
        if level_order is not None:
            position = np.empty(n_levels[f], dtype=np.intp)
            position[level_order] = np.arange(n_levels[f], dtype=np.intp)
            level_codes = position[level_codes]
        stacked, start = [], 0
        for number in numbers:
            term = random[number]
            size = len(term.effects)
            terms[number] = Term(place, start, size)
            start += size
            if term.Z is not None:
                if scale:
                    Z, maps[number] = random_map(term.Z, order, size > 1)
                else:
                    Z = gather(term.Z, order)
                stacked.append(Z)
            else:
                stacked.append(None)
        if len(stacked) == 1 and stacked[0] is None:
            Z = None
        else:
            Z = np.concatenate([np.ones((1, n)) if z is None else z for z in stacked])
        factors.append(
            Factor(level_codes, n_levels[f], Z, bool((level_codes[1:] >= level_codes[:-1]).all()))
        )
        factor_terms.append(tuple(numbers))
    problem = Problem(
        columns,
        _take(successes, order),
        None if trials is None else _take(trials, order),
        None if offset is None else _take(offset, order),
        tuple(factors),
        tuple(terms),
    )
    return Build(problem, fixed_map, tuple(maps), order, tuple(factor_terms), level_orders)


def _take(values: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    return values if order is None else np.take(values, order)
