"""`course generate` from a run, a checkpoint file and an exported Llama, `course export`."""

import io
import re
import sys

import pytest
import torch

from assignment1_basics.reference.checkpoint_folder import CheckpointFolder
from assignment1_basics.reference.hugging_face import export_folder
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.generate import generate_tokens
from assignment1_basics.reference.model.sampling import Sampling
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course import cli, config

# Two ids more than the tokenizer has: a vocabulary padded for speed.
CONFIG = TransformerConfig(259, 40, d_model=32, n_layers=1, n_heads=2, d_ff=32)
TOKENIZER = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<|endoftext|>"])


@pytest.fixture(scope="module")
def model():
    return Transformer(CONFIG, torch.Generator().manual_seed(0)).requires_grad_(False)


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    state = {"model": model.state_dict(), "optimizer": {}, "step": 3}
    state |= {"config": {"model": config.to_dict(CONFIG)}, "tokenizer_hash": TOKENIZER.hash}
    CheckpointFolder(folder).save(3, state)
    TOKENIZER.save(folder)
    return folder


@pytest.fixture
def course(capfdbinary):
    """Run `course generate`; return its exit code, its text and the last line on stderr."""

    def generate(checkpoint, *options):
        code = cli.main(["generate", "--checkpoint", str(checkpoint), *map(str, options)])
        written = capfdbinary.readouterr()
        return code, written.out.decode(), written.err.decode().rstrip("\n").split("\n")[-1]

    return generate


def expected_text(model, prompt: str, count: int, sampling: Sampling, seed: int = 0) -> str:
    """The same without a cache, a stream or a file."""

    def logits(ids):
        unknown = torch.tensor([257, 258])
        return model(torch.tensor([ids]))[0, -1].index_fill(0, unknown, float("-inf"))

    ids = TOKENIZER.encode(prompt)
    generator = torch.Generator().manual_seed(seed)
    tokens = list(generate_tokens(logits, ids, count, sampling, {256}, generator))
    return TOKENIZER.decode([token for token in tokens if token != 256])


@pytest.mark.parametrize("options", [["--temperature", 0.0], ["--top-k", 9, "--min-p", 0.1], []])
def test_the_text_is_that_of_the_model_from_every_kind_of_checkpoint(
    run, model, course, tmp_path, options
):
    export_folder(model, tmp_path / "exported", TOKENIZER)
    names = {"--temperature": "temperature", "--top-k": "top_k", "--min-p": "min_p"}
    chosen = {names[name]: value for name, value in zip(options[::2], options[1::2], strict=True)}
    sampling = Sampling(**({"temperature": 0.8} | chosen))
    expected = expected_text(model, "Once", 30, sampling, seed=5)
    checkpoints = [run, *(run / "checkpoints").iterdir(), tmp_path / "exported"]
    for checkpoint in checkpoints:
        arguments = ["--prompt", "Once", "--max-tokens", 30, "--seed", 5, *options]
        code, text, last_line = course(checkpoint, *arguments)
        assert (code, text) == (0, expected)
        assert re.search(r"tokens?.*; seed 5; ended by", last_line)


def test_the_prompt_may_come_from_standard_input(run, course, monkeypatch):
    given = course(run, "--prompt", "Once é", "--seed", 1)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Once é\n".encode())))
    assert course(run, "--seed", 1)[:2] == given[:2]


def test_a_prompt_that_is_not_utf8_is_refused(run, course, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Once \xff")))
    code, _, error = course(run)
    assert code == 2
    assert error.startswith("error: the prompt on standard input is not UTF-8")


def test_an_empty_prompt_starts_a_new_document(run, model, course):
    _, text, _ = course(run, "--prompt", "", "--max-tokens", 5, "--seed", 0)
    assert text == expected_text(model, "<|endoftext|>", 5, Sampling(temperature=0.8))


def test_a_seed_that_was_drawn_is_printed_and_repeats_the_text(run, course):
    _, text, last_line = course(run, "--prompt", "a")
    seed = re.search(r"seed (\d+)", last_line)[1]
    assert course(run, "--prompt", "a", "--seed", seed)[1] == text


def test_text_ends_before_a_stop_string_and_at_a_full_context(run, model, course):
    prompt = ["--prompt", "ab", "--temperature", 0]
    whole = expected_text(model, "ab", 39, Sampling(temperature=0.0))
    code, text, last_line = course(run, *prompt)
    assert (code, text) == (0, whole)
    assert "the model's context is full" in last_line
    stop = whole[7:9]
    code, text, last_line = course(run, *prompt, "--stop", "never", stop)
    assert (code, text) == (0, whole[: whole.index(stop)])
    assert "ended by a stop string" in last_line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", -1], "temperature is -1.0; it must be 0 or more"),
        (["--top-p", 2], "top-p is 2.0"),
        (["--max-tokens", 0], "max-tokens is 0; it must be at least 1"),
        (["--stop", ""], "a stop string is empty"),
        (["--prompt", "x" * 41], "the prompt has 41 tokens, the model's context 40"),
        (["--tokenizer", "missing.json"], "tokenizer 'missing.json' does not exist"),
        (["--device", "abacus"], "device 'abacus' is not available"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(run, course, options, message):
    code, text, error = course(run, "--prompt", "a", *options)
    assert (code, text) == (2, "")
    assert message in error


def test_bad_checkpoints_are_one_line_and_exit_code_2(run, course, tmp_path):
    def error_of(checkpoint, *options):
        code, text, error = course(checkpoint, "--prompt", "a", *options)
        assert (code, text) == (2, "")
        return error

    assert "'nowhere' does not exist" in error_of("nowhere")
    assert "has no checkpoint yet" in error_of(tmp_path)

    checkpoint = next((run / "checkpoints").iterdir()).read_bytes()
    (tmp_path / "truncated.pt").write_bytes(checkpoint[:-100])
    assert "is truncated or damaged" in error_of(tmp_path / "truncated.pt")

    (tmp_path / "alone.pt").write_bytes(checkpoint)
    assert "there is no tokenizer.json in" in error_of(tmp_path / "alone.pt")

    other = Tokenizer({byte: bytes([byte]) for byte in range(256)}, []).save(tmp_path / "other")
    error = error_of(run, "--tokenizer", other)
    assert "the model was trained with" in error

    export_folder(Transformer(TransformerConfig(100, 8, 16, 1, 2)), tmp_path / "small")
    error = error_of(tmp_path / "small", "--tokenizer", run / "tokenizer.json")
    assert "ids up to 256, the model only up to 99" in error


def test_an_exported_run_goes_on_with_the_same_text_here_and_in_transformers(
    run, model, course, tmp_path, capfdbinary
):
    import transformers

    output = tmp_path / "exported"
    assert cli.main(["export", "--checkpoint", str(run), "--output", str(output)]) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in printed
    arguments = ["--prompt", "Once", "--max-tokens", 10, "--temperature", 0]
    assert course(output, *arguments)[1] == course(run, *arguments)[1]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(output)
    ids = torch.tensor([TOKENIZER.encode("Once upon")])
    torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-5, rtol=1e-5)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(output)
    assert their_tokenizer("Once")["input_ids"] == TOKENIZER.encode("Once")


def test_an_export_leaves_what_is_there_alone(run, tmp_path, capfd):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for output, reason in (("full", "is not empty"), ("full/notes.txt", "is a file")):
        code = cli.main(["export", "--checkpoint", str(run), "--output", str(tmp_path / output)])
        assert code == 2
        assert reason in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    arguments = ["export", "--checkpoint", str(run), "--output", str(tmp_path / "full")]
    assert cli.main([*arguments, "--overwrite"]) == 0
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_an_ablation_is_no_llama(tmp_path, capfd):
    folder = tmp_path / "run"
    ablation = TransformerConfig(257, 8, d_model=16, n_layers=1, n_heads=2, norm="post")
    state = {"model": Transformer(ablation).state_dict(), "optimizer": {}, "step": 1}
    state |= {"config": {"model": config.to_dict(ablation)}, "tokenizer_hash": TOKENIZER.hash}
    CheckpointFolder(folder).save(1, state)
    TOKENIZER.save(folder)
    code = cli.main(["export", "--checkpoint", str(folder), "--output", str(tmp_path / "out")])
    error = capfd.readouterr().err
    assert code == 2
    assert "norm is 'post'; a Llama" in error
    assert not (tmp_path / "out").exists()
