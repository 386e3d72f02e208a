"""Multilevel regression and poststratification: population-weighted probabilities.

With cells c of a population, weights w_c and probabilities p_c, the estimate of a group of cells is
sum w p / sum w. Its standard error joins that of the parameters, the conditional variance of the
random effects of known levels (shared by all cells of a level) and the variance of new levels, by the
delta method on the logit scale (Gelman & Little 1997, Survey Methodology 23; Kass & Steffey 1989).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from ..result.wald import normal_reach
from .probabilities import effect_variance_slopes, fixed_part

__all__ = ["poststratify"]


def poststratify(model, cells, weights, by=None, *, groups=None, level: float = 0.95):
    """Population-weighted probabilities of the event, with intervals.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    cells : data frame
        One row per cell of the population: the model's columns.
    weights : str or array-like of shape (n_cells,)
        Size of each cell in the population, or the column that holds it.
    by : str, list of str or None, default=None
        Columns to give estimates for; None is the whole population.
    groups : array-like of shape (n_cells,), data frame or dict, optional
        Grouping factors that are not columns of `cells`, as in `fit`.
    level : float, default=0.95

    Returns
    -------
    DataFrame
        One row for each combination of `by` (its index): estimate, std_error, conf_low,
        conf_high, weight (population share of all).

    Raises
    ------
    ValueError
        Weights that are negative, missing, or all zero; unknown columns; missing values in cells.

    References
    ----------
    Gelman & Little (1997), Poststratification into many categories using hierarchical logistic
    regression, Survey Methodology 23(2).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, poststratify
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> cells = women.groupby(["district", "urban", "ch"], observed=True).size()
    >>> cells = cells.rename("count").reset_index()
    >>> poststratify(model, cells, "count", by="urban")["estimate"].round(2).to_dict()
    {'N': 0.34, 'Y': 0.52}
    """
    import pandas as pd
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame
    from ..design.table import make_table
    from ..links import get_link

    check_is_fitted(model, "result_")
    reach = normal_reach(level)
    table = make_table(cells, groups)
    n = table.n_rows
    w = _weights(weights, table, n)
    keys, index = _keys(by, table, n, pd)
    _check_complete(model, table)
    result, link = model.result_, get_link(model.result_.link)
    _, matrices = model.spec_.extend(table)
    p, gradient, sharing = _cells(result, link, matrices)

    size = len(index)
    total = np.bincount(keys, weights=w, minlength=size)
    if not (total > 0.0).all():
        raise ValueError("poststratify: the weights of some group of cells are all zero")
    share = w / total[keys]
    estimate = np.bincount(keys, weights=share * p, minlength=size)
    slopes = np.zeros((size, gradient.shape[1]))
    np.add.at(slopes, keys, share[:, None] * gradient)
    variance = np.einsum("gm,gm->g", slopes, slopes)
    precision = result.precision
    together = []
    for f, (codes, columns, roots) in enumerate(sharing):
        # the effects of one level are shared by all its cells
        pair = keys * len(roots) + codes
        places, at = np.unique(pair, return_inverse=True)
        c = np.zeros((len(places), columns.shape[1]))
        np.add.at(c, at, share[:, None] * columns)
        group, place = np.divmod(places, len(roots))
        if precision is not None:
            known = place < len(result.factors[f].levels)
            together.append(precision.spread(f, group[known], place[known], c[known], size))
            group, place, c = group[~known], place[~known], c[~known]
        half = np.einsum("pa,pab->pb", c, roots[place])
        variance += np.bincount(group, np.einsum("pb,pb->p", half, half), minlength=size)
    if together:
        # known levels of all factors, which are not independent given the data
        variance += precision.variances(sum(together))
    error = np.sqrt(np.maximum(variance, 0.0))
    reach = reach * error / (estimate * (1.0 - estimate))
    center = logit(estimate)
    return PrintedFrame(
        {
            "estimate": estimate,
            "std_error": error,
            "conf_low": expit(center - reach),
            "conf_high": expit(center + reach),
            "weight": total / total.sum(),
        },
        index=index,
    )


def _check_complete(model, table) -> None:
    """Every cell counts: none may lack a value, whatever the model did with such rows in fit."""
    needed = {*model.spec_.columns, *model.spec_.parsed.grouping_columns} & set(table.columns)
    absent = table.frame(sorted(needed)).isna().sum()
    absent = absent[absent > 0]
    if len(absent):
        raise ValueError(
            "cells: missing values in column(s) "
            f"{', '.join(f'{name!r} ({count})' for name, count in absent.items())}; every cell "
            "counts: fill them in, or leave these cells and their weights out"
        )


def _weights(weights, table, n: int) -> np.ndarray:
    if isinstance(weights, str):
        if weights not in table.columns:
            raise ValueError(f"weights: {weights!r} is not a column of cells")
        weights = table.frame([weights])[weights]
    w = np.asarray(weights, dtype=float)
    if w.shape != (n,):
        raise ValueError(f"weights must have one value for each of the {n} cells, got {w.shape}")
    if not np.isfinite(w).all() or (w < 0.0).any():
        raise ValueError("weights must be finite and >= 0")
    return w


def _keys(by, table, n: int, pd):
    if by is None:
        return np.zeros(n, dtype=np.intp), pd.Index(["all"])
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in table.columns:
            raise ValueError(f"by: {name!r} is not a column of cells")
    frame = table.frame(names)
    grouped = frame.groupby(names, observed=True, sort=True)
    keys = grouped.ngroup().to_numpy()
    if (keys < 0).any():
        raise ValueError(f"by: column(s) {names} hold missing values")
    return keys.astype(np.intp), grouped.size().index


def _cells(result, link, matrices):
    """Probability (n,) and gradient (n, M) of each cell, and its share in the random effects.

    The gradient is in the coordinates of `FitResult.joint_root`. The last is a list of (codes (n,),
    columns (n, k), roots of covariances (levels, k, k)), one per factor.
    """
    n = matrices.X.shape[0]
    kept = ~result.aliased
    eta = fixed_part(result, matrices.X, matrices.offset)
    gradient = matrices.X[:, kept] @ result.joint_root[: int(kept.sum())]
    new_variance, variance_slopes = np.zeros(n), np.zeros(gradient.shape)
    sharing = []
    for f, factor in enumerate(result.factors):
        J, k = factor.modes.shape
        z, slopes = np.zeros((n, k)), np.zeros((gradient.shape[1], k, k))
        for term_result, term in zip(result.terms, matrices.random, strict=True):
            if term_result.factor == f:
                at = slice(term_result.start, term_result.start + len(term.effects))
                z[:, at] = 1.0 if term.Z is None else term.Z
                slopes[:, at, at] = term_result.root_tangent
                codes, levels = term.codes, len(term.levels)
        known = codes < J
        place = np.minimum(codes, J - 1)
        eta += np.where(known, np.einsum("na,na->n", z, factor.modes[place]), 0.0)
        if factor.tangent is not None:
            moved = np.einsum("na,nam->nm", z, factor.tangent[place])
            gradient += np.where(known[:, None], moved, 0.0)
        rows = np.flatnonzero(~known)
        half = z[rows] @ factor.root
        new_variance[rows] += np.einsum("na,na->n", half, half)
        variance_slopes[rows] += effect_variance_slopes(z[rows], factor.root, slopes)
        roots = np.empty((levels, k, k))
        roots[:J], roots[J:] = factor.conditional_root, factor.root
        sharing.append((codes, z, roots))
    middle, slope, by_variance = link.averaged_derivatives(eta, np.sqrt(new_variance))
    density = link.density(middle)
    slope, by_variance = density * slope, density * by_variance
    sharing = [(codes, slope[:, None] * z, roots) for codes, z, roots in sharing]
    gradient = slope[:, None] * gradient + by_variance[:, None] * variance_slopes
    return link.inverse(middle), gradient, sharing
