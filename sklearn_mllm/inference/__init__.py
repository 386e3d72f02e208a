"""Comparisons, intervals, tests and measures of fitted models."""

from .compare import compare_models
from .explained import R2, icc, r2
from .intervals import confidence_intervals
from .standardized import standardized_effects

__all__ = ["R2", "compare_models", "confidence_intervals", "icc", "r2", "standardized_effects"]
