"""`course benchmark`: what it prints, writes and refuses."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course.cli import main

MODEL = [
    "--model.d-model", "32", "--model.n-heads", "2", "--model.n-layers", "2",
    "--model.vocab-size", "64", "--model.context-length", "32",
]  # fmt: skip
QUICK = ["benchmark", *MODEL, "--batch-size", "2", "--warmup", "1", "--repeats", "3",
         "--device", "cpu", "--name", "b"]  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Everything, eager, in a process of its own; returns the folder and what was printed."""
    folder = tmp_path_factory.mktemp("benchmark")
    command = [sys.executable, "-m", "course", *QUICK, "--modes", "eager", "--profile", "--memory"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return folder / "runs" / "b", done


def test_the_tables(ran):
    _, done = ran
    out = done.stdout
    assert "2 x 32" in out
    assert "2 x 32 tokens on 1 CPU thread" in out
    rows = {" ".join(line.split()[:2]): line.split() for line in out.splitlines()}
    for variant in ("fp32 eager", "bf16 eager"):
        assert variant in rows
    assert "Kernels of a step, bf16 eager" in out
    assert "ceilings measured: copy" in out
    assert "calculated" in out
    assert "USDT" not in done.stderr  # the profiler's own news


def test_the_files(ran):
    folder, done = ran
    with open(folder / "timings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["precision"], row["phase"]) for row in rows] == [
        (precision, phase)
        for precision in ("fp32", "bf16")
        for phase in ("forward", "backward", "update", "step")
    ]
    for row in rows:
        assert 0 < float(row["fastest_s"]) <= float(row["median_s"]) <= float(row["slowest_s"])
    lines = [json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert all(len(line["seconds"]) == 3 for line in lines)
    with gzip.open(folder / "trace-bf16-eager.json.gz", "rt") as file:
        assert json.load(file)["traceEvents"]
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {
        "timings.png", "kernels-fp32-eager.png", "kernels-bf16-eager.png",
        "memory-fp32-eager.png", "memory-bf16-eager.png",
    }  # fmt: skip
    written = done.stdout.splitlines()[-1].removeprefix("written: ").split(", ")
    inside = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert {Path(path).name for path in written} | {"config.yaml"} == inside


def test_the_compiled_step_is_measured_too(tmp_path, monkeypatch):
    """With a backend that traces but generates no code: the real one takes a minute on a CPU."""
    script = (
        "import sys, torch, functools; real = torch.compile;"
        "torch.compile = lambda f, **k: real(f, backend='aot_eager', **k);"
        "from course.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, *QUICK, "--modes", "compiled"]
    command += ["--precisions", "fp32", "--profile", "--memory"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "fp32 compiled" in done.stdout
    assert (tmp_path / "runs/b/memory-fp32-compiled.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "batch_size is 0; it must be at least 1"),
        (["--repeats", "0"], "repeats is 0; it must be at least 1"),
        (["--warmup", "-1"], "warmup is -1; it must be at least 0"),
        (["--seq-len", "33"], "seq_len is 33; it must be from 1 to the model's context, 32"),
        (["--seq-len", "0"], "seq_len is 0; it must be at least 1"),
        (["--seed", "-1"], "seed is -1"),
        (["--precisions", "fp32", "fp32"], "precisions is fp32 fp32; each may be named once"),
        (["--preset", "gpt9"], "preset 'gpt9' is unknown; there are: handout"),
        (["--precisions", "tf32"], "precision tf32 needs an NVIDIA GPU"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available"),
        (["--model.d-model", "33"], "d_model is 33"),
        (["--runs", "/proc/nowhere"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "b").mkdir(parents=True)
    (tmp_path / "runs" / "b" / "config.yaml").write_text("{}")
    assert main(QUICK) == 2
    assert "choose another --name" in capsys.readouterr().err


def test_nothing_fits(tmp_path, monkeypatch, capsys):
    def no_memory(*arguments, **keywords):
        raise torch.OutOfMemoryError("no")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assignment2_systems.reference.measuring.measure.MeasuredStep", no_memory)
    assert main([*QUICK, "--modes", "eager"]) == 2
    assert "a smaller --batch-size needs less" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "b").exists()
