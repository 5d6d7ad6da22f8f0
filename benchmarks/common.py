"""What every benchmark needs: the machine in words, runs in processes of their own, dated results.

A script measures ours and its peers in turn, in the same run, takes medians, and calls `report`.
That prints a table, writes `results/<name>-<date>.json`, and rebuilds `results/README.md` from the
newest file of every name. Absolute figures vary by half between runs on shared machines; ratios
of a run vary little, so claims are ratios.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from course.cores import available_cores
from course.files import atomic_write

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "torch",
    "triton",
    "numba",
    "numpy",
    "rustbpe",
    "tokenizers",
    "tiktoken",
    "transformers",
)
MIB = 1 << 20

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """Describe where this runs: processor, cores of this process, memory, GPUs, versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": round(memory / 2**30, 1),
        "gpus": _gpus(),
        "versions": versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.check_output(command, text=True).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def peak_memory_mib() -> float:
    """Return the largest resident size that this process has had so far, in MiB.

    `getrusage` would not do: on Linux a child begins with its parent's peak.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's peak of memory")


def in_own_process(
    module: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run `python -m module arguments`; return the JSON object on the last line that it prints.

    A fresh process has a peak of memory of its own, and no caches that an earlier run warmed. It
    may keep the bytecode of its imports, as Python does unless it is told otherwise: without it
    importing numba takes half a second more.
    """
    variables = {**os.environ, **(environment or {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", module, *map(str, arguments)]
    result = subprocess.run(
        command,
        env=variables,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median over several runs of everything that is a number."""
    numbers = [key for key, value in runs[0].items() if isinstance(value, int | float)]
    return {key: median(run[key] for run in runs) for key in numbers}


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the script's docstring; with --no-save."""
    arguments = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--no-save", action="store_true", help="print the table only")
    return arguments


def report(
    name: str,
    title: str,
    rows: Sequence[Row],
    command: str,
    notes: Sequence[str] = (),
    save: bool = True,
) -> None:
    """Print a table; write it with the machine to a dated file and into `results/README.md`.

    Args:
        name: of the benchmark, as in the name of its script; a file per name and day.
        title: what is compared, in a line.
        rows: the same keys in each; they are the columns.
        command: how to run it again.
        notes: what else was found or checked; sentences.
        save: False only prints.
    """
    print(f"\n{title}\n\n{table(rows)}")
    for note in notes:
        print(f"- {note}")
    if not save:
        return
    result = {
        "name": name,
        "title": title,
        "date": date.today().isoformat(),
        "command": command,
        "machine": machine(),
        "rows": list(rows),
        "notes": list(notes),
    }
    path = RESULTS / f"{name}-{result['date']}.json"
    with atomic_write(path, "w") as file:
        json.dump(result, file, indent=2, ensure_ascii=False)
        file.write("\n")
    write_overview()
    print(f"\nwritten to {path}")


def write_overview() -> None:
    """Rebuild `results/README.md` from the newest result of every benchmark."""
    newest: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*-????-??-??.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        newest[result["name"]] = result
    sections = [
        "# Benchmark results\n\nThe newest result of each script in `benchmarks/`, made by "
        "`benchmarks/common.py`. Peers ran in the same run, on the same machine and input.\n"
    ]
    for name, result in sorted(newest.items()):
        about = result["machine"]
        where = ", ".join([*about["gpus"], f"{about['cores']} cores of {about['processor']}"])
        versions = ", ".join(f"{key} {value}" for key, value in about["versions"].items())
        notes = "".join(f"- {note}\n" for note in result["notes"])
        sections.append(
            f"## {name}\n\n{result['title']}\n\n{table(result['rows'])}\n\n{notes}\n"
            f"`{result['command']}`, {result['date']}, {where}; {versions}.\n"
        )
    with atomic_write(RESULTS / "README.md", "w") as file:
        file.write("\n".join(sections))


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table that also reads well on a terminal."""
    columns = list(rows[0])
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    right = [all(isinstance(row[column], int | float) for row in rows) for column in columns]
    rule = [
        "-" * (width - 1) + (":" if flag else "-")
        for width, flag in zip(widths, right, strict=True)
    ]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join(
        "| " + " | ".join(
            cell.rjust(width) if flag else cell.ljust(width)
            for cell, width, flag in zip(line, widths, right, strict=True)
        ) + " |"
        for line in lines
    )  # fmt: skip


def _cell(value: object) -> str:
    """Format a number with three figures."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"
