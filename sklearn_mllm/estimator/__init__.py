"""The estimator: parameters, validation and scikit-learn's contract."""

from .classifier import MixedLogisticClassifier

__all__ = ["MixedLogisticClassifier"]
