"""Drop paragraphs whose word sequences have been seen before, exactly or nearly.

A paragraph is a set of shingles (runs of five words; Broder 1997). If more than half of them occur
in earlier paragraphs, it is a copy: licence texts, and docstrings repeated with another class's
name. Unlike MinHash this compares a paragraph with everything seen so far at once, and so also
drops one that is patched together from several. Shingles live in one bit table: 64 MiB hold the
five million of 30 MB of text at a false-positive rate of 1% per shingle.
"""

import re
import zlib

import numpy as np

SHINGLE = 5
_WORD = re.compile(r"[a-z]+")


class SeenText:
    """Remembers the shingles of every paragraph that was new.

    Args:
        threshold: a paragraph is a copy if more than this part of its shingles was seen.
        table_bits: the table has two to this power bits.
    """

    def __init__(self, threshold: float = 0.5, table_bits: int = 29) -> None:
        self.threshold = threshold
        self._table = np.zeros(2 ** (table_bits - 3), dtype=np.uint8)
        self._mask = np.uint64(2**table_bits - 1)
        self._word_hash: dict[str, int] = {}
        # Odd multipliers: position i of a shingle counts differently from position j.
        self._weights = np.array(
            [0x9E3779B97F4A7C15 * (2 * i + 1) % 2**64 | 1 for i in range(SHINGLE)], dtype=np.uint64
        )

    def is_new(self, paragraph: str) -> bool:
        """Say whether the paragraph is new, and remember it if so.

        Case, digits and punctuation do not count. A paragraph shorter than a shingle is new once.
        """
        known = self._word_hash
        hashes = []
        for word in _WORD.findall(paragraph.lower()):
            value = known.get(word)
            if value is None:  # not hash(): that one differs from process to process
                value = known[word] = zlib.crc32(word.encode())
            hashes.append(value)
        if not hashes:
            return False
        hashes += [0] * (SHINGLE - len(hashes))
        words = np.array(hashes, dtype=np.uint64)
        shingles = np.zeros(len(words) - SHINGLE + 1, dtype=np.uint64)
        for i, weight in enumerate(self._weights):
            shingles += weight * (words[i : len(shingles) + i] ^ np.uint64(i))
        shingles ^= shingles >> np.uint64(32)
        slots = shingles & self._mask
        rows, bits = slots >> np.uint64(3), np.left_shift(1, slots & np.uint64(7)).astype(np.uint8)
        seen = int(np.count_nonzero(self._table[rows] & bits))
        if seen > self.threshold * len(slots):
            return False
        np.bitwise_or.at(self._table, rows, bits)
        return True
