"""`SmoothedProportionDisplay`: observed proportions against a variable, smoothed by loess."""

from __future__ import annotations

import numpy as np

from ...design.table import pandas_frame
from ._data import check_columns, counts, display_level, event_name, levels_of
from ._figure import COLORS, finish, keep_axes, legend, line_style, make_axes, merged

__all__ = ["SmoothedProportionDisplay"]


class SmoothedProportionDisplay:
    """Observed response against a variable: points, and one loess curve per group.

    The look at the data before any model. Make one with `from_data` or `from_estimator`.

    Parameters
    ----------
    points : DataFrame
        The feature, `by` and `panel`, event (0 or 1).
    curves : DataFrame
        The feature, `by` and `panel`, proportion.
    feature : str
    by, panel : str, optional
    event : str, default="event"

    Attributes
    ----------
    points, curves : DataFrame
    ax_ : Axes or ndarray of Axes
    figure_ : Figure

    References
    ----------
    Cleveland (1979), Journal of the American Statistical Association 74, 829-836; without its
    robustness steps, which would treat the rarer label as outliers.

    Examples
    --------
    >>> from sklearn_mllm import SmoothedProportionDisplay
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> display = SmoothedProportionDisplay.from_data(women, "use", "age", by="ch", panel="urban")
    >>> display.curves.columns.tolist()
    ['age', 'urban', 'ch', 'proportion']
    """

    def __init__(
        self, points, curves, feature: str, *, by=None, panel=None, event: str = "event"
    ) -> None:
        self.points = points
        self.curves = curves
        self.feature = feature
        self.by = by
        self.panel = panel
        self.event = event

    @classmethod
    def from_data(
        cls,
        X,
        y,
        feature: str,
        *,
        by: str | None = None,
        panel: str | None = None,
        event=None,
        frac: float = 0.75,
        grid: int = 100,
        ax=None,
        **kwargs,
    ) -> SmoothedProportionDisplay:
        """Smooth labels against a column.

        Parameters
        ----------
        X : data frame or array
        y : array-like of shape (n,) or str
            Two labels, or the column of X that holds them.
        feature : str
            The variable of the horizontal axis, a number.
        by : str, optional
            Factor with a curve for each level.
        panel : str, optional
            Factor with a panel for each level.
        event : label, optional
            The label to count; by default the last of the sorted labels.
        frac : float, default=0.75
            Share of the points that each local line sees.
        grid : int, default=100
            Points of a curve.
        ax : Axes or array of Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        SmoothedProportionDisplay
            Drawn.
        """
        frame = pandas_frame(X)
        if isinstance(y, str):
            check_columns(frame, [y], "y")
            y = frame[y]
        y = np.asarray(y)
        if y.shape != (len(frame),):
            raise ValueError(f"y has shape {y.shape}, but X has {len(frame)} rows")
        event = np.unique(y)[-1] if event is None else event
        return cls._make(
            frame, (y == event).astype(float), feature, by, panel, str(event), frac, grid
        ).plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        feature: str,
        *,
        y=None,
        by: str | None = None,
        panel: str | None = None,
        frac: float = 0.75,
        grid: int = 100,
        ax=None,
        **kwargs,
    ) -> SmoothedProportionDisplay:
        """The same for the data of a model: its event, and its response column when y is None.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted.
        X : data frame or array
            The data to show.
        feature : str
            The variable of the horizontal axis, a number.
        y : array-like of shape (n,), optional
            Labels (or successes and failures, shape (n, 2)), when X has no response column. A row of
            counts is shown as its single trials.
        by, panel : str, optional
            Factors, as in `from_data`.
        frac : float, default=0.75
            Share of the points that each local line sees.
        grid : int, default=100
            Points of a curve.
        ax : Axes or array of Axes, optional
            Where to draw.
        **kwargs
            Passed to `plot`.

        Returns
        -------
        SmoothedProportionDisplay
            Drawn.
        """
        frame = pandas_frame(X)
        frame, happened = _single_trials(frame, *counts(model, frame, y))
        made = cls._make(frame, happened, feature, by, panel, event_name(model), frac, grid)
        return made.plot(ax=ax, **kwargs)

    @classmethod
    def _make(cls, frame, happened, feature, by, panel, event, frac, grid):
        import pandas as pd

        try:
            from statsmodels.nonparametric.smoothers_lowess import lowess
        except ImportError as error:
            raise ImportError(
                "the loess curves need statsmodels: pip install 'sklearn-mllm[plot]'"
            ) from error
        if not 0.0 < frac <= 1.0:
            raise ValueError(f"frac must be above 0 and at most 1, got {frac!r}")
        keys = [name for name in (panel, by) if name is not None]
        check_columns(frame, [feature, *keys], "feature, by, panel")
        if frame[feature].dtype.kind not in "iuf":
            raise ValueError(f"feature: column {feature!r} must hold numbers")
        points = frame[[feature, *keys]].assign(event=happened).dropna()
        curves = []
        parts = points.groupby(keys, observed=True) if keys else [((), points)]
        for key, part in parts:
            x = part[feature].to_numpy(float)
            at = np.linspace(x.min(), x.max(), grid)
            smooth = lowess(part["event"].to_numpy(), x, frac=frac, it=0, xvals=at)
            curve = {feature: at, **dict(zip(keys, key)), "proportion": np.clip(smooth, 0.0, 1.0)}
            curves.append(pd.DataFrame(curve))
        curves = pd.concat(curves, ignore_index=True)
        return cls(points, curves, feature, by=by, panel=panel, event=event)

    def plot(
        self,
        ax=None,
        *,
        points: bool = True,
        jitter: float = 0.03,
        colors=COLORS,
        line_kw: dict | None = None,
        point_kw: dict | None = None,
    ) -> SmoothedProportionDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, optional
            One for each panel; a single one is divided.
        points : bool, default=True
            Show the rows, at 0 and 1.
        jitter : float, default=0.03
            Spread of the points around 0 and 1.
        colors : sequence of str
        line_kw, point_kw : dict, optional
            For Axes.plot.

        Returns
        -------
        self
        """
        panels = [None] if self.panel is None else levels_of(self.points[self.panel])
        levels = [None] if self.by is None else levels_of(self.points[self.by])
        axes = make_axes(ax, len(panels), share_x=True, share_y=True)
        noise = np.random.RandomState(0).uniform(-jitter, jitter, len(self.points))
        heights = self.points["event"] + noise
        for one, panel in zip(axes, panels, strict=True):
            for number, level in enumerate(levels):
                color, line = line_style(colors, number)
                label = None if level is None else str(level)
                rows = self._rows(self.points, panel, level)
                if points:
                    style = {"marker": "o", "linestyle": "none", "markersize": 2.5}
                    style |= {"color": color, "alpha": 0.3, "markeredgewidth": 0}
                    at = self.points[self.feature][rows]
                    one.plot(at, heights[rows], **merged(style, point_kw))
                curve = self.curves[self._rows(self.curves, panel, level)]
                style = {"color": color, "linestyle": line, "linewidth": 2.2, "label": label}
                one.plot(curve[self.feature], curve["proportion"], **merged(style, line_kw))
            if panel is not None:
                one.set_title(display_level(self.panel, panel), loc="left")
            one.set(xlabel=self.feature, ylim=(-0.06, 1.06))
            finish(one)
        axes[0].set_ylabel(f"proportion {self.event}")
        if self.by is not None:
            legend(axes, self.by, outside=ax is None)
        keep_axes(self, axes)
        return self

    def _rows(self, frame, panel, level) -> np.ndarray:
        keep = np.ones(len(frame), dtype=bool)
        if self.panel is not None:
            keep &= (frame[self.panel] == panel).to_numpy()
        if self.by is not None:
            keep &= (frame[self.by] == level).to_numpy()
        return keep


def _single_trials(frame, successes, trials):
    """A row for each trial, and whether it succeeded."""
    if (trials == 1.0).all():
        return frame, successes
    known = ~np.isnan(successes + trials)
    successes, trials = (
        np.rint(np.where(known, v, 0.0)).astype(np.intp) for v in (successes, trials)
    )
    row = np.repeat(np.arange(len(frame)), trials)
    place = np.arange(row.size) - np.repeat(np.cumsum(trials) - trials, trials)
    return frame.iloc[row].reset_index(drop=True), (place < successes[row]).astype(float)
