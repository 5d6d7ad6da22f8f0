"""Look at a tokenizer: its longest tokens, how it splits a text, how well it compresses.

  course tokenizer inspect data/tokenizer
  course tokenizer inspect data/tokenizer --text "The widest window's width"
  course tokenizer inspect data/tokenizer --files novel.txt code.py --token-files data/train.tok

Draws the lengths of tokens, and the compression of the files, into PLOT (beside the tokenizer by
default). Of a token file it shows the beginning, and checks that this tokenizer wrote it.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from assignment1_basics.reference.tokenizer.token_file import TokenFile, open_token_file
from course.errors import UserError, require
from course.files import existing_file
from course.progress import amount

if TYPE_CHECKING:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

_MOST_BYTES = 20_000_000  # of a file, to measure its compression
_SHOWN_TOKENS = 60  # of a token file
_LONGEST_BAR = 25  # bytes; the few tokens longer than this, mostly rules of dashes, share a bar


@dataclass(frozen=True)
class Options:
    """Which tokenizer, and what to show of it."""

    tokenizer: Annotated[Path, tyro.conf.Positional] = Path("data/tokenizer")
    """folder with a tokenizer.json, or such a file"""
    text: str | None = None
    """a text to split into tokens"""
    files: tuple[Path, ...] = ()
    """text files on which to measure compression (their first 20 MB)"""
    token_files: tuple[Path, ...] = ()
    """token files to check and to show the beginning of"""
    longest: int = 20
    """how many of the longest tokens to list"""
    plot: Path | None = None
    """PNG to write; None: tokenizer.png beside the tokenizer"""


def run(options: Options) -> None:
    """Print all that was asked for, and draw the plot."""
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    require(options.longest >= 0, "longest", options.longest, "at least 0")
    for path in options.files:
        existing_file(path, "text")
    tokenizer = Tokenizer.load(options.tokenizer)
    token_files = {path: open_token_file(path, tokenizer.hash) for path in options.token_files}
    print(
        f"{len(tokenizer.vocab):,} tokens, {len(tokenizer.merges):,} merges, hash {tokenizer.hash}"
    )
    for text, number in tokenizer.special_tokens.items():
        print(f"special token {number}: {text!r}")
    if options.text is not None:
        print_split(tokenizer, options.text)
    for path, token_file in token_files.items():
        print_beginning(tokenizer, path, token_file)
    print_longest(tokenizer, options.longest)
    compression = {path.name: bytes_per_token(tokenizer, path) for path in options.files}
    width = max(map(len, compression), default=0)
    for name, ratio in compression.items():
        print(f"{name:<{width}}  {ratio:.2f} bytes per token")
    default = options.tokenizer.with_suffix(".png")
    if options.tokenizer.suffix != ".json":
        default = options.tokenizer / "tokenizer.png"
    print(f"plot: {draw(tokenizer, compression, options.plot or default)}")


def print_split(tokenizer: "Tokenizer", text: str) -> None:
    """Show the tokens of a text, one after the other, with their ids."""
    ids = tokenizer.encode(text)
    num_bytes = len(tokenizer.decode_bytes(ids))
    print(f"{len(ids)} tokens, {num_bytes / max(1, len(ids)):.2f} bytes per token")
    print(" ".join(f"{as_text(tokenizer.vocab[number])}:{number}" for number in ids))


def print_beginning(tokenizer: "Tokenizer", path: Path, file: TokenFile) -> None:
    """Show the first tokens of a token file as text."""
    summary = f"{path}: {len(file.tokens):,} tokens of {file.tokens.itemsize} bytes"
    if file.source_bytes and len(file.tokens):
        ratio = file.source_bytes / len(file.tokens)
        summary += f" from {amount(file.source_bytes, 'B')}, {ratio:.2f} bytes per token"
    print(summary)
    print(f"begins: {tokenizer.decode(file.tokens[:_SHOWN_TOKENS])!r}")


def print_longest(tokenizer: "Tokenizer", how_many: int) -> None:
    """List the longest tokens that training made."""
    made = [left + right for left, right in tokenizer.merges]
    longest = sorted(set(made), key=lambda token: (-len(token), token))[:how_many]
    if longest:
        print("longest tokens: " + " ".join(map(as_text, longest)))


def bytes_per_token(tokenizer: "Tokenizer", path: Path) -> float:
    """Return how many bytes of the file's text a token stands for."""
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES)
    if not data:
        raise UserError(f"text {str(path)!r} is empty; there is nothing to measure")
    text = data.decode(errors="replace")
    return len(data) / len(tokenizer.encode_array(text))


def draw(tokenizer: "Tokenizer", compression: dict[str, float], path: Path) -> Path:
    """Draw how many tokens have which length, and below the compression of each file."""
    import matplotlib
    from matplotlib.figure import Figure

    from course.plots import COLORS, STYLE, save

    lengths = Counter(
        min(len(token), _LONGEST_BAR)
        for number, token in tokenizer.vocab.items()
        if number not in tokenizer.special_tokens.values()
    )
    rows = 2 if compression else 1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.6 * rows), dpi=130, layout="constrained")
        axes = figure.add_subplot(
            rows, 1, 1, xlabel=f"length, bytes ({_LONGEST_BAR}: and more)", ylabel="tokens",
            title=f"{len(tokenizer.vocab):,} tokens by length",
        )  # fmt: skip
        axes.bar(list(lengths), list(lengths.values()), color=COLORS[0])
        if compression:
            axes = figure.add_subplot(
                rows, 1, 2, xlabel="bytes per token", title="Compression of each text"
            )
            axes.barh(list(compression), list(compression.values()), color=COLORS[1])
            axes.invert_yaxis()
        return save(figure, path)


def as_text(token: bytes) -> str:
    """Write a token as a quoted string, or as bytes if it is a part of a character."""
    try:
        return repr(token.decode())
    except UnicodeDecodeError:
        return repr(token)
