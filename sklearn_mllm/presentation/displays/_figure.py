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
    "level_ticks",
    "line_style",
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
        axes[-1].tick_params(
            labelleft=not share_y or i % columns == 0, labelbottom=not share_x or i + columns >= n
        )
    return np.array(axes, dtype=object)


def finish(ax, *, grid: str | None = "y") -> None:
    """Open frame and a faint grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        ax.grid(axis=grid, color="#E6E6E6", linewidth=0.8)
        ax.set_axisbelow(True)


def line_style(colors, i: int) -> tuple[str, str]:
    """Colour and dashes of the i-th of a family of curves: other dashes where colours come again."""
    return colors[i % len(colors)], LINES[i // len(colors) % len(LINES)]


def level_ticks(ax, labels) -> float:
    """Levels at 0, 1, ... of the horizontal axis, turned where they would run into each other.

    Gives the inches below the axes that turned labels take.
    """
    labels = [str(label) for label in labels]
    inches = ax.get_position().width * ax.figure.get_figwidth()
    # some 12 characters to an inch
    room = 12.0 * inches / max(len(labels), 1)
    longest = max(map(len, labels), default=0)
    style, below = {}, 0.0
    if longest + 1 > room:
        upright = room < 3.0
        style = {"rotation": 90} if upright else {"rotation": 45, "ha": "right"}
        style["rotation_mode"] = "default" if upright else "anchor"
        below = 0.08 * longest * (1.0 if upright else 0.7)
    ax.set_xticks(np.arange(len(labels)), labels, **style)
    ax.set_xlim(-0.5, len(labels) - 0.5)
    return below


def legend(axes: np.ndarray, title: str | None = None, *, outside: bool) -> None:
    """One legend for all axes: beside them in a figure of their own, else in the last.

    Many labels go in several columns.
    """
    handles, labels = axes[0].get_legend_handles_labels()
    if not handles:
        return
    style = {"title": title, "alignment": "left"}
    figure = axes[0].figure
    height = (
        figure.get_figheight()
        if outside
        else axes[-1].get_position().height * (figure.get_figheight())
    )
    rows = max(int((height - 0.5) / 0.22), 1)
    columns = -(-len(labels) // rows)
    if outside:
        longest = max(map(len, [*labels, title or ""]))
        figure.set_figwidth(figure.get_figwidth() + columns * (0.6 + 0.08 * longest))
        figure.legend(
            handles, labels, loc="outside right center", frameon=False, ncols=columns, **style
        )
    else:
        axes[-1].legend(
            handles, labels, framealpha=0.8, edgecolor="none", ncols=columns,
            fontsize="medium" if columns == 1 else "x-small", **style,
        )  # fmt: skip


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
