"""Bad input to the commands: one line on stderr that begins with `error:`, exit code 2, no harm.

The modules' own tests go into the details; this is the list of what careless users do, run through
the command line in a folder with a corpus, tokenizers, token files and a run in it. After each
command the folder is what it was.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from assignment1_basics.reference.checkpoint import read_verified
from course.cli import START_AGAIN, main

MODEL = "--model.d-model 16 --model.n-heads 2 --model.n-layers 1 --model.context-length 16"
TRAIN = f"train --data.train text.tok --name new --steps 1 --batch-size 1 --no-wandb {MODEL}"
CHECKPOINT = Path("runs/done/checkpoints/step-00000002.pt")

MAKE = f"""
corpus text.txt --source stories --count 40
corpus other.txt --source stories --count 20 --seed 1
tokenizer train text.txt --vocab-size 300 --output tokenizer
tokenizer train other.txt --vocab-size 280 --output other-tokenizer
tokenizer train other.txt --vocab-size 280 --special-tokens <pad> --output no-separator
tokenizer encode text.txt --tokenizer tokenizer
tokenizer encode other.txt --tokenizer other-tokenizer
{TRAIN.replace("new", "done")} --data.tokenizer tokenizer --steps 2 --checkpoint-interval 1
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder in which somebody has worked."""
    folder = tmp_path_factory.mktemp("world")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for line in MAKE.strip().splitlines():
            assert main(shlex.split(line)) == 0, line
    finally:
        os.chdir(before)
    (folder / "empty.txt").touch()
    (folder / "latin.txt").write_bytes("Le café est fermé.".encode("latin-1"))
    (folder / "bad.jsonl").write_text('{"text": "good"}\n{"txt": "bad"}\n')
    return folder


@pytest.fixture
def contents(world, monkeypatch):
    """Work in the world; gives a function that returns all files in it with their bytes."""
    monkeypatch.chdir(world)
    return lambda: {
        str(path): path.read_bytes() for path in sorted(Path.cwd().rglob("*")) if path.is_file()
    }


BAD = [
    # What does not exist, or is something else.
    ("trian", "no command 'trian'; there are: demo, corpus, tokenizer train"),
    ("corpus new.txt --source files --files missing.txt", "'missing.txt' does not exist"),
    ("tokenizer train missing.txt", "corpus 'missing.txt' does not exist"),
    ("tokenizer train runs", "corpus 'runs' is a folder; a file is needed"),
    ("tokenizer encode text.txt --tokenizer nowhere", "'nowhere/tokenizer.json' does not exist"),
    ("tokenizer encode text.txt --tokenizer text.txt", "tokenizer 'text.txt' is not JSON"),
    (f"{TRAIN} --data.train missing.tok", "token file 'missing.tok' does not exist"),
    (f"{TRAIN} --data.train text.txt", "'text.txt' has no sidecar 'text.txt.json'"),
    (f"{TRAIN} --config nowhere.yaml", "config 'nowhere.yaml' does not exist"),
    (f"{TRAIN} --device cuda:99", "device 'cuda:99' is not available"),
    ("train --name nobody --resume", "there is no run 'runs/nobody' to resume"),
    ("generate --checkpoint runs/nobody --prompt a", "'runs/nobody' does not exist"),
    ("generate --checkpoint tokenizer --prompt a", "run 'tokenizer' has no checkpoint yet"),
    ("generate --checkpoint text.txt --prompt a", "or no checkpoint of a run"),
    # What cannot be written.
    ("corpus runs --source stories --count 5", "'runs' is a folder; name a file to write"),
    ("corpus /dev/null --source stories --count 5", "'/dev/null' is a device or a pipe"),
    ("corpus text.txt/new --source stories --count 5", "'text.txt/new' cannot be written"),
    ("tokenizer train text.txt --output text.txt", "'text.txt/tokenizer.json' cannot be written"),
    ("tokenizer encode text.txt --tokenizer tokenizer --output /proc/new", "cannot be written"),
    (f"{TRAIN} --runs text.txt", "run folder 'text.txt/new' cannot be written"),
    (f"{TRAIN} --name done", "run 'runs/done' exists; choose another --name"),
    (f"{TRAIN} --name done --overwrite --data.train missing.tok", "does not exist"),
    (f"{TRAIN} --name done --overwrite --model.context-length 1000000", "longer than the data"),
    (f"{TRAIN} --name done --overwrite --device cuda:99", "device 'cuda:99' is not available"),
    ("demo --runs text.txt", "'text.txt/demo': Not a directory"),
    # Texts.
    ("corpus new.txt --source files --files empty.txt", "the source has no text"),
    ("corpus new.txt --source files --files latin.txt", "not UTF-8: byte 0xe9 at offset 6"),
    ("corpus new.txt --source files --files bad.jsonl", "'bad.jsonl', line 2: no text under"),
    ("tokenizer train empty.txt", "corpus 'empty.txt' is empty"),
    ("tokenizer train latin.txt", "offset 6 is no character; convert it, for example with iconv"),
    ("tokenizer encode empty.txt --tokenizer tokenizer", "text 'empty.txt' is empty"),
    ("tokenizer encode latin.txt --tokenizer tokenizer", "or use --replace-bad-bytes"),
    # What does not belong together.
    ("tokenizer train text.txt --vocab-size 256", "vocab_size 256 is too small"),
    ("tokenizer train text.txt --special-tokens ''", "a special token is empty"),
    ("tokenizer encode text.txt --tokenizer no-separator", "special token <|endoftext|> at offset"),
    ("tokenizer inspect tokenizer --token-files other.tok", "was written with tokenizer"),
    (f"{TRAIN} --data.tokenizer other-tokenizer", "was written with tokenizer"),
    (f"{TRAIN} --data.valid other.tok", "was written with tokenizer"),
    (f"{TRAIN} --model.d-model 17", "d_model is 17; it must be a multiple of n_heads = 2"),
    (f"{TRAIN} --model.d-model 18", "d_model / n_heads is 9; it must be even"),
    (f"{TRAIN} --model.context-length 1000000", "context_length 1000000 is longer than the data"),
    (f"{TRAIN} --model.vocab-size 20", "model.vocab_size is 20; it must be at least 300"),
    (f"{TRAIN} --name done --resume", "the run to resume had another config (steps: 2 -> 1"),
    ("generate --checkpoint runs/done --prompt a --tokenizer other-tokenizer", "has the hash"),
    (f"generate --checkpoint runs/done --prompt '{'long ' * 50}'", "the model's context 16"),
    # Numbers.
    (f"{TRAIN} --steps -1", "steps is -1; it must be at least 1"),
    (f"{TRAIN} --batch-size 4 --micro-batch-size 3", "must be a divisor of batch_size = 4"),
    (f"{TRAIN} --optimizer.learning-rate nan", "optimizer.learning_rate is nan; it must be"),
    (f"{TRAIN} --optimizer.weight-decay inf", "optimizer.weight_decay is inf; it must be"),
    (f"{TRAIN} --seed -1", "seed is -1; it must be from 0"),
    (f"{TRAIN} --hours nan", "hours is nan; it must be above 0"),
    ("corpus new.txt --max-megabytes nan", "max-megabytes is nan; it must be above 0"),
    ("corpus new.txt --source stories --count -5", "count is -5; it must be at least 1"),
    ("tokenizer train text.txt --threads 0", "threads is 0; it must be at least 1"),
    ("tokenizer train text.txt --vocab-size 10000000000000", "Unable to allocate"),
    ("generate --checkpoint runs/done --prompt a --temperature nan", "temperature is nan; it must"),
    ("generate --checkpoint runs/done --prompt a --seed -1", "seed is -1; it must be from 0"),
    ("demo --minutes nan", "minutes is nan; it must be above 0"),
    # Sweeps and clusters.
    (f"sweep --name s --grid steps -- {TRAIN}", "--grid 'steps'; it must look like OPTION=VALUE"),
    (f"sweep --name s --grid steps=1,1 -- {TRAIN}", "has a value for the second time"),
    ("sweep --name s --grid steps=1", "no command to sweep over"),
    (f"{TRAIN} --cluster slurm", "Without Slurm leave --cluster out"),
]


@pytest.mark.parametrize(("command", "message"), BAD, ids=[command[:60] for command, _ in BAD])
def test_one_line_exit_code_2_and_nothing_changed(contents, capsys, monkeypatch, command, message):
    if "--cluster" in command:
        monkeypatch.setenv("PATH", "/nowhere")
    before = contents()
    assert main(shlex.split(command)) == 2
    out, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert [line for line in err.splitlines() if line.startswith(("error", "Traceback"))] == [last]
    assert out == ""
    assert contents() == before


@pytest.mark.parametrize(
    "command",
    ["train --nonsense 3", "train", "tokenizer train text.txt --vocab-size many", f"{TRAIN} more"],
)
def test_what_the_parser_refuses(contents, capsys, command):
    before = contents()
    assert main(shlex.split(command)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith("--help`")
    assert contents() == before


@pytest.mark.parametrize("size", [0, 1000, -1], ids=["empty", "begun", "a byte short"])
def test_a_truncated_checkpoint(contents, capsys, size):
    """`generate` refuses it; `train --resume` takes the one before and ends where that one did."""
    whole, expected = CHECKPOINT.read_bytes(), read_verified(CHECKPOINT)["model"]
    CHECKPOINT.write_bytes(whole[:size])
    aside = CHECKPOINT.with_name(f"damaged-{CHECKPOINT.name}")
    try:
        assert main(["generate", "--checkpoint", "runs/done", "--prompt", "a"]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: checkpoint '{CHECKPOINT}' is truncated or damaged")
        assert main(["train", "--name", "done", "--resume"]) == 0
        assert f"damaged; set aside as '{aside}'" in capsys.readouterr().err
        weights = read_verified(CHECKPOINT)["model"]
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
    finally:
        aside.unlink(missing_ok=True)
        CHECKPOINT.write_bytes(whole)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("corpus other.txt --source stories --count 50", "'other.txt' cannot be written"),
        ("tokenizer train text.txt --vocab-size 290 --output other-tokenizer", "cannot be written"),
        ("tokenizer encode text.txt --tokenizer tokenizer", "'text.tok' cannot be written"),
        (f"{TRAIN} --name done --overwrite --runs full", "there is none before; free some space"),
    ],
    ids=["corpus", "tokenizer", "tokens", "checkpoint"],
)
def test_a_full_disk_leaves_what_was_there(contents, capsys, full_disk, command, message):
    before = contents()
    with full_disk():
        assert main(shlex.split(command)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    after = contents()
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.endswith(".tmp")]


def test_ctrl_c_leaves_no_half_file(tmp_path):
    """In a process group, as on a terminal: workers must stay silent, too."""
    command = ["corpus", "new.txt", "--source", "stories", "--count", "100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "course", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(path.stat().st_size for path in tmp_path.glob(".new.txt.*")):
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"interrupted; {START_AGAIN}"
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
