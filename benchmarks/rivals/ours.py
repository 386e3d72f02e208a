"""sklearn_mllm."""

from __future__ import annotations

NAME = "sklearn_mllm"


def available() -> bool:
    return True


def prepare(problem):
    return problem.frame


def fit(problem, data) -> float:
    """Fit; the log-likelihood reached."""
    from sklearn_mllm import MixedLogisticClassifier

    return MixedLogisticClassifier(problem.formula).fit(data).log_likelihood_
