"""Incremental BPE training: each merge touches only the places where its pair stands.

For every pair there is a list of the places where it stands, in ascending order. Merging a pair
walks its list. What stands left and right of each occurrence says which pairs disappear there and
which arise with the merged symbol; that is summed up by neighbour, so that the table of pairs is
asked once per distinct neighbour and not once per occurrence.

- Places are never removed from a list: an entry is stale if the pair no longer stands there, and
  is skipped. A place joins a list when its pair arises there, which happens once at most; so all
  lists together never hold more than three entries per byte.
- A new list arises in the order of the old one, so it is ascending, too. Overlapping occurrences
  ("aaa") are thereby merged from left to right, as in the naive algorithm.
- Counts of pairs only fall after the merge that made them. So the heap may be lazy, and it need
  hold only pairs above a floor, which is lowered when the heap is empty. Most pairs never get in.
- No two merges spell the same token ("ab" + "c", then "a" + "bc"), so that every merge has a symbol
  of its own. For between two ends that no merge has crossed, the symbols are those of that stretch
  of text as a word by itself: once it is one symbol somewhere, it is one symbol wherever none of
  its ends has been crossed.

The time is proportional to the number of merged occurrences, at most one per byte of the distinct
words, however long a word is. On 100 MB of technical text the first 10,000 merges replace 1.9
million occurrences, which have 0.6 million distinct neighbours, in 0.25 s on one core.
"""

from typing import Any, NamedTuple

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper, kernel
from assignment1_basics.reference.tokenizer.pair_heap import ENTRY, pop_top, push, restore_top
from assignment1_basics.reference.tokenizer.pair_table import (
    empty_pairs,
    find_pair,
    left_of,
    pair_key,
    right_of,
    with_room,
)
from assignment1_basics.reference.tokenizer.segmentation import (
    BOUNDARY,
    FIRST_BYTE,
    FIRST_MERGED,
    INSIDE,
    Segmentation,
    weight_class,
)

NOT_LISTED = -1
FLOOR_STEP = 16  # what the floor of the heap is divided by when the heap is empty


class Side(NamedTuple):
    """The neighbours on one side of all occurrences of the pair that is being merged."""

    lost: np.ndarray  # int64[symbols]: by neighbour, how often its pair with the old symbol is gone
    gained: np.ndarray  # int64[symbols]: ... and how often there is a pair with the merged symbol
    number: np.ndarray  # int64[symbols]: entries in the log; later where to list the next place
    seen: np.ndarray  # int64[1 + symbols]: the distinct neighbours, after their number


class State(NamedTuple):
    """What changes from merge to merge, besides the segmentation and the tokens."""

    pairs: np.ndarray  # the table of pairs
    n_pairs: int
    places: np.ndarray  # int32: lists of places, before each its length
    n_places: int
    heap: np.ndarray
    heap_size: int
    floor: int  # every pair with a higher count has an entry in the heap
    n_symbols: int
    n_merges: int


def initial_state(segmentation: Segmentation) -> State:
    """Find the pairs of bytes and list their places."""
    count = np.zeros((256, 256), dtype=np.int64)
    number = np.zeros((256, 256), dtype=np.int64)
    _count_byte_pairs(segmentation, count, number)
    left, right = np.nonzero(number)
    number = number[left, right]
    first = np.cumsum(number + 1) - (number + 1)
    n_places = int((number + 1).sum())
    # Room for all that ever follows: each merged occurrence takes one place and lists two at most,
    # in two lists at most. Memory that is not written to is not resident.
    places = np.empty(n_places + 4 * int(number.sum()), dtype=np.int32)
    places[first] = number
    cursor = np.zeros((256, 256), dtype=np.int64)
    cursor[left, right] = first + 1
    _list_byte_pairs(segmentation, cursor, places)

    pairs = empty_pairs(1 << max(10, (2 * len(left)).bit_length()))
    keys = (left + FIRST_BYTE) << 32 | (right + FIRST_BYTE)
    _insert(pairs, keys, count[left, right], first)
    return State(
        pairs=pairs,
        n_pairs=len(left),
        places=places,
        n_places=n_places,
        heap=np.empty(1024, dtype=ENTRY),
        heap_size=0,
        floor=int(count.max()),
        n_symbols=FIRST_MERGED,
        n_merges=0,
    )


def empty_side(max_symbols: int) -> Side:
    """Return a Side without neighbours."""
    return Side(*(np.zeros(1 + max_symbols, dtype=np.int64) for _ in Side._fields))


@kernel
def _count_byte_pairs(segmentation: Any, count: np.ndarray, number: np.ndarray) -> None:
    symbol = segmentation.symbol
    at = 0
    for place in range(len(symbol) - 1):
        left, right = symbol[place], symbol[place + 1]
        if left != BOUNDARY and right != BOUNDARY:
            at = weight_class(segmentation, place, at)
            weight = segmentation.weight[at]
            count[left - FIRST_BYTE, right - FIRST_BYTE] += weight
            number[left - FIRST_BYTE, right - FIRST_BYTE] += 1


@kernel
def _list_byte_pairs(segmentation: Any, cursor: np.ndarray, places: np.ndarray) -> None:
    symbol = segmentation.symbol
    for place in range(len(symbol) - 1):
        left, right = symbol[place], symbol[place + 1]
        if left != BOUNDARY and right != BOUNDARY:
            places[cursor[left - FIRST_BYTE, right - FIRST_BYTE]] = place
            cursor[left - FIRST_BYTE, right - FIRST_BYTE] += 1


@kernel
def _insert(pairs: Any, keys: np.ndarray, counts: np.ndarray, first: np.ndarray) -> None:
    for i in range(len(keys)):
        slot = find_pair(pairs, keys[i])
        pairs[slot].key, pairs[slot].count, pairs[slot].places = keys[i], counts[i], first[i]


@kernel
def merge_pairs(
    state: Any, segmentation: Any, tokens: Any, left: Any, right: Any, merges: np.ndarray, stop: int
) -> Any:
    """Merge the best pair, again and again, until there are `stop` merges or no pairs.

    Args:
        state: where to go on; not to be used again.
        segmentation: the words; changed in place.
        tokens: the bytes of the symbols; new ones are added.
        left, right: two empty sides, as scratch memory.
        merges: int64[all merges, 2]: the symbols of each merged pair are written here.
        stop: how many merges, with those made before.

    Returns:
        The new state.
    """
    pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges = state
    while n_merges < stop:
        if heap_size == 0:
            if floor == 0:
                break
            ceiling = floor
            floor //= FLOOR_STEP
            for pair in pairs:
                if floor < pair.count <= ceiling:
                    heap = push(heap, heap_size, pair.count, pair.key, tokens)
                    heap_size += 1
            continue

        key, count = heap[0].key, heap[0].count
        slot = find_pair(pairs, key)
        present = pairs[slot].count
        if present != count:
            if present > floor:
                heap[0].count = present
                restore_top(heap, heap_size, tokens)
            else:
                heap_size = pop_top(heap, heap_size, tokens)
            continue

        heap_size = pop_top(heap, heap_size, tokens)
        merges[n_merges, 0], merges[n_merges, 1] = left_of(key), right_of(key)
        n_merges += 1
        first = pairs[slot].places
        log_left, log_right = _replace(
            key, n_symbols, places, first, segmentation, tokens, left, right
        )
        n_symbols += 1
        n_new = left.seen[0] + right.seen[0]
        pairs, n_pairs = with_room(pairs, n_pairs, n_new)
        state = State(pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges)
        state = _settle(state, left, log_left, left_of(key), True, tokens)
        state = _settle(state, right, log_right, right_of(key), False, tokens)
        pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges = state
        pairs[find_pair(pairs, key)].count = 0
    return State(pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges)


@cold_helper
def _replace(
    key: int,
    merged: int,
    places: np.ndarray,
    first: int,
    segmentation: Any,
    tokens: Any,
    left: Any,
    right: Any,
) -> Any:
    """Put the new symbol `merged` in the place of every occurrence; take down the neighbours.

    Returns a log for the left and one for the right, int32[occurrences, 2]: a neighbour, and the
    place of its pair with the merged symbol.
    """
    left_symbol, right_symbol = left_of(key), right_of(key)
    left_length = tokens.length[left_symbol]
    length = left_length + tokens.length[right_symbol]
    symbol = segmentation.symbol
    number = int(places[first])
    log_left = np.empty((number, 2), dtype=np.int32)
    log_right = np.empty((number, 2), dtype=np.int32)
    n_left, n_right, previous_end, at = 0, 0, 0, 0
    for i in range(first + 1, first + 1 + number):
        start = int(places[i])
        middle, end = start + left_length, start + length
        if symbol[start] != left_symbol or symbol[middle] != right_symbol:
            continue  # stale
        before = start - 1
        if symbol[before] < 0:
            before = start + symbol[before]
        at = weight_class(segmentation, start, at)
        weight = segmentation.weight[at]
        symbol[start] = merged
        symbol[middle] = INSIDE
        symbol[end - 1] = -length

        neighbour = int(symbol[before])
        if neighbour != BOUNDARY:
            _see(left, neighbour)
            left.gained[neighbour] += weight
            if start == previous_end:  # the neighbour is another occurrence, merged just now
                right.gained[left_symbol] -= weight
            else:
                left.lost[neighbour] += weight
            log_left[n_left, 0], log_left[n_left, 1] = neighbour, before
            n_left += 1
        neighbour = int(symbol[end])
        if neighbour != BOUNDARY:
            _see(right, neighbour)
            right.gained[neighbour] += weight
            right.lost[neighbour] += weight
            log_right[n_right, 0], log_right[n_right, 1] = neighbour, start
            n_right += 1
        previous_end = end
    tokens.start[merged], tokens.length[merged] = previous_end - length, length
    return log_left[:n_left], log_right[:n_right]


@helper
def _see(side: Any, neighbour: int) -> None:
    if side.number[neighbour] == 0:
        side.seen[0] += 1
        side.seen[side.seen[0]] = neighbour
    side.number[neighbour] += 1


@cold_helper
def _settle(state: Any, side: Any, log: np.ndarray, old: int, on_left: bool, tokens: Any) -> Any:
    """Bring the pairs with the neighbours on one side up to date; leave the side empty.

    `old` is the symbol that these neighbours stood next to before.
    """
    pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges = state
    merged = n_symbols - 1
    neighbours = side.seen[1 : 1 + side.seen[0]]
    for neighbour in neighbours:
        if side.lost[neighbour] > 0:
            key = pair_key(neighbour, old) if on_left else pair_key(old, neighbour)
            pairs[find_pair(pairs, key)].count -= side.lost[neighbour]
        gained, number = side.gained[neighbour], side.number[neighbour]
        if gained == 0:  # every one was the beginning of another occurrence
            side.number[neighbour] = NOT_LISTED
            continue
        key = pair_key(neighbour, merged) if on_left else pair_key(merged, neighbour)
        slot = find_pair(pairs, key)
        pairs[slot].key, pairs[slot].count, pairs[slot].places = key, gained, n_places
        n_pairs += 1
        places[n_places] = number
        side.number[neighbour] = n_places + 1
        n_places += 1 + number
        if gained > floor:
            heap = push(heap, heap_size, gained, key, tokens)
            heap_size += 1

    for i in range(len(log)):
        neighbour = log[i, 0]
        if side.number[neighbour] != NOT_LISTED:
            places[side.number[neighbour]] = log[i, 1]
            side.number[neighbour] += 1

    for neighbour in neighbours:
        side.lost[neighbour] = side.gained[neighbour] = side.number[neighbour] = 0
    side.seen[0] = 0
    return State(pairs, n_pairs, places, n_places, heap, heap_size, floor, n_symbols, n_merges)
