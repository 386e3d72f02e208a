"""glmm from PyPI (Rust)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

NAME = "glmm"


def available() -> bool:
    return find_spec("glmm") is not None


def prepare(problem):
    return problem.frame


def fit(problem, data) -> float:
    """Fit; the log-likelihood reached."""
    import glmm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glmm.fit(data, problem.formula, "binomial").loglik
