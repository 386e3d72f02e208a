"""Likelihood-ratio comparison of fitted models."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom
from scipy.stats import chi2 as chi2_distribution

__all__ = ["compare_models"]


def compare_models(*models, **named):
    """Compare models fitted to the same data, smallest first, each against the one before it.

    Parameters
    ----------
    *models : MixedLogisticClassifier
        Two or more fitted models.
    **named : MixedLogisticClassifier
        Fitted models by name, as ``compare_models(m_1=m_1, m_2=m_2)``.

    Returns
    -------
    DataFrame
        Index: the names, or else the formulas. Columns n_parameters, aic, bic, log_likelihood,
        deviance, chi2, df, p_value (as R's `anova`), and p_value_boundary: where random effects
        were added and nothing else, zero lies on the boundary of their variances' range, and the
        statistic follows a mixture of chi-squares: df - 1 and df degrees of freedom, half each, for
        one more effect; binomial weights for several without correlations. Models of different
        links are not nested, and a fit with a prior does not maximise the likelihood: they get no
        test. `.attrs["note"]` says what applies.

    Raises
    ------
    ValueError
        Fewer than two models, fits to different data, or likelihoods approximated differently
        (`n_agq`).

    References
    ----------
    Self & Liang (1987), Journal of the American Statistical Association 82(398), for the mixture.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, compare_models
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> m_1 = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    >>> m_2 = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    >>> compare_models(m_1=m_1, m_2=m_2)[["aic", "deviance", "chi2", "df", "p_value"]].round(4)
               aic   deviance     chi2   df  p_value
    m_1  2537.9269  2531.9269      NaN  NaN      NaN
    m_2  2508.3925  2500.3925  31.5344  1.0      0.0
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame

    entries = [(None, model) for model in models] + list(named.items())
    if len(entries) < 2:
        raise ValueError(
            "compare_models takes two models or more, one after the other: compare_models(m_1, m_2)"
        )
    for _, model in entries:
        if not hasattr(model, "get_params"):
            raise ValueError(
                f"compare_models takes fitted models, each as an argument of its own; {model!r} is "
                "none"
            )
        check_is_fitted(model, "result_")
    for _, model in entries[1:]:
        _check_same_data(entries[0][1], model)
    entries.sort(key=lambda entry: entry[1].df_model_)
    ordered = [model for _, model in entries]
    rows, notes = [], []
    for place, model in enumerate(ordered):
        row = {
            "n_parameters": model.df_model_,
            "aic": model.aic_,
            "bic": model.bic_,
            "log_likelihood": model.log_likelihood_,
            "deviance": model.deviance_,
            "chi2": np.nan,
            "df": np.nan,
            "p_value": np.nan,
            "p_value_boundary": np.nan,
        }
        if place:
            smaller = ordered[place - 1]
            df = model.df_model_ - smaller.df_model_
            row["df"] = df
            if model.result_.link != smaller.result_.link:
                notes.append("models of different links are not nested, and have no test")
            elif model.prior is not None or smaller.prior is not None:
                notes.append(
                    "a fit with a prior does not maximise the likelihood, and has no test; its AIC "
                    "and BIC are of the likelihood at the penalised estimate"
                )
            else:
                statistic = smaller.deviance_ - model.deviance_
                row["chi2"] = statistic
                if df > 0:
                    row["p_value"] = float(chi2_distribution.sf(max(statistic, 0.0), df))
                    row["p_value_boundary"] = _boundary_p_value(
                        smaller.result_, model.result_, max(statistic, 0.0)
                    )
        rows.append(row)
    labels = [m.spec_.parsed.text if name is None else name for name, m in entries]
    if not all(np.isnan(row["p_value_boundary"]) for row in rows):
        notes.append(
            "p_value takes the variances tested as free to be negative, and is too large; "
            "p_value_boundary is that of the chi-bar-square mixture"
        )
    note = "; ".join(dict.fromkeys(notes)) or None
    table = PrintedFrame(rows, index=labels, note=note)
    if note is not None:
        table.attrs["note"] = note
    return table


def _boundary_p_value(smaller, larger, statistic: float) -> float:
    """p-value of the chi-bar-square mixture; NaN where not just random effects were added."""
    same = set(_kept(smaller)) == set(_kept(larger))
    before, after = _random_effects(smaller), _random_effects(larger)
    added = len(after - before)
    df = larger.n_parameters - smaller.n_parameters
    # further parameters have to be correlations with the effect that was added
    linked = max((len(t.effects) - 1 for t in larger.terms), default=0)
    if not same or not before < after or (df > added and (added > 1 or df - added > linked)):
        return np.nan
    if added == 1:
        weights = {df - 1: 0.5, df: 0.5}
    else:
        weights = {k: float(binom.pmf(k, added, 0.5)) for k in range(added + 1)}
    return sum(
        w * (float(chi2_distribution.sf(statistic, k)) if k else float(statistic <= 0.0))
        for k, w in weights.items()
    )


def _kept(result) -> list[str]:
    return [n for n, a in zip(result.names, result.aliased, strict=True) if not a]


def _random_effects(result) -> set[tuple[str, str]]:
    return {(term.group, effect) for term in result.terms for effect in term.effects}


def _check_same_data(a, b) -> None:
    x, y = a.result_, b.result_
    difference = x.trace.difference(y.trace)
    if not difference and not np.array_equal(a.classes_, b.classes_):
        difference = f"classes {a.classes_.tolist()} and {b.classes_.tolist()}"
    if difference:
        raise ValueError(
            "compare_models: the models were fitted to different data or weights "
            f"({difference}); fit them to the same rows, e.g. with missing='drop' after "
            "dropping incomplete rows for all"
        )
    # quadrature of any number of points is of one likelihood, and a plain regression has no integral
    if min(x.n_agq, 2) != min(y.n_agq, 2) and x.terms and y.terms:
        raise ValueError(
            f"compare_models: n_agq={x.n_agq} and n_agq={y.n_agq} approximate the likelihood "
            "differently; fit both with the same n_agq"
        )
