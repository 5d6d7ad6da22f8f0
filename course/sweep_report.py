"""What a sweep found: a table on stdout and as CSV, and two plots."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from course import plots
from course.errors import TrainingDivergedError
from course.files import atomic_write
from course.runs import METRICS, column, read_metrics

METRIC_NAMES = ("bits_per_byte", "final_valid_loss", "valid_loss", "loss")
"""From the most to the least telling; the first that was logged ranks the points."""

Row = tuple[dict[str, str], Path, int | None]


def write(folder: Path, points: Sequence[Row]) -> None:
    """Print the table and write results.csv, curves.png and final.png into `folder`.

    Each point is its options, its run folder, and its exit code (None: has not finished).
    """
    logged = [read_metrics(run) if (run / METRICS).exists() else [] for _, run, _ in points]
    names = [n for n in METRIC_NAMES if any(column(rows, n)[0] for rows in logged)]
    results = [_last_values(rows, names) for rows in logged]
    if not names:
        print(f"{folder}: no point has logged anything yet")
        return
    ranking = names[0]
    finished = [r[ranking] for r, (*_, code) in zip(results, points, strict=True) if code == 0]
    best = min((n for n in finished if n is not None), default=None)
    table = [[*(option.split(".")[-1] for option in points[0][0]), *names, ""]]
    for (values, _, code), result in zip(points, results, strict=True):
        numbers = ["" if result[n] is None else f"{result[n]:.4f}" for n in names]
        note = {None: "not finished", TrainingDivergedError.exit_code: "diverged"}.get(code, "")
        if best is not None and code == 0 and result[ranking] == best:
            note = f"best {ranking}"
        table.append([*values.values(), *numbers, note])
    print(_aligned(table))
    text = io.StringIO()
    csv.writer(text).writerows(table)
    with atomic_write(folder / "results.csv", "w") as file:
        file.write(text.getvalue())
    _plot_curves(folder, points, logged)
    _plot_final(folder, points, results, ranking)


def _last_values(rows: list[dict], names: Sequence[str]) -> dict[str, float | None]:
    """Return the last value of each metric; of the training loss the mean of the last tenth."""
    last: dict[str, float | None] = {}
    for name in names:
        values = column(rows, name)[1]
        if name == "loss":
            values = values[-max(1, len(values) // 10) :]
            values = [sum(values) / len(values)] if values else []
        last[name] = values[-1] if values else None
    return last


def _aligned(table: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in lines)


def _plot_curves(folder: Path, points: Sequence[Row], logged: list[list[dict]]) -> None:
    """Draw the held-out loss of every point over the steps; the training loss if there is none."""
    name = "valid_loss" if any(column(rows, "valid_loss")[0] for rows in logged) else "loss"
    curves = {
        run.name: column(rows, name) for (_, run, _), rows in zip(points, logged, strict=True)
    }
    curves = {label: curve for label, curve in curves.items() if curve[0]}
    plots.plot_curves(
        folder / "curves.png",
        curves,
        "step",
        f"{name.replace('_', ' ')} (nats per token)",
        folder.name,
    )


def _plot_final(
    folder: Path, points: Sequence[Row], results: list[dict[str, float | None]], metric: str
) -> None:
    """Draw the last value over the first option with numbers, a line for each rest of the grid."""
    options = [o for o in points[0][0] if all(_number(v[o]) is not None for v, *_ in points)]
    varied = [o for o in options if len({values[o] for values, *_ in points}) > 1]
    if not varied:
        return
    x_option = varied[0]
    lines: dict[str, list[tuple[float, float]]] = {}
    for (values, *_), result in zip(points, results, strict=True):
        x, y = _number(values[x_option]), result[metric]
        if x is not None and y is not None:
            rest = [f"{o.split('.')[-1]}={v}" for o, v in values.items() if o != x_option]
            lines.setdefault(", ".join(rest) or f"_{metric}", []).append((x, y))
    xs = [x for line in lines.values() for x, _ in line]
    if not xs:
        return
    plots.plot_curves(
        folder / "final.png",
        {
            label: ([x for x, _ in sorted(line)], [y for _, y in sorted(line)])
            for label, line in lines.items()
        },
        x_option.split(".")[-1].replace("-", " "),
        metric.replace("_", " "),
        folder.name,
        log_x=min(xs) > 0 and max(xs) >= 10 * min(xs),
        points=True,
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
