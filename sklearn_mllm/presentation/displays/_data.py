"""What displays read off a model and its data."""

from __future__ import annotations

from copy import copy

import numpy as np

__all__ = [
    "check_columns",
    "counts",
    "display_level",
    "event_name",
    "levels_of",
    "predicting",
]


def predicting(model, prediction: str):
    """The fitted model, unchanged, as one that predicts another way."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model, "result_")
    out = copy(model)
    out.prediction = prediction
    return out


def check_columns(frame, names, argument: str) -> None:
    """Refuse names that are not columns."""
    for name in names:
        if name not in frame.columns:
            raise ValueError(
                f"{argument}: column {name!r} is not in X, whose columns are "
                f"{', '.join(map(str, frame.columns))}"
            )


def event_name(model) -> str:
    """What the probabilities are of: a class, or success where the response is counts."""
    from ...formula import Cbind

    counted = isinstance(model.spec_.parsed.response, Cbind)
    return "success" if counted else str(model.classes_[1])


def counts(model, X, y) -> tuple[np.ndarray, np.ndarray]:
    """Events and trials of each row, for y or the formula's own response.

    Parameters
    ----------
    model : MixedLogisticClassifier
    X : DataFrame of n rows
    y : array-like of shape (n,) or None
        Labels; for counts an array of shape (n, 2), successes and failures.

    Raises
    ------
    ValueError
        There is no response, or it is not one of this model.
    """
    from ...design.table import make_table
    from ...formula import Cbind, response_values

    parsed = model.spec_.parsed
    if isinstance(parsed.response, Cbind):
        if y is None:
            successes, failures = response_values(parsed, make_table(X))
        else:
            y = np.asarray(y, dtype=float)
            if y.shape != (len(X), 2):
                raise ValueError(
                    "y: the formula's left side is cbind(successes, failures): leave y out, or "
                    f"pass an array of shape ({len(X)}, 2), got {y.shape}"
                )
            successes, failures = y.T
        return np.asarray(successes, dtype=float), np.asarray(successes + failures, dtype=float)
    happened = _events(model, X, y)
    return happened, np.ones(happened.shape)


def _events(model, X, y) -> np.ndarray:
    """1.0 where the event happened, for labels y or the formula's own response column."""
    if y is None:
        name = model.spec_.parsed.response_name
        if name is None or name not in getattr(X, "columns", ()):
            raise ValueError(
                "y: pass the labels, or an X with the response column that the formula names"
            )
        y = X[name]
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y must be 1-dimensional labels, got shape {y.shape}")
    unknown = ~np.isin(y, model.classes_)
    if unknown.any():
        raise ValueError(
            f"y holds {y[unknown][0]}, which is not among the classes "
            f"{', '.join(map(str, model.classes_))}"
        )
    return (y == model.classes_[1]).astype(float)


def levels_of(column) -> list:
    """Levels that occur, in a Categorical's order or sorted."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        present = set(column.dropna().unique())
        return [level for level in column.cat.categories if level in present]
    values = list(column.dropna().unique())
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)


def display_level(name: str, level) -> str:
    """Words for one level: `ch = Y`."""
    if isinstance(level, float):
        level = f"{level:.3g}"
    return f"{name} = {level}"
