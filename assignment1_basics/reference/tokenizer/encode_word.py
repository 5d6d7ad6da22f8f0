"""One pre-token into ids, compiled: while two neighbours can merge, the earliest merge goes first.

Tokens are renumbered, bytes first and then in the order in which training made them. So the number
of the token that a merge makes is also the rank of the merge, and the table from pairs to merged
tokens needs 64 bits an entry: 21 each for left, right and merged. For GPT-2's 50,000 merges that is
1 MiB, which stays in a core's second-level cache.

Two ways to find the pair that goes first, with the same result. Up to 128 bytes: scan all pairs
after each merge, which is quadratic but has no pointers to follow; half a microsecond for a rare
word. Longer ones: a heap, as in `plain`, which explains it; a megabyte of one letter takes 0.3 s.
"""

from collections.abc import Sequence

import numpy as np

from assignment1_basics.reference.tokenizer.compiled import cold_helper, helper, kernel
from assignment1_basics.reference.tokenizer.memory import (
    address_of,
    byte_at,
    int64_at,
    set_int64,
    set_uint32,
    uint32_at,
)
from assignment1_basics.reference.tokenizer.plain import PairTable

SCRATCH_PER_BYTE = 28
"""How many bytes of working memory each byte of a pre-token needs."""
SCAN_UP_TO = 128  # bytes

_ID_BITS = 21
_ID_MASK = (1 << _ID_BITS) - 1
_NONE = (1 << 32) - 1  # no token, no merge: greater than any rank

# Fields of the header, an int64 array: their offsets in bytes.
_ENTRIES, _SHIFT, _TOKEN_IDS = range(0, 24, 8)


class MergeTable:
    """The merges in a form that `encode_word` can use.

    Raises `ValueError` for merges such as training never makes: see `renumber`.
    """

    def __init__(self, byte_ids: Sequence[int], pairs: PairTable) -> None:
        numbered = renumber(byte_ids, pairs)
        if numbered is None:
            raise ValueError("these merges need the plain encoder")
        made = [merged for _, merged in pairs.values()]
        self._token_ids = np.array([*byte_ids, *made], dtype=np.uint32)
        bits = max(8, (2 * len(numbered)).bit_length())  # 1/4 to 1/2 full
        self._entries = np.zeros(1 << bits, dtype=np.int64)
        _fill(address_of(numbered), len(numbered), address_of(self._entries), 64 - bits)
        fields = [address_of(self._entries), 64 - bits, address_of(self._token_ids)]
        self._header = np.array(fields, dtype=np.int64)

    @property
    def header(self) -> int:
        """Address by which compiled code knows the table."""
        return address_of(self._header)


def renumber(byte_ids: Sequence[int], pairs: PairTable) -> np.ndarray | None:
    """Return int64[merges, 2] of (left, right), with tokens numbered bytes first, then by rank.

    None if a byte is not a token, or a merge makes a token that exists already, or uses one that
    does not exist yet: then rank and number would not be the same.
    """
    number_of = {token: byte for byte, token in enumerate(byte_ids)}
    if len(number_of) < 256 or -1 in number_of or 256 + len(pairs) > _ID_MASK:
        return None
    numbered = np.empty((len(pairs), 2), dtype=np.int64)
    for i, ((left, right), (_, merged)) in enumerate(pairs.items()):
        if left not in number_of or right not in number_of or merged in number_of:
            return None
        numbered[i] = number_of[left], number_of[right]
        number_of[merged] = 256 + i
    return numbered


@kernel
def _fill(pairs: int, count: int, entries: int, shift: int) -> None:
    """Put `count` pairs of int64 into an empty table of 2**(64 - shift) entries."""
    for i in range(count):
        key = int64_at(pairs + 16 * i) << _ID_BITS | int64_at(pairs + 16 * i + 8)
        index = _first_index(key, shift)
        while int64_at(entries + 8 * index) != 0:
            index = _next_index(index, shift)
        set_int64(entries + 8 * index, key << _ID_BITS | (256 + i))


@helper
def _first_index(key: int, shift: int) -> int:
    """Return where to look first: multiplicative hashing (Knuth, TAOCP vol. 3, section 6.4)."""
    hashed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return int(np.int64(hashed >> np.uint64(shift)))


@helper
def _next_index(index: int, shift: int) -> int:
    return (index + 1) & ((1 << (64 - shift)) - 1)


@helper
def _merged(left: int, right: int, entries: int, shift: int) -> int:
    """Return the token that a pair becomes, which is also the rank of the merge; or _NONE."""
    key = left << _ID_BITS | right
    index = _first_index(key, shift)
    while True:
        entry = int64_at(entries + 8 * index)
        if entry == 0:  # first, for the key of two zero bytes is 0, too
            return _NONE
        if entry >> _ID_BITS == key:
            return entry & _ID_MASK
        index = _next_index(index, shift)


@cold_helper
def encode_word(word: int, length: int, merges: int, scratch: int, ids: int) -> int:
    """Encode the pre-token of `length` > 0 bytes at `word`; return the number of ids.

    Args:
        word: address of its first byte.
        length: in bytes.
        merges: `MergeTable.header`.
        scratch: address of SCRATCH_PER_BYTE * length bytes to work in.
        ids: address of room for `length` ids of 32 bits.
    """
    entries, shift = int64_at(merges + _ENTRIES), int64_at(merges + _SHIFT)
    if length <= SCAN_UP_TO:
        count = _merge_scanning(word, length, entries, shift, scratch)
    else:
        count = _merge_with_heap(word, length, entries, shift, scratch)
    token_ids = int64_at(merges + _TOKEN_IDS)
    for i in range(count):
        token = uint32_at(scratch + 4 * i)
        set_uint32(ids + 4 * i, uint32_at(token_ids + 4 * token))
    return count


@helper
def _merge_scanning(word: int, length: int, entries: int, shift: int, scratch: int) -> int:
    """Leave the tokens of a word at `scratch`; return their number."""
    tokens, ranks = scratch, scratch + 4 * length  # ranks[i]: of merging tokens i and i + 1
    for i in range(length):
        set_uint32(tokens + 4 * i, byte_at(word + i))
    for i in range(length - 1):
        rank = _merged(byte_at(word + i), byte_at(word + i + 1), entries, shift)
        set_uint32(ranks + 4 * i, rank)
    count = length
    while True:
        best, where = _NONE, 0
        for i in range(count - 1):
            rank = uint32_at(ranks + 4 * i)
            if rank < best:
                best, where = rank, i
        if best == _NONE:
            return count
        count -= 1
        for i in range(where + 1, count):
            set_uint32(tokens + 4 * i, uint32_at(tokens + 4 * i + 4))
            set_uint32(ranks + 4 * i, uint32_at(ranks + 4 * i + 4))
        set_uint32(tokens + 4 * where, best)
        if where + 1 < count:
            rank = _merged(best, uint32_at(tokens + 4 * where + 4), entries, shift)
            set_uint32(ranks + 4 * where, rank)
        if where > 0:
            rank = _merged(uint32_at(tokens + 4 * where - 4), best, entries, shift)
            set_uint32(ranks + 4 * where - 4, rank)


@helper
def _merge_with_heap(word: int, length: int, entries: int, shift: int, scratch: int) -> int:
    """Do the same in time length x log(length).

    Entries of the heap are rank << 32 | position of the left token; each merge removes one and adds
    at most two, so that there are never more than 2 x length.
    """
    tokens, previous, following = scratch, scratch + 4 * length, scratch + 8 * length
    heap, size = scratch + 12 * length, 0
    for i in range(length):
        set_uint32(tokens + 4 * i, byte_at(word + i))
        set_uint32(previous + 4 * i, i - 1)
        set_uint32(following + 4 * i, i + 1)
    for i in range(length - 1):
        rank = _merged(byte_at(word + i), byte_at(word + i + 1), entries, shift)
        size = _push(heap, size, rank, i)
    while size > 0:
        rank, left = int64_at(heap) >> 32, int64_at(heap) & _NONE
        size = _pop(heap, size)
        token, right = uint32_at(tokens + 4 * left), uint32_at(following + 4 * left)
        if token == _NONE or right == length:
            continue
        if _merged(token, uint32_at(tokens + 4 * right), entries, shift) != rank:
            continue  # one of the two has become another token meanwhile
        set_uint32(tokens + 4 * left, rank)
        set_uint32(tokens + 4 * right, _NONE)
        after = uint32_at(following + 4 * right)
        set_uint32(following + 4 * left, after)
        if after < length:
            set_uint32(previous + 4 * after, left)
            new = _merged(rank, uint32_at(tokens + 4 * after), entries, shift)
            size = _push(heap, size, new, left)
        before = uint32_at(previous + 4 * left)
        if before != _NONE:
            new = _merged(uint32_at(tokens + 4 * before), rank, entries, shift)
            size = _push(heap, size, new, before)
    count = 0
    for i in range(length):
        token = uint32_at(tokens + 4 * i)
        if token != _NONE:
            set_uint32(tokens + 4 * count, token)
            count += 1
    return count


@helper
def _push(heap: int, size: int, rank: int, position: int) -> int:
    """Add an entry to a binary min-heap of int64, unless there is no merge; return its size."""
    if rank == _NONE:
        return size
    entry = rank << 32 | position
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if int64_at(heap + 8 * parent) <= entry:
            break
        set_int64(heap + 8 * hole, int64_at(heap + 8 * parent))
        hole = parent
    set_int64(heap + 8 * hole, entry)
    return size + 1


@helper
def _pop(heap: int, size: int) -> int:
    """Remove the least entry; return the new size."""
    size -= 1
    entry = int64_at(heap + 8 * size)
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        if child + 1 < size and int64_at(heap + 8 * child + 8) < int64_at(heap + 8 * child):
            child += 1
        if int64_at(heap + 8 * child) >= entry:
            break
        set_int64(heap + 8 * hole, int64_at(heap + 8 * child))
        hole = child
    set_int64(heap + 8 * hole, entry)
    return size
