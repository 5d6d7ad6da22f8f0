"""`course account`: what it prints, draws and refuses."""

import re

import pytest
import torch

from assignment1_basics.reference.accounting.hardware import ACCELERATORS
from assignment1_basics.reference.accounting.presets import PRESETS
from assignment1_basics.reference.commands import account
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.train_config import DataConfig, TrainConfig
from course import config as configs
from course.cli import main


def printed(capsys, *arguments):
    assert main(["account", *arguments]) == 0
    return capsys.readouterr().out


def row_of(text, label, nth=0):
    """Return the cells of the nth table row that begins with `label`."""
    rows = [line for line in text.splitlines() if line.strip().startswith(label + "  ")]
    return re.split(r"\s{2,}", rows[nth].strip())[1:]


def test_parts_add_up_to_the_model(capsys):
    text = printed(capsys, "--preset", "handout", "--model.n-layers", "2")
    config = TransformerConfig(n_layers=2)
    with torch.device("meta"):
        total = sum(parameter.numel() for parameter in Transformer(config).parameters())
    assert row_of(text, "all")[0] == f"{total:,}"
    names = ("token embeddings", "attention projections", "feed-forward", "norms", "head")
    cells = [row_of(text, name)[0] for name in names]
    assert sum(int(cell.replace(",", "")) for cell in cells) == total
    assert row_of(text, "attention scores")[:2] == ["–", "–"]


def test_memory_in_every_format_with_and_without_checkpointing(capsys):
    kept = row_of(printed(capsys, "--preset", "134m"), "peak")
    text = printed(capsys, "--preset", "134m", "--checkpointing")
    assert row_of(text, "peak without checkpointing") == kept
    saved = row_of(text, "peak")
    assert len(saved) == len(kept) == 6
    assert all(float(less) < float(more) for less, more in zip(saved, kept, strict=True))
    largest = [int(n.replace(",", "")) for n in row_of(text, "largest batch")]
    checkpointed = [int(n.replace(",", "")) for n in row_of(text, "largest batch, checkpointed")]
    assert all(less < more for less, more in zip(largest, checkpointed, strict=True))


def test_time_follows_from_the_utilisation(capsys):
    text = printed(capsys, "--preset", "134m", "--mfu", "0.405", "--tokens", "1e9")
    peak, rate, time = row_of(text, "bf16-mixed", nth=0)
    assert peak == "989"
    assert int(rate.replace(",", "")) == pytest.approx(561_000, rel=0.005)
    assert time == "29:42"
    assert "1G tokens at 40% MFU on one NVIDIA H200" in text
    slow = printed(capsys, "--preset", "134m", "--accelerator", "a100")
    assert row_of(slow, "fp8-mixed")[0] == "–"


def test_formats(capsys):
    text = printed(capsys, "--formats")
    assert row_of(text, "fp8 e4m3")[:4] == ["8", "4", "3", "448"]
    assert "Number formats" not in printed(capsys)


def test_a_run_gives_its_model_and_micro_batch(tmp_path, capsys):
    model = TransformerConfig(300, 64, d_model=32, n_heads=2)
    path = tmp_path / "config.yaml"
    run = TrainConfig(DataConfig(tmp_path / "a.tok"), model, batch_size=6, micro_batch_size=3)
    configs.save(run, path)
    text = printed(capsys, "--config", str(path))
    assert "a step with 3 x 64 tokens" in text
    options = account.parse(["--config", str(path), "--model.n-layers", "7"], "course account")
    assert options.accumulation
    assert options.model == TransformerConfig(300, 64, d_model=32, n_heads=2, n_layers=7)


@pytest.mark.parametrize("arguments", [(), ("--checkpointing", "--no-compiled")])
def test_the_plot(tmp_path, capsys, arguments):
    path = tmp_path / "plots" / "account.png"
    assert str(path) in printed(capsys, "--plot", str(path), *arguments).replace("\n", "")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset(name, capsys):
    assert "parameters" in printed(capsys, "--preset", name)


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_every_accelerator(accelerator, capsys):
    assert ACCELERATORS[accelerator].name in printed(capsys, "--accelerator", accelerator)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "gpt5"], "preset 'gpt5' is unknown; there are: handout, gpt2-small"),
        (["--preset", "134m", "--config", "a.yaml"], "give one of them"),
        (["--config", "a.yaml"], "config 'a.yaml' does not exist"),
        (["--mfu", "0"], "mfu is 0.0; it must be above 0 and at most 1"),
        (["--batch-size", "0"], "batch_size is 0; it must be positive and finite"),
        (["--tokens", "nan"], "tokens is nan; it must be positive and finite"),
        (["--model.n-heads", "5"], "d_model is 768; it must be a multiple of n_heads = 5"),
    ],
)
def test_wrong_options_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["account", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
