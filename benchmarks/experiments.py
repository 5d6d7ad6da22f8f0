"""Run every experiment of assignment 1's handout, and keep what came out.

    python -m benchmarks.experiments --scale small              # two CPU cores: about an hour
    python -m benchmarks.experiments --scale large --parallel 4         # one GPU: minutes
    python -m benchmarks.experiments --figures      # draw the handout's figures from the results

The commands are those of the handout, word for word (a test compares them): `course corpus`,
`course tokenizer`, `course train` and `course sweep` in processes of their own. What they leave in
runs/SCALE/ is gathered into results/experiments-SCALE-DATE.json: for every run its options, its
last held-out loss, its curve and its rate. What has finished is not run again.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, Row, machine, table, write_overview
from course.config import load
from course.errors import TrainingDivergedError
from course.files import atomic_write
from course.runs import METRICS, column, read_metrics
from course.sweep import FINISHED

NAME = "experiments"
DATA = (
    "corpus data/stories.txt --source stories --held-out data/stories-valid.txt",
    "tokenizer train data/stories.txt --vocab-size 4096",
    "tokenizer encode data/stories.txt",
    "tokenizer encode data/stories-valid.txt",
)
"""Commands that make what the experiments need; `uv run course` stands before each."""

RATES = {"small": "1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1", "large": "3e-4,1e-3,3e-3,1e-2,3e-2"}
# The same number of sequences in all: with `steps` steps of `batch_size` in the config.
BATCHES = {"small": {2: 2560, 32: 160}, "large": {16: 4000, 256: 250}}
NORM_RATES = {"small": "3e-4,1e-3,3e-3,1e-2", "large": "3e-4,1e-3,3e-3"}
WIDTHS = {"small": "384,576", "large": "1408,2112"}


@dataclass(frozen=True)
class Experiment:
    """One command of the handout; its results are below runs/SCALE/NAME."""

    scale: str
    name: str
    grid: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path("runs", self.scale, self.name)

    def command(self, parallel: int = 1) -> str:
        """Return the command line behind `uv run course`."""
        train = f"train --config assignment1_basics/configs/{self.scale}.yaml"
        train = " ".join([train, *self.options])
        name = f"--name {self.scale}/{self.name}"
        if not self.grid:
            return f"{train} {name}"
        together = [f"--parallel {parallel}"] if parallel > 1 else []
        grid = [f"--grid {axis}" for axis in self.grid]
        return " ".join(["sweep", name, *grid, *together, "--", train])


def experiments(scale: str) -> list[Experiment]:
    """Return the experiments of a scale, the most important ones first."""
    rate = "optimizer.learning-rate"
    few_rates = f"{rate}=1e-3,3e-3,1e-2"
    return [
        Experiment(scale, "base"),
        Experiment(scale, "rates", (f"{rate}={RATES[scale]}",)),
        Experiment(scale, "norm", ("model.norm=none,post", f"{rate}={NORM_RATES[scale]}")),
        Experiment(scale, "position", ("model.position=none",)),
        Experiment(
            scale, "silu", ("model.feed-forward=silu", f"model.d-ff={WIDTHS[scale]}")
        ),
        Experiment(scale, "seeds", ("seed=1,2",)),
        *(
            Experiment(
                scale, f"batch-{size}", (few_rates,), (f"--batch-size {size} --steps {steps}",)
            )
            for size, steps in BATCHES[scale].items()
        ),
    ]  # fmt: skip


def run(command: str, extra: str = "") -> float | None:
    """Run `course COMMAND EXTRA`; return the seconds it took, None if it failed."""
    print(f"$ uv run course {command} {extra}", file=sys.stderr, flush=True)
    began = time.perf_counter()
    code = subprocess.run(
        [sys.executable, "-m", "course.cli", *shlex.split(command), *shlex.split(extra)],
        stdout=sys.stderr,
        env={**os.environ, "WANDB_MODE": "disabled"},
        check=False,
    ).returncode
    if code:  # the others go on; what is missing shows in the table
        print(f"exit code {code}: {command}", file=sys.stderr, flush=True)
        return None
    return round(time.perf_counter() - began, 1)


def run_all(options: argparse.Namespace, results: "Results") -> None:
    """Run the experiments that have not finished, the first one alone.

    So its seconds say what a single run costs. After the time of --minutes none begins.
    """
    stop_at = time.monotonic() + 60 * options.minutes

    def one(experiment: Experiment) -> None:
        if experiment.name not in results.seconds and time.monotonic() < stop_at:
            # `train` by itself takes --resume as well: a finished run is left as it is.
            extra = options.extra if experiment.grid else f"{options.extra} --resume"
            results.add(experiment.name, run(experiment.command(options.parallel), extra))

    wanted = [e for e in experiments(options.scale) if not options.only or e.name in options.only]
    one(wanted[0])
    with ThreadPoolExecutor(options.sweeps_at_once) as pool:
        list(pool.map(one, wanted[1:]))


def collect(scale: str) -> Iterator[dict[str, Any]]:
    """Yield what every finished run of a scale has logged."""
    for experiment in experiments(scale):
        folders = sorted(experiment.folder.iterdir()) if experiment.folder.is_dir() else []
        if not experiment.grid:
            folders = [experiment.folder]
        for folder in folders:
            numbers = summary(folder) if (folder / METRICS).exists() else {}
            if numbers.get("loss") is not None or numbers.get("diverged_after") is not None:
                yield {
                    "experiment": experiment.name,
                    "options": dict(
                        option.split("=", 1) for option in folder.name.split(",") if "=" in option
                    ),
                    **numbers,
                }


def summary(folder: Path) -> dict[str, Any]:
    """Return the numbers of one run that the figures and the handout need."""
    from assignment1_basics.reference.train_config import TrainConfig

    config = load(TrainConfig, folder / "config.yaml")
    rows = read_metrics(folder)
    losses = column(rows, "loss")[1]
    steps, valid = column(rows, "valid_loss")
    rates = column(rows, "tokens_per_second")[1]
    finished = folder / FINISHED
    code = json.loads(finished.read_text())["exit_code"] if finished.exists() else None
    return {
        "learning_rate": config.optimizer.learning_rate,
        "batch_size": config.batch_size,
        "steps": config.steps,
        "diverged_after": len(losses) if code == TrainingDivergedError.exit_code else None,
        "loss": _last(rows, "final_valid_loss"),
        "bits_per_byte": _last(rows, "bits_per_byte"),
        "tokens_per_second": round(statistics.median(rates)) if rates else None,
        "curve": [steps, [round(loss, 4) for loss in valid]],
    }


def _last(rows: list[dict[str, Any]], name: str) -> float | None:
    values = column(rows, name)[1]
    return round(values[-1], 4) if values else None


def overview(runs: list[dict[str, Any]], seconds: dict[str, float]) -> list[Row]:
    """Return one row for every experiment: its best run."""
    rows = []
    for name in dict.fromkeys(run["experiment"] for run in runs):
        members = [run for run in runs if run["experiment"] == name]
        ended = [run for run in members if run["loss"] is not None]
        best = min(ended, key=lambda run: run["loss"], default=None)
        rows.append(
            {
                "experiment": name,
                "runs": len(members),
                "diverged": sum(run["diverged_after"] is not None for run in members),
                "best": "" if best is None else _described(best["options"]),
                "held-out loss": "" if best is None else f"{best['loss']:.3f}",
                "bits per byte": "" if best is None else f"{best['bits_per_byte']:.4f}",
                "seconds": seconds.get(name, ""),
            }
        )
    return rows


def _described(options: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


class Results:
    """The JSON file of a scale; it is rewritten after every experiment.

    Runs that today's file holds and that are not in runs/ come from another machine: they stay.
    """

    def __init__(self, scale: str, folder: Path, notes: list[str]) -> None:
        self.scale, self.notes = scale, notes
        self.name = f"{NAME}-{scale}"
        self.path = folder / f"{self.name}-{date.today().isoformat()}.json"
        before = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.before: list[dict[str, Any]] = before.get("runs", [])
        self.seconds: dict[str, float] = before.get("seconds", {})
        self._lock = threading.Lock()

    def add(self, name: str, seconds: float | None) -> None:
        """Note what took how long, and write all that has been logged so far."""
        with self._lock:
            if seconds is not None:
                self.seconds[name] = seconds
            self.write()

    def write(self) -> list[Row]:
        """Write the file; return the table."""
        runs = list(collect(self.scale))
        here = {run["experiment"] for run in runs}
        kept = [run for run in self.before if run["experiment"] not in here]
        order = [experiment.name for experiment in experiments(self.scale)]
        runs = sorted(kept + runs, key=lambda run: order.index(run["experiment"]))
        rows = overview(runs, self.seconds)
        result = {
            "name": self.name,
            "title": f"The experiments of assignment 1, {self.scale}: the best run of each",
            "date": date.today().isoformat(),
            "command": f"python -m benchmarks.experiments --scale {self.scale}",
            "machine": machine(),
            "rows": rows,
            "notes": self.notes,
            "seconds": self.seconds,
            "runs": runs,
        }
        with atomic_write(self.path, "w") as file:
            json.dump(result, file, separators=(",", ":"), ensure_ascii=False)
            file.write("\n")
        return rows


def main() -> None:
    options = _options()
    if options.figures:
        from benchmarks.experiment_figures import draw_all

        draw_all()
        return
    notes = [f"{options.sweeps_at_once} x {options.parallel} runs at a time."]
    if options.extra:
        notes.append(f"Options of every run: {options.extra}")
    results = Results(options.scale, options.results, notes)
    if not Path("data/stories-valid.tok.json").exists():
        for command in DATA:
            results.add(command, run(command))
    run_all(options, results)
    print(table(results.write()))
    if options.results == RESULTS:
        write_overview()
    print(f"written to {results.path}")


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--scale", choices=list(RATES), default="small")
    arguments.add_argument("--only", nargs="+", help="experiments by name; the others are kept")
    arguments.add_argument("--parallel", type=int, default=1, help="runs of a sweep at a time")
    arguments.add_argument("--sweeps-at-once", type=int, default=1)
    arguments.add_argument("--minutes", type=float, default=1e6, help="begin nothing afterwards")
    arguments.add_argument("--extra", default="", help="options for every training run")
    arguments.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file")
    arguments.add_argument("--figures", action="store_true", help="only draw the figures")
    return arguments.parse_args()


if __name__ == "__main__":
    main()
