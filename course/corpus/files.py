"""The user's own text files as documents: .txt and .md, .jsonl with a text field, each also as .gz.

A .txt file may hold many documents with `<|endoftext|>` between them (as TinyStories is published,
and as `course corpus` writes); else a file is one document. Bytes that are not UTF-8 are refused
with their place, since a corpus in the wrong encoding trains a wrong tokenizer silently.
"""

import glob
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from course.corpus.writing import END_OF_TEXT
from course.errors import UserError
from course.files import existing_file

SUFFIXES = (".txt", ".md", ".jsonl")
_READ_SIZE = 2**20


def read_files(
    patterns: Sequence[str],
    field: str = "text",
    replace_bad_bytes: bool = False,
    notify: Callable[[str], object] = print,
) -> Iterator[str]:
    """Yield the documents of files, folders (searched to the bottom) and glob patterns, in order.

    Args:
        patterns: what to read; the files of a folder or a pattern are sorted by name.
        field: the key of a .jsonl line that holds the text.
        replace_bad_bytes: put U+FFFD where bytes are not UTF-8 instead of refusing the file.
        notify: told, in one line per file, how many bytes were replaced.

    Raises:
        UserError: nothing to read, an unknown kind of file, a damaged one, one not UTF-8.
    """
    paths = find_files(patterns)
    for path in paths:
        with open_text(path) as file:
            decode = Decoder(str(path), replace_bad_bytes)
            try:
                yield from read_documents(file, path.name, decode, field)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(f"{str(path)!r} is a damaged gzip file: {error}") from None
        if decode.replaced:
            notify(f"{path}: {decode.replaced} bytes were not UTF-8 and became U+FFFD")


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths, folders and glob patterns name, each once."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            some = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p.name))
        elif any(c in pattern for c in "*?[") and not path.exists():
            some = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            some = [p for p in some if p.is_file()]
        else:
            some = [existing_file(path, "input file")]
        if not some:
            raise UserError(f"{pattern!r} has no {', '.join(SUFFIXES)} files (also as .gz)")
        for file in some:
            if not _kind(file.name):
                raise UserError(f"{str(file)!r} is none of {', '.join(SUFFIXES)} (also as .gz)")
            found[file] = None
    if not found:
        raise UserError("no input files: name files, folders or patterns such as 'notes/**/*.md'")
    return list(found)


def open_text(path: Path) -> BinaryIO:
    """Open a file, or what is inside a .gz."""
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


class Decoder:
    """Bytes to text, with the place of what is not UTF-8, or U+FFFD instead of it."""

    def __init__(self, name: str, replace_bad_bytes: bool) -> None:
        self.name = name
        self.replace_bad_bytes = replace_bad_bytes
        self.replaced = 0

    def __call__(self, data: bytes, offset: int) -> str:
        """Decode bytes that start at `offset` of the file, without byte order mark and CR LF."""
        if offset == 0:
            data = data.removeprefix(b"\xef\xbb\xbf")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if not self.replace_bad_bytes:
                raise UserError(
                    f"{self.name!r} is not UTF-8: byte 0x{data[error.start]:02x} at offset "
                    f"{offset + error.start} ({error.reason}); convert the file, or pass "
                    "--replace-bad-bytes to put U+FFFD there"
                ) from None
            text = data.decode(errors="replace")
            self.replaced += text.count("\ufffd") - data.count("\ufffd".encode())
        return text.replace("\r\n", "\n")


def read_documents(
    file: BinaryIO, name: str, decode: Decoder, field: str = "text"
) -> Iterator[str]:
    """Yield the documents of one open file of the kind that its name says."""
    kind = _kind(name)
    if kind == ".jsonl":
        offset = 0
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_text(decode(line, offset), field, f"{decode.name!r}, line {number}")
            offset += len(line)
    elif kind == ".txt":
        for piece, offset in _split(file, END_OF_TEXT.encode()):
            yield decode(piece, offset).strip()
    else:
        yield decode(file.read(), 0).strip()


def _kind(name: str) -> str | None:
    """Return which of `SUFFIXES` a file has (a .gz before the .gz), None if another."""
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    return suffix if suffix in SUFFIXES else None


def _split(file: BinaryIO, separator: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces between separators with their offsets, holding one piece at a time."""
    buffer, offset = bytearray(), 0
    while chunk := file.read(_READ_SIZE):
        searched = max(0, len(buffer) - len(separator) + 1)  # it may lie across two chunks
        buffer += chunk
        start = 0
        while (end := buffer.find(separator, max(searched, start))) >= 0:
            yield bytes(buffer[start:end]), offset + start
            start = end + len(separator)
        del buffer[:start]
        offset += start
    yield bytes(buffer), offset


def _json_text(line: str, field: str, place: str) -> str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        have = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        raise UserError(f"{place}: no text under {field!r}; the line has {have}")
    return record[field]
