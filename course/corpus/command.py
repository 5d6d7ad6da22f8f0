"""Write a text corpus: one file, UTF-8, with <|endoftext|> between documents.

Sources: `prose` (English from the documentation of the software installed here, about 25 MB),
`stories` (generated children's stories, as many as you like), `files` (your own .txt, .md and
.jsonl, also .gz), `hugging-face` (a dataset, streamed). `<|endoftext|>` inside a document is
written as `<endoftext>`.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from course.corpus.files import read_files
from course.corpus.harvest import prose
from course.corpus.hugging_face import read_dataset
from course.corpus.parallel import num_processes
from course.corpus.stories import stories
from course.corpus.writing import write
from course.errors import UserError, require
from course.progress import Progress

DEFAULT_STORIES = 100_000


@dataclass(frozen=True)
class Options:
    """What to write, and where."""

    output: Annotated[Path, tyro.conf.Positional]
    """file to write"""
    source: Literal["prose", "stories", "files", "hugging-face"] = "prose"
    """where the text comes from"""
    files: tuple[str, ...] = ()
    """source=files: files, folders and patterns such as 'notes/**/*.md'"""
    dataset: str | None = None
    """source=hugging-face: owner/name, owner/name/file, tinystories or openwebtext"""
    split: str = "train"
    """source=hugging-face: which split of a dataset"""
    field: str = "text"
    """the key or column with the text, in .jsonl files and datasets"""
    replace_bad_bytes: bool = False
    """put U+FFFD where bytes are not UTF-8, instead of refusing the file"""
    count: int | None = None
    """source=stories: how many (default: 100000, or as many as fit into --max-megabytes)"""
    seed: int = 0
    """source=stories: another seed, other stories"""
    max_megabytes: float | None = None
    """stop at so many MB (10^6 bytes) of text"""
    held_out: Path | None = None
    """second file: documents kept for evaluation, chosen by a hash of their text"""
    held_out_fraction: float = 0.01
    """the part of all documents that goes to --held-out"""


def run(options: Options) -> None:
    """Write the corpus, and print what is in it."""
    megabytes = options.max_megabytes
    in_range = megabytes is None or 0 < megabytes < float("inf")
    require(in_range, "max-megabytes", megabytes, "above 0, and finite")
    max_bytes = None if megabytes is None else int(megabytes * 1e6)
    start = time.monotonic()
    with Progress(f"writing {options.source}", total=max_bytes, unit="B") as bar:
        parts = write(
            _documents(options, max_bytes),
            options.output,
            options.held_out,
            options.held_out_fraction,
            max_bytes,
            bar.update,
        )
    for part in parts:
        print(f"{part.path}: {part.documents:,} documents, {part.n_bytes / 1e6:,.2f} MB")
    print(f"{time.monotonic() - start:.1f} s")


def _documents(options: Options, max_bytes: int | None) -> Iterator[str]:
    """Return the documents of the chosen source; refuse options that belong to another one."""
    for name, source in (("files", "files"), ("dataset", "hugging-face"), ("count", "stories")):
        given = getattr(options, name)
        if given and options.source != source:
            shown = " ".join(given) if isinstance(given, tuple) else given
            raise UserError(f"--{name} {shown} needs --source {source}")
    processes = num_processes()
    match options.source:
        case "prose":
            return prose(processes=processes)
        case "stories":
            in_range = options.count is None or options.count >= 1
            require(in_range, "count", options.count, "at least 1")
            # A story is longer than 100 bytes, so this many always fill the file.
            count = options.count or (
                DEFAULT_STORIES if max_bytes is None else max_bytes // 100 + 1
            )
            return stories(count, options.seed, processes=processes)
        case "files":
            return read_files(options.files, options.field, options.replace_bad_bytes, _note)
        case "hugging-face":
            if not options.dataset:
                raise UserError("--source hugging-face needs --dataset, say --dataset tinystories")
            return read_dataset(
                options.dataset, options.split, options.field, options.replace_bad_bytes
            )


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)
