"""Where a text may be cut so that its parts can be worked on independently, in parallel.

Ends of documents are such places, but a file may have few of them or none. So a chunk ends before
any ASCII white space that follows another character, unless a special token reaches across: in no
alternative of GPT-2's pattern does white space follow anything else, so a pre-token ends there
whatever else the text holds.
"""

import mmap
import re
from collections.abc import Iterator

from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens


def chunks(
    data: bytes | mmap.mmap, specials: SpecialTokens, size: int
) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of chunks that cover UTF-8 text: `size` bytes and the rest of a word.

    Where there is no place to cut a chunk is longer, in the worst case all of the text.
    """
    start = 0
    while start < len(data):
        end = _next_cut(data, start + size, specials)
        yield start, end
        start = end


_WHITE_SPACE_AFTER_OTHER = re.compile(rb"[^\t-\r ][\t-\r ]")


def _next_cut(data: bytes | mmap.mmap, position: int, specials: SpecialTokens) -> int:
    """Return the first place from `position` on where the text may be cut, or its end."""
    if position >= len(data):
        return len(data)
    for match in _WHITE_SPACE_AFTER_OTHER.finditer(data, position):
        cut = match.end() - 1
        before = data[max(0, cut - 4) : cut].decode(errors="replace")
        if not before[-1].isspace() and not specials.straddles(data, cut):
            return cut
    return len(data)


def give_pages_back(data: mmap.mmap, start: int, end: int) -> None:
    """Drop a part of a mapped file from memory; without this, all that was read would stay."""
    if hasattr(mmap, "MADV_DONTNEED"):
        aligned = start - start % mmap.PAGESIZE
        data.madvise(mmap.MADV_DONTNEED, aligned, end - aligned)
