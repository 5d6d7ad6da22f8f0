"""A run that was killed, at any moment and any number of times, ends as one that never stopped."""

import json
import math
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from assignment1_basics.reference import train as train_module
from assignment1_basics.reference.checkpoint import read_verified
from assignment1_basics.reference.checkpoint_folder import CheckpointFolder
from assignment1_basics.reference.train import train
from course.errors import PreemptedError, UserError
from course.runs import METRICS, read_metrics

from .tiny_runs import flags, tiny_config, write_tokens

TIMES = ("tokens_per_second", "mfu")


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in another process are split over as many threads as here: one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def folder_of(path):
    path.mkdir()
    return path


def numbers(folder):
    """All that was logged, but for what the clock says."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(folder)]


def assert_equal(a, b, name="state"):
    """Compare nested states bit for bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), name
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key], f"{name}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{name}[{i}]")
    else:
        assert a == b, name


def assert_same_run(straight, resumed):
    assert numbers(resumed) == numbers(straight)
    states = []
    for folder in (straight, resumed):
        checkpoints = CheckpointFolder(folder)
        states.append(read_verified(checkpoints.path(checkpoints.steps()[-1])))
    for state in states:
        del state["random"]["python"]  # the tests' own checks of types draw from it
    for name in ("step", "model", "optimizer", "random", "config", "final", "evaluated_at"):
        assert_equal(states[0][name], states[1][name], name)


FORK_AND_KILL = """
# Start the command again and again and send each process a signal at a random moment of its life.
# Processes are forked after all imports: starting Python and PyTorch costs seconds, training none.
import json, os, random, signal, sys, time
import matplotlib.figure, torch
from course.cli import main
from assignment1_basics.reference import train
from assignment1_basics.reference.optimizer.adamw import AdamW

AdamW([torch.nn.Parameter(torch.zeros(1))])  # what PyTorch imports at its first optimizer
metrics, arguments = sys.argv[1], sys.argv[2:]
generator, ends = random.Random(0), []
for name in ["SIGKILL"] * 5 + ["SIGTERM", "SIGKILL", "SIGINT", "SIGKILL", None]:
    size = os.path.exists(metrics) and os.path.getsize(metrics)
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(main(arguments))
    if name is not None:
        if name != "SIGKILL":  # these are heard once training has begun
            while not os.path.exists(metrics) or os.path.getsize(metrics) == size:
                time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.25))
        os.kill(child, getattr(signal, name))
    ends.append([name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])
print(json.dumps(ends))
"""


def test_killed_stopped_and_interrupted_at_random_moments(tmp_path):
    config = tiny_config(tmp_path, steps=400, checkpoint_interval=11, eval_interval=60)
    straight, killed = folder_of(tmp_path / "straight"), tmp_path / "killed"
    train(config, straight)
    arguments = ["train", *flags(config), "--runs", str(tmp_path), "--name", "killed", "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("SUBMITIT_EXECUTOR", None)
    done = subprocess.run(
        [sys.executable, "-c", FORK_AND_KILL, str(killed / METRICS), *arguments],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = {"SIGKILL": -9, "SIGTERM": 75, "SIGINT": 130, None: 0}
    for name, end in json.loads(done.stdout):
        assert end in (expected[name], 0), name  # 0: it was quicker than the signal
    assert [end for _, end in json.loads(done.stdout)].count(-9) >= 2
    assert_same_run(straight, killed)


class Killed(BaseException):
    """Nothing in the program catches this."""


@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "while logging"])
@pytest.mark.parametrize("save", [1, 2, 4])
def test_killed_in_the_middle_of_saving(tmp_path, monkeypatch, moment, save):
    config = tiny_config(tmp_path)
    straight, killed = folder_of(tmp_path / "straight"), folder_of(tmp_path / "killed")
    train(config, straight)
    count = {"saves": 0}
    rename, log = os.replace, train_module.RunLog.log_many

    def replace_and_die(source, target):
        count["saves"] += str(target).endswith(".pt")
        dies = count["saves"] == save and str(target).endswith(".pt")
        if dies and moment == "before the rename":
            raise Killed
        rename(source, target)
        if dies and moment == "after the rename":
            raise Killed

    def log_and_die(self, rows):
        log(self, rows)
        if moment == "while logging" and len(read_metrics(self.folder)) >= 5 * save:
            with open(self.folder / METRICS, "a") as file:
                file.write('{"step": 99, "lo')
            raise Killed

    monkeypatch.setattr(os, "replace", replace_and_die)
    monkeypatch.setattr(train_module.RunLog, "log_many", log_and_die)
    with pytest.raises(Killed):
        train(config, killed)
    monkeypatch.undo()
    train(config, killed, resume=True)
    assert_same_run(straight, killed)


def train_and_stop(monkeypatch, config, folder, stop, on_evaluation=None):
    """Train until SIGTERM arrives in the middle of step `stop`."""
    take_step = train_module._Training._take_step

    def step_and_signal(self):
        take_step(self)
        if self.step == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.delenv("SUBMITIT_EXECUTOR", raising=False)
        patch.setattr(train_module._Training, "_take_step", step_and_signal)
        with pytest.raises(PreemptedError):
            train(config, folder, on_evaluation=on_evaluation)


@pytest.mark.parametrize("stop", [1, 9, 10, 20, 24])
def test_stopped_by_a_signal_at_a_step(tmp_path, monkeypatch, stop):
    """10 and 20 are steps of an evaluation, which the signal cuts short; 24 is the last."""
    config = tiny_config(tmp_path)
    straight, stopped = folder_of(tmp_path / "straight"), folder_of(tmp_path / "stopped")
    train(config, straight)
    train_and_stop(monkeypatch, config, stopped, stop)
    assert CheckpointFolder(stopped).steps()[-1] == stop
    train(config, stopped, resume=True)
    assert_same_run(straight, stopped)


def test_killed_after_the_evaluation_that_a_signal_had_put_off(tmp_path, monkeypatch):
    config = tiny_config(tmp_path)
    straight, stopped = folder_of(tmp_path / "straight"), folder_of(tmp_path / "stopped")
    train(config, straight)
    train_and_stop(monkeypatch, config, stopped, 10)

    def die(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(train_module._Training, "_take_step", die)
        with pytest.raises(Killed):
            train(config, stopped, resume=True)
    assert [row["step"] for row in read_metrics(stopped) if "valid_loss" in row] == [10]
    train(config, stopped, resume=True)
    assert_same_run(straight, stopped)


def test_a_damaged_checkpoint_costs_an_interval_not_the_run(tmp_path, capsys):
    config = tiny_config(tmp_path)
    straight, damaged = folder_of(tmp_path / "straight"), folder_of(tmp_path / "damaged")
    train(config, straight)
    train(config, damaged)
    newest = CheckpointFolder(damaged).path(24)
    content = bytearray(newest.read_bytes())
    content[random.Random(0).randrange(len(content))] ^= 1
    newest.write_bytes(content)
    train(config, damaged, resume=True)
    assert "checkpoint of step 24 is damaged; set aside as" in capsys.readouterr().err
    assert_same_run(straight, damaged)


def test_a_finished_run_has_nothing_to_do(tmp_path):
    config = tiny_config(tmp_path)
    folder = folder_of(tmp_path / "run")
    first = train(config, folder)
    before = (folder / METRICS).read_bytes()
    again = train(config, folder, resume=True, on_evaluation=lambda *_: pytest.fail("once more"))
    assert (folder / METRICS).read_bytes() == before
    assert (again.valid_loss, again.bits_per_byte) == (first.valid_loss, first.bits_per_byte)
    assert again.train_loss == first.train_loss
    (folder / METRICS).unlink()
    alone = train(config, folder, resume=True)
    assert (alone.valid_loss, math.isnan(alone.train_loss)) == (first.valid_loss, True)


def test_a_callback_draws_the_same_random_numbers_in_every_run_and_after_a_stop(
    tmp_path, monkeypatch
):
    config = tiny_config(tmp_path, steps=30)
    runs = [folder_of(tmp_path / name) for name in ("straight", "again", "stopped")]

    def drawing(run):
        def draw(model, step):
            numbers = torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002
            drawn[run].append((step, *numbers))

        return draw

    drawn = {run: [] for run in runs}
    for run in runs[:2]:
        train(config, run, on_evaluation=drawing(run))
    assert drawn[runs[0]] == drawn[runs[1]]
    train_and_stop(monkeypatch, config, runs[2], 17, on_evaluation=drawing(runs[2]))
    train(config, runs[2], resume=True, on_evaluation=drawing(runs[2]))
    # The tests' own checks of types draw from Python's generator, in the second process anew.
    assert [row[:3] for row in drawn[runs[2]]] == [row[:3] for row in drawn[runs[0]]]


def test_without_a_checkpoint_it_begins_again(tmp_path, monkeypatch):
    config = tiny_config(tmp_path)
    straight, folder = folder_of(tmp_path / "straight"), folder_of(tmp_path / "run")
    train(config, straight)
    monkeypatch.setattr(CheckpointFolder, "save", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train(config, folder)
    monkeypatch.undo()
    train(config, folder, resume=True)
    assert_same_run(straight, folder)


def test_a_longer_wsd_run_is_the_run_that_was_long_from_the_start(tmp_path):
    schedule = replace(tiny_config(tmp_path).schedule, kind="wsd", decay_share=0.5)
    short = tiny_config(tmp_path, schedule=schedule, steps=28, eval_interval=1000)
    long = replace(short, steps=42)
    straight, grown = folder_of(tmp_path / "straight"), folder_of(tmp_path / "grown")
    train(long, straight)
    train(replace(short, checkpoint_interval=14), grown)
    CheckpointFolder(grown).path(28).unlink()  # back to step 14, where the decay began
    train(long, grown, resume=True)
    assert numbers(grown) == numbers(straight)


def test_a_run_cannot_be_made_shorter_than_it_is(tmp_path):
    schedule = replace(tiny_config(tmp_path).schedule, kind="constant")
    config = tiny_config(tmp_path, schedule=schedule)
    folder = folder_of(tmp_path / "run")
    train(config, folder)
    with pytest.raises(UserError, match="steps is 20, but the run has done 24 already"):
        train(replace(config, steps=20), folder, resume=True)
    assert train(replace(config, steps=30), folder, resume=True).train_loss > 0


def test_another_config_or_other_data_is_refused(tmp_path):
    config = tiny_config(tmp_path)
    folder = folder_of(tmp_path / "run")
    train(config, folder)
    with pytest.raises(UserError, match="another config \\(seed: 0 -> 1\\)"):
        train(replace(config, seed=1), folder, resume=True)
    write_tokens(config.data.train, 2999)
    with pytest.raises(
        UserError, match=r"train.tok' has changed since the checkpoint: 2999 tokens"
    ):
        train(config, folder, resume=True)
    write_tokens(config.data.train, tokenizer_hash="of another")
    write_tokens(config.data.valid, tokenizer_hash="of another")
    with pytest.raises(UserError, match="3000 tokens of tokenizer of another, it was 3000 of"):
        train(config, folder, resume=True)
