"""Train a byte-level BPE tokenizer on text.

  course tokenizer train corpus.txt --vocab-size 10000 --output data/tokenizer
  course tokenizer train a.txt b.txt --special-tokens "<|endoftext|>" "<|pad|>"

Writes OUTPUT/tokenizer.json, which Hugging Face `tokenizers` can load, too. Text is cut at special
tokens, so no token reaches from one document into the next. Training takes seconds per 100 MB;
memory grows with the number of distinct words, not with the text.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Annotated

import tyro

from course.errors import UserError, require
from course.files import existing_file, require_writable
from course.launcher import Launch, launch
from course.progress import Progress, amount, duration

_COPY = 1 << 24  # bytes
_SAMPLES, _SAMPLE = 8, 1 << 15  # pieces of the corpus on which compression is measured, bytes


@dataclass(frozen=True)
class Options:
    """What to train on, and how large the vocabulary is."""

    corpus: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """one or more text files, UTF-8"""
    vocab_size: int = 10_000
    """special tokens + 256 bytes + merges"""
    special_tokens: tuple[str, ...] = ("<|endoftext|>",)
    """tokens that are never cut or merged; the first one is put between several files"""
    output: Path = Path("data/tokenizer")
    """folder for tokenizer.json, or a file name that ends in .json"""
    threads: int | None = None
    """threads that count words; None: all cores, at most 8"""
    replace_bad_bytes: bool = False
    """put U+FFFD where bytes are not UTF-8, instead of refusing the file"""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(
        default_factory=lambda: Launch(gpus=0)
    )


def run(options: Options) -> None:
    """Train here or in a Slurm job."""
    if not options.corpus:
        raise UserError("no corpus; name at least one text file")
    for path in options.corpus:
        existing_file(path, "corpus")
    in_range = options.threads is None or options.threads >= 1
    require(in_range, "threads", options.threads, "at least 1")
    launch(options.launch, train, options, name="tokenizer-train")


def train(options: Options) -> None:
    """Train, save, and print what the vocabulary is like."""
    from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer, json_file
    from assignment1_basics.reference.tokenizer.train import train_bpe

    began = time.monotonic()
    require_writable(json_file(options.output))  # a wrong path fails now, not in the end
    with one_file(options) as corpus:
        try:
            with progress_by_stage() as progress:
                vocab, merges = train_bpe(
                    corpus, options.vocab_size, options.special_tokens, options.threads, progress
                )
        except NotUtf8Error as error:
            raise UserError(f"{error}, or use --replace-bad-bytes") from None
        tokenizer = Tokenizer(vocab, merges, options.special_tokens)
        num_bytes = corpus.stat().st_size
        sample = sample_of(corpus)
    file = tokenizer.save(options.output)
    print(
        f"{file}: {len(vocab):,} tokens ({len(tokenizer.special_tokens)} special, 256 bytes, "
        f"{len(merges):,} merges) from {amount(num_bytes, 'B')} in "
        f"{duration(time.monotonic() - began)}; hash {tokenizer.hash}"
    )
    if len(vocab) < options.vocab_size:
        print(
            f"the corpus has no more pairs to merge: {len(vocab):,} tokens instead of "
            f"{options.vocab_size:,}"
        )
    longest = sorted((left + right for left, right in merges), key=len, reverse=True)[:8]
    print("longest tokens: " + " ".join(repr(token.decode(errors="replace")) for token in longest))
    per_token = len(sample) / max(1, len(tokenizer.encode(sample.decode(errors="replace"))))
    print(f"compression: {per_token:.2f} bytes per token, on a sample of the corpus")


@contextmanager
def one_file(options: Options) -> Iterator[Path]:
    """Give the corpus as one file: itself, or a temporary copy if it must be joined or mended."""
    if len(options.corpus) == 1 and not options.replace_bad_bytes:
        yield options.corpus[0]
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=options.output.parent, suffix=".txt.tmp") as copy:
        between = options.special_tokens[0] if options.special_tokens else "\n"
        try:
            for i, path in enumerate(options.corpus):
                if i > 0:
                    copy.write(between.encode())
                _append(path, copy, options.replace_bad_bytes)
            copy.flush()
        except OSError as error:
            raise UserError(
                f"a copy of the corpus in {str(options.output.parent)!r} cannot be written: "
                f"{error.strerror}"
            ) from None
        yield Path(copy.name)


def _append(path: Path, copy: IO[bytes], replace_bad_bytes: bool) -> None:
    errors = "replace" if replace_bad_bytes else "strict"
    try:
        with open(path, encoding="utf-8", errors=errors, newline="") as text:
            while piece := text.read(_COPY):
                copy.write(piece.encode())
    except UnicodeDecodeError as error:
        raise UserError(
            f"corpus {str(path)!r} is not UTF-8 ({error.reason}); convert it, for example with "
            "iconv, or use --replace-bad-bytes"
        ) from None


@contextmanager
def progress_by_stage() -> Iterator[Callable[[str, int, int], None]]:
    """Give the function that the trainer calls; each of its stages has a progress line."""
    with ExitStack() as stack:
        stage, done, bar = "", 0, None

        def progress(name: str, now_done: int, total: int) -> None:
            nonlocal stage, done, bar
            if bar is None or name != stage:
                stack.close()  # the line of the stage before
                unit = {"counting": "B", "merging": "merge"}.get(name, "step")
                bar = stack.enter_context(Progress(name, total=total, unit=unit))
                stage, done = name, 0
            bar.update(now_done - done)
            done = now_done

        yield progress


def sample_of(path: Path) -> bytes:
    """Return pieces from all over a file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        pieces = []
        for i in range(_SAMPLES):
            file.seek(i * size // _SAMPLES)
            pieces.append(file.read(min(_SAMPLE, size // _SAMPLES + 1)))
    return b"".join(pieces)
