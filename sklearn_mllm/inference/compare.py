"""Likelihood-ratio comparison of fitted models."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2 as chi2_distribution

__all__ = ["compare_models"]


def compare_models(*models):
    """Compare models fitted to the same data, smallest first, each against the one before it.

    Parameters
    ----------
    *models : MixedLogisticClassifier
        Two or more fitted models.

    Returns
    -------
    DataFrame
        Index: the formulas. Columns n_parameters, aic, bic, log_likelihood, deviance, chi2, df,
        p_value (as R's `anova`), and p_value_boundary: where only variances were added, zero lies
        on the boundary of their range, and the statistic follows an equal mixture of chi-squares
        with df - 1 and df degrees of freedom (Self & Liang 1987, JASA 82), exact for one variance.

    Raises
    ------
    ValueError
        Fewer than two models, one that is not fitted, or fits to different data.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, compare_models
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> m_1 = MixedLogisticClassifier("use ~ age + (1 | district)").fit(women)
    >>> m_2 = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    >>> int(compare_models(m_1, m_2)["df"].iloc[1])
    1
    """
    import pandas as pd
    from sklearn.utils.validation import check_is_fitted

    if len(models) < 2:
        raise ValueError("compare_models takes two models or more")
    for model in models:
        check_is_fitted(model, "result_")
    first = models[0]
    for model in models[1:]:
        _check_same_data(first, model)
    ordered = sorted(models, key=lambda m: m.df_model_)
    rows = []
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
            statistic = max(smaller.deviance_ - model.deviance_, 0.0)
            row["chi2"], row["df"] = smaller.deviance_ - model.deviance_, df
            if df > 0:
                row["p_value"] = float(chi2_distribution.sf(statistic, df))
                if set(model.result_.names) == set(smaller.result_.names):
                    below = chi2_distribution.sf(statistic, df - 1) if df > 1 else 0.0
                    row["p_value_boundary"] = 0.5 * float(
                        below + chi2_distribution.sf(statistic, df)
                    )
        rows.append(row)
    return pd.DataFrame(rows, index=[m.spec_.parsed.text for m in ordered])


def _check_same_data(a, b) -> None:
    x, y = a.result_, b.result_
    same = (
        x.n_rows == y.n_rows
        and np.array_equal(a.classes_, b.classes_)
        and np.isclose(x.mean_response, y.mean_response, rtol=1e-9, atol=0.0)
    )
    if not same:
        raise ValueError(
            "compare_models: the models were fitted to different data "
            f"({x.n_rows} rows with mean response {x.mean_response:.6g}, {y.n_rows} with "
            f"{y.mean_response:.6g}); fit them to the same rows, e.g. with missing='drop' after "
            "dropping incomplete rows for all"
        )
    if (x.n_agq > 1) != (y.n_agq > 1) and x.terms and y.terms:
        raise ValueError(
            f"compare_models: n_agq={x.n_agq} and n_agq={y.n_agq} approximate the likelihood "
            "differently; fit both with the same n_agq"
        )
