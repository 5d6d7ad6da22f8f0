"""A binary heap that yields the best pair: the highest count, then the greater byte strings.

The heap is lazy: an entry keeps the count that its pair had when it was pushed, and whoever takes
it compares it with the pair's present count.
"""

from typing import Any

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper
from assignment1_basics.reference.tokenizer.pair_table import left_of, right_of
from assignment1_basics.reference.tokenizer.segmentation import greater_token

ENTRY = np.dtype([("count", np.int64), ("key", np.int64)])


@helper
def push(heap: Any, size: int, count: int, key: int, tokens: Any) -> Any:
    """Add an entry to the `size` ones in `heap`; return the heap, which may be a larger copy."""
    if size == len(heap):
        larger = np.empty(2 * size, dtype=heap.dtype)
        for i in range(size):  # a slice compiles six times as long
            larger[i] = heap[i]
        heap = larger
    child = size
    heap[child].count = count
    heap[child].key = key
    while child > 0 and _better(heap, child, (child - 1) >> 1, tokens):
        _swap(heap, child, (child - 1) >> 1)
        child = (child - 1) >> 1
    return heap


@cold_helper
def restore_top(heap: Any, size: int, tokens: Any) -> None:
    """Sink entry 0 after its count was lowered or another entry was put in its place."""
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and _better(heap, child + 1, child, tokens):
            child += 1
        if not _better(heap, child, parent, tokens):
            break
        _swap(heap, child, parent)
        parent = child


@helper
def pop_top(heap: Any, size: int, tokens: Any) -> int:
    """Remove entry 0; return the new size."""
    _swap(heap, 0, size - 1)
    restore_top(heap, size - 1, tokens)
    return size - 1


@helper
def _swap(heap: Any, i: int, j: int) -> None:
    count, key = heap[i].count, heap[i].key
    heap[i] = heap[j]
    heap[j].count, heap[j].key = count, key


@helper
def _better(heap: Any, i: int, j: int, tokens: Any) -> bool:
    if heap[i].count != heap[j].count:
        return heap[i].count > heap[j].count
    return _greater_pair(heap[i].key, heap[j].key, tokens)


@cold_helper
def _greater_pair(key: int, other: int, tokens: Any) -> bool:
    """Compare two pairs as Python compares tuples of bytes."""
    if left_of(key) != left_of(other):
        return greater_token(left_of(key), left_of(other), tokens)
    return greater_token(right_of(key), right_of(other), tokens)
