"""The response: two labels of any type, or counts of successes and failures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Response", "counts_response", "encode_response", "learn_response"]


@dataclass(frozen=True, eq=False)
class Response:
    """Weighted successes and trials of the rows in use."""

    classes: np.ndarray
    successes: np.ndarray
    trials: np.ndarray | None
    constant: float


def learn_response(y, counts, weights: np.ndarray | None, classes=None) -> Response:
    """Response from labels `y`, or from `counts` = (successes, failures), times weights."""
    if counts is not None:
        successes, trials, constant = counts_response(*counts, weights)
        labels = np.array([0, 1]) if classes is None else classes
    else:
        labels, successes = encode_response(y, classes)
        trials, constant = None, 0.0
    if weights is not None:
        successes = successes * weights
        trials = weights.copy() if trials is None else trials * weights
    return Response(labels, successes, trials, constant)


def encode_response(y, classes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels to 0/1; the second of the sorted labels is the event.

    Parameters
    ----------
    y : array-like of shape (n,)
    classes : ndarray of shape (2,), optional
        Labels of an earlier fit.

    Returns
    -------
    classes : ndarray of shape (2,)
    events : ndarray of shape (n,), float64

    Raises
    ------
    ValueError
        Not two labels, missing or continuous values.
    """
    values = _plain(y)
    if values.dtype.kind == "b":
        found = np.array([False, True])[[bool(not values.all()), bool(values.any())]]
        codes = values.astype(np.intp) if found.size == 2 else np.zeros(len(values), dtype=np.intp)
    else:
        codes, found = _factorize(values)
    if classes is not None:
        known = {label: i for i, label in enumerate(classes.tolist())}
        strange = [v for v in found.tolist() if v not in known]
        if strange:
            raise ValueError(
                f"y holds label(s) {strange} that were not in fit ({classes.tolist()})"
            )
        place = np.array([known[v] for v in found.tolist()], dtype=float)
        return classes, place[codes]
    if found.size < 2:
        raise ValueError(
            "y must hold two classes; this solver needs samples of at least 2 classes in the data, "
            f"but the data contains only one class: {found.tolist()[0]!r}"
        )
    return found, codes.astype(float)


def _factorize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the sorted labels, without a sort of all values."""
    import pandas as pd

    if values.dtype.kind in "iuf":
        events = values == 1
        if (events | (values == 0)).all():
            both = events.any() and not events.all()
            found = np.array([0, 1] if both else [int(events.any())], dtype=values.dtype)
            return events.view(np.int8) if both else np.zeros(len(values), dtype=np.intp), found
    codes, found = pd.factorize(values)
    absent = int((codes < 0).sum())
    if absent:
        raise ValueError(
            f"y holds {absent} missing value(s) (Input y contains NaN); drop those rows or set "
            "missing='drop'"
        )
    found = np.asarray(found)
    if found.size > 2 or found.dtype.kind == "f":
        _check_labels(values, found)
    if values.dtype.kind in "US":
        found = found.astype(values.dtype)
    try:
        order = np.argsort(found, kind="stable")
    except TypeError as error:
        raise ValueError(
            f"y mixes labels that cannot be ordered: {found.tolist()}; use one type"
        ) from error
    rank = np.empty(found.size, dtype=np.intp)
    rank[order] = np.arange(found.size)
    return rank[codes], found[order]


def _plain(y) -> np.ndarray:
    """y as a 1-d array, Python booleans and integers as such."""
    import pandas as pd

    values = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"y must be 1-dimensional, one label for each row, got an array of shape {values.shape}"
        )
    if values.dtype.kind == "O" and values.size and not isinstance(values[0], str):
        plain = {"boolean": bool, "integer": np.int64}.get(
            pd.api.types.infer_dtype(values, skipna=False)
        )
        if plain is not None:
            return values.astype(plain)
    return values


def _check_labels(values: np.ndarray, found: np.ndarray) -> None:
    from sklearn.utils.multiclass import check_classification_targets, type_of_target

    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError("Input y contains NaN or infinity; drop those rows")
    try:
        check_classification_targets(values)
    except ValueError as error:
        advice = "for proportions of known size write cbind(successes, failures) on the left side"
        raise ValueError(f"{error} Here {advice} of the formula.") from None
    if found.size > 2:
        kind = type_of_target(values, input_name="y", raise_unknown=True)
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{kind}: y has {found.size} labels, {sorted(map(str, found.tolist()))[:6]}; join "
            "labels, or fit one model for each"
        )


def counts_response(
    successes: np.ndarray, failures: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Successes, trials and the sum of log binomial coefficients.

    Raises
    ------
    ValueError
        Negative or missing counts, or no trial at all.
    """
    from scipy.special import gammaln

    for name, values in (("successes", successes), ("failures", failures)):
        if not np.isfinite(values).all():
            raise ValueError(f"cbind: {name} hold missing or infinite values; drop those rows")
        if (values < 0).any():
            raise ValueError(
                f"cbind: {name} are negative in {int((values < 0).sum())} row(s); it takes "
                "cbind(successes, failures), counts >= 0"
            )
    trials = successes + failures
    if not trials.any():
        raise ValueError("cbind: there is no trial in any row")
    if successes.sum() in (0.0, trials.sum()):
        raise ValueError(
            "cbind: the data contains only one class, every trial is a "
            f"{'failure' if successes.sum() == 0.0 else 'success'}"
        )
    terms = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(failures + 1.0)
    constant = float(terms.sum() if weights is None else terms @ weights)
    return np.asarray(successes, dtype=float), np.asarray(trials, dtype=float), constant
