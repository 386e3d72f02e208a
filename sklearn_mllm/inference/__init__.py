"""Comparisons, intervals, tests and measures of fitted models."""

from .compare import compare_models
from .contrasts import contrast
from .explained import R2, icc, r2
from .intervals import confidence_intervals
from .laplace_check import laplace_error
from .marginaleffects_adapter import marginaleffects_model
from .margins import marginal_coefficients, marginal_effects
from .odds import odds_ratios
from .robust import robust_covariance
from .standardized import standardized_effects
from .term_tests import anova

__all__ = [
    "R2",
    "anova",
    "compare_models",
    "confidence_intervals",
    "contrast",
    "icc",
    "laplace_error",
    "marginal_coefficients",
    "marginal_effects",
    "marginaleffects_model",
    "odds_ratios",
    "r2",
    "robust_covariance",
    "standardized_effects",
]
