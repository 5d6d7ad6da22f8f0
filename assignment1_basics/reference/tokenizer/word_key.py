"""What a pre-token is known by in hash tables.

Nearly all pre-tokens have at most 15 bytes. Such a word is its own key: 128 bits that hold its
bytes and its length. Two loads and two masks make it, comparing it is comparing two integers, and
no pointer is followed to the text of the word. Only longer ones need a hash and a comparison of
bytes.
"""

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import helper
from assignment1_basics.reference.tokenizer.memory import byte_at, uint64_at

SHORT = 15
"""The longest word that is its own key, in bytes."""


@helper
def short_key(word: int, length: int, readable: int) -> tuple[np.uint64, np.uint64]:
    """Return bytes 0 to 7 of a short word, and bytes 8 to 14 with its length in the top byte.

    `readable` says how many bytes may be read from address `word` on; it is at least `length`.
    """
    low, high = np.uint64(0), np.uint64(0)
    if readable >= 16:  # without a branch for the length, which could not be predicted
        in_low = min(length, 8)
        low = uint64_at(word) & (~np.uint64(0) >> np.uint64(64 - 8 * in_low))
        high = uint64_at(word + 8)
        high &= (np.uint64(1) << np.uint64(8 * (length - in_low))) - np.uint64(1)
    else:  # the very end of the text: byte by byte
        for i in range(length):
            if i < 8:
                low |= np.uint64(byte_at(word + i)) << np.uint64(8 * i)
            else:
                high |= np.uint64(byte_at(word + i)) << np.uint64(8 * (i - 8))
    return low, high | np.uint64(length) << np.uint64(56)


@helper
def mix_key(low: np.uint64, high: np.uint64) -> int:
    """Mix a short word's key into 32 bits; a table takes as many of the lowest as it needs."""
    mixed = (low * np.uint64(0x9E3779B97F4A7C15) + high) * np.uint64(0xD6E8FEB86659FD93)
    return int(np.int64(mixed >> np.uint64(32)))


@helper
def hash_long(word: int, length: int) -> np.uint64:
    """Hash a word of at least 8 bytes; the last eight may overlap those before them."""
    mixed = np.uint64(length)
    for i in range(0, length - 8, 8):
        mixed = (mixed ^ uint64_at(word + i)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return (mixed ^ uint64_at(word + length - 8)) * np.uint64(0xD6E8FEB86659FD93)


@helper
def same_bytes(word: int, other: int, length: int) -> bool:
    """Compare two words of at least 8 bytes, eight bytes at a time."""
    i = 0
    while i < length - 8:
        if uint64_at(word + i) != uint64_at(other + i):
            return False
        i += 8
    return uint64_at(word + length - 8) == uint64_at(other + length - 8)
