"""Cluster-robust (sandwich) covariance of the coefficients."""

from __future__ import annotations

import numpy as np

__all__ = ["robust_covariance"]


def robust_covariance(
    model,
    X,
    y=None,
    groups=None,
    *,
    cluster=None,
    sample_weight=None,
    offset=None,
    correction: bool = True,
    variances: bool = False,
):
    """Covariance of the coefficients that holds where the model within clusters is wrong.

    H^-1 (sum of s_j s_j') H^-1 over clusters j, with H the Hessian in coefficients and variances
    and s_j the cluster's part of the gradient. Clusters have to be independent, and many: below
    some forty it is too small.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted with n_agq of 1 or more; without random effects, with one grouping factor, or with
        nested ones.
    X : data frame or array of shape (n, n_features)
        The training data.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    cluster : str or array-like of shape (n,), optional
        Column of X or labels that tell which rows belong together; each level of a grouping factor
        in one cluster. By default the levels of the outermost grouping factor; without random
        effects, every row by itself.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.
    correction : bool, default=True
        Multiply by J / (J - 1), J the number of clusters.
    variances : bool, default=False
        Also of the variances and covariances of the random effects, in rows and columns such as
        `var(Intercept|district)`: what `marginal_effects` and `marginal_coefficients` average over.

    Returns
    -------
    DataFrame of shape (p, p) or (p + m, p + m)
        Coefficient names in index and columns, NaN for aliased ones; `contrast`, `anova`,
        `odds_ratios` and the functions named above take it as `covariance`. `.attrs` has n_groups.

    Raises
    ------
    ValueError
        Crossed factors, a level in two clusters, one cluster alone, n_agq=0, a prior, or other data
        than the fit's.

    References
    ----------
    White (1982), Econometrica 50(1); Huber (1967), Fifth Berkeley Symposium 1.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, odds_ratios, robust_covariance
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> robust = robust_covariance(model, women)
    >>> odds_ratios(model, covariance=robust)[["odds_ratio", "conf_low", "conf_high"]].round(1)
                odds_ratio  conf_low  conf_high
    Intercept          0.2       0.2        0.3
    urban[T.Y]         2.1       1.5        2.8
    ch[T.Y]            2.7       2.0        3.7
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame
    from .refit import training_problem

    check_is_fitted(model, "result_")
    result = model.result_
    if result.terms and result.n_agq == 0:
        raise ValueError(
            "robust_covariance needs the likelihood of each group, and n_agq=0 has none; fit with "
            "n_agq of 1 or more"
        )
    refitter = training_problem(model, X, y, groups, sample_weight, offset)
    scores = group_scores(refitter, result.phi) if result.terms else _row_scores(refitter)
    if cluster is not None:
        scores = _clustered(scores, refitter, _labels(cluster, X, groups, refitter.used))
    J = scores.shape[0]
    if J < 2:
        raise ValueError("robust_covariance needs two clusters or more")
    names = [*result.names, *(result.random_names if variances else ())]
    moves = result.parameter_slopes[: len(names)] @ (result.joint_root.T @ scores.T)
    V = moves @ moves.T * (J / (J - 1) if correction else 1.0)
    table = PrintedFrame(V, index=names, columns=names)
    table.attrs["n_groups"] = J
    return table


def group_scores(refitter, phi: np.ndarray) -> np.ndarray:
    """Gradient of each outermost level in (fixed kept, theta of the solver), shape (J, M)."""
    from ..objective.quadrature import quadrature_objective

    build = refitter.build
    problem = build.problem
    try:
        objective = quadrature_objective(refitter.n_agq, problem)(problem, refitter.link)
    except ValueError as error:
        raise ValueError(
            "robust_covariance needs one grouping factor, or nested ones: with crossed factors no "
            "rows are independent of the others"
        ) from error
    try:
        found = objective.integrate(phi, 1e-14)
    finally:
        objective.close()
    outer = problem.factors[-1]
    gamma = np.array(
        [
            np.bincount(outer.codes, weights=found.r * column, minlength=outer.n_levels)
            for column in problem.X
        ]
    ).reshape(problem.p, outer.n_levels)
    # beta = T gamma, so that d/dbeta = T^-T d/dgamma
    beta = np.linalg.solve(build.fixed_map.T.T, gamma) if problem.p else gamma
    return np.concatenate([beta, found.theta]).T


def _row_scores(refitter) -> np.ndarray:
    """Gradient of each row in the coefficients kept, shape (n, p), without random effects."""
    from ..objective import objective_for

    problem = refitter.build.problem
    objective = objective_for(1, problem)(problem, refitter.link)
    objective.evaluate(refitter.start)
    scores = problem.X * objective.state.s
    objective.close()
    return np.linalg.solve(refitter.build.fixed_map.T.T, scores).T


def _labels(cluster, X, groups, used) -> np.ndarray:
    """Number of the cluster of each row in use."""
    import pandas as pd

    from ..design.table import make_table

    table = make_table(X, groups)
    if isinstance(cluster, str):
        if cluster not in table.columns:
            raise ValueError(
                f"cluster: {cluster!r} is not a column of X or groups, which are "
                f"{', '.join(map(str, table.columns))}"
            )
        cluster = table.frame([cluster])[cluster]
    labels = np.asarray(cluster)
    if labels.shape != (table.n_rows,):
        raise ValueError(
            f"cluster must hold one label for each of the {table.n_rows} rows, got shape "
            f"{labels.shape}"
        )
    codes = pd.factorize(labels if used is None else labels[used])[0]
    if (codes < 0).any():
        raise ValueError(f"cluster: {int((codes < 0).sum())} label(s) are missing")
    return codes


def _clustered(scores: np.ndarray, refitter, codes: np.ndarray) -> np.ndarray:
    """Scores of levels, or of rows, summed over clusters."""
    build = refitter.build
    if build.problem.factors:
        if build.order is not None:
            codes = codes[build.order]
        levels = build.problem.factors[-1].codes
        of_level = np.zeros(scores.shape[0], dtype=np.intp)
        of_level[levels] = codes
        if (of_level[levels] != codes).any():
            raise ValueError(
                "cluster: a level of the outermost grouping factor has rows in more than one "
                "cluster; clusters have to hold whole levels"
            )
        codes = of_level
    out = np.zeros((int(codes.max()) + 1, scores.shape[1]))
    np.add.at(out, codes, scores)
    return out
