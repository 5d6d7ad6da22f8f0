"""A text file into a token file: streamed, on several cores, in bounded memory.

The file is mapped and cut where neither a pre-token nor a special token is cut in two (`chunks`).
Threads encode chunks without the GIL; their ids are written in the order of the text. At any time
there are a few chunks per thread in memory, however large the file is.
"""

import mmap
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assignment1_basics.reference.tokenizer.chunks import chunks, give_pages_back
from assignment1_basics.reference.tokenizer.parallel import map_in_order
from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens
from assignment1_basics.reference.tokenizer.token_file import writing_token_file
from course.cores import available_cores
from course.errors import UserError
from course.files import existing_file

if TYPE_CHECKING:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

CHUNK = 4 << 20  # bytes of text: 20 ms of work
_CHUNKS_AHEAD = 2  # per thread


class Encoded(NamedTuple):
    """What `encode_file` found and wrote."""

    num_bytes: int
    num_tokens: int
    num_special: dict[str, int]  # how often each special token occurs
    num_replaced: int  # U+FFFD in place of what was not UTF-8


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
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"text {str(path)!r} is empty; there is nothing to encode")
    threads = threads or available_cores()
    specials = SpecialTokens(tokenizer.special_tokens)
    num_special, num_replaced = Counter[str](), 0
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        writing_token_file(
            destination, vocab_size=tokenizer.vocab_size, tokenizer_hash=tokenizer.hash
        ) as writer,
        ThreadPoolExecutor(threads) as pool,
    ):
        writer.source_bytes = size

        def encode(chunk: tuple[int, int]) -> tuple[np.ndarray, int]:
            text = data[slice(*chunk)]
            give_pages_back(data, *chunk)
            try:
                return tokenizer.encode_array(text).astype(writer.dtype), 0
            except NotUtf8Error as error:
                if not replace_bad_bytes:
                    what, offset = f"text {str(path)!r}", chunk[0] + error.offset
                    raise NotUtf8Error(error.byte, offset, what) from None
            mended = text.decode(errors="replace")
            added = mended.count("\ufffd") - text.count("\ufffd".encode())
            return tokenizer.encode_array(mended).astype(writer.dtype), added

        parts = chunks(data, specials, chunk_size)
        for (start, end), (ids, added) in map_in_order(
            pool, encode, parts, _CHUNKS_AHEAD * threads
        ):
            writer.append(ids)
            num_replaced += added
            for token, number in tokenizer.special_tokens.items():
                num_special[token] += int(np.count_nonzero(ids == number))
            if progress:
                progress(end - start)
    return Encoded(size, writer.count, dict(num_special), num_replaced)


def encode_in_parallel(
    encode: Callable[[memoryview], np.ndarray], data: bytes, specials: SpecialTokens, threads: int
) -> np.ndarray:
    """Encode a text that is in memory with several threads."""
    text = memoryview(data)
    size = min(CHUNK, max(1 << 16, len(data) // (4 * threads)))
    parts = chunks(data, specials, size)
    ids = np.empty(len(data), dtype=np.uint32)  # pages not written take no memory
    count = 0
    with ThreadPoolExecutor(threads) as pool:
        for _, part in map_in_order(
            pool, lambda part: encode(text[slice(*part)]), parts, _CHUNKS_AHEAD * threads
        ):
            ids[count : count + len(part)] = part
            count += len(part)
    ids.resize(count, refcheck=False)
    return ids
