"""Linear contrasts of the fixed effects with a joint Wald test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import chi2

from ..result.wald import wald_columns

__all__ = ["contrast", "wald_statistic"]


def contrast(model, weights, *, value=0.0, level: float = 0.95, covariance=None):
    """Estimate linear combinations of the coefficients and test them, one by one and jointly.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    weights : dict, str, list of str, array-like of shape (p,) or (r, p), or data frame
        One combination: a dict of coefficient name -> weight (others are 0), or p numbers. Several:
        a matrix with p columns, a data frame whose columns are coefficients, or a dict of
        label -> dict or p numbers. A name, or a list of names: these coefficients.
    value : float or array-like of shape (r,), default=0
        What the combinations are under the null hypothesis.
    level : float, default=0.95
    covariance : data frame or ndarray of shape (p, p), optional
        Of the coefficients, e.g. from `robust_covariance`; the model's own by default.

    Returns
    -------
    DataFrame
        One row per combination: estimate, std_error, z, p_value, conf_low, conf_high. `.attrs` has
        the joint test: chi2, df (the rank of the weights) and p_value.

    Raises
    ------
    ValueError
        Unknown or aliased coefficients, or weights of the wrong shape.

    References
    ----------
    Wald (1943), Transactions of the American Mathematical Society 54(3).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, contrast
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + livch + (1 | district)").fit(women)
    >>> table = contrast(model, {"livch[T.2]": 1, "livch[T.1]": -1})
    >>> table.columns.tolist()
    ['estimate', 'std_error', 'z', 'p_value', 'conf_low', 'conf_high']
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame

    check_is_fitted(model, "result_")
    result = model.result_
    labels, L = _weight_matrix(weights, result.names)
    used = result.aliased & (L != 0.0).any(axis=0)
    if used.any():
        names = ", ".join(repr(n) for n, a in zip(result.names, used, strict=True) if a)
        raise ValueError(f"weights: {names} was left out of the fit as aliased; give it weight 0")
    null = np.asarray(value, dtype=float)
    if null.shape not in ((), (1,), (L.shape[0],)):
        raise ValueError(
            f"value has shape {null.shape}; pass one number or one for each of the {L.shape[0]} "
            "combinations"
        )
    V = covariance_matrix(result, covariance)
    estimate = L @ result.fixed
    C = L @ V @ L.T
    error = np.sqrt(np.maximum(np.diag(C), 0.0))
    table = PrintedFrame(wald_columns(estimate, error, level, null=null), index=labels)
    statistic, df = wald_statistic(estimate - null, C)
    p = float(chi2.sf(statistic, df)) if df else np.nan
    table.attrs.update(chi2=statistic, df=df, p_value=p, level=level)
    return table


def wald_statistic(difference: np.ndarray, covariance: np.ndarray) -> tuple[float, int]:
    """d' V^- d and the rank of V, found on the scale of correlations."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    if not np.isfinite(covariance).all():
        return np.nan, int((scale != 0.0).sum())
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)
    coordinates = vectors.T @ (difference / scale)
    return float(np.sum(coordinates[kept] ** 2 / values[kept])), int(kept.sum())


def covariance_matrix(result, covariance=None, *, random: bool = False) -> np.ndarray:
    """Covariance of the coefficients, zero for aliased ones; `covariance` when it is given.

    Parameters
    ----------
    result : FitResult
    covariance : data frame or ndarray of shape (p, p) or (p + m, p + m), optional
        Of the coefficients, or of them and the variances and covariances of the random effects.
    random : bool, default=False
        Give the latter; where only the former is given, the random effects' covariance is held at
        its estimate.
    """
    p, m = len(result.names), len(result.theta)
    if covariance is None:
        slopes = result.parameter_slopes[: p + m if random else p]
        V = slopes @ slopes.T
    else:
        V = np.array(covariance, dtype=float)
        if V.shape not in ((p, p), (p + m, p + m)):
            wanted = f"{(p, p)}" + (f", or {(p + m, p + m)} with variances" if m else "")
            raise ValueError(f"covariance has shape {V.shape}; pass one of shape {wanted}")
        if not random:
            V = V[:p, :p]
        elif V.shape[0] == p:
            V = np.pad(V, (0, m))
    out = np.flatnonzero(result.aliased)
    V[out] = 0.0
    V[:, out] = 0.0
    return V


def _weight_matrix(weights, names: tuple[str, ...]) -> tuple[list, np.ndarray]:
    """Labels and matrix (r, p)."""
    if isinstance(weights, str):
        weights = [weights]
    if isinstance(weights, list | tuple) and weights and all(isinstance(w, str) for w in weights):
        weights = {name: {name: 1.0} for name in weights}
    if hasattr(weights, "columns") and hasattr(weights, "index"):
        rows = {label: dict(row) for label, row in weights.iterrows()}
    elif isinstance(weights, Mapping):
        if not weights:
            raise ValueError("weights is empty; name at least one coefficient")
        single = all(np.ndim(w) == 0 and not isinstance(w, Mapping) for w in weights.values())
        rows = {_label(weights): weights} if single else dict(weights)
    else:
        matrix = np.atleast_2d(np.asarray(weights, dtype=float))
        rows = {}
        for number, row in enumerate(matrix):
            rows[number] = row
    L = np.array([_row(row, names) for row in rows.values()])
    if not L.size or not np.isfinite(L).all():
        raise ValueError("weights must be finite numbers, at least one row of them")
    labels = list(rows)
    if labels == list(range(len(labels))):
        labels = [_label(dict(zip(names, row, strict=True))) for row in L]
    return labels, L


def _row(row, names: tuple[str, ...]) -> np.ndarray:
    if isinstance(row, Mapping):
        unknown = [name for name in row if name not in names]
        if unknown:
            raise ValueError(
                f"weights: {unknown[0]!r} is no coefficient of the model; they are "
                f"{', '.join(names)}"
            )
        return np.array([float(row.get(name, 0.0)) for name in names])
    out = np.asarray(row, dtype=float)
    if out.shape != (len(names),):
        raise ValueError(
            f"weights: a row has shape {out.shape}; the model has {len(names)} coefficients: "
            f"{', '.join(names)}"
        )
    return out


def _label(row: Mapping) -> str:
    """The combination in words: `a - 0.5*b`."""
    text = ""
    for name, weight in row.items():
        weight = float(weight)
        if weight == 0.0:
            continue
        size = "" if abs(weight) == 1.0 else f"{abs(weight):g}*"
        sign = (" - " if weight < 0 else " + ") if text else ("-" if weight < 0 else "")
        text += f"{sign}{size}{name}"
    return text or "0"
