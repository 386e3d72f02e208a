"""`CalibrationByGroupDisplay`: predicted against observed proportion, a point per group."""

from __future__ import annotations

import numpy as np

from ...design.table import pandas_frame
from ...result.wald import normal_reach
from ._data import check_columns, counts, event_name
from ._figure import COLORS, GREY, finish, keep_axes, make_axes

__all__ = ["CalibrationByGroupDisplay"]


class CalibrationByGroupDisplay:
    """Mean predicted probability against observed proportion of each group.

    Make one with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    data : DataFrame
        One row per group (its index): predicted, observed, n.
    level : float, default=0.95
        Of Wilson's intervals for the observed proportions.
    event : str, default="event"

    Attributes
    ----------
    data : DataFrame
        With conf_low and conf_high.
    error : float
        Mean absolute difference of predicted and observed, weighted by n.
    ax_ : Axes
    figure_ : Figure

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, CalibrationByGroupDisplay
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> display = CalibrationByGroupDisplay.from_estimator(model, women)
    >>> round(float(display.error), 3)
    0.041
    """

    def __init__(self, data, *, level: float = 0.95, event: str = "event") -> None:
        z2 = normal_reach(level) ** 2
        n, p = data["n"], data["observed"]
        middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n)
        reach = np.sqrt(z2 * (p * (1.0 - p) / n + z2 / (4.0 * n**2))) / (1.0 + z2 / n)
        self.data = data.assign(conf_low=middle - reach, conf_high=middle + reach)
        self.level = level
        self.event = event
        self.error = float(np.average(np.abs(p - data["predicted"]), weights=n))

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        y=None,
        *,
        by=None,
        groups=None,
        offset=None,
        level: float = 0.95,
        ax=None,
        **kwargs,
    ) -> CalibrationByGroupDisplay:
        """Predict and compare, group by group.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted; predicts by its own `prediction`.
        X : data frame or array
            Held-out rows show calibration; training rows show shrinkage.
        y : array-like of shape (n,) or (n, 2), optional
            Labels, or successes and failures, when X has no response column.
        by : str, list of str or array-like of shape (n,), optional
            Columns whose combinations are the groups, or labels; by default the first grouping
            factor of the formula.
        groups : array-like of shape (n,), data frame or dict, optional
            As in `fit`.
        offset : array-like of shape (n,), optional
            As in `fit`.
        level : float, default=0.95
        ax : Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        CalibrationByGroupDisplay
            Drawn.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model, "result_")
        frame = pandas_frame(X)
        if by is None:
            terms = model.spec_.parsed.random
            if terms and set(terms[0].grouping) <= set(frame.columns):
                by = list(terms[0].grouping)
            elif groups is not None and np.ndim(groups) == 1:
                by = np.asarray(groups)
            else:
                raise ValueError("by: name the columns of X, or pass labels, that make the groups")
        successes, trials = counts(model, frame, y)
        predicted = model.predict_proba(X, groups, offset=offset)[:, 1]
        if isinstance(by, str):
            by = [by]
        if isinstance(by, list) and all(isinstance(name, str) for name in by):
            check_columns(frame, by, "by")
            by = frame[by[0]].to_numpy() if len(by) == 1 else _joined(frame, by)
        data = _by_group(predicted, successes, trials, by)
        return cls(data, level=level, event=event_name(model)).plot(ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, y_true, y_prob, by, *, level: float = 0.95, event: str = "event", ax=None, **kwargs
    ) -> CalibrationByGroupDisplay:
        """Compare any predictions.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Events, 0 or 1.
        y_prob : array-like of shape (n,)
            Their probabilities.
        by : array-like of shape (n,)
            Labels of the groups.
        level : float, default=0.95
            Of the intervals.
        event : str, default="event"
            What to call the event.
        ax : Axes, optional
            Where to draw.
        **kwargs
            Passed to `plot`.

        Returns
        -------
        CalibrationByGroupDisplay
        """
        happened = np.asarray(y_true, dtype=float)
        data = _by_group(np.asarray(y_prob, dtype=float), happened, np.ones(len(happened)), by)
        return cls(data, level=level, event=event).plot(ax=ax, **kwargs)

    def plot(
        self,
        ax=None,
        *,
        intervals: bool | None = None,
        color: str = COLORS[0],
        point_kw: dict | None = None,
        interval_kw: dict | None = None,
    ) -> CalibrationByGroupDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
        intervals : bool, optional
            Show the intervals; by default for up to 150 groups.
        color : str
        point_kw, interval_kw : dict, optional
            For Axes.scatter and Axes.vlines. The area of a point goes with the group's rows.

        Returns
        -------
        self
        """
        (one,) = make_axes(ax, 1, size=(4.6, 4.4))
        data = self.data
        one.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--")
        if len(data) <= 150 if intervals is None else intervals:
            style = {"colors": color, "alpha": 0.25, "linewidth": 1.0, **(interval_kw or {})}
            one.vlines(data["predicted"], data["conf_low"], data["conf_high"], **style)
        area = 10.0 + 90.0 * data["n"] / data["n"].max()
        style = {"s": area, "color": color, "alpha": 0.75, "edgecolors": "white"}
        one.scatter(data["predicted"], data["observed"], **{**style, **(point_kw or {})})
        one.set(
            xlabel=f"mean predicted probability of {self.event}",
            ylabel=f"observed proportion {self.event}", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03),
            aspect="equal",
        )  # fmt: skip
        one.set_title(f"{len(data)} groups, mean error {self.error:.3f}", loc="left")
        finish(one, grid="both")
        keep_axes(self, np.array([one], dtype=object))
        return self


def _by_group(predicted, successes, trials, by):
    """Predicted and observed proportion of each group; rows with a missing value are left out."""
    import pandas as pd

    rows = pd.DataFrame({"predicted": predicted, "observed": successes, "n": trials})
    keep = rows.notna().all(axis=1).to_numpy() & (trials > 0.0)
    rows["predicted"] *= rows["n"]
    sums = rows[keep].groupby(np.asarray(by)[keep]).sum()
    return pd.DataFrame(
        {
            "predicted": sums["predicted"] / sums["n"],
            "observed": sums["observed"] / sums["n"],
            "n": sums["n"].astype(np.intp),
        }
    )


def _joined(frame, names) -> np.ndarray:
    out = frame[names[0]].astype(str)
    for name in names[1:]:
        out = out + ":" + frame[name].astype(str)
    return out.to_numpy(dtype=object)
