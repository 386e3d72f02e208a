"""Figures, by scikit-learn's Display protocol: made once, plotted and restyled as often as wished."""

from __future__ import annotations

from .calibration_by_group import CalibrationByGroupDisplay
from .predicted_probability import PredictedProbabilityDisplay
from .profile import ProfileDisplay
from .random_effects import RandomEffectsDisplay
from .residual import ResidualDisplay
from .smoothed_proportion import SmoothedProportionDisplay

__all__ = [
    "CalibrationByGroupDisplay",
    "PredictedProbabilityDisplay",
    "ProfileDisplay",
    "RandomEffectsDisplay",
    "ResidualDisplay",
    "SmoothedProportionDisplay",
]
