"""Fitted attributes, each computed from the result when it is asked for."""

from __future__ import annotations

import numpy as np

from . import frames

__all__ = ["FittedAttributes"]


def _fitted(make, doc: str) -> property:
    """A fitted attribute computed from the result when it is asked for."""

    def get(self):
        if "result_" not in self.__dict__:
            raise AttributeError(
                f"this {type(self).__name__} instance is not fitted yet; call fit first"
            )
        return make(self.result_)

    return property(get, doc=doc)


class FittedAttributes:
    """Public attributes of a fitted model; `MixedLogisticClassifier` documents them."""

    fixed_effects_ = _fitted(
        frames.fixed_effects,
        "Index: coefficient names; columns estimate, std_error, z, p_value, conf_low, conf_high, NaN "
        "where aliased.",
    )
    covariance_ = _fitted(
        frames.covariance,
        "Covariance of the coefficients, from the Hessian in coefficients and variances.",
    )
    variance_components_ = _fitted(
        frames.variance_components, "One row per random effect: group, term, variance, std_dev."
    )
    random_covariances_ = _fitted(
        frames.random_covariances, "Covariance matrix of the effects of each grouping factor."
    )
    random_effects_ = _fitted(
        frames.random_effects,
        "Columns group, level, term, estimate (conditional mode), std_error (given the data and the "
        "parameters).",
    )
    coef_ = _fitted(
        lambda r: r.fixed[[n != "Intercept" for n in r.names]][None, :].copy(),
        "Coefficients without the intercept, 0 where aliased.",
    )
    intercept_ = _fitted(
        lambda r: np.array(
            [r.fixed[r.names.index("Intercept")] if "Intercept" in r.names else 0.0]
        ),
        "The intercept, 0 where the formula has none.",
    )
    log_likelihood_ = _fitted(
        lambda r: r.log_likelihood, "At the estimates, with the constants of binomial counts."
    )
    deviance_ = _fitted(lambda r: -2.0 * r.log_likelihood, "Minus twice the log-likelihood.")
    aic_ = _fitted(lambda r: -2.0 * r.log_likelihood + 2.0 * r.n_parameters, "Akaike's criterion.")
    bic_ = _fitted(
        lambda r: -2.0 * r.log_likelihood + np.log(r.n_rows) * r.n_parameters,
        "Schwarz's criterion.",
    )
    df_model_ = _fitted(lambda r: r.n_parameters, "Number of parameters.")
    df_residual_ = _fitted(lambda r: r.n_rows - r.n_parameters, "Rows minus parameters.")
    n_observations_ = _fitted(lambda r: r.n_rows, "Rows used.")
    n_groups_ = _fitted(
        lambda r: {f.group: f.modes.shape[0] for f in r.factors}, "Levels of each factor."
    )
    converged_ = _fitted(lambda r: r.verdict.converged, "Whether the estimate is a maximum.")
    is_singular_ = _fitted(
        lambda r: bool(r.verdict.singular_terms), "Whether a variance is zero or a correlation +-1."
    )
    convergence_ = _fitted(
        lambda r: r.verdict, "The verdict with its figures, and in words: `.message`."
    )
