"""Standardised coefficients by a refit on standardised data (Gelman 2008; effectsize in R)."""

from __future__ import annotations

import numpy as np

__all__ = ["standardized_effects"]


def standardized_effects(model, X, y=None, groups=None, sample_weight=None, offset=None):
    """Coefficients of the same model on numeric predictors of mean 0 and standard deviation 1.

    Columns are standardised (divisor n - 1) before the formula is evaluated; factors and columns
    of two values stay as they are.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X, y, groups, sample_weight, offset
        The training data, as in `fit`.

    Returns
    -------
    DataFrame
        As `fixed_effects_`.
    """
    import pandas as pd
    from sklearn.base import clone
    from sklearn.utils.validation import check_is_fitted

    from ..design.table import is_frame, make_table

    check_is_fitted(model, "result_")
    spec = model.spec_
    table = make_table(X)
    names = list(table.columns)
    frame = table.frame(names)
    leave = {*spec.parsed.grouping_columns, *spec.parsed.response_columns}
    changed = {}
    for name in spec.columns:
        if name in leave or name not in frame:
            continue
        values = frame[name]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            continue
        numbers = values.astype(float)
        sd = numbers.std(ddof=1)
        if sd > 0.0 and np.unique(numbers.dropna()).size > 2:
            changed[name] = (numbers - numbers.mean()) / sd
    frame = frame.assign(**changed)
    data = frame if is_frame(X) else frame.to_numpy(dtype=float)
    again = clone(model).set_params(warm_start=False)
    again.fit(data, y, groups=groups, sample_weight=sample_weight, offset=offset)
    return again.fixed_effects_
