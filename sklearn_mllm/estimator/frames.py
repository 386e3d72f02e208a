"""Fitted attributes of the estimator as data frames, made from a `FitResult` when asked for."""

from __future__ import annotations

import numpy as np

from ..result.fit_result import FitResult
from ..result.wald import wald_columns

__all__ = [
    "covariance",
    "fixed_effects",
    "random_covariances",
    "random_effects",
    "variance_components",
]


def fixed_effects(result: FitResult):
    """DataFrame: estimate, std_error, z, p_value, conf_low, conf_high (95%, Wald)."""
    from ..design.printed import PrintedFrame

    estimate = np.where(result.aliased, np.nan, result.fixed)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.diag(result.fixed_covariance))
    return PrintedFrame(wald_columns(estimate, error), index=list(result.names))


def covariance(result: FitResult):
    """DataFrame: covariance of the fixed-effect estimates, NaN for aliased columns."""
    from ..design.printed import PrintedFrame

    names = list(result.names)
    return PrintedFrame(result.fixed_covariance, index=names, columns=names)


def variance_components(result: FitResult):
    """DataFrame: group, term, variance, std_dev."""
    import pandas as pd

    rows = [
        (term.group, effect, variance, np.sqrt(variance))
        for term in result.terms
        for effect, variance in zip(term.effects, np.diag(term.covariance), strict=True)
    ]
    return pd.DataFrame(rows, columns=["group", "term", "variance", "std_dev"])


def random_covariances(result: FitResult) -> dict:
    """dict: group -> DataFrame, the covariance matrix of its random effects."""
    import pandas as pd

    return {
        f.group: pd.DataFrame(f.covariance, index=list(f.effects), columns=list(f.effects))
        for f in result.factors
    }


def random_effects(result: FitResult):
    """DataFrame: group, level, term, estimate, std_error (conditional mode and its sd)."""
    import pandas as pd

    frames = []
    for factor in result.factors:
        J, k = factor.modes.shape
        sd = np.sqrt(np.maximum(np.einsum("jaa->ja", factor.conditional_covariance), 0.0))
        frames.append(
            pd.DataFrame(
                {
                    "group": factor.group,
                    "level": np.repeat(factor.levels, k),
                    "term": np.tile(np.array(factor.effects, dtype=object), J),
                    "estimate": factor.modes.ravel(),
                    "std_error": sd.ravel(),
                }
            )
        )
    if not frames:
        columns = ["group", "level", "term", "estimate", "std_error"]
        return pd.DataFrame({c: [] for c in columns})
    return pd.concat(frames, ignore_index=True)
