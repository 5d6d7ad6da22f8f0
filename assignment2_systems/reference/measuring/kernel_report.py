"""The kernels that cost most: as a table, as CSV, and as bars beside what the roofline allows."""

import csv
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from assignment2_systems.reference.measuring.profile import KernelTotal
from assignment2_systems.reference.measuring.report import NONE, new_table
from assignment2_systems.reference.measuring.roofline import Ceilings
from course import plots
from course.files import atomic_write

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 10
NAME_WIDTH = 56
BOUND_COLORS = {"memory": plots.COLORS[0], "matmul": plots.COLORS[1], "": "#999999"}


def kernel_table(title: str, totals: Sequence[KernelTotal], ceilings: Ceilings) -> "Table":
    """Return the ten costliest kernels and what is left."""
    table = new_table(
        title,
        "launches", "ms", "share", "TFLOP/s", "GB/s", "bound by", "of roofline",
        caption=describe(ceilings) + "; above 100%: "
        "tensors in a cache, or a ceiling measured at a busy moment",
    )  # fmt: skip
    for total in totals[:SHOWN]:
        roofline = total.roofline_share
        table.add_row(
            short_name(total.name),
            str(total.launches),
            f"{1e3 * total.seconds:.3f}",
            f"{total.share:.1%}",
            f"{total.flops / total.seconds / 1e12:.3g}" if total.flops else NONE,
            f"{total.bytes / total.seconds / 1e9:.3g}" if total.bytes else NONE,
            total.bound or NONE,
            NONE if roofline is None else f"{roofline:.0%}",
        )
    table.add_section()
    rest = totals[SHOWN:]
    for name, group in ((f"{len(rest)} others", rest), ("all", totals)):
        seconds = sum(total.seconds for total in group)
        table.add_row(
            name,
            str(sum(total.launches for total in group)),
            f"{1e3 * seconds:.3f}",
            f"{sum(total.share for total in group):.1%}",
        )
    return table


def describe(ceilings: Ceilings) -> str:
    """Return the ceilings in words."""
    names = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    rates = ", ".join(
        f"{rate / 1e12:.3g} TFLOP/s in {names.get(dtype, str(dtype))}"
        for dtype, rate in ceilings.flops_per_second.items()
    )
    return f"ceilings measured: copy {ceilings.bytes_per_second / 1e9:.4g} GB/s, products {rates}"


def short_name(name: str) -> str:
    """Cut a kernel's name to what tells it from others: no namespaces, no types, no arguments."""
    name = re.sub(r"\(anonymous namespace\)::|\bvoid ", "", name)
    functor = re.search(r"(\w*(?:Functor|functor|_kernel_impl|Ops?)\w*)", name.partition("<")[2])
    base = re.split(r"[<(]", name, maxsplit=1)[0].rpartition("::")[2] or name
    if functor and functor[1] != base and "elementwise" in base + "reduce":
        base += f" {functor[1]}"
    if " [" in name and "<" not in name:  # a host operation with its shapes
        base = name
    return base if len(base) <= NAME_WIDTH else base[: NAME_WIDTH - 1] + "\N{HORIZONTAL ELLIPSIS}"


def write_kernels(path: Path, totals: Sequence[KernelTotal]) -> Path:
    """Write every kernel as a row of CSV, with its full name."""
    with atomic_write(path, "w") as file:
        rows = [{**asdict(total), "roofline_share": total.roofline_share} for total in totals]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def plot_kernels(path: Path, title: str, totals: Sequence[KernelTotal], ceilings: Ceilings) -> Path:
    """Draw the ten costliest: the time that each took and, within, what the ceilings allow."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = totals[:SHOWN]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(10, 1.6 + 0.4 * len(shown)), dpi=130, layout="constrained")
        figure.suptitle(f"{title}\n{describe(ceilings)}", x=0.01, ha="left", fontsize=10)
        axes = figure.add_subplot(xlabel="milliseconds in a step")
        longest = 1e3 * max(total.seconds for total in shown)
        for index, total in enumerate(shown):
            color, milliseconds = BOUND_COLORS[total.bound], 1e3 * total.seconds
            axes.barh(index, milliseconds, color=color, alpha=0.3, height=0.7)
            least = min(1e3 * (total.least_seconds or 0.0), milliseconds)
            axes.barh(index, least, color=color, height=0.7)
            share = total.roofline_share
            words = f"{total.share:.0%} of the time"
            words += "" if share is None else f", {share:.0%} of the roofline"
            axes.text(milliseconds + 0.01 * longest, index, words, va="center", fontsize=8)
        axes.set_yticks(range(len(shown)), [short_name(total.name) for total in shown], fontsize=8)
        axes.set_xlim(0, 1.45 * longest)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        legend = {
            "least time, bound by memory": Patch(color=BOUND_COLORS["memory"]),
            "least time, bound by products": Patch(color=BOUND_COLORS["matmul"]),
            "what it took beyond": Patch(color="#bbbbbb"),
        }
        axes.legend(list(legend.values()), list(legend), fontsize=8, loc="lower right")
        return plots.save(figure, path)
