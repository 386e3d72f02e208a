"""Comparisons, intervals, tests and measures of fitted models."""

from .compare import compare_models
from .explained import R2, icc, r2
from .intervals import confidence_intervals
from .laplace_check import laplace_error
from .standardized import standardized_effects

__all__ = [
    "R2",
    "compare_models",
    "confidence_intervals",
    "icc",
    "laplace_error",
    "r2",
    "standardized_effects",
]
