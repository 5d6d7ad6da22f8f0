"""Write documents to one text file, with `<|endoftext|>` between them.

A document that itself contains the separator would end early, and a tokenizer would read part of
the data as a command. It is written as `<endoftext>` there, so that the number of documents in the
file is the number that was given.
"""

import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from course.errors import UserError, require
from course.files import atomic_write

END_OF_TEXT = "<|endoftext|>"
ESCAPED = "<endoftext>"


@dataclass
class Part:
    """One file of a corpus: how much is in it."""

    path: Path
    documents: int = 0
    n_bytes: int = 0  # UTF-8, without separators


def write(
    documents: Iterable[str],
    path: Path | str,
    held_out: Path | str | None = None,
    held_out_fraction: float = 0.01,
    max_bytes: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Part]:
    """Write documents to `path`, and some of them to `held_out` instead.

    A document is held out by a hash of its text: it goes to the same file whatever the others are,
    and two equal documents go together. Both files appear whole at the end, or not at all.

    Args:
        documents: read one at a time; empty ones are skipped.
        path: the file to write.
        held_out: a second file, for evaluation.
        held_out_fraction: the part of all documents that goes there, between 0 and 1.
        max_bytes: stop before the document with which both files together would exceed this.
        progress: called with the number of bytes of every document.

    Returns:
        What is in `path`, and in `held_out` if given.

    Raises:
        UserError: there are no documents, or none left for one of the files.
    """
    in_range = held_out is None or 0 < held_out_fraction < 1
    require(in_range, "held_out_fraction", held_out_fraction, "above 0 and below 1")
    parts = [Part(Path(path))] + ([Part(Path(held_out))] if held_out is not None else [])
    if len({part.path.resolve() for part in parts}) < len(parts):
        raise UserError(f"held_out {str(held_out)!r} is the corpus file itself; name another")
    total = 0
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_write(part.path)) for part in parts]
        for document in documents:
            text = document.replace(END_OF_TEXT, ESCAPED).encode(errors="replace")
            if not text.strip():
                continue
            total += len(text)
            if max_bytes is not None and total > max_bytes:
                break
            which = len(parts) > 1 and zlib.crc32(text) < held_out_fraction * 2**32
            part, file = parts[which], files[which]
            if part.documents:
                file.write(END_OF_TEXT.encode())
            file.write(text)
            part.documents += 1
            part.n_bytes += len(text)
            if progress is not None:
                progress(len(text))
        total_documents = sum(part.documents for part in parts)
        for part in parts:  # inside the block: an error leaves no file
            if not part.documents:
                found = f"only {total_documents}" if total_documents else "no text"
                raise UserError(f"no documents for {str(part.path)!r}: the source has {found}")
    return parts
