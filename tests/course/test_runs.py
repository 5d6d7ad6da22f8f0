import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from course.errors import UserError
from course.runs import RunLog, column, open_run, read_metrics


@dataclass(frozen=True)
class Config:
    steps: int = 10


def log_of(folder, **arguments):
    return RunLog(folder, Config(), wandb=False, **arguments)


def test_a_run_folder_is_new_resumed_or_overwritten(tmp_path):
    folder = open_run(tmp_path / "runs" / "a")
    with log_of(folder) as log:
        log.log(1, loss=2.5)
    with pytest.raises(UserError, match="exists; choose another --name, or --resume"):
        open_run(folder)
    assert open_run(folder, resume=True) == folder
    assert read_metrics(folder) == [{"step": 1, "loss": 2.5}]
    with log_of(folder), pytest.raises(UserError, match="in use by another process"):
        open_run(folder, overwrite=True)
    open_run(folder, overwrite=True)
    assert list(folder.iterdir()) == []
    open_run(tmp_path / "new", resume=True)


def test_a_run_on_another_disk_is_overwritten_there(tmp_path):
    (tmp_path / "scratch").mkdir()
    folder = tmp_path / "a"
    folder.symlink_to(tmp_path / "scratch")
    log_of(folder).__exit__(None)
    open_run(folder, overwrite=True)
    assert folder.is_symlink()
    assert list(folder.iterdir()) == []


def test_a_kill_while_a_run_is_deleted_leaves_a_run(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    (folder / "wandb").mkdir(parents=True)
    (folder / "more").symlink_to(tmp_path)
    log_of(folder).__exit__(None)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_run(folder, overwrite=True)
    open_run(folder, overwrite=True)
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]


def test_only_runs_are_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for arguments in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match="not empty and not a run"):
            open_run(tmp_path, **arguments)
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(UserError, match="is a file"):
        open_run(tmp_path / "thesis.tex")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "run", Path("/proc/run")):
        with pytest.raises(UserError, match="cannot be written"):
            open_run(folder)


def test_resuming_drops_later_and_torn_lines(tmp_path):
    with log_of(tmp_path) as log:
        for step in range(1, 6):
            log.log(step, loss=1 / step)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "lo')
    assert len(read_metrics(tmp_path)) == 5
    with log_of(tmp_path, resume_step=3) as log:
        log.log(4, loss=0.25)
    steps, losses = column(read_metrics(tmp_path), "loss")
    assert steps == [1, 2, 3, 4]
    assert losses == [1.0, 0.5, 1 / 3, 0.25]  # to the last bit
    with log_of(tmp_path):
        pass
    assert read_metrics(tmp_path) == []


def test_lines_are_json_even_for_nan_and_reach_the_file_at_once(tmp_path):
    with log_of(tmp_path) as log:
        log.log(1, loss=float("nan"), perplexity=float("inf"))
        line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line) == {"step": 1, "loss": None, "perplexity": None}
    assert column(read_metrics(tmp_path), "loss") == ([], [])


def test_two_processes_cannot_share_a_run(tmp_path):
    with log_of(tmp_path), pytest.raises(UserError, match="in use by another process"):
        log_of(tmp_path)
    with log_of(tmp_path):
        pass


def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with log_of(tmp_path) as log:
        log.log(1, loss=2.5)
    assert read_metrics(tmp_path) == [{"step": 1, "loss": 2.5}]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    log = log_of(tmp_path)
    log._file.close()
    full = open("/dev/full", "a")  # noqa: SIM115 - closing it fails: it writes its buffer once more
    monkeypatch.setattr(log, "_file", full)
    with log, pytest.raises(UserError, match=r"metrics.jsonl.*No space left on device"):
        log.log(1, loss=1.0)


def test_the_mirror_gets_the_newest_line_with_its_step(tmp_path, monkeypatch):
    mirrored = []
    with log_of(tmp_path) as log, monkeypatch.context() as patch:
        mirror = SimpleNamespace(log=lambda numbers, step: mirrored.append((step, numbers)))
        patch.setattr(log, "_wandb", mirror)
        log.log_many([])
        log.log_many([{"step": 1, "loss": 2.5}, {"step": 2, "loss": 2.25}])
    assert mirrored == [(2, {"loss": 2.25})]


WITH_WANDB = """
import sys, threading
from dataclasses import dataclass
from pathlib import Path
from course.runs import RunLog

@dataclass(frozen=True)
class Config:
    steps: int = 10

for resume_step in (None, 1):
    with RunLog(Path(sys.argv[1]), Config(), resume_step) as log:
        log.log(1, loss=2.5)
"""


@pytest.mark.parametrize("mode", [None, "online", "disabled"])
def test_wandb_never_asks_and_stays_offline_without_a_key(tmp_path, mode):
    hidden = ("WANDB_MODE", "WANDB_API_KEY", "WANDB_SILENT")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    if mode is not None:
        environment["WANDB_MODE"] = mode
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITH_WANDB, str(folder)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert ("not logged in" in done.stderr) == (mode == "online")
    # offline-run-TIME-ID, and -1 behind it for a second one within the same second.
    runs = [path.name.split("-")[3] for path in folder.glob("wandb/offline-run-*")]
    assert len(set(runs)) == (mode != "disabled")  # resumed, it is the same run there
    assert (folder / "wandb").exists() == (mode != "disabled")
