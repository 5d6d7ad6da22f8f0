"""What was measured as a table, as files that other programs read, and as a picture."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assignment2_systems.reference.measuring.measure import Measurement
from assignment2_systems.reference.measuring.step import PHASES
from assignment2_systems.reference.measuring.timing import summarize
from course import plots
from course.files import atomic_write
from course.progress import amount

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30
NONE = "\N{EN DASH}"
PHASE_COLORS = dict(zip(PHASES, plots.COLORS, strict=False))


def new_table(title: str, *columns: str, caption: str = "") -> "Table":
    """Return an empty table in the style of `course account`: a label, then numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD,
                  caption=caption or None, caption_justify="left")  # fmt: skip
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def timing_table(title: str, measurements: Sequence[Measurement]) -> "Table":
    """Return a row for each variant: phases and step in milliseconds, rates, memory."""
    on_gpu = any(measurement.queueing for measurement in measurements)
    rated = any(measurement.peak_flops for measurement in measurements)
    columns = [f"{name} ms" for name in PHASES] + ["step ms"]
    columns += ["queueing ms"] * on_gpu + ["tokens/s", "TFLOP/s"] + ["MFU"] * rated
    columns += ["peak GiB"] * on_gpu + ["first step s"]
    table = new_table(
        title,
        *columns,
        caption="median and, after ±, half the range of the middle half of the repeats; "
        "step: timed alone, waiting for each; FLOPs of matrix products, half of the scores"
        + ("; queueing: the host's share of the step, hidden where it is smaller" * on_gpu),
    )
    for measurement in measurements:
        if measurement.failure:
            table.add_row(str(measurement.variant), measurement.failure)
            continue
        step = measurement.rows()[-1]
        cells = [_spread(measurement.phases[name]) for name in PHASES] + [_spread(measurement.step)]
        if on_gpu:
            cells.append(f"{1e3 * _number(step['queueing_s']):.2f}")
        cells.append(amount(_number(step["tokens_per_s"])))
        cells.append(f"{_number(step['flops_per_s']) / 1e12:.3g}")
        if rated:
            cells.append(f"{step['mfu']:.1%}" if step["mfu"] else NONE)
        if on_gpu:
            cells.append(f"{(measurement.peak_bytes or 0) / GIB:.2f}")
        table.add_row(str(measurement.variant), *cells, f"{measurement.first_step:.1f}")
    return table


def write_files(folder: Path, measurements: Sequence[Measurement]) -> list[Path]:
    """Write `timings.csv` (medians) and `timings.jsonl` (every repeat); return their paths."""
    rows = [row for measurement in measurements for row in measurement.rows()]
    if not rows:
        return []
    with atomic_write(folder / "timings.csv", "w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(folder / "timings.jsonl", "w") as file:
        for measurement in measurements:
            named = {**measurement.phases, "step": measurement.step}
            if measurement.queueing:
                named["queueing"] = measurement.queueing
            for phase, seconds in named.items():
                line: dict[str, Any] = {
                    "precision": measurement.variant.precision,
                    "mode": measurement.variant.mode,
                    "phase": phase,
                    "seconds": seconds,
                }
                file.write(json.dumps(line) + "\n")
    return [folder / "timings.csv", folder / "timings.jsonl"]


def plot_timings(path: Path, title: str, measurements: Sequence[Measurement]) -> Path:
    """Draw each variant's step as a bar of its phases, the whole step as a mark, its rate."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = [measurement for measurement in measurements if not measurement.failure]
    height = 1.5 + 0.52 * len(shown)
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(9, height), dpi=130, layout="constrained")
        axes = figure.add_subplot(xlabel="milliseconds, median", title=title)
        names = [str(measurement.variant) for measurement in shown]
        ends = dict.fromkeys(names, 0.0)
        for phase in PHASES:
            of = [summarize(measurement.phases[phase]) for measurement in shown]
            widths = [1e3 * summary.median for summary in of]
            bars = axes.barh(names, widths, left=list(ends.values()), label=phase, height=0.6,
                             color=PHASE_COLORS[phase])  # fmt: skip
            longest = max(sum(1e3 * summarize(m.phases[p]).median for p in PHASES) for m in shown)
            labels = [f"{width:.3g}" if width > 0.06 * longest else "" for width in widths]
            axes.bar_label(bars, labels, label_type="center", color="white", fontsize=8)
            ends = {name: ends[name] + width for name, width in zip(names, widths, strict=True)}
        steps = [summarize(measurement.step) for measurement in shown]
        axes.errorbar(
            [1e3 * step.median for step in steps],
            names,
            xerr=[
                [1e3 * (step.median - step.first_quartile) for step in steps],
                [1e3 * (step.third_quartile - step.median) for step in steps],
            ],
            fmt="|", color="black", markersize=15, capsize=3, linewidth=1.2,
            label="whole step, middle half",
        )  # fmt: skip
        right = max(*ends.values(), *(1e3 * step.third_quartile for step in steps))
        for index, measurement in enumerate(shown):
            row = measurement.rows()[-1]
            words = f"{amount(_number(row['tokens_per_s']))} tokens/s"
            words += f"\n{_number(row['flops_per_s']) / 1e12:.3g} TFLOP/s"
            words += f", MFU {row['mfu']:.0%}" if row["mfu"] else ""
            axes.text(right * 1.02, index, words, va="center", fontsize=8)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= right])
        axes.set_xlim(0, right * 1.24)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=4, fontsize=8)
        return plots.save(figure, path)


def _spread(seconds: Sequence[float]) -> str:
    of = summarize(seconds)
    return f"{1e3 * of.median:.2f} ±{of.spread / 2:.0%}"


def _number(value: str | float | None) -> float:
    return float(value or 0)
