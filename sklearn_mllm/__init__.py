"""Multilevel (mixed-effects) logistic regression as a scikit-learn classifier."""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

#: Public name -> module that holds it; loaded when first used.
_PLACES = {
    "MixedLogisticClassifier": "estimator",
    "Prior": "objective.prior",
    "compare_models": "inference",
    "marginal_coefficients": "inference",
    "marginal_effects": "inference",
    "marginaleffects_model": "inference",
    "robust_covariance": "inference",
    "anova": "inference",
    "contrast": "inference",
    "odds_ratios": "inference",
    "confidence_intervals": "inference",
    "icc": "inference",
    "laplace_error": "inference",
    "r2": "inference",
    "standardized_effects": "inference",
    "poststratify": "prediction.poststratify",
    "report": "presentation.report",
    "CalibrationByGroupDisplay": "presentation",
    "PredictedProbabilityDisplay": "presentation",
    "ProfileDisplay": "presentation",
    "RandomEffectsDisplay": "presentation",
    "ResidualDisplay": "presentation",
    "SmoothedProportionDisplay": "presentation",
}

__all__ = sorted([*_PLACES, "datasets"])


def __getattr__(name: str):
    if name == "datasets":
        return import_module(".datasets", __name__)
    if name in _PLACES:
        value = getattr(import_module(f".{_PLACES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
