"""Confidence intervals: Wald, profile likelihood, bootstrap."""

from __future__ import annotations

import numpy as np

from ..result.wald import normal_reach
from .refit import training_problem

__all__ = ["confidence_intervals", "profiles"]

METHODS = ("wald", "profile", "bootstrap")


def confidence_intervals(
    model,
    X=None,
    y=None,
    groups=None,
    *,
    method: str = "wald",
    level: float = 0.95,
    parameters=None,
    cluster: bool = False,
    n_samples: int = 1000,
    random_state=None,
    n_jobs: int | None = None,
    sample_weight=None,
    offset=None,
    verbose: int = 0,
):
    """Confidence intervals for fixed effects, standard deviations and correlations.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X : data frame or array of shape (n, n_features), optional
        The training data again; only "wald" does without.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    method : {"wald", "profile", "bootstrap"}
        "wald": normal; standard deviations on the log scale and correlations on Fisher's, both by
        the delta method, NaN where they are at their bounds: a variance of zero or a correlation
        of -1 or 1 has no standard error, take profile intervals there. Other intervals of a singular
        term hold given the rank that was estimated. "profile": the parameter values that a
        likelihood-ratio test does not reject; a standard deviation's interval starts at zero, and a
        correlation's ends at -1 or 1, where the test never rejects. "bootstrap": percentiles over
        refits to responses simulated from the model with new random effects. Where the fit had a prior, the
        last two are of the penalised likelihood.
    level : float, default=0.95
    parameters : str or list of str, optional
        Rows wanted, by their names in the index; all by default. Saves the time of other profiles.
    cluster : bool, default=False
        Bootstrap whole groups (levels of the outermost factor, drawn with replacement) instead of
        responses from the model.
    n_samples : int, default=1000
        Bootstrap replicates.
    random_state : int, RandomState or None
        Of the bootstrap.
    n_jobs : int or None
        Processes of the bootstrap.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.
    verbose : int, default=0
        Above 0, tell of each profile that is done, and of the bootstrap's progress as joblib does.

    Returns
    -------
    DataFrame
        Index: coefficient names, `sd(effect|group)`, `cor(effect,effect|group)`; columns estimate,
        conf_low, conf_high, type ("fixed", "sd" or "cor").
        With "bootstrap", `.attrs["n_failed"]` counts refits that failed.

    Raises
    ------
    ValueError
        An unknown method or parameter, "profile" or "bootstrap" without the data of the fit, with a
        prior, or "profile" with ``n_agq=0``.

    References
    ----------
    Venables & Ripley (2002), Modern Applied Statistics with S, section 8.4, for the signed root of
    the profile; Davison & Hinkley (1997), Bootstrap Methods and their Application, chapter 5.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, confidence_intervals
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> confidence_intervals(model)[["estimate", "conf_low", "conf_high"]].round(2)
                            estimate  conf_low  conf_high
    Intercept                  -1.48     -1.73      -1.22
    urban[T.Y]                  0.72      0.49       0.95
    ch[T.Y]                     1.00      0.77       1.24
    sd(Intercept|district)      0.46      0.33       0.64
    >>> sd = "sd(Intercept|district)"
    >>> profile = confidence_intervals(model, women, method="profile", parameters=sd)
    >>> profile.loc[sd, ["conf_low", "conf_high"]].astype(float).round(2).tolist()
    [0.32, 0.63]
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame

    check_is_fitted(model, "result_")
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(map(repr, METHODS))}")
    normal_reach(level)
    result = model.result_
    names, estimates = _parameters(result.names, result.fixed, result.aliased, result.terms)
    wanted = _wanted(names, parameters)
    if cluster and method != "bootstrap":
        raise ValueError(f"cluster=True is for method='bootstrap', not method={method!r}")
    failed = 0
    if method == "wald":
        low, high = _wald(result, estimates, level)
    else:
        refitter = training_problem(model, X, y, groups, sample_weight, offset, penalised=True)
        if method == "profile":
            from .profile import profile_limits

            _check_profiled(result)
            labels = names if verbose else None
            low, high = profile_limits(result, refitter, estimates, wanted, level, labels)
        else:
            from .bootstrap import bootstrap_draws

            draws = bootstrap_draws(
                result, refitter, _parameters, cluster=cluster, n_samples=n_samples,
                random_state=random_state, n_jobs=n_jobs, verbose=verbose,
            )  # fmt: skip
            failed = int(np.isnan(draws).all(axis=1).sum())
            low, high = _quantiles(draws, level)
    table = PrintedFrame(
        {"estimate": estimates, "conf_low": low, "conf_high": high, "type": _types(result)},
        index=names,
    ).loc[wanted]
    table.attrs.update(method=method, level=level)
    if method == "bootstrap":
        table.attrs["n_failed"] = failed
    return table


def profiles(
    model, X, y, groups, *, parameters, level: float, n_points: int, sample_weight, offset
):
    """Signed roots of the profile deviance: parameter, value, signed_root.

    Parameters are those of `confidence_intervals`; `n_points` is the number of values of each.
    """
    from sklearn.utils.validation import check_is_fitted

    from .profile import profile_table

    check_is_fitted(model, "result_")
    normal_reach(level)
    result = model.result_
    _check_profiled(result)
    names, estimates = _parameters(result.names, result.fixed, result.aliased, result.terms)
    wanted = _wanted(names, parameters)
    refitter = training_problem(model, X, y, groups, sample_weight, offset, penalised=True)
    return profile_table(result, refitter, names, estimates, wanted, level, n_points)


def _check_profiled(result) -> None:
    if result.n_agq == 0:
        raise ValueError(
            "n_agq=0 has no likelihood to profile; fit with n_agq=1, or take method='bootstrap'"
        )


def _parameters(names, fixed, aliased, terms) -> tuple[list[str], np.ndarray]:
    labels = list(names)
    values = list(np.where(aliased, np.nan, fixed))
    for term in terms:
        sds = np.sqrt(np.diag(term.covariance))
        labels += [f"sd({effect}|{term.group})" for effect in term.effects]
        values += list(sds)
    for term in terms:
        sds = np.sqrt(np.diag(term.covariance))
        for j, second in enumerate(term.effects):
            for i, first in enumerate(term.effects[:j]):
                labels.append(f"cor({first},{second}|{term.group})")
                product = sds[i] * sds[j]
                values.append(term.covariance[i, j] / product if product > 0.0 else np.nan)
    return labels, np.array(values)


def _types(result) -> list[str]:
    """What each parameter is, in the order of `_parameters`."""
    sizes = [len(term.effects) for term in result.terms]
    pairs = sum(k * (k - 1) // 2 for k in sizes)
    return ["fixed"] * len(result.names) + ["sd"] * sum(sizes) + ["cor"] * pairs


def _wanted(names: list[str], parameters) -> np.ndarray:
    if parameters is None:
        return np.ones(len(names), dtype=bool)
    chosen = [parameters] if isinstance(parameters, str) else list(parameters)
    for name in chosen:
        if name not in names:
            raise ValueError(
                f"parameters: {name!r} is no parameter of the model; they are {', '.join(names)}"
            )
    return np.isin(names, chosen)


def _quantiles(draws: np.ndarray, level: float) -> np.ndarray:
    """Percentiles of each column, NaN for columns without a value; shape (2, R)."""
    out = np.full((2, draws.shape[1]), np.nan)
    for j, column in enumerate(draws.T):
        column = column[~np.isnan(column)]
        if column.size:
            out[:, j] = np.quantile(column, [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    return out


def _wald(result, estimates: np.ndarray, level: float):
    z = normal_reach(level)
    low, high = np.full(estimates.shape, np.nan), np.full(estimates.shape, np.nan)
    p = len(result.names)
    with np.errstate(invalid="ignore"):
        reach = z * np.sqrt(np.diag(result.fixed_covariance))
    low[:p], high[:p] = estimates[:p] - reach, estimates[:p] + reach
    at = p
    for term in result.terms:
        k = len(term.effects)
        sd = estimates[at : at + k]
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.exp(z * term.std_error_sd / sd)
        low[at : at + k], high[at : at + k] = sd / factor, sd * factor
        at += k
    for term in result.terms:
        for j in range(len(term.effects)):
            for i in range(j):
                cor, error = estimates[at], term.std_error_cor[i, j]
                if np.isfinite(error):
                    reach = z * error / (1.0 - cor * cor)
                    low[at], high[at] = np.tanh(np.arctanh(cor) + np.array([-reach, reach]))
                at += 1
    return low, high
