"""Coefficients as odds ratios."""

from __future__ import annotations

import numpy as np

from ..result.wald import wald_columns

__all__ = ["odds_ratios"]


def odds_ratios(model, *, level: float = 0.95, covariance=None):
    """Odds ratios of a logit model, given the random effects.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted with the logit link.
    level : float, default=0.95
    covariance : data frame or ndarray of shape (p, p), optional
        Of the coefficients, e.g. from `robust_covariance`.

    Returns
    -------
    DataFrame
        Index: coefficient names. Columns odds_ratio, std_error (delta method), p_value, conf_low,
        conf_high (Wald on the log scale); for the intercept, the odds at zero predictors. They
        compare rows of one group: population-averaged ones are nearer to 1.

    Raises
    ------
    ValueError
        The link is not the logit.

    References
    ----------
    Neuhaus, Kalbfleisch & Hauck (1991), International Statistical Review 59(1).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, odds_ratios
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> odds_ratios(model)["odds_ratio"].round(2).to_dict()
    {'Intercept': 0.23, 'urban[T.Y]': 2.05, 'ch[T.Y]': 2.73}
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame
    from .contrasts import covariance_matrix

    check_is_fitted(model, "result_")
    result = model.result_
    if result.link != "logit":
        raise ValueError(
            f"odds_ratios: coefficients under link={result.link!r} are no log odds ratios; fit "
            "with link='logit', or read fixed_effects_"
        )
    estimate = np.where(result.aliased, np.nan, result.fixed)
    error = np.sqrt(np.diag(covariance_matrix(result, covariance)))
    error = np.where(result.aliased, np.nan, error)
    wald = wald_columns(estimate, error, level)
    with np.errstate(over="ignore"):
        return PrintedFrame(
            {
                "odds_ratio": np.exp(estimate),
                "std_error": np.exp(estimate) * error,
                "p_value": wald["p_value"],
                "conf_low": np.exp(wald["conf_low"]),
                "conf_high": np.exp(wald["conf_high"]),
            },
            index=list(result.names),
        )
