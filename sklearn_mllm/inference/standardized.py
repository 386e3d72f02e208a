"""Standardised coefficients by a refit on standardised data (Gelman 2008; effectsize in R)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np

__all__ = ["standardized_effects"]

_DOMAIN = re.compile(r"\b(log|log2|log10|log1p|sqrt)\(")


def standardized_effects(
    model,
    X,
    y=None,
    groups=None,
    sample_weight=None,
    offset=None,
    *,
    keep: str | Sequence[str] = (),
):
    """Coefficients of the same model on numeric predictors of mean 0 and standard deviation 1.

    Every numeric column of the formula is standardised before the formula is evaluated, by its mean
    and standard deviation (divisor n - 1, unweighted) over the rows of the fit. A numeric column
    of two values, such as 0/1, is a number like any other and is standardised too, as R's
    effectsize does; name it in `keep`, or make it a factor or boolean, to leave it as it is.
    Factors, booleans, numbers in C(), grouping factors, offsets and the response stay as they are.
    A column that the formula takes a logarithm or a square root of is shifted after that, so that
    its smallest value is 1, or 0 for a root, as effectsize does.

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
    keep : str or sequence of str, default=()
        Numeric columns to leave as they are: two-valued ones that are read as groups, or those
        whose logarithm the formula takes.

    Returns
    -------
    DataFrame
        As `fixed_effects_`.

    Raises
    ------
    ValueError
        The data are not those of the fit, or `keep` names no numeric column of the formula.

    References
    ----------
    Gelman (2008), Statistics in Medicine 27(15); Ben-Shachar, Luedecke & Makowski (2020), Journal of
    Open Source Software 5(56), `standardize_parameters` with method="refit".

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, standardized_effects
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ age + I(age^2) + urban + ch + (1 | district)").fit(women)
    >>> standardized_effects(model, women)["estimate"].round(2).to_dict()
    {'Intercept': -1.01, 'age': 0.06, 'I(age ** 2)': -0.38, 'urban[T.Y]': 0.69, 'ch[T.Y]': 0.86}
    """
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted

    from ..design.table import is_frame, make_table
    from .refit import training_data

    check_is_fitted(model, "result_")
    data = training_data(model, X, y, groups, sample_weight, offset)
    table = make_table(X)
    frame = table.frame(list(table.columns))
    numeric = _numeric_columns(model.spec_, frame)
    kept = [keep] if isinstance(keep, str) else list(keep)
    for name in kept:
        if name not in numeric:
            raise ValueError(
                f"keep: {name!r} is no numeric column of the formula; they are {', '.join(numeric)}"
            )
    used = data.rows.matrices.rows
    changed = {}
    lowest = _lowest_values(model.spec_)
    for name in numeric:
        if name in kept:
            continue
        numbers = frame[name].astype(float)
        fitted = numbers if used is None else numbers[used]
        sd = float(fitted.std(ddof=1))
        if sd > 0.0:
            start = lowest.get(name)
            if start is None:
                changed[name] = (numbers - float(fitted.mean())) / sd
            else:
                changed[name] = (numbers - float(fitted.min())) / sd + start
    frame = frame.assign(**changed)
    again = clone(model).set_params(warm_start=False)
    with warnings.catch_warnings():
        # what the fit had to say of this model it has said
        warnings.simplefilter("ignore", UserWarning)
        again.fit(
            frame if is_frame(X) else frame.to_numpy(dtype=float),
            y,
            groups=groups,
            sample_weight=sample_weight,
            offset=offset,
        )
    if model.converged_ and not again.converged_:
        warnings.warn(
            f"the refit on standardised data did not converge: {again.convergence_.message}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return again.fixed_effects_


def _lowest_values(spec) -> dict[str, float]:
    """Columns inside a logarithm or a square root, and the smallest value to give them."""
    from ..formula.names import alias

    out: dict[str, float] = {}
    names = {alias(column): column for column in spec.columns}
    for design in (spec.fixed, *spec.effects):
        for factor in design.factors:
            for call in _DOMAIN.finditer(factor.text):
                inside = set(re.findall(r"[A-Za-z_]\w*", _argument(factor.text[call.end() :])))
                start = 0.0 if call[1] == "sqrt" else 1.0
                for column in (names[w] for w in inside & set(names)):
                    out[column] = max(out.get(column, 0.0), start)
    return out


def _argument(text: str) -> str:
    """What stands before the parenthesis that closes a call."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:place]
    return text


def _numeric_columns(spec, frame) -> list[str]:
    """Columns of X that the design takes as numbers."""
    import pandas as pd

    offsets = () if spec.offset is None else spec.offset.columns
    leave = {*spec.parsed.grouping_columns, *spec.parsed.response_columns, *offsets}
    leave |= set(spec.numeric_levels)
    return [
        name
        for name in spec.columns
        if name not in leave
        and name in frame
        and pd.api.types.is_numeric_dtype(frame[name])
        and not pd.api.types.is_bool_dtype(frame[name])
        and np.isfinite(frame[name].astype(float)).any()
    ]
