"""lme4 (R): glmer by Laplace with its default settings, standard errors included.

The time is taken inside R around the fit call on a data frame that is there already.
"""

from __future__ import annotations

from .r_process import RProcess, installed_version

NAME = "lme4"
#: Beyond this a fit takes many minutes.
MAX_ROWS = 100_000


def version() -> str | None:
    return installed_version("lme4")


def available() -> bool:
    return version() is not None


def prepare(problem):
    if len(problem.frame) > MAX_ROWS:
        return None
    return RProcess("lme4", "glmer(model, data = frame, family = binomial)", problem)


def fit(problem, data) -> tuple[float, float]:
    """Fit; the log-likelihood reached and the seconds of the call."""
    return data.fit()
