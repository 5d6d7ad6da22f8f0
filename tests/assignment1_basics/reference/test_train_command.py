import subprocess
import sys

import pytest

from assignment1_basics.reference.commands import train as command
from assignment1_basics.reference.train_config import TrainConfig
from course import config as configs
from course.cli import main
from course.runs import read_metrics

from .tiny_runs import VOCAB, flags, tiny_config, write_tokens


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tiny_config(tmp_path)


def test_a_run_its_resumption_and_another_from_its_config(config, tmp_path, capsys):
    assert main(["train", *flags(config), "--name", "a"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("runs/a: training loss ")
    assert "bits per byte" in out
    assert "parameters" in err
    saved = configs.load(TrainConfig, "runs/a/config.yaml")
    assert saved == config.with_vocabulary(VOCAB)
    before = read_metrics("runs/a")

    assert main(["train", "--name", "a", "--resume"]) == 0
    assert read_metrics("runs/a") == before
    assert capsys.readouterr().out == out

    again = ["train", "--config", "runs/a/config.yaml", "--name", "b", "--steps", "5"]
    assert main(again) == 0
    assert configs.load(TrainConfig, "runs/b/config.yaml").steps == 5
    assert main([*again, "--overwrite", "--seed", "1"]) == 0
    assert configs.load(TrainConfig, "runs/b/config.yaml").seed == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.n-heads", "3"], "d_model is 16; it must be a multiple of n_heads = 3"),
        (["--model.n-heads", "16"], "d_model / n_heads is 1; it must be even"),
        (["--model.context-length", "3000"], "context_length 3000 is longer than the data: 3000"),
        (["--data.train", "no.tok"], "'no.tok' does not exist"),
        (["--data.train", "."], "is a folder; a file is needed"),
        (["--data.train", "text.txt"], "no sidecar"),
        (["--data.valid", "foreign.tok"], "was written with tokenizer ffffffffffffffff"),
        (["--data.tokenizer", "no.json"], "no.json"),
        (["--runs", "text.txt"], "cannot be written"),
        (["--config", "no.yaml"], "config 'no.yaml' does not exist"),
        (["--config", "text.txt"], "config 'text.txt'"),
        (["--batch-size", "0"], "batch_size is 0; it must be at least 1"),
        (["--name", "old"], "run 'runs/old' exists; choose another --name, or --resume"),
        (["--name", "old", "--resume", "--seed", "5"], "another config (seed: 0 -> 5)"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(config, tmp_path, capsys, arguments, message):
    write_tokens(tmp_path / "foreign.tok", tokenizer_hash="f" * 16)
    (tmp_path / "text.txt").write_text("just text")
    if "old" in arguments:
        main(["train", *flags(config), "--name", "old", "--steps", "1"])
    capsys.readouterr()
    name = [] if "--name" in arguments else ["--name", "new"]
    steps = ["--steps", "1"]
    assert main(["train", *flags(config), *steps, *name, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "runs" / "new").exists()


def test_a_run_that_is_not_there_cannot_be_resumed(config, capsys):
    assert main(["train", "--name", "nobody", "--resume"]) == 2
    assert capsys.readouterr().err == "error: there is no run 'runs/nobody' to resume\n"
    assert main(["train", "--resume"]) == 2
    assert capsys.readouterr().err == "error: --resume needs the --name of the run\n"


def test_too_little_memory_says_what_helps(config, capsys):
    huge = ["--model.d-model", str(2**36), "--model.vocab-size", str(10**6)]  # 2^58 bytes
    assert main(["train", *flags(config), "--name", "huge", *huge]) == 2
    assert "a smaller --micro-batch-size" in capsys.readouterr().err


def test_without_a_name_it_is_the_time(config, tmp_path):
    assert main(["train", *flags(config), "--steps", "1"]) == 0
    assert len(list((tmp_path / "runs").glob("20??-??-??-??????"))) == 1


def test_divergence_exits_with_3(config, capsys):
    arguments = ["--optimizer.learning-rate", "1e29", "--schedule.warmup-steps", "0"]
    assert main(["train", *flags(config), *arguments, "--name", "hot"]) == 3
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("error: training diverged at step ")
    assert "learning rate 9.85e+28" in err


def test_the_help_says_what_everything_is(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("Train a Transformer", "--resume", "--cluster", "--model.d-model", "--wandb"):
        assert words in text or words.replace("--wandb", "--no-wandb") in text
    assert command.__doc__.splitlines()[0] in text


def test_a_token_file_and_its_tokenizer_travel_into_the_run(tmp_path, monkeypatch, capsys):
    """The whole way: text, tokenizer, token file, run."""
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    monkeypatch.chdir(tmp_path)
    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [])
    tokenizer.save(tmp_path / "bytes")
    text = "so it goes, and so it went, " * 40
    from assignment1_basics.reference.tokenizer.token_file import write_token_file

    ids = tokenizer.encode(text)
    write_token_file(
        "text.tok", ids, vocab_size=256, tokenizer_hash=tokenizer.hash, source_bytes=len(text)
    )
    arguments = flags(tiny_config(tmp_path / "other"))
    for flag in ("--data.train", "--data.valid"):
        arguments[arguments.index(flag) + 1] = "text.tok"
    more = ["--data.tokenizer", "bytes", "--name", "x"]
    assert main(["train", *arguments, *more]) == 0
    assert Tokenizer.load("runs/x").hash == tokenizer.hash

    other = Tokenizer({i: bytes([255 - i]) for i in range(256)}, [])
    other.save(tmp_path / "other-bytes")
    more = ["--data.tokenizer", "other-bytes", "--name", "y"]
    capsys.readouterr()
    assert main(["train", *arguments, *more]) == 2
    assert "was written with tokenizer" in capsys.readouterr().err


def test_reading_the_options_needs_no_training_code():
    code = (
        "import sys\n"
        "from course.cli import main\n"
        "try:\n    main(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'numba' not in sys.modules and 'matplotlib' not in sys.modules\n"
        "assert 'assignment1_basics.reference.train' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
