"""A text file into its distinct pre-tokens and how often each occurs: all that BPE training needs.

The file is mapped into memory and cut into `chunks` that threads take one after the other, without
the GIL. Each thread counts at 200 MB/s into a `WordTable` of its own, so that none waits for
another; the tables are added up at the end. Memory holds the distinct words of each thread and the
chunks being read, however long the file or its lines are: pages that have been counted are given
back.

A file that is not UTF-8 is refused, with the place of its first wrong byte.
"""

import mmap
import os
import queue
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assignment1_basics.reference.tokenizer.block_scanner import BLOCK, word_ends
from assignment1_basics.reference.tokenizer.chunks import chunks, give_pages_back
from assignment1_basics.reference.tokenizer.compiled import kernel
from assignment1_basics.reference.tokenizer.memory import address_of, int64_at, set_int64
from assignment1_basics.reference.tokenizer.parallel import map_in_order
from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens
from assignment1_basics.reference.tokenizer.unicode_tables import character_classes
from assignment1_basics.reference.tokenizer.word_table import FULL, WordTable, add
from course.cores import available_cores
from course.errors import UserError
from course.files import existing_file

CHUNK = 4 << 20  # bytes; a thousand times what handing out a chunk costs
MOST_THREADS = 8  # by default: more would wait for the disk, each with a table of its own

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is in all."""


@dataclass(frozen=True)
class WordCounts:
    """Distinct words, most frequent first.

    Word i is `data[starts[i] : starts[i + 1]]` and occurs `counts[i]` times.
    """

    data: np.ndarray  # uint8
    starts: np.ndarray  # int64, one more than there are words
    counts: np.ndarray  # int64

    def __len__(self) -> int:
        return len(self.counts)

    def to_dict(self) -> dict[bytes, int]:
        """Return the counts by word."""
        data, starts, counts = self.data.tobytes(), self.starts.tolist(), self.counts.tolist()
        return {data[starts[i] : starts[i + 1]]: counts[i] for i in range(len(counts))}


def count_words(
    path: Path | str | os.PathLike[str],
    special_tokens: Iterable[str] = (),
    n_threads: int | None = None,
    progress: Progress | None = None,
    chunk_size: int = CHUNK,
) -> WordCounts:
    """Count the pre-tokens of a UTF-8 file.

    Args:
        path: the file.
        special_tokens: strings at which the text is cut; they are not counted. Where several match
            the leftmost one counts, of those the longest.
        n_threads: None for the number of cores this process may use, at most 8.
        progress: told how many bytes are counted.
        chunk_size: bytes of text per task.

    Raises:
        UserError: the file does not exist, is empty, or is not UTF-8.
    """
    path = existing_file(os.fspath(path), "corpus")
    what = f"corpus {str(path)!r}"
    if path.stat().st_size == 0:
        raise UserError(f"{what} is empty; there is nothing to train on")
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    n_threads = n_threads or min(MOST_THREADS, available_cores())
    special = SpecialTokens(dict.fromkeys(special_tokens, 0))
    tables = [WordTable() for _ in range(n_threads)]
    free_tables: queue.SimpleQueue[WordTable] = queue.SimpleQueue()
    for table in tables:
        free_tables.put(table)

    def count_chunk(chunk: tuple[int, int]) -> None:
        table = free_tables.get()
        try:
            _count_chunk(data, what, *chunk, special, table)
        finally:
            free_tables.put(table)

    with ThreadPoolExecutor(n_threads) as pool:
        # In the order of the file: the first error is that of the first chunk.
        for (_, done), _ in map_in_order(
            pool, count_chunk, chunks(data, special, chunk_size), 2 * n_threads
        ):
            if progress:
                progress("counting", done, len(data))

    total, *others = sorted(tables, key=len, reverse=True)
    for table in others:
        total.update(table)
    return WordCounts(*total.words())


def _count_chunk(
    data: mmap.mmap, what: str, start: int, end: int, special: SpecialTokens, table: WordTable
) -> None:
    """Add the words of `data[start:end]` to the table and give the chunk's pages back."""
    text = np.frombuffer(data, dtype=np.uint8)
    parts = _parts(memoryview(data)[start:end], special) + start
    ends = np.empty(_BATCH + BLOCK, dtype=np.int64)
    state = np.array([0, parts[0, 0]])
    arguments = (
        *(address_of(text), len(text), address_of(parts), len(parts)),
        *(address_of(character_classes()), table.header, address_of(ends), address_of(state)),
    )
    while (status := _count(*arguments)) == FULL:
        table.grow()
    if status == NOT_UTF8:
        raise NotUtf8Error(data[state[1]], int(state[1]), what)
    give_pages_back(data, start, end)


def _parts(chunk: memoryview, special: SpecialTokens) -> np.ndarray:
    """Return int64[parts, 2]: where the text between special tokens starts and ends."""
    matches = special.find(chunk)
    parts = np.empty((len(matches) + 1, 2), dtype=np.int64)
    parts[0, 0], parts[-1, 1] = 0, len(chunk)
    parts[:-1, 1] = [match.start for match in matches]
    parts[1:, 0] = [match.end for match in matches]
    return parts


NOT_UTF8 = -2
_BATCH = 64  # words to find before they are counted


@kernel
def _count(
    text: int,
    length: int,
    parts: int,
    n_parts: int,
    classes: int,
    table: int,
    ends: int,
    state: int,
) -> int:
    """Count the words of the parts from `state` (part, position) on; leave there where it stopped.

    Returns 0 when all is counted, FULL when the table must grow first, or NOT_UTF8.
    """
    part, position = int64_at(state), int64_at(state + 8)
    status = 0
    while part < n_parts and status == 0:
        end = int64_at(parts + 16 * part + 8)
        while position < end and status == 0:
            count, stop = word_ends(text, position, end, classes, ends, _BATCH)
            for i in range(count):
                word_end = int64_at(ends + 8 * i)
                word, n_bytes = text + position, word_end - position
                if add(table, word, n_bytes, length - position, 1) == FULL:
                    status = FULL
                    break
                position = word_end
            if status == 0 and stop < 0:
                position = ~stop
                status = NOT_UTF8
        if status == 0:
            part += 1
            if part < n_parts:
                position = int64_at(parts + 16 * part)
    set_int64(state, part)
    set_int64(state + 8, position)
    return status
