"""A byte n-gram model with interpolated modified Kneser-Ney smoothing: the yardstick to beat.

Chen and Goodman (1998, section 3): the probability of a byte after the `order` bytes before it is
its discounted count, plus the discounted mass times the probability after one byte less, down to
the uniform distribution over 256. Lower orders count not how often a byte follows a context but in
how many different longer contexts it does (Kneser and Ney 1995). Among methods that only count this
is the strongest known: 1.75 bits per byte at order 5, trained on 28 MB of documentation.

Counts are sorted arrays, one 64-bit key per distinct n-gram, so that training is sorting: 2.5 s and
370 MB of memory for 28 MB of text, and any number of bytes is scored in a few array operations.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from course.errors import UserError, require

MAX_ORDER = 7  # context and byte fit into a 64-bit key
_BLOCK = 2**22  # positions that are sorted at once

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Level(NamedTuple):
    """All n-grams of one length: sorted keys (context bytes, then the byte), and what follows."""

    grams: Keys
    counts: Counts
    contexts: Keys
    totals: Counts  # of each context
    backoff: Floats  # of each context: the mass that its discounts left for the shorter context
    discounts: Floats  # by count: 0, 1, 2, 3 and more


@dataclass(frozen=True)
class ByteNgram:
    """A trained model; `order` is the length of the longest context in bytes."""

    order: int
    levels: tuple[_Level, ...]

    def log2_probabilities(self, data: bytes) -> Floats:
        """Return log2 of the probability of every byte given those before it."""
        keys = _keys(data, self.order, 0, len(data))
        return np.log2(self._probabilities(keys))

    def bits_per_byte(self, data: bytes) -> float:
        """Return the mean of minus log2 of the probability over the bytes of `data`."""
        if not data:
            raise UserError("no bytes to score: the text is empty")
        # The blocks repeat the context of their first byte, so that cutting changes nothing.
        bits = 0.0
        for start in range(0, len(data), _BLOCK):
            keys = _keys(data, self.order, start, min(len(data), start + _BLOCK))
            bits -= float(np.log2(self._probabilities(keys)).sum())
        return bits / len(data)

    def next_byte(self, context: bytes) -> Floats:
        """Return the probabilities of the 256 bytes that may follow `context`."""
        key = _keys(context + b"\0", self.order, len(context), len(context) + 1)
        return self._probabilities(key | np.arange(256, dtype=np.uint64))

    def _probabilities(self, keys: Keys) -> Floats:
        """Return the probability of each key's last byte given its first `order` bytes."""
        distinct, where = np.unique(keys, return_inverse=True)
        p = np.full(len(distinct), 1 / 256)
        for length, level in enumerate(self.levels):
            gram = _last_bytes(distinct, length + 1)
            count, _ = _find(level.grams, level.counts, gram)
            total, at = _find(level.contexts, level.totals, gram >> np.uint64(8))
            discounted = np.maximum(count - level.discounts[np.minimum(count, 3)], 0)
            interpolated = discounted / np.maximum(total, 1) + level.backoff[at] * p
            p = np.where(total > 0, interpolated, p)  # an unseen context says nothing
        return p[where]


def train_ngram(data: bytes, order: int = 5) -> ByteNgram:
    """Count the n-grams of `data` and set the discounts.

    Args:
        data: the text; a zero byte may separate documents. The first byte is taken to follow zeros.
        order: bytes of context, 0 to 7.

    Raises:
        UserError: no data, or an order out of range.
    """
    if not data:
        raise UserError("no bytes to train an n-gram model on: the text is empty")
    require(0 <= order <= MAX_ORDER, "order of the n-gram model", order, f"from 0 to {MAX_ORDER}")
    grams = np.empty(0, np.uint64)
    counts = np.empty(0, np.int64)
    for start in range(0, len(data), _BLOCK):
        block = _keys(data, order, start, min(len(data), start + _BLOCK))
        new, times = np.unique(block, return_counts=True)
        grams, counts = _merge(grams, counts, new, times)
    levels = [_level(grams, counts)]
    for length in range(order, 0, -1):
        # In how many contexts that are one byte longer does the n-gram occur?
        grams, counts = np.unique(_last_bytes(grams, length), return_counts=True)
        levels.append(_level(grams, counts))
    return ByteNgram(order, tuple(reversed(levels)))


def _keys(data: bytes, order: int, start: int, stop: int) -> Keys:
    """Return for each position in [start, stop) the `order` bytes before and its own."""
    keys = np.zeros(stop - start, dtype=np.uint64)
    for back in range(order, -1, -1):
        keys <<= np.uint64(8)
        missing = max(0, back - start)  # positions whose context begins before the data: zeros
        values = np.frombuffer(
            data, np.uint8, max(0, stop - start - missing), start + missing - back
        )
        keys[missing:] |= values
    return keys


def _last_bytes(keys: Keys, length: int) -> Keys:
    return keys & np.uint64(2 ** (8 * length) - 1)


def _merge(grams: Keys, counts: Counts, new: Keys, times: Counts) -> tuple[Keys, Counts]:
    """Add up the counts of two sorted lists of distinct n-grams."""
    both = np.concatenate((grams, new))
    order = np.argsort(both, kind="stable")  # two sorted runs: one merge
    both = both[order]
    starts = _starts(both)
    return both[starts], np.add.reduceat(np.concatenate((counts, times))[order], starts)


def _starts(values: Keys) -> npt.NDArray[np.intp]:
    """Return where a new value begins in a sorted array."""
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def _level(grams: Keys, counts: Counts) -> _Level:
    """Set the discounts (Chen and Goodman, equation 26) and what a context leaves for backoff."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == c)) for c in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2) if n1 else 0.5
    discounts = np.array(
        [
            0.0,
            1 - 2 * y * n2 / n1 if n1 else 0.5,
            2 - 3 * y * n3 / n2 if n2 else 0.5,
            3 - 4 * y * n4 / n3 if n3 else 0.5,
        ]
    )
    # Above zero, so that no byte is impossible, and below the count; matters for tiny texts only.
    discounts = np.clip(discounts, (0.0, 0.01, 0.01, 0.01), (0.0, 0.999, 1.999, 2.999))
    context = grams >> np.uint64(8)
    starts = _starts(context)
    totals = np.add.reduceat(counts, starts)
    taken = np.add.reduceat(discounts[np.minimum(counts, 3)], starts)
    return _Level(grams, counts, context[starts], totals, taken / totals, discounts)


def _find(sorted_keys: Keys, values: Counts, keys: Keys) -> tuple[Counts, npt.NDArray[np.intp]]:
    """Return the value of each key (0 if there is none) and its place."""
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[at] == keys, values[at], 0), at
