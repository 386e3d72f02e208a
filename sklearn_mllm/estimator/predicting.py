"""What a fitted model says about rows: classes, probabilities, intervals, draws, new groups."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from ..design.row_vectors import check_offset, check_weights
from ..formula.columns import require
from .checks import check_parameters
from .intake import input_table, missing_rows, response_of, training_rows, trials_of

__all__ = ["PredictionMixin"]


class PredictionMixin:
    """Methods of `MixedLogisticClassifier` that take rows after the fit."""

    def _replay(self, X, groups, offset, prediction=None):
        """Matrices of new rows, with offset; of the random part only what the prediction needs."""
        check_is_fitted(self, "result_")
        check_parameters(self)
        prediction = self.prediction if prediction is None else prediction
        table = input_table(self, X, groups, reset=False)
        offset = check_offset(offset, table.n_rows)
        if prediction == "conditional":
            names = self.spec_.parsed.grouping_columns
            apart = set(names) - {*table.columns, *getattr(self, "feature_names_in_", ())}
            require(
                table, names, "grouping factor",
                ("; pass groups=, as in fit" if apart else "")
                + "; prediction='typical' and prediction='marginal' do without it",
            )  # fmt: skip
        matrices = self.spec_.replay(
            table,
            random=prediction != "typical",
            levels=prediction == "conditional",
            missing=self.missing,
        )
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
        """Probabilities of both classes.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict, with the columns of `fit`. Frames may lack the response.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        ndarray of shape (n, 2)
            In the order of `classes_`; NaN for rows dropped as missing.

        Raises
        ------
        ValueError
            X lacks a column or a grouping factor, holds a missing value, or a level of a predictor
            that was not in fit; with ``unseen_groups="error"`` a level of a grouping factor too.
        """
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
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict, with the columns of `fit`. Frames may lack the response.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        ndarray of shape (n, 2)
            In the order of `classes_`.

        Raises
        ------
        ValueError
            X lacks a column or a grouping factor, holds a missing value, or a level of a predictor
            that was not in fit; with ``unseen_groups="error"`` a level of a grouping factor too.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, groups, offset))

    def decision_function(self, X, groups=None, offset=None):
        """Linear predictor that belongs to the probability of the event.

        Positive where the event is the likelier class: for the cloglog link, whose predictor is
        log(log 2) at probability one half, it is shifted by that constant.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict, with the columns of `fit`. Frames may lack the response.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        ndarray of shape (n,)
            Log-odds for the logit link.

        Raises
        ------
        ValueError
            X lacks a column or a grouping factor, holds a missing value, or a level of a predictor
            that was not in fit; with ``unseen_groups="error"`` a level of a grouping factor too.
        """
        from ..links import get_link
        from ..prediction.probabilities import decision_values

        link = get_link(self.__dict__["result_"].link) if "result_" in self.__dict__ else None
        n, matrices, offset = self._replay(X, groups, offset)
        values = decision_values(
            self.result_, link, matrices, offset, self.prediction, self.unseen_groups
        )
        values = values - link.median
        if matrices.rows is None:
            return values
        out = np.full(n, np.nan)
        out[matrices.rows] = values
        return out

    def predict(self, X, groups=None, offset=None):
        """The likelier class of each row.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict, with the columns of `fit`. Frames may lack the response.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        ndarray of shape (n,)
            Labels; rows dropped as missing get NaN, or None where labels are not numbers.

        Raises
        ------
        ValueError
            X lacks a column or a grouping factor, holds a missing value, or a level of a predictor
            that was not in fit; with ``unseen_groups="error"`` a level of a grouping factor too.
        """
        values = self.decision_function(X, groups, offset)
        labels = self.classes_[(values > 0.0).astype(np.intp)]
        missing = np.isnan(values)
        if missing.any():
            numeric = np.issubdtype(labels.dtype, np.number)
            labels = labels.astype(float if numeric else object)
            labels[missing] = np.nan if numeric else None
        return labels

    def score(self, X, y=None, sample_weight=None, groups=None, offset=None):
        """Accuracy of `predict`.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict.
        y : array-like of shape (n,), or of shape (n, 2) for counts, optional
            Their labels, or successes and failures; by default what X has for the left side of the
            formula.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        float
            Share of the rows whose label is predicted, of counts that of the trials. With
            missing="drop", rows that miss a value are left out.

        Raises
        ------
        ValueError
            As `predict`; labels of another length.
        """
        values = self.decision_function(X, groups, offset)
        weights = check_weights(sample_weight, len(values))
        counts = None
        if y is None or np.ndim(y) == 2:
            table = input_table(self, X, groups, reset=False)
            y, counts = response_of(self.spec_.parsed, table, y)
        use = ~np.isnan(values)
        if self.missing == "drop":
            absent = missing_rows(y, counts)
            use = use if absent is None else use & ~absent
            if not use.any():
                raise ValueError("score: no row is complete; every one misses some value")
        if not use.all():
            values, weights = values[use], None if weights is None else weights[use]
            y = None if y is None else np.asarray(y)[use]
            counts = None if counts is None else tuple(c[use] for c in counts)
        event = values > 0.0
        if counts is None:
            return accuracy_score(y, self.classes_[event.astype(np.intp)], sample_weight=weights)
        right, trials = np.where(event, *counts), sum(counts)
        if weights is not None:
            right, trials = weights * right, weights * trials
        return float(right.sum() / trials.sum())

    def predict_interval(self, X, groups=None, offset=None, *, level=0.95):
        """Probabilities with intervals that carry all uncertainty of the linear predictor.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to predict, with the columns of `fit`. Frames may lack the response.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.
        level : float, default=0.95
            Of the intervals.

        Returns
        -------
        DataFrame
            probability, std_error (link scale), conf_low, conf_high (probabilities); one row
            per row of X. The standard error joins that of the coefficients and variances with
            the conditional variance of the random effects; levels not seen add the
            random-effects variance.

        Raises
        ------
        ValueError
            As `predict_proba`; a level that is not between 0 and 1.

        Examples
        --------
        >>> from sklearn_mllm import MixedLogisticClassifier
        >>> from sklearn_mllm.datasets import load_contraception
        >>> women = load_contraception().frame
        >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
        >>> model.predict_interval(women.head(2)).round(2)
           probability  std_error  conf_low  conf_high
        0         0.39       0.20      0.30       0.49
        1         0.19       0.23      0.13       0.27
        """
        import pandas as pd

        from ..links import get_link
        from ..prediction.intervals import intervals

        n, matrices, offset = self._replay(X, groups, offset)
        columns = intervals(
            self.result_, get_link(self.result_.link), matrices, offset,
            self.prediction, self.unseen_groups, level,
        )  # fmt: skip
        frame = pd.DataFrame({name: np.full(n, np.nan) for name in columns})
        rows = slice(None) if matrices.rows is None else matrices.rows
        for name, values in columns.items():
            frame.loc[frame.index[rows], name] = values
        if isinstance(X, pd.DataFrame):
            frame.index = X.index
        return frame

    def simulate(
        self, X, groups=None, *, n_samples=1, random_state=None, new_effects=False, offset=None
    ):
        """Draw new responses from the fitted model.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows to draw responses for.
        groups : array-like of shape (n,), data frame or dict, optional
            Grouping factors that are not columns of X.
        n_samples : int, default=1
            Draws of each response.
        random_state : int, RandomState or None, default=None
            Of the draws.
        new_effects : bool, default=False
            Draw the random effects anew from their distribution, instead of leaving those of
            known levels at their modes. Each level not seen always draws its own, for all of its
            rows.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor.

        Returns
        -------
        ndarray of shape (n, n_samples)
            Class labels; for counts (`cbind` in the formula) the successes among as many trials
            as each row of X has.

        Raises
        ------
        ValueError
            Missing values, columns that X lacks (with `cbind` the counts too), or n_samples below 1.

        Examples
        --------
        >>> from sklearn_mllm import MixedLogisticClassifier
        >>> from sklearn_mllm.datasets import load_cbpp
        >>> herds = load_cbpp().frame
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> model = MixedLogisticClassifier(formula).fit(herds)
        >>> draws = model.simulate(herds, n_samples=3, random_state=0)
        >>> draws.shape, bool((draws <= herds[["size"]].to_numpy()).all())
        ((56, 3), True)
        """
        from ..links import get_link
        from ..prediction.simulation import simulate_events

        check_is_fitted(self, "result_")
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer >= 1, got {n_samples!r}")
        table = input_table(self, X, groups, reset=False)
        offset = check_offset(offset, table.n_rows)
        trials = trials_of(self.spec_.parsed, table)
        _, matrices = self.spec_.extend(table, missing=self.missing)
        if matrices.rows is not None:
            raise ValueError("simulate needs complete rows; drop those with missing values first")
        events = simulate_events(
            self.result_, get_link(self.result_.link), matrices, _joint_offset(matrices, offset),
            n_samples=n_samples, random_state=random_state, new_effects=new_effects, trials=trials,
        )  # fmt: skip
        return self.classes_[events] if trials is None else events

    def update_groups(self, X, y=None, groups=None, sample_weight=None, offset=None):
        """A copy that knows the random effects of the groups in these rows.

        Coefficients and variances stay. The effects of each level in X are found anew from these
        rows alone, so give all data of a group; levels that are not in X keep theirs. The time it
        takes is proportional to the rows given.

        Parameters
        ----------
        X : data frame, array or sparse matrix of shape (n, n_features)
            Rows of the groups to learn or to learn anew.
        y : array-like of shape (n,), optional
            Their labels, where X does not hold the response.
        groups : array-like of shape (n,), data frame or dict, optional
            As in `fit`.
        sample_weight : array-like of shape (n,), optional
            As in `fit`.
        offset : array-like of shape (n,), optional
            As in `fit`.

        Returns
        -------
        MixedLogisticClassifier
            The copy.

        Raises
        ------
        ValueError
            Rows that do not fit the model: other columns, labels that were not in fit, missing
            values.

        Examples
        --------
        >>> from sklearn_mllm import MixedLogisticClassifier
        >>> from sklearn_mllm.datasets import load_contraception
        >>> women = load_contraception().frame
        >>> late = women["district"] == 61
        >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women[~late])
        >>> model.n_groups_, model.update_groups(women[late]).n_groups_
        ({'district': 59}, {'district': 60})
        """
        from copy import copy

        from ..design.response import learn_response
        from ..links import get_link
        from ..prediction.update import updated_result

        check_is_fitted(self, "result_")
        table = input_table(self, X, groups, reset=False)
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


def _joint_offset(matrices, offset):
    """The formula's offset() terms and the argument together."""
    own = getattr(matrices, "offset", None)
    if own is None:
        return offset
    return own if offset is None else own + offset
