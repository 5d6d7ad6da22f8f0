import csv
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from course import sweep, sweep_report
from course.errors import UserError
from course.launcher import Launch
from course.runs import METRICS, RunLog
from course.sweep import FINISHED, Options, make_points, run

# A command in the manner of `course train`, in a module of the test's own: it logs
# (rate - 0.01)^2 + size, fails at rate 5, stops slowly at rate 6, takes its time at rate 7, is deaf
# at rate 8, and diverges at rate 9.
COMMAND = '''
"""Pretend to train."""
import sys, time
from dataclasses import dataclass
from pathlib import Path
from course.errors import TrainingDivergedError, UserError
from course.runs import RunLog, open_run
from course.stop import StopRequest

@dataclass(frozen=True)
class Options:
    name: str
    runs: Path = Path("runs")
    resume: bool = False
    rate: float = 1.0
    size: int = 0
    loud: bool = False

def run(options):
    folder = open_run(options.runs / options.name, resume=options.resume)
    print("running", options.name)
    with open(options.runs / "calls", "a") as file:
        file.write(options.name + "\\n")
    with RunLog(folder, options, wandb=False) as log, StopRequest() as stop:
        for step in range(1, 4):
            loss = (options.rate - 0.01) ** 2 + options.size + 1 / step - 1 / 3
            log.log(step, loss=loss, valid_loss=loss)
        deadline = time.monotonic() + 60
        while options.rate in (6, 7, 8) and time.monotonic() < deadline:
            time.sleep(0.01)
            if stop.requested and options.rate != 8:
                time.sleep(0.4 if options.rate == 6 else 0)
                stop.end("saved")
        if options.rate == 9:
            raise TrainingDivergedError("step 3")
        if options.rate == 5:
            raise UserError("rate is 5; it must be anything else")
'''

# `python -m course` in the sweep's processes knows the command through this module.
SITE = """
import course.cli
course.cli.COMMANDS["pretend"] = course.cli.Command("pretend_command", "pretends to train")
"""


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    (tmp_path / "pretend_command.py").write_text(COMMAND)
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(SITE))
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    monkeypatch.chdir(tmp_path)
    return ("pretend",)


def calls(name="s"):
    return sorted(Path(f"runs/{name}/calls").read_text().split())


def test_points_are_the_grid_in_order():
    options = Options(
        ("train", "--steps", "5"),
        "rates",
        ("optimizer.learning-rate=1e-3,3e-3", "--optimizer.betas=0.9 0.95,0.9 0.99",
         "model.tie-embeddings=true,false"),
    )  # fmt: skip
    points = make_points(options)
    assert len(points) == 8
    assert points[0].label == "learning-rate=1e-3,betas=0.9_0.95,tie-embeddings=true"
    assert points[0].arguments == (
        "train", "--steps", "5", "--optimizer.learning-rate", "1e-3", "--optimizer.betas", "0.9",
        "0.95", "--model.tie-embeddings", "--runs", "runs/rates", "--name", points[0].label,
        "--resume",
    )  # fmt: skip
    assert "--model.no-tie-embeddings" in points[1].arguments
    assert len({point.folder for point in points}) == 8


def test_a_path_is_no_folder_of_a_label():
    points = make_points(Options(("train",), "s", ("data.train=a/x.tok,b/x.tok",)))
    assert [point.label for point in points] == ["train=a-x.tok", "train=b-x.tok"]


@pytest.mark.parametrize(
    ("command", "grid", "parallel", "message"),
    [
        ((), ("a=1",), 1, "no command to sweep over"),
        (("train",), (), 1, "no --grid"),
        (("train",), ("a",), 1, "--grid 'a'; it must look like OPTION=VALUE"),
        (("train",), ("a=1,,2",), 1, "--grid 'a=1,,2'"),
        (("train",), ("=1",), 1, "--grid '=1'"),
        (("train",), ("a=1,2,1",), 1, "'a=1,2,1' has a value for the second time"),
        (("train",), ("a=1", "--a=2"), 1, "'--a=2' has an option for the second time"),
        (("train",), ("a=1",), 0, "parallel is 0; it must be at least 1"),
    ],
)
def test_wrong_grids_are_named(command, grid, parallel, message):
    with pytest.raises(UserError) as error:
        make_points(Options(command, "s", grid, parallel=parallel))
    assert message in str(error.value)


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_sweep_ends_with_a_table_and_plots_and_is_not_run_twice(pretend, capfd, parallel):
    options = Options(pretend, "s", ("rate=0.001,0.01,9",), parallel=parallel)
    run(options)
    out = capfd.readouterr().out
    rows = [line.split() for line in out.splitlines() if line[:1].isdigit()]
    assert rows == [
        ["0.001", "0.0001", "0.0001"],
        ["0.01", "0.0000", "0.0000", "best", "valid_loss"],
        ["9", "80.8201", "80.8201", "diverged"],
    ]
    folder = Path("runs/s")
    assert (folder / "curves.png").exists()
    assert (folder / "final.png").exists()
    table = list(csv.reader((folder / "results.csv").read_text().splitlines()))
    assert table[0][:3] == ["rate", "valid_loss", "loss"]
    assert [row[0] for row in table[1:]] == ["0.001", "0.01", "9"]
    assert (folder / "rate=9.log").exists() == (parallel > 1)
    assert len(calls()) == 3

    run(options)  # nothing left to do
    assert len(calls()) == 3
    run(Options(pretend, "s", ("rate=0.001,0.01,0.1,9",), parallel=parallel))
    assert len(calls()) == 4
    with pytest.raises(UserError, match="has finished with other arguments"):
        run(Options((*pretend, "--size", "3"), "s", ("rate=0.001,0.01",)))


def test_a_point_that_fails_is_named_after_the_others_have_run(pretend, capfd):
    with pytest.raises(UserError, match=r"1 of 2 points failed: rate=5; see runs/s/\*.log"):
        run(Options(pretend, "s", ("rate=5,0.01",), parallel=2))
    assert "it must be anything else" in Path("runs/s/rate=5.log").read_text()
    assert "not finished" in capfd.readouterr().out
    assert not Path("runs/s/rate=5", FINISHED).exists()
    assert Path("runs/s/rate=0.01", FINISHED).exists()


def test_two_options_give_a_line_each(pretend, capfd):
    run(Options(pretend, "s", ("rate=0.01,0.1", "size=0,1"), parallel=2))
    assert len(Path("runs/s/results.csv").read_text().splitlines()) == 5
    assert Path("runs/s/final.png").exists()


def sweep_that_waits_at(rate, pretend):
    """Start a sweep of two points; return its process when one is done and the other waits."""
    grid = ["--grid", f"rate=0.01,{rate}", "--parallel", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "course", "sweep", "--name", "s", *grid, "--", *pretend],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    metrics, done = Path(f"runs/s/rate={rate}", METRICS), Path("runs/s/rate=0.01", FINISHED)
    while not (metrics.exists() and metrics.stat().st_size and done.exists()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_second_interrupt_leaves_no_process_behind(pretend):
    process = sweep_that_waits_at(8, pretend)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "Ctrl-C again: at once" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped at once" in errors
    log_of_a_run_that_nobody_holds = RunLog(Path("runs/s/rate=8"), Options((), "", ()), wandb=False)
    log_of_a_run_that_nobody_holds.__exit__(None)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_sweep_goes_on(pretend, number, code):
    process = sweep_that_waits_at(7, pretend)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the same command continues the sweep" in errors
    assert "1/2 points" in errors
    assert "saved" in Path("runs/s/rate=7.log").read_text()
    assert not Path("runs/s/rate=7", FINISHED).exists()


def test_points_take_turns_on_the_gpus(pretend, monkeypatch):
    started = []
    popen = subprocess.Popen

    def record(command, env=None, **more):
        started.append((env or {}).get("CUDA_VISIBLE_DEVICES"))
        return popen([sys.executable, "-c", ""], env=env, **more)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(sweep.subprocess, "Popen", record)
    monkeypatch.setattr(sweep.Point, "finish", lambda *_: None)
    run(Options(pretend, "s", ("rate=1,2,3",), parallel=2))
    assert started == ["3", "5", "3"]


def test_on_slurm_what_is_left_becomes_an_array(pretend, monkeypatch, capfd):
    run(Options(pretend, "s", ("rate=0.01",)))
    submitted = []
    monkeypatch.setattr(
        sweep,
        "launch_array",
        lambda where, function, points, **more: submitted.append((points, more)),
    )
    options = Options(
        pretend, "s", ("rate=0.01,0.1,0.2",), parallel=2, launch=Launch(cluster="slurm")
    )
    run(options)
    ((points, more),) = submitted
    assert [point.label for point in points] == ["rate=0.1", "rate=0.2"]
    assert more == {"name": "sweep-s", "parallel": 2}
    assert "--report" in capfd.readouterr().out
    sys.path.insert(0, os.getcwd())
    import sitecustomize  # noqa: F401

    try:
        for point in points:  # what each job does
            assert sweep.run_in_job(point) == 0
    finally:
        sys.path.remove(os.getcwd())
    run(Options(pretend, "s", ("rate=0.01,0.1,0.2",), report=True))
    assert "best valid_loss" in capfd.readouterr().out
    assert len(calls()) == 3


def test_ctrl_c_at_a_terminal_reaches_a_single_process_once(pretend):
    """The terminal sends it to the whole group; twice would stop the run without saving."""
    arguments = ["sweep", "--name", "s", "--grid", "rate=6", "--", *pretend]
    process = subprocess.Popen(
        [sys.executable, "-m", "course", *arguments],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline, metrics = time.monotonic() + 60, Path("runs/s/rate=6", METRICS)
    while not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; saved" in errors


def test_the_best_point_is_one_that_has_finished(tmp_path, capsys):
    points = []
    for rate, loss, code in (("1", 0.5, 3), ("2", 1.5, 0), ("3", 0.7, None), ("4", 2.5, 0)):
        folder = tmp_path / rate
        folder.mkdir()
        (folder / METRICS).write_text(f'{{"step": 1, "loss": {loss}}}\n')
        points.append(({"rate": rate}, folder, code))
    sweep_report.write(tmp_path, points)
    notes = [line.split()[2:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert notes == [["diverged"], ["best", "loss"], ["not", "finished"], []]


def test_a_report_of_nothing(pretend, capfd):
    run(Options(pretend, "s", ("rate=0.01",), report=True))
    assert "no point has logged anything yet" in capfd.readouterr().out
