"""Run one command at every point of a grid of its options; end with a table and plots.

  course sweep --name rates --grid optimizer.learning-rate=3e-4,1e-3,3e-3 \\
               --grid batch-size=16,64 -- train --data.train train.tok --steps 500
  course sweep ... --parallel 2                     # two processes at a time, here
  course sweep ... --cluster slurm --partition gpu  # a job array; --report when it is done

Every point is a run of its own in runs/NAME/: the command with the point's options, --name and
--resume. Points that have finished are skipped, so the same command line continues a sweep that was
stopped, and more values may be added to the grid. A value with spaces is several arguments, as in
--grid "optimizer.betas=0.9 0.95,0.9 0.99"; a switch takes true,false.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from course import sweep_report
from course.cores import available_cores
from course.errors import TrainingDivergedError, UserError, require
from course.files import atomic_write
from course.launcher import Launch, launch_array
from course.progress import Progress
from course.stop import StopRequest

FINISHED = "finished.json"
POLL_S = 0.1


@dataclass(frozen=True)
class Options:
    """What to vary, in which command, and where the points run."""

    command: tyro.conf.Positional[tuple[str, ...]]
    """the command and its options, behind `--`; it must have --name, --runs and --resume"""
    name: str
    """the sweep's folder below --runs"""
    grid: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """OPTION=VALUE,VALUE,...; give it several times for a grid of several options"""
    runs: Path = Path("runs")
    """where the folders of runs are"""
    parallel: int = 1
    """points at a time: processes here, jobs on Slurm"""
    report: bool = False
    """run nothing: only the table and the plots of what has finished"""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(default_factory=Launch)


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the values of its options, its folder and its command line."""

    values: tuple[tuple[str, str], ...]
    folder: Path
    arguments: tuple[str, ...]
    resume: bool = True  # for the launcher: a job that was interrupted may run again

    @property
    def label(self) -> str:
        """The name of its run within the sweep."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """Where its output goes if several run at a time."""
        return self.folder.with_name(f"{self.label}.log")

    @property
    def outcome(self) -> int | None:
        """The exit code with which it finished; None: not yet. Raises if it was another command."""
        path = self.folder / FINISHED
        if not path.exists():
            return None
        record = json.loads(path.read_text())
        if tuple(record["arguments"]) != self.arguments:
            raise UserError(
                f"{str(self.folder)!r} has finished with other arguments "
                f"({' '.join(record['arguments'])}); choose another --name"
            )
        return record["exit_code"]

    def finish(self, exit_code: int) -> None:
        """Note that this point need not run again."""
        with atomic_write(self.folder / FINISHED, "w") as file:
            json.dump({"arguments": self.arguments, "exit_code": exit_code}, file)


def run(options: Options) -> None:
    """Run the points that have not finished, then report."""
    points = make_points(options)
    folder = options.runs / options.name
    todo = [] if options.report else [point for point in points if point.outcome is None]
    if todo and options.launch.cluster == "slurm":
        name = f"sweep-{options.name}"
        launch_array(options.launch, run_in_job, todo, name=name, parallel=options.parallel)
        print("when the jobs are done, the same command with --report shows their results")
        return
    failed = _run_here(todo, len(points), options.parallel) if todo else []
    sweep_report.write(folder, [(dict(p.values), p.folder, p.outcome) for p in points])
    if failed:
        names = ", ".join(point.label for point in failed)
        seen = f"; see {folder}/*.log" if options.parallel > 1 else ""
        raise UserError(f"{len(failed)} of {len(points)} points failed: {names}{seen}")


def make_points(options: Options) -> list[Point]:
    """Return the grid's points in order, the last option changing fastest."""
    if not options.command:
        raise UserError("no command to sweep over; put it behind --, as in: -- train --steps 500")
    if not options.grid:
        raise UserError("no --grid; give at least one, as in: --grid batch-size=16,32")
    require(options.parallel >= 1, "parallel", options.parallel, "at least 1")
    axes: dict[str, list[str]] = {}
    for text in options.grid:
        option, equals, listed = text.partition("=")
        if not equals or not option or not all(listed.split(",")):
            raise UserError(f"--grid {text!r}; it must look like OPTION=VALUE,VALUE,...")
        option, found = option.removeprefix("--"), listed.split(",")
        if option in axes or len(set(found)) < len(found):
            what = "an option" if option in axes else "a value"
            raise UserError(f"--grid {text!r} has {what} for the second time; give each once")
        axes[option] = found
    folder = options.runs / options.name
    points = []
    for combination in itertools.product(*axes.values()):
        values = tuple(zip(axes, combination, strict=True))
        label = ",".join(f"{option.split('.')[-1]}={'_'.join(v.split())}" for option, v in values)
        label = label.replace("/", "-")  # of a path; a run's folder is one level deep
        flags = [part for option, v in values for part in _flag(option, v)]
        where = ["--runs", str(folder), "--name", label, "--resume"]
        points.append(Point(values, folder / label, (*options.command, *flags, *where)))
    return points


def _flag(option: str, value: str) -> list[str]:
    """Write one option of a point: `--name VALUE...`; a switch is `--name` or `--no-name`."""
    group, _, name = option.rpartition(".")
    prefix = f"--{group}." if group else "--"
    if value in ("true", "false"):
        return [f"{prefix}{name}" if value == "true" else f"{prefix}no-{name}"]
    return [f"--{option}", *value.split()]


def run_in_job(point: Point) -> int:
    """Run a point within a Slurm job; a preemption passes through to the launcher."""
    from course.cli import run_command

    try:
        run_command(point.arguments)
    except TrainingDivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        point.finish(error.exit_code)
        return error.exit_code
    point.finish(0)
    return 0


def _run_here(todo: Sequence[Point], total: int, parallel: int) -> list[Point]:
    """Run points as processes, `parallel` at a time; return those that failed."""
    waiting, failed = list(todo), list[Point]()
    running: dict[Point, subprocess.Popen[bytes]] = {}
    gpus = deque(_visible_gpus() if parallel > 1 else [])
    done = total - len(todo)
    with StopRequest() as stop, ExitStack() as stack:
        bar = None
        if parallel > 1:  # a single process shows its own progress
            bar = Progress("sweep", total, unit="point", start=done, plain_interval=60)
            stack.enter_context(bar)
        stack.callback(_kill, running)
        told = False
        while running or (waiting and not stop.requested):
            if waiting and len(running) < parallel and not stop.requested:
                point = waiting.pop(0)
                running[point] = _start(point, parallel, gpus)
                gpus.rotate(-1)
            if stop.requested and not told:
                told = True
                for process in running.values():  # each saves, then ends
                    process.send_signal(stop.requested)
            for point in [p for p, process in running.items() if process.poll() is not None]:
                code = running.pop(point).returncode
                if code in (0, TrainingDivergedError.exit_code):
                    point.finish(code)
                elif stop.requested:
                    continue  # saved, not finished
                else:
                    failed.append(point)
                if bar is not None:
                    bar.update(1)
            time.sleep(POLL_S)
        if stop.requested:
            stop.end("the same command continues the sweep")
    return failed


def _start(point: Point, parallel: int, gpus: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start a point's process: alone on this terminal; among others with a log file and one GPU.

    It is in a session of its own, so that Ctrl-C reaches it once, through `_run_here`.
    """
    command = [sys.executable, "-m", "course", *point.arguments]
    environment = dict(os.environ)
    if parallel == 1:
        print(f"== {point.label}", file=sys.stderr, flush=True)
        return subprocess.Popen(command, start_new_session=True)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // parallel)))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[0]
    point.log.parent.mkdir(parents=True, exist_ok=True)
    with open(point.log, "ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _visible_gpus() -> list[str]:
    """Return the GPUs that processes may use, as CUDA_VISIBLE_DEVICES names them."""
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in given.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return [str(index) for index in range(count)]


def _kill(running: dict[Point, "subprocess.Popen[bytes]"]) -> None:
    """Leave no process behind when the sweep itself ends early."""
    for process in running.values():
        process.kill()
        process.wait()
