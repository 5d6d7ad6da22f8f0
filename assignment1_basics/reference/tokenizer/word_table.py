"""A hash table from words to counts that is as fast as memory allows for the words of real text.

A word of up to 15 bytes, as nearly all pre-tokens are, is its own key (see `word_key`). A longer
one is represented by its 64-bit hash and by where its bytes lie in a second array. Open addressing
with linear probing, at most 3/4 full, slots of 24 bytes:

    key_low    bytes 0 to 7 of the word                | a long word's hash
    key_high   bytes 8 to 14, length in the top byte   | 255 in the top byte, offset in `texts`
    count      0 in a free slot

Compiled code never allocates: it works on addresses that it finds in a small header, and returns to
Python when something is full, which makes it larger and calls again.
"""

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper, kernel
from assignment1_basics.reference.tokenizer.memory import (
    address_of,
    byte_at,
    int64_at,
    set_byte,
    set_int64,
    set_uint64,
    uint64_at,
)
from assignment1_basics.reference.tokenizer.word_key import (
    SHORT,
    hash_long,
    mix_key,
    same_bytes,
    short_key,
)

SLOT = 24  # bytes
LONG = 255  # in the top byte of key_high: not a length but the sign of a long word

# Fields of the header, an int64 array: their offsets in bytes.
_SLOTS, _CAPACITY, _USED, _TEXTS, _TEXTS_CAPACITY, _TEXTS_USED = range(0, 48, 8)

FULL = -1
"""`add` returns this when there is no room: call `WordTable.grow` and add again."""


class WordTable:
    """Counts of distinct words; grows as needed."""

    def __init__(self, capacity: int = 1 << 14) -> None:
        """Make room for 3/4 of `capacity` words, a power of two."""
        self._slots = np.zeros((capacity, SLOT // 8), dtype=np.uint64)
        self._texts = np.empty(capacity, dtype=np.uint8)
        self._header = np.zeros(6, dtype=np.int64)
        self._point_header()

    @property
    def header(self) -> int:
        """Address of the header: what compiled code knows the table by, valid until `grow`."""
        return address_of(self._header)

    def __len__(self) -> int:
        return int(self._header[_USED // 8])

    def _point_header(self) -> None:
        self._header[_SLOTS // 8] = address_of(self._slots)
        self._header[_CAPACITY // 8] = len(self._slots)
        self._header[_TEXTS // 8] = address_of(self._texts)
        self._header[_TEXTS_CAPACITY // 8] = len(self._texts)

    def grow(self) -> None:
        """Make room after FULL: for more words, or else for the bytes of more long words."""
        if _needs_slots(self.header):
            self._double_slots()
        else:
            texts = np.empty(2 * len(self._texts), dtype=np.uint8)
            texts[: len(self._texts)] = self._texts
            self._texts = texts
            self._point_header()

    def _double_slots(self) -> None:
        old = self._slots
        self._slots = np.zeros((2 * len(old), SLOT // 8), dtype=np.uint64)
        self._point_header()
        _rehash(address_of(old), len(old), self.header)

    def update(self, other: "WordTable") -> None:
        """Add the counts of another table to this one."""
        # The other table's slots come in the order of their hash. In a table that is too small they
        # would crowd together at its beginning, so it grows now and not on the way.
        while (len(self) + len(other)) * 4 >= len(self._slots) * 3:
            self._double_slots()
        done = 0
        while (done := _merge(other.header, done, self.header)) < len(other._slots):
            self.grow()

    def words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all words, the most frequent ones first.

        Returns:
            the words' bytes one after the other, uint8; where each starts, and at last where the
            last one ends, int64; their counts, int64.
        """
        used = self._slots[self._slots[:, 2] != 0]
        used = used[np.argsort(used[:, 2])[::-1]]
        texts, slots = address_of(self._texts), address_of(used)
        lengths = np.empty(len(used), dtype=np.int64)
        _word_lengths(slots, len(used), texts, address_of(lengths))
        starts = np.concatenate(([0], np.cumsum(lengths)))
        data = np.empty(starts[-1], dtype=np.uint8)
        _copy_words(slots, len(used), texts, address_of(starts), address_of(data))
        return data, starts, used[:, 2].astype(np.int64)


@helper
def add(table: int, word: int, length: int, readable: int, count: int) -> int:
    """Add `count` to the word of `length` >= 1 bytes at address `word`; return 0 or FULL.

    `readable` says how many bytes may be read from `word` on; it is at least `length`.
    """
    if length > SHORT:
        return _add_long(table, word, length, count)
    low, high = short_key(word, length, readable)
    return _add_short(table, low, high, count)


@helper
def _add_short(table: int, low: np.uint64, high: np.uint64, count: int) -> int:
    slots, capacity = int64_at(table + _SLOTS), int64_at(table + _CAPACITY)
    index = _first_index(low, high, capacity)
    while True:
        slot = slots + index * SLOT
        if uint64_at(slot) == low and uint64_at(slot + 8) == high:
            set_int64(slot + 16, int64_at(slot + 16) + count)
            return 0
        if int64_at(slot + 16) == 0:
            return _fill(table, slot, low, high, count)
        index = (index + 1) & (capacity - 1)


@helper
def _first_index(low: np.uint64, high: np.uint64, capacity: int) -> int:
    """Return the index of the slot to look at first."""
    return mix_key(low, high) & (capacity - 1)


@helper
def _fill(table: int, slot: int, low: np.uint64, high: np.uint64, count: int) -> int:
    """Put a new word into a free slot; return 0 or FULL."""
    if _needs_slots(table):
        return FULL
    set_int64(table + _USED, int64_at(table + _USED) + 1)
    set_uint64(slot, low)
    set_uint64(slot + 8, high)
    set_int64(slot + 16, count)
    return 0


@helper
def _needs_slots(table: int) -> bool:
    return int64_at(table + _USED) * 4 >= int64_at(table + _CAPACITY) * 3


@cold_helper
def _add_long(table: int, word: int, length: int, count: int) -> int:
    low, high = hash_long(word, length), np.uint64(LONG) << np.uint64(56)
    slots, capacity = int64_at(table + _SLOTS), int64_at(table + _CAPACITY)
    texts = int64_at(table + _TEXTS)
    index = _first_index(low, high, capacity)
    while True:
        slot = slots + index * SLOT
        if int64_at(slot + 16) == 0:
            break
        if uint64_at(slot) == low and byte_at(slot + 15) == LONG:
            text = texts + _offset(slot)
            if int64_at(text) == length and same_bytes(text + 8, word, length):
                set_int64(slot + 16, int64_at(slot + 16) + count)
                return 0
        index = (index + 1) & (capacity - 1)

    used = int64_at(table + _TEXTS_USED)
    if used + 8 + length > int64_at(table + _TEXTS_CAPACITY):
        return FULL
    if _fill(table, slot, low, high | np.uint64(used), count) == FULL:
        return FULL
    set_int64(texts + used, length)
    for i in range(length):
        set_byte(texts + used + 8 + i, byte_at(word + i))
    set_int64(table + _TEXTS_USED, used + 8 + length)
    return 0


@helper
def _offset(slot: int) -> int:
    """Return where in `texts` a long word lies."""
    return int64_at(slot + 8) & ((1 << 56) - 1)


@kernel
def _rehash(slots: int, capacity: int, table: int) -> None:
    """Move slots into an empty table that is larger and holds the same `texts`."""
    new_slots, new_capacity = int64_at(table + _SLOTS), int64_at(table + _CAPACITY)
    for slot in range(slots, slots + capacity * SLOT, SLOT):
        low, high = uint64_at(slot), uint64_at(slot + 8)
        if int64_at(slot + 16) == 0:
            continue
        index_high = high
        if byte_at(slot + 15) == LONG:
            index_high = np.uint64(LONG) << np.uint64(56)
        index = _first_index(low, index_high, new_capacity)
        while int64_at(new_slots + index * SLOT + 16) != 0:
            index = (index + 1) & (new_capacity - 1)
        set_uint64(new_slots + index * SLOT, low)
        set_uint64(new_slots + index * SLOT + 8, high)
        set_int64(new_slots + index * SLOT + 16, int64_at(slot + 16))


@kernel
def _merge(source: int, done: int, table: int) -> int:
    """Add the slots of another table from number `done` on; return at which it stopped."""
    slots, texts = int64_at(source + _SLOTS), int64_at(source + _TEXTS)
    while done < int64_at(source + _CAPACITY):
        slot = slots + done * SLOT
        count = int64_at(slot + 16)
        if count != 0:
            if byte_at(slot + 15) == LONG:
                text = texts + _offset(slot)
                status = _add_long(table, text + 8, int64_at(text), count)
            else:
                status = _add_short(table, uint64_at(slot), uint64_at(slot + 8), count)
            if status == FULL:
                break
        done += 1
    return done


@kernel
def _word_lengths(slots: int, count: int, texts: int, lengths: int) -> None:
    for i in range(count):
        slot = slots + i * SLOT
        length = byte_at(slot + 15)
        set_int64(lengths + 8 * i, int64_at(texts + _offset(slot)) if length == LONG else length)


@kernel
def _copy_words(slots: int, count: int, texts: int, starts: int, data: int) -> None:
    """Write the bytes of the words one after the other to `data`."""
    for i in range(count):
        slot = slots + i * SLOT
        source = slot
        if byte_at(slot + 15) == LONG:
            source = texts + _offset(slot) + 8
        start = int64_at(starts + 8 * i)
        for j in range(int64_at(starts + 8 * i + 8) - start):
            set_byte(data + start + j, byte_at(source + j))
