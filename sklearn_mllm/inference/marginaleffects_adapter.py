"""Fitted models for the `marginaleffects` package: its model interface, on our own prediction."""

from __future__ import annotations

import numpy as np

from ..prediction.probabilities import effect_variance_weights

__all__ = ["MarginalEffectsModel", "marginaleffects_model"]


def marginaleffects_model(model, X, *, prediction: str = "typical", covariance=None):
    """What the functions of the `marginaleffects` package take for a fitted model.

    `predictions`, `comparisons`, `slopes`, their averages, `datagrid` and `hypotheses` of that
    package then work with probabilities of the event, and with standard errors from the covariance
    of the coefficients, and of the random effects' variances where they are averaged over. That
    package is licensed under GPL-3.0-or-later, so it is neither a dependency nor an extra of this
    one: install it yourself (`pip install marginaleffects`). Nothing of it is part of this adapter,
    which has the methods that its functions call (seen in version 0.6) and is made known to it, when
    it is installed, as a virtual subclass of its base class. polars, which it needs, is needed here
    too; its version 0.6.0 fails on factors with polars 2, and takes them with polars 1.44.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X : data frame or array of shape (n, n_features)
        Rows that its functions average over by default, e.g. the training data. Rows that miss a
        predictor are left out. Factors become columns of type Enum, their reference level first.
    prediction : {"typical", "marginal"}, default="typical"
        Probabilities with the random effects at zero, or averaged over them. Averaging over random
        slopes needs the grouping columns in X.
    covariance : data frame or ndarray, optional
        As in `marginal_effects`; the model's own by default.

    Returns
    -------
    MarginalEffectsModel

    Raises
    ------
    ValueError
        X lacks a column of the formula, or `prediction` is unknown.
    ImportError
        polars is not installed.

    Notes
    -----
    An offset that was handed to `fit` as an array is not known here and counts as 0; offset() in the
    formula is. With "marginal" the coefficients are followed by the variances and covariances of
    the random effects. The package takes derivatives by forward differences with a tiny step;
    `eps_vcov=1e-6` gives errors of slopes more digits.

    References
    ----------
    Arel-Bundock, Greifer & Heiss (2024), How to interpret statistical models using marginaleffects
    for R and Python, Journal of Statistical Software 111(9).

    Examples
    --------
    With the package installed, ``avg_slopes(marginaleffects_model(model, women))``. By itself:

    >>> from sklearn_mllm import MixedLogisticClassifier, marginaleffects_model
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> adapter = marginaleffects_model(model, women)
    >>> adapter.find_predictors()
    ['urban', 'ch']
    >>> adapter.get_predict(adapter.get_coef(), women[:2])["estimate"].round(3).to_list()
    [0.561, 0.319]
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model, "result_")
    adapter = MarginalEffectsModel(model, X, prediction=prediction, covariance=covariance)
    try:
        from marginaleffects.classes.model import ModelAbstract
    except ImportError:
        return adapter
    ModelAbstract.register(MarginalEffectsModel)
    return adapter


class MarginalEffectsModel:
    """Coefficients, covariance, columns and predictions under the names `marginaleffects` uses.

    Made by `marginaleffects_model`.

    Attributes
    ----------
    model : MixedLogisticClassifier
    response_name : str
        The left side of the formula, "" when labels were given apart.
    """

    def __init__(self, model, X, *, prediction: str = "typical", covariance=None) -> None:
        from .contrasts import covariance_matrix
        from .margins import PREDICTIONS

        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction={prediction!r} is not one of 'typical', 'marginal'")
        self.model = model
        self.prediction = prediction
        self.response_name = model.spec_.parsed.response_name or ""
        result = model.result_
        averaged = prediction == "marginal"
        self._names = [*result.names, *(result.random_names if averaged else ())]
        self._values = np.concatenate([result.fixed, result.random_values if averaged else []])
        self._vcov = covariance_matrix(result, covariance, random=averaged)
        self._data = _model_data(model, X)
        self._types = {
            name: _kind(model.spec_, name, self._data[name]) for name in self._predictors
        }

    @property
    def _predictors(self) -> list[str]:
        return list(self.model.spec_.fixed.columns)

    def get_modeldata(self):
        """The rows to average over, a polars frame."""
        return self._data

    def get_coef(self) -> np.ndarray:
        """Coefficients, 0 where aliased, and with "marginal" variances; shape (r,)."""
        return self._values.copy()

    def get_coefnames(self) -> np.ndarray:
        """Their names, shape (r,)."""
        return np.array(self._names)

    def get_vcov(self, vcov: bool = True) -> np.ndarray | None:
        """Covariance of `get_coef`, shape (r, r); None for `vcov=False`.

        Raises
        ------
        ValueError
            The name of an estimator, such as "HC3".
        """
        if vcov is None or isinstance(vcov, bool):
            return self._vcov.copy() if vcov else None
        raise ValueError(
            f"vcov={vcov!r}: pass True, False or a matrix; robust_covariance(model, X) has one"
        )

    def get_formula(self) -> str:
        """A formula with the predictors' names alone, by which rows without a value are dropped."""
        return "~ " + (" + ".join(f"`{name}`" for name in self._predictors) or "1")

    def get_formula_engine(self) -> str:
        """Who reads `get_formula`."""
        return "formulaic"

    def get_package(self) -> str:
        """Where the model comes from."""
        return "sklearn_mllm"

    def get_variable_type(self, name: str | None = None):
        """Type of a predictor, or a dict of all types: numeric, integer, binary, boolean, character."""
        return self._types[name] if name in self._types else self._types

    def set_variable_type(self, name: str, value: str) -> None:
        """Treat a predictor as one of another type."""
        self._types[name] = value

    def find_variables(self) -> list[str]:
        """The response and the predictors."""
        return [self.response_name, *self._predictors]

    def find_response(self) -> str:
        """The response, "" when labels were given apart."""
        return self.response_name

    def find_predictors(self) -> list[str]:
        """Columns of the fixed side."""
        return self._predictors

    def get_autodiff_args(self) -> None:
        """None: derivatives are differences."""
        return None

    def get_exog(self, newdata) -> np.ndarray:
        """Design of new rows: columns of the coefficients, the offset, columns of random effects.

        Parameters
        ----------
        newdata : data frame of n rows

        Returns
        -------
        ndarray of shape (n, p + 1 + q)
            The last q only with "marginal".

        Raises
        ------
        ValueError
            A row misses a predictor.
        """
        from .margins import _Design

        design = _Design(self.model, newdata, self.prediction)
        n = design.X.shape[0]
        if n != len(newdata):
            raise ValueError(f"{len(newdata) - n} of {len(newdata)} rows miss a predictor")
        offset = np.zeros(n) if design.offset is None else design.offset
        Z = [np.broadcast_to(z, (n, z.shape[1])) for z in design.Z]
        return np.column_stack([design.X, offset, *Z])

    def get_predict(self, params, newdata):
        """Probabilities of the event.

        Parameters
        ----------
        params : array-like of shape (r,)
            As `get_coef`.
        newdata : data frame or ndarray of shape (n, p + 1 + q)
            Rows, or what `get_exog` made of them.

        Returns
        -------
        polars.DataFrame
            Columns rowid and estimate.
        """
        import polars as pl

        from ..links import get_link

        if not isinstance(newdata, np.ndarray):
            newdata = self.get_exog(newdata)
        result, params = self.model.result_, np.asarray(params, dtype=float)
        p = len(result.names)
        eta = newdata[:, :p] @ params[:p] + newdata[:, p]
        variance = np.zeros(len(newdata))
        column, at = p + 1, p
        for term in result.terms if self.prediction == "marginal" else ():
            k = len(term.effects)
            weights = effect_variance_weights(newdata[:, column : column + k])
            variance += weights @ params[at : at + weights.shape[1]]
            column, at = column + k, at + weights.shape[1]
        # differences may step below zero at a variance of zero
        probability = get_link(result.link).averaged(eta, np.sqrt(np.maximum(variance, 0.0)))
        rowid = np.arange(len(newdata), dtype=np.int32)
        return pl.DataFrame({"rowid": rowid, "estimate": probability})


def _model_data(model, X):
    """The rows of X without a missing predictor, as a polars frame; text as Enum."""
    import pandas as pd
    import polars as pl

    from .margins import _frame

    spec, frame = model.spec_, _frame(X)
    missing = [name for name in spec.columns if name not in frame]
    if missing:
        raise ValueError(f"X lacks column(s) of the formula: {', '.join(map(repr, missing))}")
    frame = frame[frame[list(spec.columns)].notna().all(axis=1)]
    columns = {}
    for name in frame.columns:
        values = frame[name]
        learnt = spec.levels.get(name)
        if learnt is not None and not pd.api.types.is_bool_dtype(values):
            columns[str(name)] = _enum(values, list(learnt.values))
        elif pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            columns[str(name)] = pl.Series(values.to_numpy(), nan_to_null=True)
        elif isinstance(values.dtype, pd.CategoricalDtype):
            columns[str(name)] = _enum(values, list(values.cat.categories))
        elif values.dtype == object or pd.api.types.is_string_dtype(values):
            columns[str(name)] = _enum(values, sorted(values.dropna().unique(), key=str))
        else:
            columns[str(name)] = pl.from_pandas(values.reset_index(drop=True))
    return pl.DataFrame(columns)


def _enum(values, levels: list):
    """A polars Series of labels in the order of the levels."""
    import pandas as pd
    import polars as pl

    from ..formula.levels import text_of

    texts = [None if pd.isna(v) else text_of(v) for v in values]
    labels = [text_of(v) for v in levels]
    labels += sorted({t for t in texts if t is not None} - set(labels))
    return pl.Series(texts, dtype=pl.Enum(labels))


def _kind(spec, name: str, values) -> str:
    """Type of a predictor, in the package's words."""
    import polars as pl

    if values.dtype == pl.Boolean:
        return "boolean"
    if name in spec.numeric_levels or isinstance(values.dtype, pl.Enum):
        return "character"
    if np.isin(values.to_numpy(), [0, 1]).all():
        return "binary"
    return "integer" if values.dtype.is_integer() else "numeric"
