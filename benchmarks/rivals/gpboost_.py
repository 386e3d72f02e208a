"""gpboost: its generalised linear mixed model on a design made beforehand, with standard errors."""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np

NAME = "gpboost"


def available() -> bool:
    return find_spec("gpboost") is not None


def prepare(problem):
    """Numeric covariates and groups; None where the formula needs more than that."""
    frame = problem.frame
    bars = re.findall(r"\(([^|()]*)\|([^()]*)\)", problem.formula)
    names = [c for c in frame if re.fullmatch(r"x\d?", c)]
    if not names or any(":" in group for _, group in bars):
        return None
    groups = frame[[group.strip() for _, group in bars]].to_numpy()
    X = np.column_stack([np.ones(len(frame)), frame[names].to_numpy()])
    slope = frame[["x1"]].to_numpy() if "x1" in bars[0][0] else None
    return frame["y"].to_numpy(), X, groups, slope


def fit(problem, data) -> float:
    """Fit; the log-likelihood reached."""
    import gpboost

    y, X, groups, slope = data
    more = {}
    if slope is not None:
        more = {"group_rand_coef_data": slope, "ind_effect_group_rand_coef": [1]}
    model = gpboost.GPModel(group_data=groups, likelihood="bernoulli_logit", **more)
    model.fit(y=y, X=X, params={"trace": False})
    model.get_coef(std_err=True)
    return -model.get_current_neg_log_likelihood()
