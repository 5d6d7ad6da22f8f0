"""Drop paragraphs whose word sequences have been seen before, exactly or nearly.

A paragraph is a set of shingles (runs of five words; Broder 1997). If more than half of them occur
in earlier paragraphs, it is a copy: licence texts, and docstrings repeated with another class's
name. Unlike MinHash this compares a paragraph with everything seen so far at once, and so also
drops one that is patched together from several. Shingles live in one bit table: 64 MiB hold the
five million of 30 MB of text at a false-positive rate of 1% per shingle.
"""

import re
import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

SHINGLE = 5
THRESHOLD = 0.5
"""A paragraph is a copy if more than this part of its shingles was seen."""
_WORD = re.compile(r"[a-z]+")


class SeenText:
    """Remembers the shingles of every paragraph that was new.

    Args:
        table_bits: the table has two to this power bits.
    """

    def __init__(self, table_bits: int = 29) -> None:
        self._table = np.zeros(2 ** (table_bits - 3), dtype=np.uint8)
        self._mask = np.uint64(2**table_bits - 1)
        self._word_hashes = _WordHashes()

    def new(self, paragraphs: Iterable[str]) -> list[str]:
        """Return those that are no copies of earlier ones, and remember them.

        Case, digits and punctuation do not count. A paragraph shorter than a shingle is new once.
        """
        hashes: list[int] = []
        places: list[tuple[str, int, int]] = []  # of each paragraph's shingles
        for paragraph in paragraphs:
            words = _WORD.findall(paragraph.lower())
            if words:
                shingles = max(1, len(words) - SHINGLE + 1)
                places.append((paragraph, len(hashes), len(hashes) + shingles))
                hashes += [self._word_hashes[word] for word in words]
                hashes += [0] * (shingles + SHINGLE - 1 - len(words))
        rows, bits = self._slots(np.array(hashes + [0] * SHINGLE, dtype=np.uint64))
        kept = []
        for paragraph, start, stop in places:
            row, bit = rows[start:stop], bits[start:stop]
            if np.count_nonzero(self._table[row] & bit) <= THRESHOLD * (stop - start):
                np.bitwise_or.at(self._table, row, bit)
                kept.append(paragraph)
        return kept

    def _slots(self, words: npt.NDArray[np.uint64]) -> tuple[npt.NDArray, npt.NDArray]:
        """Return byte and bit in the table of the shingle that starts at each word."""
        count = len(words) - SHINGLE + 1
        shingles = np.zeros(count, dtype=np.uint64)
        for i in range(SHINGLE):
            # Odd multipliers: position i of a shingle counts differently from position j.
            weight = np.uint64((0x9E3779B97F4A7C15 * (2 * i + 1)) % 2**64)
            shingles += weight * (words[i : count + i] ^ np.uint64(i))
        shingles ^= shingles >> np.uint64(32)
        slots = shingles & self._mask
        return slots >> np.uint64(3), np.left_shift(1, slots & np.uint64(7)).astype(np.uint8)


class _WordHashes(dict[str, int]):
    """A hash of each word, kept; not `hash()`, which differs from process to process."""

    def __missing__(self, word: str) -> int:
        self[word] = value = zlib.crc32(word.encode())
        return value
