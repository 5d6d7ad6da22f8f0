"""Memory over time by category: a table of what the peak is made of, and a picture of two steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from assignment2_systems.reference.measuring.memory_timeline import CATEGORIES, Timeline
from assignment2_systems.reference.measuring.report import new_table
from assignment2_systems.reference.measuring.step import Variant
from course import plots

if TYPE_CHECKING:
    from rich.table import Table

MIB = 2**20
COLORS = {
    "parameters": "#0072B2",
    "optimizer state": "#56B4E9",
    "gradients": "#009E73",
    "activations": "#E69F00",
    "temporary": "#D55E00",
}


def memory_table(
    title: str, timelines: Mapping[Variant, Timeline], calculated: Mapping[Variant, int]
) -> "Table":
    """Return what each variant's peak consists of, in MiB."""
    table = new_table(
        title, *CATEGORIES, "peak", "calculated",
        caption="MiB allocated at the peak; calculated: by `course account`, for a GPU with fused "
        "AdamW",
    )  # fmt: skip
    for variant, timeline in timelines.items():
        sizes = [*timeline.at_peak().values(), timeline.peak, calculated[variant]]
        table.add_row(str(variant), *(f"{size / MIB:,.1f}" for size in sizes))
    return table


def plot_timeline(path: Path, title: str, timeline: Timeline) -> Path:
    """Draw the categories on top of each other over time, the phases named above."""
    import matplotlib
    from matplotlib.figure import Figure

    milliseconds = [1e3 * time for time in timeline.times]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(10, 4.6), dpi=130, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        axes = figure.add_subplot(
            xlabel="milliseconds since the step began, recorded (recording slows the host)",
            ylabel="MiB allocated",
        )
        axes.stackplot(
            milliseconds,
            *([size / MIB for size in timeline.bytes[category]] for category in CATEGORIES),
            labels=CATEGORIES, colors=[COLORS[category] for category in CATEGORIES],
            step="post", linewidth=0,
        )  # fmt: skip
        peak = timeline.peak / MIB
        when = milliseconds[timeline.totals.index(timeline.peak)]
        axes.axhline(peak, color="black", linestyle="--", linewidth=1)
        axes.plot([when], [peak], "v", color="black", markersize=6)
        axes.text(milliseconds[-1], peak * 1.01, f"peak {peak:,.4g} MiB", ha="right", fontsize=9)
        for name, begin, end in timeline.phases:
            axes.axvline(1e3 * begin, color="#555555", linewidth=0.6, linestyle=":")
            if end - begin > 0.03 * timeline.times[-1]:
                middle = 1e3 * (begin + end) / 2
                axes.text(middle, peak * 1.09, name, ha="center", fontsize=9, color="#333333")
        axes.set_xlim(0, milliseconds[-1])
        axes.set_ylim(0, peak * 1.16)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center", fontsize=9)
        return plots.save(figure, path)
