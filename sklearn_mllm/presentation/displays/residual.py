"""`ResidualDisplay`: simulated-quantile residuals."""

from __future__ import annotations

import numpy as np

from ...design.table import pandas_frame
from ._data import check_columns, counts, predicting
from ._figure import COLORS, GREY, finish, keep_axes, make_axes, merged

__all__ = ["ResidualDisplay"]


class ResidualDisplay:
    """Quantile residuals by simulation: QQ plot, residuals against prediction, dispersion.

    The residual of an observation is the share of responses simulated from the fitted model that
    lie below it, ties split at random: uniform on (0, 1) when the model is right. Residuals of
    single binary rows can show little; with `by`, rows are added up to counts per cell first.
    Make one with `from_estimator`.

    Parameters
    ----------
    observed : ndarray of shape (m,)
        Events per cell.
    simulated : ndarray of shape (m, n_samples)
    predicted : ndarray of shape (m,)
        Predicted share of events.
    random_state : int, RandomState or None
        For splitting ties.

    Attributes
    ----------
    residuals : ndarray of shape (m,)
    dispersion : float
        Variance of the observed around the simulated means over that expected; 1 when right.
    dispersion_p_value, uniformity_p_value : float
        Two-sided, from the simulations; Kolmogorov-Smirnov.
    simulated_dispersion : ndarray of shape (n_samples,)
    ax_ : ndarray of Axes
    figure_ : Figure

    References
    ----------
    Dunn & Smyth (1996), Journal of Computational and Graphical Statistics 5; Hartig, DHARMa (R).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, ResidualDisplay
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> display = ResidualDisplay.from_estimator(model, women, by="district")
    >>> display.residuals.shape
    (60,)
    """

    def __init__(self, observed, simulated, predicted, *, random_state=0) -> None:
        from scipy.stats import kstest
        from sklearn.utils import check_random_state

        generator = check_random_state(random_state)
        self.observed = np.asarray(observed, dtype=float)
        self.simulated = np.asarray(simulated, dtype=float)
        self.predicted = np.asarray(predicted, dtype=float)
        m, n_samples = self.simulated.shape
        below = (self.simulated < self.observed[:, None]).sum(axis=1)
        ties = (self.simulated == self.observed[:, None]).sum(axis=1)
        self.residuals = (below + generator.uniform(size=m) * (ties + 1)) / (n_samples + 1)
        self.uniformity_p_value = float(kstest(self.residuals, "uniform").pvalue)
        means = self.simulated.mean(axis=1)
        spread = ((self.simulated - means[:, None]) ** 2).mean(axis=0)
        expected = spread.mean()
        self.dispersion = float(((self.observed - means) ** 2).mean() / expected)
        self.simulated_dispersion = spread / expected
        above = (1 + (self.simulated_dispersion >= self.dispersion).sum()) / (n_samples + 1)
        under = (1 + (self.simulated_dispersion <= self.dispersion).sum()) / (n_samples + 1)
        self.dispersion_p_value = float(min(1.0, 2.0 * min(above, under)))

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        y=None,
        *,
        groups=None,
        offset=None,
        by=None,
        n_samples: int = 250,
        new_effects: bool = True,
        random_state=0,
        ax=None,
        **kwargs,
    ) -> ResidualDisplay:
        """Simulate from a fitted model and compare.

        Parameters
        ----------
        model : MixedLogisticClassifier
            Fitted.
        X : data frame or array
        y : array-like of shape (n,) or (n, 2), optional
            Labels, or successes and failures, when X has no response column.
        groups : array-like of shape (n,), data frame or dict, optional
            As in `fit`.
        offset : array-like of shape (n,), optional
            As in `fit`.
        by : str or list of str, optional
            Columns whose combinations are added up, e.g. the grouping factor.
        n_samples : int, default=250
        new_effects : bool, default=True
            Draw the random effects anew too, so that they are checked with the rest; False leaves
            them at their modes.
        random_state : int, RandomState or None, default=0
        ax : Axes or array of three Axes, optional
        **kwargs
            Passed to `plot`.

        Returns
        -------
        ResidualDisplay
            Drawn.
        """
        from sklearn.utils import check_random_state

        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples!r}")
        model = predicting(model, "marginal" if new_effects else "conditional")
        generator = check_random_state(random_state)
        frame = pandas_frame(X)
        successes, trials = counts(model, frame, y)
        predicted = model.predict_proba(X, groups, offset=offset)[:, 1]
        known = ~np.isnan(predicted + successes + trials)
        trials = np.where(known, trials, 0.0)
        simulated = np.zeros((len(frame), n_samples))
        rows, drawn = _simulated(
            model, frame, groups, offset, trials, n_samples, generator, new_effects
        )
        simulated[rows] = drawn
        # rows without trials, or with a missing value, say nothing
        keep = np.zeros(len(frame), dtype=bool)
        keep[rows] = trials[rows] > 0.0
        if by is not None:
            names = [by] if isinstance(by, str) else list(by)
            check_columns(frame, names, "by")
            cell = frame.groupby(names, observed=True, sort=False).ngroup().to_numpy()
            cell = np.unique(cell[keep], return_inverse=True)[1]
        else:
            cell = np.arange(keep.sum())
        n = np.bincount(cell, weights=trials[keep])
        sums = np.zeros((n.size, n_samples))
        np.add.at(sums, cell, simulated[keep])
        expected = np.bincount(cell, weights=(trials * predicted)[keep])
        events = np.bincount(cell, weights=successes[keep])
        made = cls(events, sums, expected / n, random_state=generator)
        return made.plot(ax=ax, **kwargs)

    def plot(
        self, ax=None, *, color: str = COLORS[0], point_kw: dict | None = None
    ) -> ResidualDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or array of three Axes, optional
            A single one is divided.
        color : str
        point_kw : dict, optional
            For Axes.plot.

        Returns
        -------
        self
        """
        axes = make_axes(ax, 3, size=(3.7, 3.4))
        m = len(self.residuals)
        size = 4.0 if m <= 300 else 2.0
        style = {"marker": "o", "linestyle": "none", "markersize": size, "color": color}
        style |= {"alpha": 0.7 if m <= 300 else 0.35, "markeredgewidth": 0}
        expected = (np.arange(m) + 0.5) / m
        axes[0].plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--")
        axes[0].plot(expected, np.sort(self.residuals), **merged({**style, "alpha": 1}, point_kw))
        axes[0].set(xlabel="expected", ylabel="residual", aspect="equal")
        axes[0].set_title(f"uniform? KS p = {self.uniformity_p_value:.2g}", loc="left")
        rank = (np.argsort(np.argsort(self.predicted, kind="stable")) + 0.5) / m
        axes[1].plot(rank, self.residuals, **merged(style, point_kw))
        for share, line in zip((0.25, 0.5, 0.75), self._running_quantiles(rank), strict=True):
            axes[1].axhline(share, color=GREY, linewidth=1.0, linestyle="--")
            axes[1].plot(*line, color=COLORS[1], linewidth=2.0)
        axes[1].set(xlabel="prediction, rank", ylabel="residual", ylim=(-0.02, 1.02))
        axes[1].set_title("quartiles level?", loc="left")
        axes[2].hist(self.simulated_dispersion, bins=25, color="#BDBDBD", label="simulated")
        axes[2].axvline(self.dispersion, color=COLORS[1], linewidth=2.0, label="observed")
        axes[2].set(xlabel="dispersion", yticks=[])
        axes[2].spines["left"].set_visible(False)
        axes[2].set_title(
            f"dispersion {self.dispersion:.2f}, p = {self.dispersion_p_value:.2g}", loc="left"
        )
        axes[2].set_ylim(top=1.3 * axes[2].get_ylim()[1])
        axes[2].legend(frameon=False, loc="upper right")
        for one in axes:
            one.title.set_fontsize("medium")
            finish(one, grid=None)
        keep_axes(self, axes)
        return self

    def _running_quantiles(self, rank, n_bins: int = 10):
        """Quartiles of the residuals in bins of the prediction."""
        n_bins = int(np.clip(len(rank) // 15, 2, n_bins))
        code = np.minimum((rank * n_bins).astype(int), n_bins - 1)
        parts = [self.residuals[code == i] for i in range(n_bins)]
        middle = (np.arange(n_bins) + 0.5) / n_bins
        for share in (0.25, 0.5, 0.75):
            yield middle, np.array([np.quantile(p, share) if p.size else np.nan for p in parts])


def _simulated(model, frame, groups, offset, trials, n_samples, generator, new_effects):
    """Complete rows, and events drawn for the trials of each: (m,), (m, n_samples)."""
    from ...design.row_vectors import check_offset
    from ...design.table import make_table
    from ...links import get_link
    from ...prediction.simulation import simulate_events

    _, matrices = model.spec_.extend(make_table(frame, groups), missing=model.missing)
    rows = np.arange(len(frame)) if matrices.rows is None else np.asarray(matrices.rows)
    offset = check_offset(offset, len(frame))
    if offset is not None:
        offset = offset[rows]
    if matrices.offset is not None:
        offset = matrices.offset if offset is None else offset + matrices.offset
    drawn = simulate_events(
        model.result_,
        get_link(model.result_.link),
        matrices,
        offset,
        n_samples=n_samples,
        random_state=generator,
        new_effects=new_effects,
        trials=np.rint(trials[rows]).astype(np.int64),
    )
    return rows, drawn
