"""`RandomEffectsDisplay`: a caterpillar of random effects."""

from __future__ import annotations

import numpy as np

from ...result.wald import normal_reach
from ._figure import COLORS, GREY, finish, keep_axes, make_axes, merged

__all__ = ["RandomEffectsDisplay"]


class RandomEffectsDisplay:
    """Conditional modes of the random effects with intervals, one panel per factor and term.

    Make one with `from_estimator`.

    Parameters
    ----------
    effects : DataFrame
        group, level, term, estimate, std_error, as the estimator's `random_effects_`.
    level : float, default=0.95
        Of the intervals estimate +- z std_error (standard errors given the parameters).

    Attributes
    ----------
    effects : DataFrame
        With conf_low and conf_high.
    ax_ : Axes or ndarray of Axes
    figure_ : Figure

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, RandomEffectsDisplay
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ age + urban + (1 | district)").fit(women)
    >>> display = RandomEffectsDisplay.from_estimator(model)
    """

    def __init__(self, effects, *, level: float = 0.95) -> None:
        reach = normal_reach(level) * effects["std_error"]
        self.level = level
        self.effects = effects.assign(
            conf_low=effects["estimate"] - reach, conf_high=effects["estimate"] + reach
        )

    @classmethod
    def from_estimator(
        cls,
        model,
        *,
        group: str | None = None,
        term: str | None = None,
        level: float = 0.95,
        ax=None,
        **kwargs,
    ) -> RandomEffectsDisplay:
        """Draw the random effects of a fitted model.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted.
        group, term : str, optional
            One factor or one term alone, e.g. ``"district"`` and ``"Intercept"``.
        level : float, default=0.95
        ax : Axes or array of Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        RandomEffectsDisplay
            Drawn.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model, "result_")
        effects = model.random_effects_
        if effects.empty:
            raise ValueError("the model has no random effects to show")
        for name, value in (("group", group), ("term", term)):
            if value is not None:
                known = effects[name].unique()
                if value not in known:
                    raise ValueError(
                        f"{name}: {value!r} is not in the model, which has {', '.join(known)}"
                    )
                effects = effects[effects[name] == value]
        return cls(effects.reset_index(drop=True), level=level).plot(ax=ax, **kwargs)

    def plot(
        self,
        ax=None,
        *,
        sort: bool = True,
        labels: bool | None = None,
        point_kw: dict | None = None,
        interval_kw: dict | None = None,
    ) -> RandomEffectsDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of Axes, optional
            One for each panel; a single one is divided.
        sort : bool, default=True
            By estimate; False keeps the order of the levels.
        labels : bool, optional
            Write the levels at the axis; by default where there are at most 40.
        point_kw, interval_kw : dict, optional
            For Axes.plot and Axes.hlines.

        Returns
        -------
        self
        """
        panels = list(self.effects.groupby(["group", "term"], sort=False))
        most = max(len(rows) for _, rows in panels)
        height = float(np.clip(1.2 + 0.17 * min(most, 40), 2.6, 7.0))
        longest = max(
            (
                max(len(str(level)) for level in rows["level"])
                for _, rows in panels
                if _has_labels(rows, labels)
            ),
            default=0,
        )
        axes = make_axes(ax, len(panels), size=(4.4 + 0.08 * max(longest - 8, 0), height))
        for one, ((group, term), rows) in zip(axes, panels, strict=True):
            if sort:
                rows = rows.sort_values("estimate", kind="stable")
            place = np.arange(len(rows))
            apart = (rows["conf_low"] > 0.0) | (rows["conf_high"] < 0.0)
            colors = np.where(apart, COLORS[1], COLORS[0])
            one.axvline(0.0, color=GREY, linewidth=1.0, linestyle="--")
            style = {"linewidth": 1.2, "alpha": 0.6, "colors": colors, **(interval_kw or {})}
            one.hlines(place, rows["conf_low"], rows["conf_high"], **style)
            size = 4.0 if len(rows) <= 60 else 2.5
            for which, color in ((~apart, COLORS[0]), (apart, COLORS[1])):
                style = {"marker": "o", "linestyle": "none", "markersize": size, "color": color}
                one.plot(rows["estimate"][which], place[which], **merged(style, point_kw))
            if _has_labels(rows, labels):
                one.set_yticks(place, [str(level) for level in rows["level"]])
            else:
                one.set_yticks([])
            one.set_ylim(-1, len(rows))
            what = f"{group} ({len(rows)} levels)"
            one.set(ylabel=what, xlabel=f"random effect, link scale ({self.level:.0%} intervals)")
            one.set_title(str(term), loc="left")
            finish(one, grid="x")
        keep_axes(self, axes)
        return self


def _has_labels(rows, labels: bool | None) -> bool:
    return len(rows) <= 40 if labels is None else labels
