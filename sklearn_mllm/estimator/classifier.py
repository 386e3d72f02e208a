"""`MixedLogisticClassifier`: the scikit-learn estimator."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from . import frames
from .callbacks import CallbackSupportMixin, StepReporter, with_callbacks
from .checks import check_offset, check_parameters, check_weights
from .intake import input_table, training_rows

__all__ = ["MixedLogisticClassifier"]

_GROUPS = {"groups": True}


def _fitted(make, doc: str) -> property:
    """A fitted attribute computed from the result when it is asked for."""

    def get(self):
        if "result_" not in self.__dict__:
            raise AttributeError(
                f"this {type(self).__name__} instance is not fitted yet; call fit first"
            )
        return make(self.result_)

    return property(get, doc=doc)


class MixedLogisticClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Multilevel (mixed-effects) logistic regression, by maximum likelihood.

    For row i in group j the event has probability p_ij with

        link(p_ij) = offset_i + x_i' beta + z_i' b_j,    b_j ~ N(0, Sigma)

    beta and Sigma maximise the likelihood with b integrated out: by Laplace's approximation
    (``n_agq=1``) or adaptive Gauss-Hermite quadrature (``n_agq > 1``).

    Parameters
    ----------
    formula : str or None, default=None
        lme4 syntax, e.g. ``"use ~ age*ch + I(age^2) + urban + (1 | urban:district)"``. The left
        side is optional. None is ``~ . + (1 | groups)``.
    link : {"logit", "probit", "cloglog", "cauchit"}, default="logit"
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
        The second is the event.
    coef_ : ndarray of shape (1, p), intercept_ : ndarray of shape (1,)
    fixed_effects_, covariance_, variance_components_, random_covariances_, random_effects_
        Estimates as data frames.
    log_likelihood_, deviance_, aic_, bic_ : float
    df_model_, df_residual_, n_observations_, n_iter_ : int
    n_groups_ : dict
    converged_, is_singular_ : bool
    convergence_ : Verdict
    result_ : FitResult
        All estimates as arrays.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    Bates, Maechler, Bolker & Walker (2015), Journal of Statistical Software 67(1).

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
    __metadata_request__score = _GROUPS

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
        self

        Raises
        ------
        ValueError
            Names the argument, column, level or term, and what would mend it.
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

        from ..links import get_link
        from .fitting import fit_arrays, learn_response

        check_parameters(self)
        earlier = self.__dict__.get("result_")
        table = input_table(self, X, y, groups, reset=True)
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

    # -- prediction --------------------------------------------------------------------------------

    def _replay(self, X, groups, offset):
        """Matrices of new rows, with offset; random part only where it is needed."""
        check_is_fitted(self, "result_")
        check_parameters(self)
        table = input_table(self, X, None, groups, reset=False)
        offset = check_offset(offset, table.n_rows)
        needs_groups = self.prediction != "typical"
        matrices = self.spec_.replay(table, random=needs_groups, missing=self.missing)
        if offset is not None and matrices.rows is not None:
            offset = offset[matrices.rows]
        if self.prediction == "conditional" and self.unseen_groups == "error":
            from ..prediction.probabilities import unseen_levels

            for group, count, row in unseen_levels(matrices.random):
                raise ValueError(
                    f"grouping factor {group!r} has {count} row(s) with levels that were not seen "
                    f"in fit, the first at row {row}; set unseen_groups='marginal' or 'typical', "
                    "or call update_groups with data of those groups"
                )
        return table.n_rows, matrices, _joint_offset(matrices, offset)

    def predict_proba(self, X, groups=None, offset=None):
        """Probabilities of both classes, shape (n, 2); NaN for rows dropped as missing."""
        from ..links import get_link
        from ..prediction.probabilities import probabilities

        n, matrices, offset = self._replay(X, groups, offset)
        p, q = probabilities(
            self.result_, get_link(self.result_.link), matrices, offset,
            self.prediction, self.unseen_groups,
        )  # fmt: skip
        out = np.full((n, 2), np.nan)
        rows = slice(None) if matrices.rows is None else matrices.rows
        out[rows, 0] = q
        out[rows, 1] = p
        return out

    def predict_log_proba(self, X, groups=None, offset=None):
        """Logarithms of `predict_proba`, shape (n, 2)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, groups, offset))

    def decision_function(self, X, groups=None, offset=None):
        """Linear predictor that belongs to the probability of the event, shape (n,).

        Positive where the event is the likelier class: for the cloglog link, whose predictor is
        log(log 2) at probability one half, it is shifted by that constant.
        """
        from ..links import get_link
        from ..prediction.probabilities import decision_values

        link = get_link(self.__dict__["result_"].link) if "result_" in self.__dict__ else None
        n, matrices, offset = self._replay(X, groups, offset)
        values = decision_values(
            self.result_, link, matrices, offset, self.prediction, self.unseen_groups
        )
        values = values - _threshold(link)
        if matrices.rows is None:
            return values
        out = np.full(n, np.nan)
        out[matrices.rows] = values
        return out

    def predict(self, X, groups=None, offset=None):
        """The likelier class of each row, shape (n,).

        Rows dropped as missing get NaN, or None where labels are not numbers.
        """
        values = self.decision_function(X, groups, offset)
        labels = self.classes_[(values > 0.0).astype(np.intp)]
        missing = np.isnan(values)
        if missing.any():
            numeric = np.issubdtype(labels.dtype, np.number)
            labels = labels.astype(float if numeric else object)
            labels[missing] = np.nan if numeric else None
        return labels

    def score(self, X, y, sample_weight=None, groups=None):
        """Accuracy of `predict`."""
        return accuracy_score(y, self.predict(X, groups), sample_weight=sample_weight)

    def predict_interval(self, X, groups=None, offset=None, *, level=0.95):
        """Probabilities with intervals that carry all uncertainty of the linear predictor.

        Parameters
        ----------
        X, groups, offset
            As in `predict_proba`.
        level : float, default=0.95

        Returns
        -------
        DataFrame
            probability, std_error (link scale), conf_low, conf_high (probabilities); one row
            per row of X. The standard error joins that of the coefficients and variances with
            the conditional variance of the random effects; levels not seen add the
            random-effects variance.
        """
        import pandas as pd

        from ..links import get_link
        from ..prediction.intervals import intervals

        if not 0.0 < level < 1.0:
            raise ValueError(f"level must be between 0 and 1, got {level!r}")
        n, matrices, offset = self._replay(X, groups, offset)
        columns = intervals(
            self.result_, get_link(self.result_.link), matrices, offset,
            self.prediction, self.unseen_groups, level,
        )  # fmt: skip
        frame = pd.DataFrame({name: np.full(n, np.nan) for name in columns})
        rows = slice(None) if matrices.rows is None else matrices.rows
        for name, values in columns.items():
            frame.loc[frame.index[rows], name] = values
        if hasattr(X, "index") and len(X) == n:
            frame.index = X.index
        return frame

    def simulate(self, X, groups=None, *, n_samples=1, random_state=None, new_effects=False):
        """Draw new responses from the fitted model.

        Parameters
        ----------
        X, groups
            As in `predict_proba`.
        n_samples : int, default=1
        random_state : int, RandomState or None
        new_effects : bool, default=False
            Draw the random effects anew from their distribution, instead of leaving those of
            known levels at their modes. Levels not seen always draw theirs.

        Returns
        -------
        ndarray of shape (n, n_samples)
            Class labels.
        """
        from ..links import get_link
        from ..prediction.simulation import simulate_events

        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples!r}")
        _, matrices, offset = self._replay(X, groups, None)
        if matrices.rows is not None:
            raise ValueError("simulate needs complete rows; drop those with missing values first")
        events = simulate_events(
            self.result_, get_link(self.result_.link), matrices, offset,
            n_samples=n_samples, random_state=random_state, new_effects=new_effects,
        )  # fmt: skip
        return self.classes_[events]

    def update_groups(self, X, y=None, groups=None, sample_weight=None, offset=None):
        """A copy that knows the random effects of the groups in these rows.

        Coefficients and variances stay. The effects of each level in X are found anew from these
        rows alone, so give all data of a group; levels that are not in X keep theirs. The time it
        takes is proportional to the rows given.

        Parameters
        ----------
        X, y, groups, sample_weight, offset
            As in `fit`.

        Returns
        -------
        MixedLogisticClassifier
        """
        from copy import copy

        from ..links import get_link
        from ..prediction.update import updated_result
        from .fitting import learn_response

        check_is_fitted(self, "result_")
        table = input_table(self, X, y, groups, reset=False)
        weights = check_weights(sample_weight, table.n_rows)
        offset = check_offset(offset, table.n_rows)
        rows = training_rows(self, table, y, weights, offset, spec=self.spec_)
        response = learn_response(rows.y, rows.counts, rows.weights, classes=self.classes_)
        result = updated_result(
            self.result_, get_link(self.result_.link), rows.matrices, response, rows.offset
        )
        out = copy(self)
        out.spec_, out.result_ = rows.spec, result
        return out

    # -- reading -------------------------------------------------------------------------------------

    def summary(self):
        """Everything a statistician reads off the fit; prints as text, shows as HTML."""
        check_is_fitted(self, "result_")
        from ..presentation.summary import Summary

        return Summary(self)

    fixed_effects_ = _fitted(frames.fixed_effects, "DataFrame of coefficients.")
    covariance_ = _fitted(frames.covariance, "DataFrame: covariance of the coefficients.")
    variance_components_ = _fitted(frames.variance_components, "DataFrame of variances.")
    random_covariances_ = _fitted(frames.random_covariances, "dict of covariance matrices.")
    random_effects_ = _fitted(frames.random_effects, "DataFrame of conditional modes.")
    coef_ = _fitted(
        lambda r: r.fixed[[n != "Intercept" for n in r.names]][None, :].copy(),
        "Coefficients without the intercept, shape (1, p).",
    )
    intercept_ = _fitted(
        lambda r: np.array(
            [r.fixed[r.names.index("Intercept")] if "Intercept" in r.names else 0.0]
        ),
        "Intercept, shape (1,).",
    )
    log_likelihood_ = _fitted(lambda r: r.log_likelihood, "Log-likelihood at the estimate.")
    deviance_ = _fitted(lambda r: -2.0 * r.log_likelihood, "-2 log-likelihood.")
    aic_ = _fitted(lambda r: -2.0 * r.log_likelihood + 2.0 * r.n_parameters, "Akaike's criterion.")
    bic_ = _fitted(
        lambda r: -2.0 * r.log_likelihood + np.log(r.n_rows) * r.n_parameters,
        "Schwarz's criterion.",
    )
    df_model_ = _fitted(lambda r: r.n_parameters, "Number of parameters.")
    df_residual_ = _fitted(lambda r: r.n_rows - r.n_parameters, "Rows minus parameters.")
    n_observations_ = _fitted(lambda r: r.n_rows, "Rows used.")
    n_groups_ = _fitted(
        lambda r: {f.group: f.modes.shape[0] for f in r.factors}, "Levels of each factor."
    )
    converged_ = _fitted(lambda r: r.verdict.converged, "Whether the estimate is a maximum.")
    is_singular_ = _fitted(
        lambda r: bool(r.verdict.singular_terms), "Whether a variance is zero or a correlation +-1."
    )
    convergence_ = _fitted(lambda r: r.verdict, "Record of the convergence verdict.")


def _joint_offset(matrices, offset):
    """The formula's offset() terms and the argument together."""
    own = getattr(matrices, "offset", None)
    if own is None:
        return offset
    return own if offset is None else own + offset


def _threshold(link) -> float:
    """Linear predictor at probability one half."""
    return 0.0 if link.name != "cloglog" else float(np.log(np.log(2.0)))
