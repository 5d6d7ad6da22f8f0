"""Encode a text file into a token file for training.

  course tokenizer encode corpus.txt --tokenizer data/tokenizer
  course tokenizer encode corpus.txt --tokenizer tokenizer.json --output data/train.tok --threads 2

Writes OUTPUT, the ids as 16- or 32-bit integers, and OUTPUT.json, which says how many there are and
which tokenizer made them. Both appear when all is done. Special tokens of the tokenizer are
recognised in the text.
"""

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from course.errors import UserError, require
from course.files import existing_file
from course.launcher import Launch, launch
from course.progress import Progress, amount

if TYPE_CHECKING:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Options:
    """What to encode, with which tokenizer."""

    text: Annotated[Path, tyro.conf.Positional]
    """text file, UTF-8"""
    tokenizer: Path = Path("data/tokenizer")
    """folder with a tokenizer.json, or such a file"""
    output: Path | None = None
    """token file to write; None: beside the text, with the ending .tok"""
    threads: int | None = None
    """threads that encode; None: all cores"""
    replace_bad_bytes: bool = False
    """put U+FFFD where bytes are not UTF-8, instead of refusing the file"""
    separator_as_text: bool = False
    """take <|endoftext|> for ordinary text if the tokenizer does not know it, else refuse"""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(
        default_factory=lambda: Launch(gpus=0)
    )


def run(options: Options) -> None:
    """Encode here or in a Slurm job."""
    existing_file(options.text, "text")
    in_range = options.threads is None or options.threads >= 1
    require(in_range, "threads", options.threads, "at least 1")
    launch(options.launch, encode, options, name="tokenizer-encode")


def encode(options: Options) -> None:
    """Encode and print how well the text is compressed."""
    from assignment1_basics.reference.tokenizer.encode_file import encode_file
    from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(options.tokenizer)
    output = options.output or options.text.with_suffix(".tok")
    if output.resolve() == options.text.resolve():
        raise UserError(f"output {str(output)!r} is the text itself; name another --output")
    size = options.text.stat().st_size
    if size and not options.separator_as_text:
        require_known_separator(options.text, tokenizer)
    try:
        with Progress("encoding", total=size, unit="B") as bar:
            encoded = encode_file(
                tokenizer,
                options.text,
                output,
                threads=options.threads,
                replace_bad_bytes=options.replace_bad_bytes,
                progress=bar.update,
            )
    except NotUtf8Error as error:
        raise UserError(f"{error}, or use --replace-bad-bytes") from None
    num_bytes, num_tokens = encoded.num_bytes, encoded.num_tokens
    print(
        f"{output}: {num_tokens:,} tokens from {amount(num_bytes, 'B')}, "
        f"{num_bytes / num_tokens:.2f} bytes per token, {amount(output.stat().st_size, 'B')} on "
        f"disk; tokenizer {tokenizer.hash}"
    )
    if encoded.num_replaced:
        print(f"replaced by U+FFFD where the text is not UTF-8: {encoded.num_replaced:,}")
    for token, count in encoded.num_special.items():
        print(f"special token {token!r}: {count:,} times")


def require_known_separator(text: Path, tokenizer: "Tokenizer") -> None:
    """Raise a `UserError` if the tokenizer would cut `<|endoftext|>` into pieces of a word."""
    from course.corpus import END_OF_TEXT

    if END_OF_TEXT in tokenizer.special_tokens:
        return
    with open(text, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(END_OF_TEXT.encode())
    if place >= 0:
        raise UserError(
            f"text {str(text)!r} has the special token {END_OF_TEXT} at offset {place:,}, which is "
            "unknown to the tokenizer; train it with --special-tokens, or use --separator-as-text"
        )
