"""Curves in one house style, written as PNG without a display and without pyplot's global state."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008: colours that colour-blind readers tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")

LEGEND_ROWS = 20

STYLE: Any = {  # matplotlib types the keys as a Literal of 300 names
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}

Curve = tuple[Sequence[float], Sequence[float]]


def plot_curves(
    path: Path | str,
    curves: Mapping[str, Curve],
    xlabel: str,
    ylabel: str,
    title: str = "",
    *,
    log_x: bool = False,
    points: bool = False,
    horizontal: Mapping[str, float] | None = None,
) -> Path:
    """Draw each labelled (x, y) curve into a PNG at `path`, written atomically; return the path.

    Args:
        path: where the PNG goes.
        curves: label to (x, y); a label that starts with "_" stays out of the legend.
        xlabel: the quantity and its unit.
        ylabel: the quantity and its unit.
        title: one line on top.
        log_x: logarithmic x axis.
        points: mark every point (few points, as in a sweep).
        horizontal: label to height, dashed lines across the plot (a yardstick to beat).
    """
    import matplotlib
    from matplotlib.figure import Figure

    # A long legend stands beside the plot in columns; a very long one would leave no room for it.
    columns = -(-len(curves) // LEGEND_ROWS) if LEGEND_ROWS / 2 < len(curves) <= 60 else 0
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2 + 1.9 * columns, 4.2), dpi=130, layout="constrained")
        axes = figure.add_subplot(
            xlabel=xlabel,
            ylabel=ylabel,
            title=title,
            xscale="log" if log_x else "linear",
        )
        marker = "o" if points else None
        colors: Sequence[Any] = COLORS
        if len(curves) > len(COLORS):  # too many to tell apart: let the order show
            viridis = matplotlib.colormaps["viridis"]
            colors = [viridis(index / (len(curves) - 1)) for index in range(len(curves))]
        for color, (label, (x, y)) in zip(colors, curves.items(), strict=False):
            axes.plot(x, y, label=label, color=color, marker=marker, markersize=4)
        for index, (label, height) in enumerate((horizontal or {}).items()):
            color = COLORS[(len(curves) + index) % len(COLORS)]
            axes.axhline(height, label=label, color=color, linestyle="--", linewidth=1.2)
        if columns:
            figure.legend(loc="outside right upper", ncols=columns, fontsize=7)
        elif axes.get_legend_handles_labels()[0] and len(curves) <= LEGEND_ROWS:
            axes.legend(fontsize=9)
        return save(figure, path)


def thinned(curve: Curve, most: int = 400) -> Curve:
    """Return the curve with at most `most` points, each the mean of as many neighbours."""
    x, y = curve
    size = -(-len(x) // most) or 1
    cuts = range(0, len(x), size)
    return (
        [statistics.fmean(x[i : i + size]) for i in cuts],
        [statistics.fmean(y[i : i + size]) for i in cuts],
    )


def save(figure: "Figure", path: Path | str) -> Path:
    """Write a matplotlib figure as PNG, whole or not at all."""
    path = Path(path)
    with atomic_write(path) as file:
        # No time stamp and no version: the same curves give the same bytes.
        figure.savefig(file, format="png", metadata={"Software": None})
    return path
