r"""GPT-2's pre-tokenization over UTF-8 bytes: where does the pre-token that starts here end?

Byte-level BPE never merges across pre-tokens, the matches of the pattern

    '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

(Radford et al., 2019, "Language Models are Unsupervised Multitask Learners"; in this form in
tiktoken's `gpt2`). The `regex` module finds them at about 10 MB/s on one core. But the pattern
needs no backtracking: the class of the first character (letter, number, white space, other) says
which alternative applies, and a run of that class follows. The scanner walks those runs on the
bytes of the text at about 30 times that speed, and yields the same pre-tokens for every text:

- A table of 256 entries gives the class of an ASCII character; 16 bytes of letters are looked at
  in one step, since most of English is words of fewer than 16 letters.
- A longer character is decoded, and its code point looked up in a table taken from `regex`.
- Bytes that are not UTF-8 are refused, exactly where Python's strict decoder refuses them.

`next_word_end` is for kernels: `block_scanner`, which the word counter and the encoder call, leaves
to it what its own quick rules do not cover. `pretokens` is for Python.
"""

from itertools import pairwise

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper, kernel
from assignment1_basics.reference.tokenizer.memory import (
    address_of,
    byte_at,
    letters_at,
    set_int64,
)
from assignment1_basics.reference.tokenizer.unicode_tables import (
    BYTES,
    INVALID,
    MULTIBYTE,
    SPACE,
    character_classes,
)


def pretokens(text: str) -> list[bytes]:
    """Split a text into pre-tokens; their concatenation is the text in UTF-8."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    ends = np.empty(len(data), dtype=np.int64)
    classes = character_classes()
    count = _scan(address_of(data), len(data), address_of(classes), address_of(ends))
    spans = pairwise([0, *ends[:count].tolist()])
    return [data[start:end].tobytes() for start, end in spans]


@kernel
def _scan(text: int, length: int, classes: int, ends: int) -> int:
    """Write the end of every pre-token to the int64 array at `ends`; return how many there are."""
    count, position = 0, 0
    while 0 <= position < length:
        position = next_word_end(text, position, length, classes)
        set_int64(ends + 8 * count, position)
        count += 1
    return count


@helper
def next_word_end(text: int, position: int, end: int, classes: int) -> int:
    """Return the end of the pre-token that starts at `position`.

    Args:
        text: address of byte 0 of the text.
        position: where the pre-token starts, in bytes; less than `end`.
        end: end of the text; nothing at or after it is read. A special token, too, is such an end.
        classes: address of `character_classes()`.

    Returns:
        The pre-token's end, greater than `position`; or, if the text is not UTF-8 there, `~i`,
        a negative number, with `i` the index of the first byte that is no character.
    """
    # Most pre-tokens of a text: at most one space, up to 15 ASCII letters, an ASCII character.
    first = byte_at(text + position)
    start = position + 1 if first == 0x20 else position
    if start + 16 <= end:
        letters = letters_at(text + start)
        if 0 < letters < 16 and byte_at(text + start + letters) < 0x80:
            return start + letters
    if first == 0x27:  # '
        suffix = _contraction(text, position + 1, end)
        if suffix > 0:
            return position + 1 + suffix

    character = _character(text, start, end, classes) if start < end else 16 | SPACE
    kind = character & 15
    if kind == INVALID:
        return ~start
    if kind != SPACE:
        return _run_end(text, start + (character >> 4), end, kind, classes)
    return _white_space_end(text, position, end, classes)


@helper
def _run_end(text: int, position: int, end: int, kind: int, classes: int) -> int:
    """Return the end of the characters of class `kind` from `position` on."""
    while position < end:
        byte_kind = byte_at(classes + byte_at(text + position))
        if byte_kind == kind:
            position += 1
        elif byte_kind != MULTIBYTE:
            break
        else:
            character = _multibyte_character(text, position, end, classes)
            if character & 15 != kind:
                break
            position += character >> 4
    return position


@helper
def _white_space_end(text: int, position: int, end: int, classes: int) -> int:
    r"""Return the end of `\s+(?!\S)|\s+`: of several spaces the last is left to what follows."""
    last = position
    stop = position
    while stop < end:
        character = _character(text, stop, end, classes)
        if character & 15 != SPACE:
            break
        last = stop
        stop += character >> 4
    if stop == end or last == position:
        return stop
    return last


@helper
def _contraction(text: int, position: int, end: int) -> int:
    """Return the length of s, d, m, t, ll, ve or re at `position`, or 0."""
    if position >= end:
        return 0
    first = byte_at(text + position)
    if first == 0x73 or first == 0x64 or first == 0x6D or first == 0x74:  # s d m t
        return 1
    if position + 1 >= end:
        return 0
    second = byte_at(text + position + 1)
    if first == 0x6C and second == 0x6C:  # ll
        return 2
    if (first == 0x76 or first == 0x72) and second == 0x65:  # ve re
        return 2
    return 0


@helper
def _character(text: int, position: int, end: int, classes: int) -> int:
    """Return 16 x (length in bytes) + class of the character at `position`, which is < `end`."""
    kind = byte_at(classes + byte_at(text + position))
    if kind != MULTIBYTE:
        return 16 | kind
    return _multibyte_character(text, position, end, classes)


@cold_helper
def _multibyte_character(text: int, position: int, end: int, classes: int) -> int:
    """Return the same for a byte from 0x80 up; the class is INVALID where strict UTF-8 ends.

    The first byte gives the length and the range of the second one (Unicode Standard, table 3-7):
    this excludes overlong forms, surrogates, and what lies above U+10FFFF.
    """
    first = byte_at(text + position)
    length, low, high = 2, 0x80, 0xBF
    if first < 0xC2 or first > 0xF4:
        return 16 | INVALID
    if first >= 0xE0:
        length = 3 if first < 0xF0 else 4
        if first == 0xE0:
            low = 0xA0
        elif first == 0xED:
            high = 0x9F
        elif first == 0xF0:
            low = 0x90
        elif first == 0xF4:
            high = 0x8F
    if position + length > end:
        return 16 | INVALID
    code_point = first & (0x7F >> length)
    for i in range(1, length):
        byte = byte_at(text + position + i)
        if byte < low or byte > high:
            return 16 | INVALID
        low, high = 0x80, 0xBF
        code_point = code_point << 6 | byte & 0x3F
    return length << 4 | byte_at(classes + BYTES + code_point)
