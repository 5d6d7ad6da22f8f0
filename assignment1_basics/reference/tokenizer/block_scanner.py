r"""Pre-tokens found 64 bytes at a time, without a branch for each: 4 times as fast as `scanner`.

A scanner that walks from character to character asks at every word whether a space comes first,
whether letters follow, where they stop; the processor guesses the answers, and each wrong guess
costs as much as 20 look-ups. Here the questions become bits (the idea of simdjson: Langdale and
Lemire, 2019, "Parsing gigabytes of JSON per second", section 3). One comparison of 64 bytes says
which are letters, another which are digits, white space, and so on. For ASCII text, GPT-2's pattern
begins a pre-token at

- a character of another class than the one before it, unless the one before is a space, which
  belongs to the pre-token;
- the first of several white-space characters, and the last of them if something follows: a space
  goes with what follows, another one stays alone.

Whatever these rules do not cover is left to `scanner`: contractions ('s, 'll), characters beyond
ASCII, pre-tokens longer than a block, and the last bytes of a text.
"""

from assignment1_basics.reference.tokenizer.compiled import helper
from assignment1_basics.reference.tokenizer.memory import (
    byte_at,
    byte_range_at,
    set_int64,
    trailing_zeros,
)
from assignment1_basics.reference.tokenizer.scanner import next_word_end

BLOCK = 64
"""`word_ends` needs room for so many more ends than it is asked for."""


@helper
def word_ends(
    text: int, position: int, end: int, classes: int, ends: int, wanted: int
) -> tuple[int, int]:
    """Find the ends of the next pre-tokens, at least `wanted` of them if there are so many.

    Args:
        text: address of byte 0 of the text.
        position: where a pre-token starts.
        end: end of the text; nothing at or after it is read.
        classes: address of `character_classes()`.
        ends: address of room for `wanted` + BLOCK int64.
        wanted: how many ends are enough.

    Returns:
        How many ends were written, and where the last one is; or, if what follows it is not UTF-8,
        `~i` with i the index of the first byte that is no character.
    """
    count = 0
    while position < end and count < wanted:
        starts = _starts(text + position) if position + BLOCK <= end else 0
        if starts == 0:
            stop = next_word_end(text, position, end, classes)
            if stop < 0:
                return count, stop
            set_int64(ends + 8 * count, stop)
            count += 1
            position = stop
            continue
        block = position
        while starts != 0:
            position = block + trailing_zeros(starts)
            set_int64(ends + 8 * count, position)
            count += 1
            starts &= starts - 1
    return count, position


@helper
def _starts(block: int) -> int:
    """Return bits: does a pre-token start at byte i of the block? One starts at byte 0.

    Bit 0 is not set, nor are those behind a place that only `scanner` can judge.
    """
    known = trailing_zeros(byte_range_at(block, 0, 0x80, 0xFF))  # bytes of ASCII
    if known < 3:
        return 0
    letters = byte_range_at(block, 0x20, 0x61, 0x7A)  # with bit 5 set, capitals are small letters
    digits = byte_range_at(block, 0, 0x30, 0x39)
    spaces = byte_range_at(block, 0, 0x20, 0x20)
    white = byte_range_at(block, 0, 0x09, 0x0D) | spaces
    other = ~(letters | digits | white)

    behind_white = white << 1
    changes = (letters ^ letters << 1) | (digits ^ digits << 1) | (other ^ other << 1)
    starts = ~white & ((changes & ~behind_white) | (behind_white & ~(spaces << 1)))
    starts |= white & (~behind_white | ~white >> 1)
    last = min(known, BLOCK) - 2  # the last byte whose next one is known
    starts &= ((2 << last) - 1) & ~1

    apostrophes = byte_range_at(block, 0, 0x27, 0x27) & (starts | 1)
    while apostrophes != 0:
        where = trailing_zeros(apostrophes)
        if _may_contract(byte_at(block + where + 1)):
            return starts & ((2 << where) - 1)  # up to here; the next block starts with it
        apostrophes &= apostrophes - 1
    return starts


@helper
def _may_contract(character: int) -> bool:
    """Tell whether a contraction can begin with an apostrophe and this character."""
    return (
        character == 0x73  # 's
        or character == 0x74  # 't
        or character == 0x64  # 'd
        or character == 0x6D  # 'm
        or character == 0x6C  # 'll
        or character == 0x76  # 've
        or character == 0x72  # 're
    )
