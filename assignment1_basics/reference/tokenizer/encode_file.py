"""A text file into a token file: streamed, on several cores, in bounded memory.

The file is mapped and cut where neither a pre-token nor a special token is cut in two (`chunks`).
Threads encode chunks without the GIL; their ids are written in the order of the text. At any time
there are a few chunks per thread in memory, however large the file is.
"""

import mmap
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assignment1_basics.reference.tokenizer.chunks import chunks
from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens
from assignment1_basics.reference.tokenizer.token_file import token_dtype, writing_token_file
from course.errors import UserError
from course.files import existing_file

if TYPE_CHECKING:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

CHUNK = 4 << 20  # bytes of text: 20 ms of work
_CHUNKS_AHEAD = 2  # per thread


class Encoded(NamedTuple):
    """What `encode_file` wrote, and how much of the text was not UTF-8."""

    num_tokens: int
    num_bytes: int
    num_replaced: int


def encode_file(
    tokenizer: "Tokenizer",
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    threads: int | None = None,
    replace_bad_bytes: bool = False,
    progress: Callable[[int], None] | None = None,
    chunk_size: int = CHUNK,
) -> Encoded:
    """Encode a UTF-8 text file and write a token file with its sidecar.

    Args:
        tokenizer: its special tokens are recognised in the text.
        source: the text.
        destination: the token file; appears only when all is done.
        threads: None for all cores that this process may use.
        replace_bad_bytes: encode what is not UTF-8 as U+FFFD; otherwise it is an error.
        progress: called with the number of bytes of text done since the last call.
        chunk_size: bytes of text that a thread takes at a time.

    Raises:
        UserError: the text is missing, empty or not UTF-8.
    """
    path = existing_file(os.fspath(source), "text")
    if path.stat().st_size == 0:
        raise UserError(f"text {str(path)!r} is empty; there is nothing to encode")
    threads = threads or len(os.sched_getaffinity(0))
    dtype = token_dtype(tokenizer.vocab_size)
    replaced = 0
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        writing_token_file(
            destination, vocab_size=tokenizer.vocab_size, tokenizer_hash=tokenizer.hash
        ) as writer,
        ThreadPoolExecutor(threads) as pool,
    ):

        def encode(start: int, end: int) -> tuple[np.ndarray, int]:
            text = data[start:end]
            try:
                return tokenizer.encode_array(text).astype(dtype), 0
            except NotUtf8Error as error:
                if not replace_bad_bytes:
                    raise NotUtf8Error(error.byte, start + error.offset) from None
            clean = text.decode(errors="replace")
            added = clean.count("\ufffd") - text.count("\ufffd".encode())
            return tokenizer.encode_array(clean).astype(dtype), added

        waiting: deque[tuple[int, Future[tuple[np.ndarray, int]]]] = deque()

        def write_next() -> int:
            num_bytes, future = waiting.popleft()
            ids, added = future.result()
            writer.append(ids)
            if progress:
                progress(num_bytes)
            return added

        try:
            for start, end in chunks(data, SpecialTokens(tokenizer.special_tokens), chunk_size):
                waiting.append((end - start, pool.submit(encode, start, end)))
                if len(waiting) > _CHUNKS_AHEAD * threads:
                    replaced += write_next()
            while waiting:
                replaced += write_next()
        except NotUtf8Error as error:
            raise UserError(
                f"text {str(path)!r} is {error}; convert it, for example with iconv, or have what "
                "is malformed replaced"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        writer.source_bytes = len(data)
    return Encoded(writer.count, path.stat().st_size, replaced)


def encode_in_parallel(
    encode: Callable[[bytes], np.ndarray], data: bytes, specials: SpecialTokens, threads: int
) -> np.ndarray:
    """Encode a text that is in memory with several threads."""
    size = min(CHUNK, max(1 << 16, len(data) // (4 * threads)))
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(lambda part: encode(data[slice(*part)]), chunks(data, specials, size))
        return np.concatenate(list(parts))
