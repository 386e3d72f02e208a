"""`PredictedProbabilityDisplay`: probability over one variable, with bands."""

from __future__ import annotations

import numpy as np

from ...design.table import pandas_frame
from ._data import (
    check_columns,
    counts,
    display_level,
    event_name,
    levels_of,
    predicting,
)
from ._figure import (
    COLORS,
    LINES,
    MARKERS,
    finish,
    keep_axes,
    legend,
    level_ticks,
    line_style,
    make_axes,
    merged,
)

__all__ = ["PredictedProbabilityDisplay"]


class PredictedProbabilityDisplay:
    """Predicted probability of the event over one variable, by up to two factors.

    Make one with `from_estimator`.

    Parameters
    ----------
    data : DataFrame
        The feature, the columns of `by` and `panel`, probability, conf_low, conf_high.
    feature : str
    by : sequence of str
        The first is told by colour, the second by line style.
    panel : str, optional
    event : str, default="event"
    observed : DataFrame, optional
        Feature (middle of a bin), `by`, `panel`, proportion, n: drawn as points.
    categorical : bool, default=False
        Whether the feature has levels.

    Attributes
    ----------
    data, observed : DataFrame
    ax_ : Axes or ndarray of Axes
    figure_ : Figure

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, PredictedProbabilityDisplay
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ age*ch + urban + (1 | district)").fit(women)
    >>> display = PredictedProbabilityDisplay.from_estimator(
    ...     model, women, "age", by="ch", panel="urban")
    """

    def __init__(
        self,
        data,
        feature: str,
        *,
        by=(),
        panel: str | None = None,
        event: str = "event",
        observed=None,
        categorical: bool = False,
    ) -> None:
        self.data = data
        self.feature = feature
        self.by = (by,) if isinstance(by, str) else tuple(by)
        self.panel = panel
        self.event = event
        self.observed = observed
        self.categorical = categorical

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        feature: str,
        *,
        by=(),
        panel: str | None = None,
        prediction: str = "typical",
        raw: bool = False,
        grid=100,
        at: dict | None = None,
        y=None,
        n_bins: int = 10,
        level: float = 0.95,
        ax=None,
        **kwargs,
    ) -> PredictedProbabilityDisplay:
        """Predict over a grid, with the other columns at their mean or most frequent level.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted.
        X : data frame or array
            Data to take ranges, means and levels from; the training data as a rule.
        feature : str
            The variable of the horizontal axis.
        by : str, sequence of up to two str, or dict, default=()
            Factors; a dict gives the values too. Numbers without values (more than six of them)
            are shown at mean and mean +- sd.
        panel : str, optional
            Factor with a panel for each level.
        prediction : {"typical", "marginal"}, default="typical"
            Random effects at zero, or averaged over.
        raw : bool, default=False
            Show observed proportions too, in `n_bins` bins of equal size, over all values of the
            columns that are not shown: beside curves for their mean or commonest level.
        grid : int or array-like, default=100
            Points, or their number.
        at : dict, optional
            Values for other columns, in place of mean and most frequent level.
        y : array-like, optional
            Labels (or successes and failures, shape (n, 2)) for `raw`, when X has no response column.
        n_bins : int, default=10
            Bins of the observed proportions.
        level : float, default=0.95
        ax : Axes or array of Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        PredictedProbabilityDisplay
            Drawn.
        """
        if prediction not in ("typical", "marginal"):
            raise ValueError(f"prediction must be 'typical' or 'marginal', got {prediction!r}")
        model = predicting(model, prediction)
        frame = pandas_frame(X)
        values = dict(by) if isinstance(by, dict) else {}
        by = (by,) if isinstance(by, str) else tuple(by)
        if len(by) > 2:
            raise ValueError(f"by takes up to two columns, got {len(by)}; use panel for a third")
        shown = (*by, *(() if panel is None else (panel,)))
        check_columns(frame, (feature, *shown), "feature, by, panel")
        if len({feature, *shown}) != 1 + len(shown):
            raise ValueError("feature, by and panel must be different columns")
        numeric = _numeric(frame[feature])
        axes = {feature: _feature_values(frame[feature], grid, numeric)}
        for name in shown:
            axes[name] = list(values[name]) if name in values else _shown_values(frame[name])
        data = _cells(model, frame, axes, at or {}, prediction)
        bands = model.predict_interval(data, level=level)
        data = data[[feature, *shown]].assign(
            **{c: bands[c].to_numpy() for c in ("probability", "conf_low", "conf_high")}
        )
        observed = None
        if raw:
            bins = n_bins if numeric else None
            observed = _observed(frame, *counts(model, frame, y), feature, shown, axes, bins)
        out = cls(
            data, feature, by=by, panel=panel, event=event_name(model), observed=observed,
            categorical=not numeric,
        )  # fmt: skip
        return out.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax=None,
        *,
        colors=COLORS,
        line_kw: dict | None = None,
        band_kw: dict | None = None,
        point_kw: dict | None = None,
    ) -> PredictedProbabilityDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, optional
            One for each panel; a single one is divided.
        colors : sequence of str
            For the levels of the first factor of `by`.
        line_kw, band_kw, point_kw : dict, optional
            For Axes.plot, Axes.fill_between and the observed proportions.

        Returns
        -------
        self
        """
        panels = [None] if self.panel is None else list(self.data[self.panel].unique())
        width = 4.2
        if self.categorical:
            n_series = int(np.prod([self.data[name].nunique() for name in self.by]))
            width = min(max(width, 0.25 * self.data[self.feature].nunique() * n_series**0.5), 14.0)
        axes = make_axes(
            ax, len(panels), n_columns=max(1, int(14.0 / width)) if width > 4.2 else 3,
            size=(width, 3.4), share_x=True, share_y=True,
        )  # fmt: skip
        levels = [list(self.data[name].unique()) for name in self.by]
        for one, panel in zip(axes, panels, strict=True):
            self._draw_panel(one, panel, levels, colors, line_kw, band_kw, point_kw)
            if panel is not None:
                one.set_title(display_level(self.panel, panel), loc="left")
            one.set_xlabel(self.feature)
            finish(one)
        if self.categorical:
            below = [level_ticks(one, self.data[self.feature].unique()) for one in axes]
            if ax is None:
                figure = axes[0].figure
                figure.set_figheight(figure.get_figheight() + max(below))
        axes[0].set_ylabel(f"probability of {self.event}")
        top = max(float(self.data["conf_high"].max()), self._highest_point())
        axes[0].set_ylim(0.0, 1.0 if top > 0.85 else 1.08 * top)
        if self.by:
            legend(axes, self.by[0] if len(self.by) == 1 else None, outside=ax is None)
        keep_axes(self, axes)
        return self

    def _highest_point(self) -> float:
        return 0.0 if self.observed is None else float(self.observed["proportion"].max())

    def _draw_panel(self, ax, panel, levels, colors, line_kw, band_kw, point_kw) -> None:
        for i, j, key in _combinations(levels):
            color, line = line_style(colors, i) if len(key) < 2 else (
                colors[i % len(colors)], LINES[j % len(LINES)]
            )  # fmt: skip
            marker = MARKERS[j % len(MARKERS)]
            label = ", ".join(display_level(n, v) for n, v in zip(self.by, key)) or None
            if len(key) == 1:
                label = label.removeprefix(f"{self.by[0]} = ")
            rows = _matching(self.data, self.by, key, self.panel, panel)
            x = rows[self.feature]
            n_series = int(np.prod([len(v) for v in levels]))
            shift = (
                0.0 if n_series == 1 else 0.3 * ((i + j * len(levels[0])) / (n_series - 1) - 0.5)
            )
            if self.categorical:
                place = np.arange(len(rows)) + shift
                low = rows["probability"] - rows["conf_low"]
                high = rows["conf_high"] - rows["probability"]
                style = {"color": color, "marker": marker, "linestyle": "none"}
                ax.errorbar(
                    place, rows["probability"], yerr=np.array([low, high]), capsize=3,
                    label=label, **merged(style, line_kw),
                )  # fmt: skip
            else:
                style = {"color": color, "linestyle": line, "linewidth": 2.0, "label": label}
                ax.plot(x, rows["probability"], **merged(style, line_kw))
                alpha = 0.15 if n_series <= len(COLORS) else 0.04
                band = {"color": color, "alpha": alpha, "linewidth": 0, **(band_kw or {})}
                ax.fill_between(x, rows["conf_low"], rows["conf_high"], **band)
            if self.observed is not None:
                points = _matching(self.observed, self.by, key, self.panel, panel)
                at = points[self.feature]
                if self.categorical:
                    at = [list(x).index(v) + shift + 0.06 for v in at]
                style = {"color": color, "marker": marker, "linestyle": "none"}
                style |= {
                    "markersize": 4.5,
                    "markerfacecolor": "white",
                    "markeredgewidth": 1.2,
                    "clip_on": False,
                }
                ax.plot(at, points["proportion"], **merged(style, point_kw))


def _combinations(levels):
    """(place of the colour, place of the line style, values)."""
    first = levels[0] if levels else [None]
    second = levels[1] if len(levels) > 1 else [None]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            yield i, j, (a, b)[: len(levels)]


def _matching(frame, by, key, panel_name, panel):
    keep = np.ones(len(frame), dtype=bool)
    for name, value in zip((*by, panel_name), (*key, panel)):
        if name is not None:
            keep &= (frame[name] == value).to_numpy()
    return frame[keep]


def _numeric(column) -> bool:
    return column.dtype.kind in "iuf"


def _feature_values(column, grid, numeric: bool) -> list:
    if not isinstance(grid, int | np.integer):
        return list(grid)
    if not numeric:
        return levels_of(column)
    return list(np.linspace(column.min(), column.max(), int(grid)))


def _shown_values(column) -> list:
    if not _numeric(column) or column.nunique() <= 6:
        return levels_of(column)
    mean, sd = float(column.mean()), float(column.std())
    return [mean - sd, mean, mean + sd]


def _cells(model, frame, axes: dict, at: dict, prediction: str):
    """Every combination of the shown values, with all columns that the model needs."""
    import pandas as pd

    product = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    cells = product.to_frame(index=False)
    needed = list(model.spec_.columns)
    if prediction != "typical":
        needed += model.spec_.parsed.grouping_columns
    for name in dict.fromkeys(needed):
        if name in cells:
            continue
        if name in at:
            cells[name] = at[name]
        elif name not in frame.columns:
            # a grouping factor outside of X: marginal prediction looks at no level
            cells[name] = "any"
        elif _numeric(frame[name]) and name in model.spec_.columns:
            cells[name] = float(frame[name].mean())
        else:
            cells[name] = frame[name].mode().iloc[0]
    for name in cells.columns.intersection(frame.columns):
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            cells[name] = pd.Categorical(cells[name], categories=frame[name].cat.categories)
    return cells


def _observed(frame, successes, trials, feature, shown, axes, n_bins):
    """Observed proportions, per bin of the feature within each combination of the factors."""
    import pandas as pd

    work = frame[[feature, *shown]].assign(_event=successes, _trials=trials)
    work = work[work.notna().all(axis=1) & (work["_trials"] > 0.0)]
    for name in shown:
        if _numeric(work[name]):
            values = np.asarray(axes[name], dtype=float)
            nearest = np.abs(work[name].to_numpy()[:, None] - values).argmin(axis=1)
            work[name] = values[nearest]
    rows = []
    parts = work.groupby(list(shown), observed=True) if shown else [((), work)]
    for key, part in parts:
        if n_bins is None:
            bins = part.groupby(feature, observed=True)
        else:
            rank = part[feature].rank(method="average", pct=True).to_numpy()
            bins = part.groupby(np.minimum((rank * n_bins).astype(int), n_bins - 1))
        for value, one in bins:
            middle = value if n_bins is None else one[feature].mean()
            n = one["_trials"].sum()
            rows.append((middle, *key, one["_event"].sum() / n, int(n)))
    return pd.DataFrame(rows, columns=[feature, *shown, "proportion", "n"])
