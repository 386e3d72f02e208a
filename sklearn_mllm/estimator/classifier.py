"""`MixedLogisticClassifier`: the scikit-learn estimator."""

from __future__ import annotations

import warnings

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from ..design.row_vectors import check_offset, check_weights
from .attributes import FittedAttributes
from .callbacks import CallbackSupportMixin, StepReporter, with_callbacks
from .checks import check_parameters
from .intake import input_table, training_rows
from .predicting import PredictionMixin

__all__ = ["MixedLogisticClassifier"]

_GROUPS = {"groups": True}
#: An offset that is routed to fit belongs to the score too.
_SCORED = {**_GROUPS, "offset": True}


class MixedLogisticClassifier(
    FittedAttributes, PredictionMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    """Multilevel (mixed-effects) logistic regression, by maximum likelihood.

    For row i in group j the event has probability p_ij with::

        link(p_ij) = offset_i + x_i' beta + z_i' b_j,    b_j ~ N(0, Sigma)

    beta and Sigma maximise the likelihood with b integrated out: by Laplace's approximation
    (``n_agq=1``) or adaptive Gauss-Hermite quadrature (``n_agq > 1``).

    Parameters
    ----------
    formula : str or None, default=None
        lme4 syntax, e.g. ``"use ~ age*ch + I(age^2) + urban + (1 | urban:district)"``. The left
        side is optional. None is ``~ . + (1 | groups)``.
    link : {"logit", "probit", "cloglog", "cauchit"}, default="logit"
        What turns a probability into the linear predictor.
    n_agq : int, default=1
        1: Laplace; k > 1: adaptive Gauss-Hermite quadrature with k points per dimension; 0: joint
        mode of coefficients and random effects, fast and rough.
    prior : Prior or None, default=None
        Penalty on coefficients or variances, for separated or tiny data.
    missing : {"raise", "drop"}, default="raise"
        What to do with rows that have a missing value in a column that the model uses. Dropped
        rows get NaN when predicted.
    prediction : {"conditional", "typical", "marginal"}, default="conditional"
        Random effects of known groups at their modes; all at zero; or averaged over.
    unseen_groups : {"marginal", "typical", "error"}, default="marginal"
        What conditional prediction does with a level that it has not seen.
    tol : float, default=1e-9
        Expected further gain in log-likelihood at which the search stops.
    max_iter : int, default=100
        Outer steps.
    warm_start : bool, default=False
        Start from the previous estimates.
    n_jobs : int or None, default=None
        Threads for passes over the rows.
    verbose : int, default=0
        1 prints a line per outer step.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels, sorted; the second is the event.
    coef_ : ndarray of shape (1, p)
        Coefficients without the intercept, 0 where aliased.
    intercept_ : ndarray of shape (1,)
        The intercept, 0 where the formula has none.
    fixed_effects_ : DataFrame
        Index: coefficient names. Columns estimate, std_error, z, p_value, conf_low, conf_high; NaN
        where aliased.
    covariance_ : DataFrame of shape (p, p)
        Of the coefficients, from the Hessian in coefficients and variances.
    variance_components_ : DataFrame
        One row per random effect: group, term, variance, std_dev.
    random_covariances_ : dict of str to DataFrame
        Covariance matrix of the effects of each grouping factor.
    random_effects_ : DataFrame
        group, level, term, estimate (conditional mode), std_error (given data and parameters).
    log_likelihood_ : float
        At the estimates, with the constants of binomial counts.
    deviance_ : float
        -2 log-likelihood.
    aic_ : float
        Akaike's criterion.
    bic_ : float
        Schwarz's criterion.
    df_model_ : int
        Number of parameters.
    df_residual_ : int
        Rows minus parameters.
    n_observations_ : int
        Rows used.
    n_groups_ : dict of str to int
        Levels of each grouping factor.
    n_iter_ : int
        Outer steps taken.
    converged_ : bool
        Whether the estimate is a maximum.
    is_singular_ : bool
        Whether a variance is zero or a correlation -1 or 1.
    convergence_ : Verdict
        The verdict with its figures, in words: `.message`.
    result_ : FitResult
        All estimates as arrays.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X had names.

    See Also
    --------
    compare_models : Likelihood-ratio tests and information criteria.
    confidence_intervals : Wald, profile and bootstrap intervals.
    report : The result in sentences.

    Notes
    -----
    The standard errors come from the exact second derivatives of the likelihood in coefficients
    and variances together. A fitted model keeps no training rows: functions that need the data
    again, such as profile intervals, take them as arguments.

    References
    ----------
    Bates, Maechler, Bolker & Walker (2015), Fitting linear mixed-effects models using lme4, Journal
    of Statistical Software 67(1), for the formula and the covariance factors; Pinheiro & Chao
    (2006), Journal of Computational and Graphical Statistics 15(1), for the approximations.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ age*ch + I(age^2) + urban + (1 | urban:district)")
    >>> model = model.fit(women)
    >>> round(model.log_likelihood_, 3)
    -1177.237
    >>> model.predict_proba(women.head(2)).round(3)
    array([[0.812, 0.188],
           [0.741, 0.259]])
    """

    __metadata_request__fit = _GROUPS
    __metadata_request__predict = _GROUPS
    __metadata_request__predict_proba = _GROUPS
    __metadata_request__predict_log_proba = _GROUPS
    __metadata_request__decision_function = _GROUPS
    __metadata_request__score = _SCORED

    def __init__(
        self,
        formula=None,
        *,
        link="logit",
        n_agq=1,
        prior=None,
        missing="raise",
        prediction="conditional",
        unseen_groups="marginal",
        tol=1e-9,
        max_iter=100,
        warm_start=False,
        n_jobs=None,
        verbose=0,
    ):
        self.formula = formula
        self.link = link
        self.n_agq = n_agq
        self.prior = prior
        self.missing = missing
        self.prediction = prediction
        self.unseen_groups = unseen_groups
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing == "drop"
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # -- fitting ---------------------------------------------------------------------------------

    def fit(self, X, y=None, groups=None, sample_weight=None, offset=None):
        """Fit the model.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
        y : array-like of shape (n,), optional
            Two labels of any type. May be left out when the formula has a left side that X holds.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        sample_weight : array-like of shape (n,), optional
            Multiplies log-likelihood contributions: k means "this row k times".
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        MixedLogisticClassifier
            The model itself.

        Raises
        ------
        ValueError
            Names the argument, column, level or term, and what would mend it.

        Warns
        -----
        ConvergenceWarning
            The estimate is not a maximum, or runs away; it names the term.
        UserWarning
            Columns that are linear combinations of others, or factors of one level, were left out.
        """
        before = dict(self.__dict__)
        try:
            return self._fit(X, y, groups, sample_weight, offset)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    @with_callbacks
    def _fit(self, X, y, groups, sample_weight, offset):
        from joblib import effective_n_jobs

        from ..design.response import learn_response
        from ..links import get_link
        from .fitting import fit_arrays

        check_parameters(self)
        earlier = self.__dict__.get("result_")
        table = input_table(self, X, groups, reset=True)
        weights = check_weights(sample_weight, table.n_rows)
        offset = check_offset(offset, table.n_rows)
        rows = training_rows(self, table, y, weights, offset)
        response = learn_response(rows.y, rows.counts, rows.weights)

        reporter = None

        def make_progress(snapshot):
            nonlocal reporter
            metadata = {} if groups is None else {"groups": groups}
            if sample_weight is not None:
                metadata["sample_weight"] = sample_weight

            def attributes(objective, phi):
                return {
                    "result_": snapshot(objective, phi),
                    "classes_": response.classes,
                    "spec_": rows.spec,
                }

            reporter = StepReporter(self, X, y, attributes, metadata or None)
            return reporter if reporter.active else None

        result = fit_arrays(
            rows.matrices,
            response,
            rows.offset,
            get_link(self.link),
            n_agq=self.n_agq,
            prior=self.prior,
            n_threads=effective_n_jobs(self.n_jobs),
            tol=self.tol,
            max_iter=self.max_iter,
            start=earlier if self.warm_start else None,
            make_progress=make_progress,
        )
        self.classes_ = response.classes
        self.spec_ = rows.spec
        self.result_ = result
        self.n_iter_ = result.verdict.n_steps
        if reporter is not None:
            reporter.close({"result_": result, "classes_": response.classes, "spec_": rows.spec})
        self._warn(result)
        return self

    def _warn(self, result) -> None:
        for name, level in self.spec_.single_levels.items():
            warnings.warn(
                f"factor {name!r} has the single level {level!r} in these rows: there is nothing to "
                "compare it with, and it was left out",
                UserWarning,
                stacklevel=5,
            )
        if result.aliased.any():
            names = [n for n, a in zip(result.names, result.aliased, strict=True) if a]
            warnings.warn(
                f"column(s) {', '.join(map(repr, names))} of the design are linear combinations of "
                "earlier ones and were left out; their coefficients are NaN in fixed_effects_",
                UserWarning,
                stacklevel=5,
            )
        if not result.verdict.converged:
            warnings.warn(result.verdict.message, ConvergenceWarning, stacklevel=5)

    # -- reading -------------------------------------------------------------------------------------

    def summary(self):
        """Everything a statistician reads off the fit.

        Returns
        -------
        Summary
            Prints as text, shows as HTML in a notebook.
        """
        check_is_fitted(self, "result_")
        from ..presentation.summary import Summary

        return Summary(self)
