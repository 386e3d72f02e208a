"""Simulated pupils in schools."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state

__all__ = ["make_schools"]


def make_schools(
    n_schools: int = 10,
    n_students: int = 50,
    *,
    intercept: float = -1.0,
    experience_effect: float = 0.5,
    funding_effect: float = 0.01,
    school_sd: float = 1.0,
    experience_mean: float = 5.0,
    experience_sd: float = 2.0,
    funding_mean: float = 100.0,
    funding_sd: float = 20.0,
    random_state=None,
    return_X_y: bool = False,
):
    """Pupils who pass or fail, in schools that differ.

    ``pass ~ Bernoulli(logistic(intercept + experience_effect * experience
    + funding_effect * funding + school))`` with school effects N(0, school_sd^2), teacher
    experience N(5, 2^2) per pupil and funding N(100, 20^2) per school.

    Parameters
    ----------
    n_schools, n_students : int
        Schools, and pupils in each.
    intercept, experience_effect, funding_effect, school_sd : float
        Parameters of the model.
    experience_mean, experience_sd, funding_mean, funding_sd : float
        Of the covariates.
    random_state : int, RandomState or None, default=None
        Of the draws.
    return_X_y : bool, default=False
        Return (data, target) alone.

    Returns
    -------
    Bunch
        frame (school, experience, funding, passed), data, target, school_effects (n_schools,),
        coefficients (dict), DESCR.

    Raises
    ------
    ValueError
        Fewer than one school or pupil.

    Examples
    --------
    >>> from sklearn_mllm.datasets import make_schools
    >>> make_schools(n_schools=3, n_students=4, random_state=0).frame.shape
    (12, 4)
    """
    import pandas as pd

    if not all(isinstance(n, Integral) and n >= 1 for n in (n_schools, n_students)):
        raise ValueError(
            f"n_schools and n_students must be integers >= 1, got {n_schools!r} and {n_students!r}"
        )
    generator = check_random_state(random_state)
    effects = generator.normal(0.0, school_sd, n_schools)
    funding = generator.normal(funding_mean, funding_sd, n_schools)
    school = np.repeat(np.arange(n_schools), n_students)
    experience = generator.normal(experience_mean, experience_sd, n_schools * n_students)
    eta = intercept + experience_effect * experience + funding_effect * funding[school]
    eta += effects[school]
    passed = (generator.uniform(size=eta.shape[0]) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame(
        {
            "school": school + 1,
            "experience": experience,
            "funding": funding[school],
            "passed": passed,
        }
    )
    data = frame.drop(columns="passed")
    if return_X_y:
        return data, frame["passed"]
    return Bunch(
        data=data,
        target=frame["passed"],
        frame=frame,
        feature_names=list(data.columns),
        target_names=np.array([0, 1]),
        school_effects=effects,
        coefficients={
            "Intercept": intercept,
            "experience": experience_effect,
            "funding": funding_effect,
        },
        DESCR=make_schools.__doc__,
    )
