"""Axes, colours and styles that the displays share."""

from __future__ import annotations

import numpy as np

__all__ = [
    "COLORS",
    "GREY",
    "LINES",
    "MARKERS",
    "finish",
    "keep_axes",
    "legend",
    "make_axes",
    "merged",
]

#: Okabe & Ito's palette, told apart with any colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", ":", "-.")
GREY = "#6E6E6E"


def make_axes(
    ax, n: int, *, n_columns: int = 3, size=(4.2, 3.4), share_x=False, share_y=False
) -> np.ndarray:
    """n axes: new ones in a figure of their own, those given, or a grid in the place of one.

    Parameters
    ----------
    ax : Axes, array of Axes or None
    n, n_columns : int
    size : (float, float)
        Inches of one panel, where a figure is made.
    share_x, share_y : bool
    """
    try:
        import matplotlib.pyplot as plt
        from matplotlib.gridspec import GridSpecFromSubplotSpec
    except ImportError as error:
        raise ImportError(
            "figures need matplotlib: pip install 'sklearn-mllm[plot]', or matplotlib alone"
        ) from error
    columns = min(n, n_columns)
    rows = -(-n // columns)
    if ax is None:
        _, grid = plt.subplots(
            rows, columns, figsize=(size[0] * columns, size[1] * rows), squeeze=False,
            sharex=share_x, sharey=share_y, layout="constrained",
        )  # fmt: skip
        axes = grid.ravel()
        for spare in axes[n:]:
            spare.remove()
        for above in axes[max(n - columns, 0) : n]:
            above.tick_params(labelbottom=True)
        return axes[:n]
    given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if given.size == n:
        return given
    if given.size != 1:
        raise ValueError(f"ax has {given.size} axes, but this display has {n} panels")
    place = given[0]
    place.set_axis_off()
    grid = GridSpecFromSubplotSpec(rows, columns, subplot_spec=place.get_subplotspec())
    axes = []
    for i in range(n):
        shared = axes[0] if axes else None
        axes.append(
            place.figure.add_subplot(
                grid[i // columns, i % columns],
                sharex=shared if share_x else None,
                sharey=shared if share_y else None,
            )
        )
    return np.array(axes, dtype=object)


def finish(ax, *, grid: str | None = "y") -> None:
    """Open frame and a faint grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        ax.grid(axis=grid, color="#E6E6E6", linewidth=0.8)
        ax.set_axisbelow(True)


def legend(axes: np.ndarray, title: str | None = None, *, outside: bool) -> None:
    """One legend for all axes: beside them in a figure of their own, else in the last."""
    handles, labels = axes[0].get_legend_handles_labels()
    if not handles:
        return
    style = {"title": title, "frameon": False, "alignment": "left"}
    if outside:
        figure = axes[0].figure
        longest = max(map(len, [*labels, title or ""]))
        figure.set_figwidth(figure.get_figwidth() + 0.6 + 0.08 * longest)
        figure.legend(handles, labels, loc="outside right center", **style)
    else:
        axes[-1].legend(handles, labels, **style)


def keep_axes(display, axes: np.ndarray) -> None:
    """Set `ax_` (one Axes, or an array of them) and `figure_`."""
    display.ax_ = axes[0] if len(axes) == 1 else axes
    display.figure_ = axes[0].figure


def merged(defaults: dict, user: dict | None) -> dict:
    """Defaults with the user's keywords on top, short and long names alike."""
    if not user:
        return defaults
    from matplotlib import cbook
    from matplotlib.lines import Line2D

    return {**defaults, **cbook.normalize_kwargs(user, Line2D)}
