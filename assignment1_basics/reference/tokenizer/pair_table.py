"""A hash table from pairs of symbols to how often they occur and where.

Open addressing with linear probing over one array of records, so that a look-up touches one cache
line. A pair that no longer occurs stays until the table next grows, and is left out then.
"""

from typing import Any

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import helper

PAIR = np.dtype(
    [
        ("key", np.int64),  # left << 32 | right; 0 in a free slot
        ("count", np.int64),  # occurrences, each as often as its word occurs
        ("places", np.int64),  # index into the list of places: first their number, then the places
    ]
)


def empty_pairs(capacity: int) -> np.ndarray:
    """Return a table for 3/4 of `capacity` pairs, a power of two."""
    return np.zeros(capacity, dtype=PAIR)


@helper
def pair_key(left: int, right: int) -> int:
    """Return the key of a pair of symbols; neither is 0."""
    return left << 32 | right


@helper
def left_of(key: int) -> int:
    """Return the left symbol of a key."""
    return key >> 32


@helper
def right_of(key: int) -> int:
    """Return the right symbol of a key."""
    return key & 0xFFFFFFFF


@helper
def find_pair(pairs: Any, key: int) -> Any:
    """Return the slot that holds the pair, or the free slot where it belongs."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64((mixed ^ mixed >> np.uint64(32)) & np.uint64(len(pairs) - 1))
    while pairs[slot].key != key and pairs[slot].key != 0:
        slot = (slot + 1) & (len(pairs) - 1)
    return slot


@helper
def with_room(pairs: Any, used: int, more: int) -> tuple[Any, int]:
    """Return a table that has room for `more` pairs, and how many slots are used in it.

    It is the same one if it has the room, else one twice as large, without the pairs that no longer
    occur.
    """
    if (used + more) * 4 < len(pairs) * 3:
        return pairs, used
    capacity = 2 * len(pairs)
    while (used + more) * 4 >= capacity * 3:
        capacity *= 2
    larger = np.zeros(capacity, dtype=pairs.dtype)
    used = 0
    for pair in pairs:
        if pair.count > 0:
            larger[find_pair(larger, pair.key)] = pair
            used += 1
    return larger, used
