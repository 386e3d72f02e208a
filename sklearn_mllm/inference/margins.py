"""Average marginal effects and population-averaged coefficients, with delta-method errors."""

from __future__ import annotations

import numpy as np

from ..prediction.probabilities import effect_variance, effect_variance_weights
from ..result.wald import wald_columns

__all__ = ["marginal_coefficients", "marginal_effects"]

PREDICTIONS = ("marginal", "typical")


def marginal_effects(
    model,
    X,
    groups=None,
    *,
    variables=None,
    prediction: str = "marginal",
    level: float = 0.95,
    covariance=None,
    offset=None,
):
    """Average effect of each predictor on the probability of the event.

    For a number, the mean over the rows of dp/dx; for a factor, the mean difference of p with every
    row at a level and at the reference.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X : data frame or array of shape (n, n_features)
        Rows to average over, e.g. the training data.
    groups : array-like of shape (n,), data frame or dict, optional
        As in `fit`; they only matter to models with random slopes that were fitted with them.
    variables : str or list of str, optional
        Columns; all predictors of the fixed side by default.
    prediction : {"marginal", "typical"}, default="marginal"
        Probabilities averaged over the random effects, or with them at zero.
    level : float, default=0.95
    covariance : data frame or ndarray, optional
        Of the coefficients and the variances, e.g. from `robust_covariance` with
        ``variances=True``; one of the coefficients alone, (p, p), holds the random effects'
        covariance at its estimate.
    offset : array-like of shape (n,), optional
        As in `fit`.

    Returns
    -------
    DataFrame
        Index: `age` for a number, `ch[Y - N]` for a factor. Columns estimate, std_error, z, p_value,
        conf_low, conf_high. Errors carry the joint uncertainty of the coefficients and of the random
        effects' covariance.

    Raises
    ------
    ValueError
        A column of the formula is not in X, or a variable is none of the fixed side.

    References
    ----------
    Leeper (2021), margins: marginal effects for model objects; Hedeker, du Toit, Demirtas & Gibbons
    (2018), Biometrics 74(1), for averaging over the random effects.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, marginal_effects
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> marginal_effects(model, women)[["estimate", "conf_low", "conf_high"]].round(2)
                  estimate  conf_low  conf_high
    urban[Y - N]      0.16      0.11       0.21
    ch[Y - N]         0.20      0.16       0.25
    """
    from sklearn.utils.validation import check_is_fitted

    from .contrasts import covariance_matrix

    check_is_fitted(model, "result_")
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction={prediction!r} is not one of 'marginal', 'typical'")
    V = covariance_matrix(model.result_, covariance, random=True)
    frame = _frame(X)
    labels, estimates, slopes = [], [], []
    for name in _variables(model, frame, variables):
        for label, first, second, divisor in _scenarios(model, frame, name):
            high, low = (
                _Design(model, rows, prediction, groups, offset).mean_probability()
                for rows in (second, first)
            )
            labels.append(label)
            estimates.append((high[0] - low[0]) / divisor)
            slopes.append((high[1] - low[1]) / divisor)
    return _table(labels, np.array(estimates), np.array(slopes), V, level)


def marginal_coefficients(
    model, X, groups=None, *, level: float = 0.95, covariance=None, offset=None
):
    """Population-averaged coefficients of a mixed model.

    The least-squares coefficients of link(P) on the design, P the probabilities of the rows of X
    averaged over the random effects: what a regression without random effects would estimate.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X : data frame or array of shape (n, n_features)
        Rows to average over, e.g. the training data.
    groups : array-like of shape (n,), data frame or dict, optional
        As in `fit`; they only matter to models with random slopes that were fitted with them.
    level : float, default=0.95
    covariance : data frame or ndarray, optional
        As in `marginal_effects`.
    offset : array-like of shape (n,), optional
        As in `fit`.

    Returns
    -------
    DataFrame
        As `fixed_effects_`, NaN for aliased coefficients. Errors carry the joint uncertainty of the
        coefficients and of the random effects' covariance.

    Raises
    ------
    ValueError
        Too few rows to tell the coefficients apart, or columns that X lacks.

    References
    ----------
    Hedeker, du Toit, Demirtas & Gibbons (2018), Biometrics 74(1).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, marginal_coefficients
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> model.fixed_effects_["estimate"].round(2).to_dict()  # of one district
    {'Intercept': -1.48, 'urban[T.Y]': 0.72, 'ch[T.Y]': 1.0}
    >>> marginal_coefficients(model, women)["estimate"].round(2).to_dict()  # of all
    {'Intercept': -1.41, 'urban[T.Y]': 0.69, 'ch[T.Y]': 0.96}
    """
    from sklearn.utils.validation import check_is_fitted

    from .contrasts import covariance_matrix

    check_is_fitted(model, "result_")
    result = model.result_
    V = covariance_matrix(result, covariance, random=True)
    design = _Design(model, _frame(X), "marginal", groups, offset)
    kept = np.flatnonzero(~result.aliased)
    columns = design.X[:, kept]
    if np.linalg.matrix_rank(columns) < kept.size:
        raise ValueError(
            "X: these rows do not tell the coefficients apart; pass the training data or more rows"
        )
    projection = np.linalg.pinv(columns)
    averaged, gradient = design.predictor()
    if design.offset is not None:
        averaged = averaged - design.offset
    estimate = np.full(len(result.names), np.nan)
    estimate[kept] = projection @ averaged
    slopes = np.full((len(result.names), V.shape[0]), np.nan)
    slopes[kept] = projection @ gradient
    return _table(list(result.names), estimate, slopes, V, level)


class _Design:
    """Probabilities of fixed rows as a function of the coefficients and the random effects' covariance.

    Attributes
    ----------
    X : ndarray of shape (n, p)
    Z : list of ndarray of shape (n, k) or (1, k)
        One for each random-effects term that is averaged over.
    offset : ndarray of shape (n,) or None
    """

    def __init__(self, model, frame, prediction: str, groups=None, offset=None) -> None:
        from ..design.row_vectors import check_offset
        from ..design.table import make_table
        from ..links import get_link

        self.result = result = model.result_
        random = prediction == "marginal" and bool(result.terms)
        needs_effects = random and not all(e.is_intercept for e in model.spec_.effects)
        table = make_table(frame, groups)
        offset = check_offset(offset, table.n_rows)
        matrices = model.spec_.replay(table, random=needs_effects, missing=model.missing)
        if offset is not None and matrices.rows is not None:
            offset = offset[matrices.rows]
        if offset is not None and matrices.offset is not None:
            offset = offset + matrices.offset
        self.X = np.asarray(matrices.X)
        self.offset = matrices.offset if offset is None else offset
        self.link = get_link(result.link)
        one = np.ones((1, 1))
        self.Z = []
        for number in range(len(result.terms) if random else 0):
            Z = matrices.random[number].Z if needs_effects else None
            self.Z.append(one if Z is None else Z)

    def predictor(self) -> tuple[np.ndarray, np.ndarray]:
        """Linear predictor of the probabilities (n,), and its derivatives in (fixed, variances).

        The latter as `FitResult.random_values`.
        """
        n, p = self.X.shape
        eta = self.X @ self.result.fixed
        if self.offset is not None:
            eta = eta + self.offset
        slopes = np.zeros((n, p + len(self.result.theta)))
        if not self.Z:
            slopes[:, :p] = self.X
            return eta, slopes
        variance, at = np.zeros(n), p
        for term, Z in zip(self.result.terms, self.Z, strict=True):
            variance += effect_variance(term, Z)
            weights = effect_variance_weights(Z)
            slopes[:, at : at + weights.shape[1]] = weights
            at += weights.shape[1]
        middle, by_eta, by_variance = self.link.averaged_derivatives(eta, np.sqrt(variance))
        slopes[:, p:] *= by_variance[:, None]
        slopes[:, :p] = by_eta[:, None] * self.X
        return middle, slopes

    def mean_probability(self) -> tuple[float, np.ndarray]:
        """The probabilities' mean over the rows, and its derivatives in (fixed, variances)."""
        eta, slopes = self.predictor()
        return float(self.link.inverse(eta).mean()), self.link.density(eta) @ slopes / len(eta)


def _frame(X):
    """X as a pandas frame; columns of an array are x0, x1, ..."""
    import pandas as pd

    from ..design.table import make_table

    if isinstance(X, pd.DataFrame):
        return X
    table = make_table(X)
    return table.frame(list(table.columns))


def _variables(model, frame, variables) -> list[str]:
    known = list(model.spec_.fixed.columns)
    for name in known:
        if name not in frame:
            raise ValueError(
                f"X: column {name!r} of the formula is not among its columns, which are "
                f"{', '.join(map(str, frame.columns))}"
            )
    if variables is None:
        return known
    chosen = [variables] if isinstance(variables, str) else list(variables)
    for name in chosen:
        if name not in known:
            raise ValueError(
                f"variables: {name!r} is no column of the fixed side; they are {', '.join(known)}"
            )
    return chosen


def _scenarios(model, frame, name: str):
    """(label, rows before, rows after, divisor) of each effect of a column."""
    import pandas as pd

    spec = model.spec_
    levels = spec.levels.get(name) or spec.numeric_levels.get(name)
    if levels is None and not pd.api.types.is_bool_dtype(frame[name]):
        values = frame[name].astype(float)
        step = 1e-4 * max(float(values.std(ddof=0)), 1e-3 * abs(float(values.mean())), 1e-12)
        before, after = frame.assign(**{name: values - step}), frame.assign(**{name: values + step})
        return [(name, before, after, 2.0 * step)]
    if levels is None:
        values = [False, True]
    else:
        values = list(levels.values) if hasattr(levels, "values") else list(levels)
    reference = _constant(frame, name, values[0])
    return [
        (f"{name}[{v} - {values[0]}]", reference, _constant(frame, name, v), 1.0)
        for v in values[1:]
    ]


def _constant(frame, name: str, value):
    """The rows with one column at a level."""
    import pandas as pd

    column = pd.Series([value] * len(frame), index=frame.index)
    if isinstance(frame[name].dtype, pd.CategoricalDtype):
        column = column.astype(frame[name].dtype)
    return frame.assign(**{name: column})


def _table(labels, estimate: np.ndarray, slopes: np.ndarray, V: np.ndarray, level: float):
    from ..design.printed import PrintedFrame

    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.einsum("ra,ab,rb->r", slopes, V, slopes))
    return PrintedFrame(wald_columns(estimate, error, level), index=labels)
