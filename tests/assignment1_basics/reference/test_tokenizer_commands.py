"""`course tokenizer train|encode|inspect`: what they write and say, and their one-line errors."""

import json
import subprocess
import sys

import pytest

from assignment1_basics.reference.tokenizer.token_file import open_token_file
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from assignment1_basics.reference.tokenizer.train import train_bpe
from course import cli
from tests.assignment1_basics.reference.tokenizer_samples import ENGLISH, EOT

TEXT = ENGLISH[:60_000] + EOT + "naïve 日本語\n" + EOT + ENGLISH[60_000:120_000]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_bytes(TEXT.encode())
    return tmp_path


@pytest.fixture
def course(folder, capsys):
    def run(*arguments: str, code: int = 0) -> str:
        assert cli.main(["tokenizer", *map(str, arguments)]) == code
        out, err = capsys.readouterr()
        if code == 0:
            return out
        last = err.splitlines()[-1]
        assert out == ""
        assert last.startswith("error: ")
        return last

    return run


@pytest.fixture
def trained(course):
    course("train", "corpus.txt", "--vocab-size", 400)
    return Tokenizer.load("data/tokenizer")


def test_train(folder, course):
    out = course("train", "corpus.txt", "--vocab-size", "600", "--output", "out")
    ours = Tokenizer.load(folder / "out")
    vocab, merges = train_bpe("corpus.txt", 600, [EOT])
    assert (ours.vocab, ours.merges, ours.special_tokens) == (vocab, merges, {EOT: 0})
    first, longest, compression = out.splitlines()
    assert first.startswith("out/tokenizer.json: 600 tokens (1 special, 256 bytes, 343 merges) ")
    assert first.endswith(f"hash {ours.hash}")
    assert repr(max(vocab.values(), key=len).decode()) in longest
    measured = len(TEXT.encode()) / len(ours.encode(TEXT))
    assert float(compression.split()[1]) == pytest.approx(measured, abs=0.1)


def test_train_on_several_files(folder, course):
    """They are joined by the first special token: no pre-token reaches from one into the next."""
    (folder / "a.txt").write_text("ab" * 50)
    (folder / "b.txt").write_text("cd" * 50)
    course("train", "a.txt", "b.txt", "--vocab-size", "300", "--output", "joined.json")
    merges = Tokenizer.load("joined.json").merges
    assert b"abab" in {left + right for left, right in merges}
    assert not any(b"bc" in left + right for left, right in merges)
    assert {path.name for path in folder.iterdir()} == {
        *("a.txt", "b.txt", "corpus.txt", "joined.json"),
    }


def test_train_says_when_there_is_nothing_left_to_merge(folder, course):
    (folder / "short.txt").write_text("aa aa")
    out = course("train", "short.txt", "--vocab-size", "1000")
    assert "no more pairs to merge: 259 tokens instead of 1,000" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no corpus; name at least one text file"),
        (["missing.txt"], "corpus 'missing.txt' does not exist"),
        (["corpus.txt", "missing.txt"], "corpus 'missing.txt' does not exist"),
        (["."], "corpus '.' is a folder; a file is needed"),
        (["empty.txt"], "corpus 'empty.txt' is empty"),
        (["corpus.txt", "--vocab-size", "256"], "need at least 257"),
        (["corpus.txt", "--special-tokens", ""], "a special token is empty"),
        (["latin.txt"], "is not UTF-8: byte 0xe9 at offset 3 "),
        (["corpus.txt", "latin.txt"], "corpus 'latin.txt' is not UTF-8"),
    ],
)
def test_train_errors(folder, course, arguments, message):
    (folder / "empty.txt").touch()
    (folder / "latin.txt").write_bytes("café au lait".encode("latin-1"))
    assert message in course("train", *arguments, code=2)
    assert not (folder / "data" / "tokenizer").exists()


def test_train_replaces_bad_bytes_if_asked(folder, course):
    (folder / "latin.txt").write_bytes("café au lait ".encode("latin-1") * 20)
    course("train", "latin.txt", "--replace-bad-bytes", "--vocab-size", "270")
    tokens = Tokenizer.load("data/tokenizer").vocab.values()
    assert "\ufffd".encode() in b"".join(tokens)
    assert {path.name for path in (folder / "data").iterdir()} == {"tokenizer"}


def test_encode(course, trained):
    out = course("encode", "corpus.txt")
    file = open_token_file("corpus.tok", trained.hash)
    assert file.tokens.tolist() == trained.encode(TEXT)
    num_bytes = len(TEXT.encode())
    assert out.splitlines() == [
        f"corpus.tok: {len(file.tokens):,} tokens from {num_bytes / 1000:.0f} kB, "
        f"{num_bytes / len(file.tokens):.2f} bytes per token, "
        f"{2 * len(file.tokens) / 1000:.3g} kB on disk; tokenizer {trained.hash}",
        f"special token '{EOT}': 2 times",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "text 'missing.txt' does not exist"),
        (["empty.txt"], "text 'empty.txt' is empty"),
        (["corpus.txt", "--tokenizer", "nowhere"], "tokenizer 'nowhere/tokenizer.json' does not"),
        (["corpus.txt", "--output", "corpus.txt"], "is the text itself"),
        (["latin.txt"], "byte 0xe9 at offset 3 is no character; convert it, for example with "
                        "iconv, or use --replace-bad-bytes"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("trained")
def test_encode_errors(folder, course, arguments, message):
    (folder / "empty.txt").touch()
    (folder / "latin.txt").write_bytes("café".encode("latin-1"))
    assert message in course("encode", *arguments, code=2)
    assert not list(folder.glob("*.tok*"))
    assert (folder / "corpus.txt").read_bytes() == TEXT.encode()


def test_encode_refuses_a_separator_that_it_would_cut_up(folder, course):
    course("train", "corpus.txt", "--vocab-size", "300", "--special-tokens", "<|pad|>")
    place = TEXT.encode().index(EOT.encode())
    error = course("encode", "corpus.txt", code=2)
    assert f"special token {EOT} at offset {place:,}, which is unknown to the tokenizer" in error
    assert not list(folder.glob("*.tok*"))
    assert "corpus.tok: " in course("encode", "corpus.txt", "--separator-as-text")


def test_encode_replaces_bad_bytes_if_asked(folder, course, trained):
    (folder / "latin.txt").write_bytes("café".encode("latin-1"))
    out = course("encode", "latin.txt", "--replace-bad-bytes")
    assert "not UTF-8: 1" in out
    assert trained.decode(open_token_file("latin.tok").tokens) == "caf\ufffd"


def test_inspect(folder, course, trained):
    course("encode", "corpus.txt")
    (folder / "other.txt").write_bytes(b"x" * 1000)
    out = course(
        "inspect", "data/tokenizer", "--text", "the naïve end", "--longest", "3",
        "--files", "corpus.txt", "other.txt", "--token-files", "corpus.tok",
    )  # fmt: skip
    assert f"400 tokens, 143 merges, hash {trained.hash}" in out
    assert f"special token 0: '{EOT}'" in out
    assert "b'\\xc3':196 b'\\xaf':176" in out
    assert f"begins: {trained.decode(trained.encode(TEXT)[:60])!r}" in out
    assert "other.txt   " in out
    longest = next(line for line in out.splitlines() if line.startswith("longest tokens: "))
    assert max((b"".join(merge) for merge in trained.merges), key=len).decode() in longest
    assert (folder / "data/tokenizer/tokenizer.png").read_bytes().startswith(b"\x89PNG")
    assert out.splitlines()[-1] == "plot: data/tokenizer/tokenizer.png"


@pytest.mark.usefixtures("trained")
def test_inspect_errors(folder, course):
    course("encode", "corpus.txt")
    course("train", "corpus.txt", "--vocab-size", "300", "--output", "smaller")
    message = course("inspect", "smaller", "--token-files", "corpus.tok", code=2)
    assert "token file 'corpus.tok' was written with tokenizer " in message
    assert "Encode the text again" in message
    assert "text 'no.txt' does not exist" in course("inspect", "--files", "no.txt", code=2)
    assert "does not exist" in course("inspect", "nowhere", code=2)
    (folder / "smaller" / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram"}}))
    assert "it needs a model of type BPE" in course("inspect", "smaller", code=2)


@pytest.mark.parametrize("command", ["train", "encode", "inspect"])
def test_help_has_examples(command):
    process = subprocess.run(
        [sys.executable, "-m", "course.cli", "tokenizer", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"course tokenizer {command} " in process.stdout.split("options")[0]
    assert process.stderr == ""
