"""statsmodels: BinomialBayesMixedGLM by variational Bayes (`fit_vb`), its only mixed logit.

It approximates a posterior (normal priors on coefficients and on log standard deviations, sd 2
and 1) by independent normals; it does not maximise the marginal likelihood. The log-likelihood
shown is the Laplace one at its posterior means, evaluated apart from the timing.
"""

from __future__ import annotations

import re
import time
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd

NAME = "statsmodels (VB)"
#: Beyond these a fit takes many minutes (1,756 random effects: six), and the evaluation is dense.
MAX_ROWS, MAX_EFFECTS = 10_000, 500


def available() -> bool:
    return find_spec("statsmodels") is not None


def prepare(problem):
    """Formulas of fixed effects and variance components; None where effects are correlated."""
    bars = re.findall(r"\(([^|()]*)\|([^()]*)\)", problem.formula)
    if len(problem.frame) > MAX_ROWS or any(left.strip() != "1" for left, _ in bars):
        return None
    fixed = re.sub(r"\s*\+\s*\([^()]*\|[^()]*\)", "", problem.formula).replace("^", "**")
    frame = problem.frame.copy()
    components, codes = {}, []
    for number, (_, group) in enumerate(bars):
        names = [name.strip() for name in group.split(":")]
        level = frame[names].astype(str).agg(":".join, axis=1) if len(names) > 1 else None
        column = f"group{number}"
        frame[column] = frame[names[0]].astype(str) if level is None else level
        components[column] = f"0 + C({column})"
        codes.append(pd.factorize(frame[column], sort=True)[0])
    if sum(code.max() + 1 for code in codes) > MAX_EFFECTS:
        return None
    return fixed, components, frame, codes


def fit(problem, data) -> tuple[float, float]:
    """Fit; the Laplace log-likelihood at its means, and the seconds of the call."""
    from dense_laplace import dense_laplace
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    fixed, components, frame, codes = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        model = BinomialBayesMixedGLM.from_formula(fixed, components, frame)
        result = model.fit_vb()
        seconds = time.perf_counter() - began
    n = len(frame)
    value = dense_laplace(
        np.asarray(model.exog), np.asarray(model.endog, dtype=float), np.ones(n), np.zeros(n),
        [(code, np.ones((n, 1))) for code in codes], "logit", result.fe_mean,
        [np.array([[np.exp(2.0 * log_sd)]]) for log_sd in result.vcp_mean],
    )  # fmt: skip
    return value, seconds
