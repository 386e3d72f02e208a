"""`ProfileDisplay`: profile likelihoods of the parameters."""

from __future__ import annotations

import numpy as np

from ...result.wald import normal_reach
from ._figure import COLORS, GREY, finish, keep_axes, make_axes, merged

__all__ = ["ProfileDisplay"]


class ProfileDisplay:
    """Signed root of the profile deviance of each parameter.

    A straight line means that the likelihood is quadratic, so that Wald intervals hold; the values
    where the curve meets +-z bound the profile interval. Make one with `from_estimator`, or with
    `from_table` from profiles computed elsewhere.

    Parameters
    ----------
    table : DataFrame
        parameter, value, signed_root: sign(value - estimate) * sqrt(2 (max logLik - profile)).
    level : float, default=0.95
        Of the interval that is marked.

    Attributes
    ----------
    table : DataFrame
    intervals : DataFrame
        One row per parameter (its index): estimate, conf_low, conf_high, by interpolation; NaN
        where the profile does not reach that far.
    ax_ : Axes or ndarray of Axes
    figure_ : Figure

    References
    ----------
    Bates & Watts (1988), Nonlinear Regression Analysis and Its Applications, section 6.1.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mllm import ProfileDisplay
    >>> table = pd.DataFrame(
    ...     {"parameter": "age", "value": [-3.0, 0.0, 1.0, 4.0], "signed_root": [-4.0, -1.0, 0.0, 3.0]}
    ... )
    >>> display = ProfileDisplay.from_table(table)
    >>> display.intervals.loc["age", ["conf_low", "conf_high"]].astype(float).round(2).tolist()
    [-0.96, 2.96]
    """

    def __init__(self, table, *, level: float = 0.95) -> None:
        import pandas as pd

        missing = {"parameter", "value", "signed_root"} - set(table.columns)
        if missing:
            raise ValueError(f"table lacks the column(s) {', '.join(sorted(missing))}")
        self.table = table
        self.level = level
        self.reach = normal_reach(level)
        rows = {}
        for name, part in table.groupby("parameter", sort=False):
            part = part.sort_values("value")
            roots, values = part["signed_root"].to_numpy(float), part["value"].to_numpy(float)
            at = np.array([0.0, -self.reach, self.reach])
            rows[name] = np.interp(at, roots, values, left=np.nan, right=np.nan)
        self.intervals = pd.DataFrame.from_dict(
            rows, orient="index", columns=["estimate", "conf_low", "conf_high"]
        )

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        y=None,
        groups=None,
        *,
        parameters=None,
        level: float = 0.95,
        n_points: int = 12,
        sample_weight=None,
        offset=None,
        ax=None,
        **kwargs,
    ) -> ProfileDisplay:
        """Profile the likelihood of a fitted model.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted.
        X : data frame or array of shape (n, n_features)
            The training data.
        y : array-like of shape (n,), optional
            Labels, when X has no response column.
        groups : array-like of shape (n,), data frame or dict, optional
            As in `fit`.
        parameters : str or list of str, optional
            Rows of `confidence_intervals`; all by default. Saves the time of other profiles.
        level : float, default=0.95
        n_points : int, default=12
            Values of each parameter, beside its estimate and the limits.
        sample_weight : array-like of shape (n,), optional
            As in `fit`.
        offset : array-like of shape (n,), optional
            As in `fit`.
        ax : Axes or array of Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        ProfileDisplay
            Drawn.

        Raises
        ------
        ValueError
            The data are not those of the fit, a parameter is none of the model, or the fit has no
            likelihood to profile (a prior, `n_agq=0`).
        """
        from ...inference.intervals import profiles

        if n_points < 2:
            raise ValueError(f"n_points must be at least 2, got {n_points!r}")
        table = profiles(
            model, X, y, groups, parameters=parameters, level=level, n_points=n_points,
            sample_weight=sample_weight, offset=offset,
        )  # fmt: skip
        return cls(table, level=level).plot(ax=ax, **kwargs)

    @classmethod
    def from_table(cls, table, *, level: float = 0.95, ax=None, **kwargs) -> ProfileDisplay:
        """Draw a table of profiles.

        Parameters
        ----------
        table : DataFrame
            parameter, value, signed_root.
        level : float, default=0.95
        ax : Axes or array of Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        ProfileDisplay
            Drawn.
        """
        return cls(table, level=level).plot(ax=ax, **kwargs)

    def plot(
        self, ax=None, *, parameters=None, color: str = COLORS[0], line_kw: dict | None = None
    ) -> ProfileDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, optional
            One for each panel; a single one is divided.
        parameters : list of str, optional
            Those to show; all by default.
        color : str
        line_kw : dict, optional
            For Axes.plot.

        Returns
        -------
        self
        """
        names = list(self.intervals.index if parameters is None else parameters)
        for name in names:
            if name not in self.intervals.index:
                raise ValueError(f"parameters: there is no profile of {name!r}")
        axes = make_axes(ax, len(names), size=(3.2, 2.8), share_y=True)
        for one, name in zip(axes, names, strict=True):
            part = self.table[self.table["parameter"] == name].sort_values("value")
            one.axhline(0.0, color="#BDBDBD", linewidth=0.8)
            for bound, root in zip(("conf_low", "conf_high"), (-self.reach, self.reach)):
                one.axhline(root, color=GREY, linewidth=0.8, linestyle=":")
                value = self.intervals.loc[name, bound]
                if np.isfinite(value):
                    one.vlines(value, 0.0, root, color=COLORS[1], linewidth=1.5)
            self._quadratic(one, part, name)
            style = {"color": color, "linewidth": 2.0}
            one.plot(part["value"], part["signed_root"], **merged(style, line_kw))
            one.set_title(str(name), loc="left", fontsize="medium")
            one.locator_params(axis="x", nbins=5)
            finish(one, grid=None)
        limit = 1.15 * max(self.reach, float(self.table["signed_root"].abs().max()))
        axes[0].set_ylim(-limit, limit)
        n_columns = min(len(names), 3)
        for i, one in enumerate(axes):
            if i % n_columns == 0:
                one.set_ylabel("signed root")
        keep_axes(self, axes)
        return self

    def _quadratic(self, ax, part, name) -> None:
        """The straight line that a quadratic likelihood would have, from the slope at the mode."""
        estimate = self.intervals.loc[name, "estimate"]
        near = part.iloc[(part["value"] - estimate).abs().argsort().to_numpy()[:3]]
        gap = near["value"] - estimate
        use = gap != 0.0
        if not np.isfinite(estimate) or not use.any():
            return
        slope = float((near["signed_root"][use] / gap[use]).mean())
        ends = np.array([part["value"].min(), part["value"].max()])
        ax.plot(ends, slope * (ends - estimate), color=GREY, linewidth=1.0, linestyle="--")
