"""glmm from PyPI (Rust)."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

NAME = "glmm"


def available() -> bool:
    return find_spec("glmm") is not None


def prepare(problem):
    """The frame; None for crossed factors of many levels each, which it is not waited for."""
    bars = problem.formula.count("|")
    return None if bars > 1 and len(problem.frame) > 200_000 else problem.frame


def fit(problem, data) -> float:
    """Fit; the log-likelihood reached."""
    import glmm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glmm.fit(data, problem.formula, "binomial").loglik
