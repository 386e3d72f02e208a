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
    X : data frame or array of shape (n, n_features)
        The training data, as in `fit`.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.

    Returns
    -------
    DataFrame
        As `fixed_effects_`.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, standardized_effects
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ age + I(age^2) + urban + ch + (1 | district)").fit(women)
    >>> standardized_effects(model, women)["estimate"].round(2).to_dict()
    {'Intercept': -1.01, 'age': 0.06, 'I(age ** 2)': -0.38, 'urban[T.Y]': 0.69, 'ch[T.Y]': 0.86}
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
