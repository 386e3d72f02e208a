"""What displays read off a model and its data."""

from __future__ import annotations

from copy import copy

import numpy as np

__all__ = ["check_columns", "display_level", "events", "frame_of", "levels_of", "predicting"]


def predicting(model, prediction: str):
    """The fitted model, unchanged, as one that predicts another way."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model, "result_")
    out = copy(model)
    out.prediction = prediction
    return out


def frame_of(X):
    """X as a pandas frame; columns of an array are x0, x1, ..."""
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return X
    if isinstance(X, dict):
        return pd.DataFrame(X)
    if hasattr(X, "to_pandas"):
        return X.to_pandas()
    if hasattr(X, "toarray"):
        X = X.toarray()
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must be a data frame or a 2-d array, got shape {X.shape}")
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def check_columns(frame, names, argument: str) -> None:
    """Refuse names that are not columns."""
    for name in names:
        if name not in frame.columns:
            raise ValueError(
                f"{argument}: column {name!r} is not in X, whose columns are "
                f"{', '.join(map(str, frame.columns))}"
            )


def events(model, X, y) -> np.ndarray:
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
