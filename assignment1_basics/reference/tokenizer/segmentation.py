"""The distinct words of a corpus, each cut into symbols, in a form in which merging is cheap.

All words stand one after the other, the most frequent ones first, in one array with an entry per
byte and a boundary before, between and behind them. A symbol stands at its first byte. At its last
byte stands minus its length, so that the symbol before any place can be found. What lies between is
never looked at:

    word      |  t  h  e  r  e  |          symbols   0  400   .  -3   115  102   0

Symbol 0 is the boundary, 1 to 256 are the bytes, and further ones are made by merges. The text of a
symbol is not stored: it is a place where the symbol stands, and a length.
"""

from typing import Any, NamedTuple

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import helper, kernel
from assignment1_basics.reference.tokenizer.words import WordCounts
from course.errors import UserError

BOUNDARY = 0
FIRST_BYTE = 1
FIRST_MERGED = 257
INSIDE = -1  # neither first nor last byte of a symbol; no length, since those are 2 or more


class Segmentation(NamedTuple):
    """Where symbols stand, and how often the words occur."""

    symbol: np.ndarray  # int32[places]
    weight: np.ndarray  # int64[classes]: the distinct counts of words, in descending order
    class_end: np.ndarray  # int64[classes]: behind the last place in words with this count


class Tokens(NamedTuple):
    """The bytes of symbol s: `text[start[s] : start[s] + length[s]]`."""

    text: np.ndarray  # uint8[places]
    start: np.ndarray  # int64[symbols]
    length: np.ndarray  # int64[symbols]


def segment(words: WordCounts, max_symbols: int) -> tuple[Segmentation, Tokens]:
    """Lay out words as single bytes."""
    n_places = len(words.data) + len(words) + 1
    if n_places > np.iinfo(np.int32).max:
        raise UserError(
            f"corpus has {n_places} bytes of distinct pre-tokens; at most 2**31 are supported"
        )
    last = np.flatnonzero(np.diff(words.counts, append=0))  # of the words that occur equally often
    segmentation = Segmentation(
        symbol=np.zeros(n_places, dtype=np.int32),
        weight=words.counts[last],
        class_end=words.starts[last + 1] + last + 2,
    )
    tokens = Tokens(
        text=np.zeros(n_places, dtype=np.uint8),
        start=np.zeros(max_symbols, dtype=np.int64),
        length=np.ones(max_symbols, dtype=np.int64),
    )
    _lay_out(words.data, words.starts, segmentation, tokens)
    return segmentation, tokens


@kernel
def _lay_out(data: np.ndarray, starts: np.ndarray, segmentation: Any, tokens: Any) -> None:
    place = 1
    for word in range(len(starts) - 1):
        for i in range(starts[word], starts[word + 1]):
            byte = int(data[i])
            tokens.text[place] = byte
            tokens.start[FIRST_BYTE + byte] = place
            segmentation.symbol[place] = FIRST_BYTE + byte
            place += 1
        place += 1


@helper
def weight_class(segmentation: Any, place: int, earlier: int) -> int:
    """Return the class of the word at `place`; `earlier` is that of a place before it.

    Words stand in the order of their counts, so a walk through places in ascending order meets the
    classes in ascending order, too, and seldom a new one.
    """
    ends = segmentation.class_end
    if place < ends[earlier]:
        return earlier
    low, high = earlier + 1, len(ends) - 1
    while low < high:
        middle = (low + high) >> 1
        if place < ends[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@helper
def greater_token(symbol: int, other: int, tokens: Any) -> bool:
    """Compare the bytes of two symbols as Python compares bytes."""
    start, other_start = tokens.start[symbol], tokens.start[other]
    for i in range(min(tokens.length[symbol], tokens.length[other])):
        byte, other_byte = tokens.text[start + i], tokens.text[other_start + i]
        if byte != other_byte:
            return byte > other_byte
    return tokens.length[symbol] > tokens.length[other]
