"""The ids of the pre-tokens that were seen before, in a table that costs one cache miss a look-up.

Words repeat (Zipf): in English text with a vocabulary of 50,000, 98% of the pre-tokens stand in
this table, and are encoded without being merged. The idea is in GPT-2's own `encoder.py`, there a
dictionary; tiktoken leaves it out. Two parts, both of fixed size, where the new overwrites the old:

Short words, up to 15 bytes, which is 99.9% of English: lines of 64 bytes, each with two rows. A
word that is not found goes to the first row, and what was there to the second.

    key_low    bytes 0 to 7 of the word
    key_high   bytes 8 to 14, length in the top byte
    ids        up to three, of 32 bits
    size       4 x their number

Long words, up to 128 bytes (rules made of dashes, the indentation of code): rows of 512 bytes with
the word and up to 94 ids. Rare, but each would take a microsecond or more to merge.

The table of short words has 16 MiB. With 8 MiB encoding is 5% slower, with 32 MiB as fast.
It does not fit into a core's own caches, so rows are prefetched (`encode`).
"""

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper
from assignment1_basics.reference.tokenizer.encode_word import encode_word
from assignment1_basics.reference.tokenizer.memory import (
    byte_at,
    int64_at,
    set_byte,
    set_int64,
    set_uint32,
    set_uint64,
    uint32_at,
    uint64_at,
)
from assignment1_basics.reference.tokenizer.word_key import hash_long, mix_key, same_bytes

LONGEST = 128  # bytes of a word; longer ones are not remembered

_LINES = 1 << 18
_LINE, _ROW = 64, 32
_KEY_LOW, _KEY_HIGH, _IDS, _SIZE = 0, 8, 16, 28
_MOST_IDS = 3

_LONG = _LINES * _LINE  # where the rows of long words begin
_LONG_ROWS, _LONG_ROW = 1 << 12, 512
_LONG_LENGTH, _LONG_COUNT, _LONG_WORD = 0, 4, 8
_LONG_IDS = _LONG_WORD + LONGEST
_MOST_LONG_IDS = (_LONG_ROW - _LONG_IDS) // 4


def new_cache() -> np.ndarray:
    """Return an empty cache; pages of it that are never used take no memory."""
    return np.zeros(_LONG + _LONG_ROWS * _LONG_ROW, dtype=np.uint8)


@helper
def line_of(cache: int, low: np.uint64, high: np.uint64) -> int:
    """Return the address of the line in which a short word may stand."""
    return cache + _LINE * (mix_key(low, high) & (_LINES - 1))


@helper
def copy_ids(line: int, low: np.uint64, high: np.uint64, ids: int) -> int:
    """Copy a short word's ids to `ids`; return 4 x their number, or 0 if it is not in the line.

    Always writes room for three ids. Which of the two rows it is cannot be predicted, so the row is
    computed rather than branched to.
    """
    is_other = (uint64_at(line + _KEY_LOW) ^ low) | (uint64_at(line + _KEY_HIGH) ^ high)
    row = line + (_ROW if is_other != np.uint64(0) else 0)
    if uint64_at(row + _KEY_LOW) != low or uint64_at(row + _KEY_HIGH) != high:
        return 0
    last_and_size = int64_at(row + _IDS + 8)
    set_uint64(ids, uint64_at(row + _IDS))
    set_uint32(ids + 8, last_and_size)
    return last_and_size >> 32


@helper
def remember(line: int, low: np.uint64, high: np.uint64, ids: int, count: int) -> None:
    """Put a short word with its `count` ids into a line, if they are not too many."""
    if count > _MOST_IDS:
        return
    for i in range(0, _ROW, 8):
        set_uint64(line + _ROW + i, uint64_at(line + i))
    set_uint64(line + _KEY_LOW, low)
    set_uint64(line + _KEY_HIGH, high)
    set_uint64(line + _IDS, uint64_at(ids))
    set_int64(line + _IDS + 8, uint32_at(ids + 8) | (4 * count) << 32)


@cold_helper
def encode_long(word: int, length: int, cache: int, merges: int, scratch: int, ids: int) -> int:
    """Encode a word of 16 to LONGEST bytes, from the cache or by merging; return the number of ids.

    Arguments as in `encode_word`.
    """
    index = int(np.int64(hash_long(word, length) >> np.uint64(32))) & (_LONG_ROWS - 1)
    row = cache + _LONG + _LONG_ROW * index
    if uint32_at(row + _LONG_LENGTH) == length and same_bytes(row + _LONG_WORD, word, length):
        count = uint32_at(row + _LONG_COUNT)
        for i in range(count):
            set_uint32(ids + 4 * i, uint32_at(row + _LONG_IDS + 4 * i))
        return count
    count = encode_word(word, length, merges, scratch, ids)
    if count <= _MOST_LONG_IDS:
        set_uint32(row + _LONG_LENGTH, length)
        set_uint32(row + _LONG_COUNT, count)
        for i in range(length):
            set_byte(row + _LONG_WORD + i, byte_at(word + i))
        for i in range(count):
            set_uint32(row + _LONG_IDS + 4 * i, uint32_at(ids + 4 * i))
    return count
