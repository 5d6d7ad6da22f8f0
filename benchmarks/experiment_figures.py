"""Draw the figures of assignment 1's handout from the newest results.

python -m benchmarks.experiments --figures
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import RESULTS
from course.plots import COLORS, STYLE, save

FIGURES = Path(__file__).parent.parent / "assignment1_basics" / "figures"
Run = dict[str, Any]
SCALES = ("small", "large")
LOSS = "held-out loss (nats per token)"


def draw_all() -> None:
    """Write every figure."""
    runs = {scale: newest(f"experiments-{scale}")["runs"] for scale in SCALES}
    compression = newest("compression")["rows"]
    draw("learning-rate", lambda left, right: learning_rate(left, right, runs))
    draw("batch-size", lambda left, right: batch_size(left, right, runs))
    draw("norm", lambda left, right: norm(left, right, runs))
    draw("position", lambda left, right: position(left, right, runs))
    draw("swiglu", lambda left, right: swiglu(left, right, runs))
    draw("compression", lambda left, right: tokenizer_compression(left, right, compression))


def newest(name: str) -> dict[str, Any]:
    """Return the newest result of a benchmark."""
    return json.loads(max(RESULTS.glob(f"{name}-????-??-??.json")).read_text(encoding="utf-8"))


def draw(name: str, paint: Callable[..., None]) -> None:
    """Write one figure; it has as many panels as `paint` takes axes."""
    panels = paint.__code__.co_argcount
    with matplotlib.rc_context(STYLE):
        size = (9.2, 3.7) if panels == 2 else (5.6, 3.7)
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        paint(*figure.subplots(1, panels, squeeze=False)[0])
        for axes in figure.axes:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=9)
        print(save(figure, FIGURES / f"{name}.png"))


def select(runs: Sequence[Run], experiment: str, **options: str) -> list[Run]:
    """Return the runs of an experiment with these options, by learning rate."""
    found = [
        run
        for run in runs
        if run["experiment"] == experiment
        and all(run["options"].get(name) == value for name, value in options.items())
    ]
    return sorted(found, key=lambda run: run["learning_rate"])


def learning_rate(left: Axes, right: Axes, runs: dict[str, list[Run]]) -> None:
    left.set(title="small: every learning rate", xlabel="step", ylabel=LOSS)
    for run, color in zip(select(runs["small"], "rates"), COLORS, strict=False):
        left.plot(*run["curve"], color=color, label=f"{run['learning_rate']:g}")
    right.set(title="after the last step", xlabel="learning rate", ylabel=LOSS, xscale="log")
    for scale, color in zip(SCALES, COLORS, strict=False):
        by_rate(right, select(runs[scale], "rates"), scale, color)
    right.set_ylim(0, 6)


def by_rate(axes: Axes, runs: Sequence[Run], label: str, color: str) -> None:
    """Draw the last loss over the learning rate; a cross on the top where a run diverged."""
    ended = [run for run in runs if run["loss"] is not None]
    axes.plot(
        [run["learning_rate"] for run in ended],
        [run["loss"] for run in ended],
        "o-",
        markersize=4,
        color=color,
        label=label,
    )
    for run in runs:
        if run["diverged_after"] is not None:
            axes.plot(
                run["learning_rate"], 0.97, "x", color=color, transform=axes.get_xaxis_transform()
            )
            axes.annotate(
                "diverged",
                (run["learning_rate"], 0.97),
                xycoords=axes.get_xaxis_transform(),
                xytext=(-6, -3),
                textcoords="offset points",
                ha="right",
                fontsize=9,
                color=color,
            )


def batch_size(left: Axes, right: Axes, runs: dict[str, list[Run]]) -> None:
    for axes, scale, top in ((left, "small", 4.2), (right, "large", 0.7)):
        axes.set(title=scale, xlabel="learning rate", ylabel=LOSS, xscale="log")
        axes.set_ylim(0.3 if scale == "large" else 0, top)
        names = [run["experiment"] for run in runs[scale] if run["experiment"].startswith("batch-")]
        smallest, largest = dict.fromkeys(names)
        for name, color in zip((smallest, "rates", largest), COLORS, strict=False):
            members = select(runs[scale], name)
            members = [run for run in members if 1e-3 <= run["learning_rate"] <= 1e-2]
            size, steps = members[0]["batch_size"], members[0]["steps"]
            by_rate(axes, members, f"batches of {size}, {steps:,} steps", color)


def norm(left: Axes, right: Axes, runs: dict[str, list[Run]]) -> None:
    for axes, scale, top in ((left, "small", 4.5), (right, "large", 0.7)):
        axes.set(title=scale, xlabel="learning rate", ylabel=LOSS, xscale="log")
        rates = [run for run in select(runs[scale], "rates") if 3e-4 <= run["learning_rate"] < 0.03]
        by_rate(axes, rates, "pre-norm", COLORS[0])
        by_rate(axes, select(runs[scale], "norm", norm="post"), "post-norm", COLORS[1])
        by_rate(axes, select(runs[scale], "norm", norm="none"), "no norm", COLORS[2])
        axes.set_ylim(0.3 if scale == "large" else 0, top)


def position(left: Axes, right: Axes, runs: dict[str, list[Run]]) -> None:
    for axes, scale, top in ((left, "small", 6), (right, "large", 2)):
        axes.set(title=scale, xlabel="step", ylabel=LOSS, ylim=(0, top))
        curves(axes, base(runs[scale]), "RoPE", COLORS[0])
        curves(axes, select(runs[scale], "position"), "no positions", COLORS[1])


def swiglu(left: Axes, right: Axes, runs: dict[str, list[Run]]) -> None:
    for axes, scale, limits in ((left, "small", (0.8, 1.6)), (right, "large", (0.34, 0.54))):
        axes.set(title=scale, xlabel="step", ylabel=LOSS, ylim=limits)
        widths = ("384", "576") if scale == "small" else ("1408", "2112")
        curves(axes, base(runs[scale]), f"SwiGLU, d_ff {widths[0]}", COLORS[0])
        for width, color in zip(widths, COLORS[1:], strict=False):
            silu = select(runs[scale], "silu", **{"d-ff": width})
            curves(axes, silu, f"SiLU, d_ff {width}", color)
        steps = base(runs[scale])[0]["steps"]
        axes.set_xlim(steps * 0.45, steps * 1.01)


def base(runs: list[Run]) -> list[Run]:
    """Return all runs with the config as it is, of any seed."""
    same = [run for run in select(runs, "rates") if run["learning_rate"] == 3e-3]
    return [*select(runs, "base"), *same, *select(runs, "seeds")]


def curves(axes: Axes, runs: Sequence[Run], label: str, color: str) -> None:
    """Draw runs that differ by chance only in one colour."""
    for index, run in enumerate(runs):
        axes.plot(*run["curve"], color=color, label="" if index else label, linewidth=1.3)


def tokenizer_compression(left: Axes, right: Axes, rows: Sequence[dict[str, Any]]) -> None:
    for axes, text in ((left, "prose"), (right, "stories")):
        axes.set(
            title=f"held-out {text}",
            xlabel="vocabulary",
            ylabel="bytes per token",
            xscale="log",
            ylim=(1, 4.5),
        )
        for trained_on, color in zip(("prose", "stories"), COLORS, strict=False):
            line = [row for row in rows if row["trained on"] == trained_on]
            axes.plot(
                [row["vocabulary"] for row in line],
                [row[f"bytes per token of {text}"] for row in line],
                "o-",
                markersize=4,
                color=color,
                label=f"trained on {trained_on}",
            )
        axes.set_xticks([300, 1000, 3000, 10000], ["300", "1,000", "3,000", "10,000"], minor=False)
        axes.minorticks_off()
