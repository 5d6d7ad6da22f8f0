"""The compiled encoder: UTF-8 text to token ids, 200 MB/s a core where tiktoken reaches 20.

Each pre-token is looked up in a cache (`word_cache`), and merged (`encode_word`) only if it is not
there. So the work is: find its end (`block_scanner`), take its up to 15 bytes as a key of 128 bits,
read one cache line, store up to three ids.

That line is seldom in a core's own caches, and waiting for it would take longer than all the rest.
Therefore 64 words or more are found first, and their lines prefetched, before the first one is
looked up; that took 6 of 22 ns off the time for a pre-token.
"""

from collections.abc import Sequence

import numpy as np

from assignment1_basics.reference.tokenizer.block_scanner import BLOCK, word_ends
from assignment1_basics.reference.tokenizer.compiled import helper, kernel
from assignment1_basics.reference.tokenizer.encode_word import (
    SCRATCH_PER_BYTE,
    MergeTable,
    encode_word,
)
from assignment1_basics.reference.tokenizer.memory import (
    address_of,
    int64_at,
    prefetch,
    set_int64,
    set_uint32,
    set_uint64,
    uint64_at,
)
from assignment1_basics.reference.tokenizer.plain import LOOKAHEAD, NotUtf8Error, PairTable
from assignment1_basics.reference.tokenizer.special_tokens import SpecialMatch
from assignment1_basics.reference.tokenizer.unicode_tables import character_classes
from assignment1_basics.reference.tokenizer.word_cache import (
    LONGEST,
    copy_ids,
    encode_long,
    line_of,
    new_cache,
    remember,
)
from assignment1_basics.reference.tokenizer.word_key import SHORT, short_key

_BATCH = 64  # words
_SPARE = 3  # ids: copying from the cache always writes three

# What is known of a word of the batch; offsets in bytes. The last three only for short words.
_ADDRESS, _LENGTH, _LINE, _LOW, _HIGH = range(0, 40, 8)
_WORD = 40
_ENDS = _WORD * (_BATCH + BLOCK)  # behind the words: where they end
_BATCH_SIZE = _ENDS + 8 * (_BATCH + BLOCK)

# Progress through a text, an int64 array; offsets in bytes.
_POSITION, _SPECIAL, _WRITTEN, _NEEDED = range(0, 32, 8)
_DONE, _NOT_UTF8, _SCRATCH_TOO_SMALL = range(3)


class CompiledEncoder:
    """Encodes with compiled loops; several threads may call it at once.

    Takes the arguments of `PlainEncoder`, and raises `ValueError` for merges such as training never
    makes (see `encode_word.renumber`); those need `PlainEncoder`.
    """

    def __init__(self, byte_ids: Sequence[int], pairs: PairTable) -> None:
        self._merges = MergeTable(byte_ids, pairs)
        self._idle_caches: list[np.ndarray] = []  # one for each thread that ever encoded

    def encode(
        self,
        data: bytes | memoryview,
        specials: Sequence[SpecialMatch],
        settled: int | None = None,
    ) -> tuple[np.ndarray, int]:
        """See `Encoder`; the ids are an array of uint32."""
        text = np.frombuffer(data, dtype=np.uint8)
        marks = np.array(specials, dtype=np.int64).reshape(-1, 3)
        end = len(data) if settled is None else settled
        limit = end if settled is None else end - LOOKAHEAD
        ids = np.empty(len(data) + _SPARE, dtype=np.uint32)  # pages not written take no memory
        words = np.empty(_BATCH_SIZE, dtype=np.uint8)
        scratch = np.empty(LONGEST * SCRATCH_PER_BYTE, dtype=np.uint8)
        progress = np.zeros(4, dtype=np.int64)
        try:
            cache = self._idle_caches.pop()
        except IndexError:  # to ask first would let another thread take the last one meanwhile
            cache = new_cache()
        while True:
            status = _encode(
                *(address_of(text), len(text), address_of(marks), len(marks), end, limit),
                *(address_of(character_classes()), self._merges.header, address_of(cache)),
                *(address_of(words), address_of(scratch), len(scratch)),
                *(address_of(ids), address_of(progress)),
            )
            if status != _SCRATCH_TOO_SMALL:
                break
            scratch = np.empty(int(progress[_NEEDED // 8]), dtype=np.uint8)
        self._idle_caches.append(cache)
        if status == _NOT_UTF8:
            offset = int(progress[_NEEDED // 8])
            raise NotUtf8Error(data[offset], offset)
        ids.resize(int(progress[_WRITTEN // 8]), refcheck=False)
        return ids, int(progress[_POSITION // 8])


@kernel
def _encode(
    text: int,
    readable: int,
    marks: int,
    n_marks: int,
    end: int,
    limit: int,
    classes: int,
    merges: int,
    cache: int,
    words: int,
    scratch: int,
    scratch_size: int,
    ids: int,
    progress: int,
) -> int:
    """Encode from where `progress` says until the end, or until it cannot go on; return why.

    Args:
        text: address of `readable` bytes.
        readable: number of bytes that may be read.
        marks: address of the special tokens in the text, int64[n_marks, 3]: start, end, id.
        n_marks: their number.
        end: where the text ends, or at least is known.
        limit: behind the last special token, pre-tokens that end after this are left out.
        classes: address of `character_classes()`.
        merges: `MergeTable.header`.
        cache: address of a `new_cache()` that no other thread uses at the time.
        words: address of room for a batch of words.
        scratch: address of `scratch_size` bytes to work in, enough for a word of LONGEST bytes.
        scratch_size: in bytes.
        ids: address of room for one id per byte of text and _SPARE more.
        progress: address of the fields _POSITION and so on.
    """
    position = int64_at(progress + _POSITION)
    mark = int64_at(progress + _SPECIAL)
    out = ids + 4 * int64_at(progress + _WRITTEN)
    status = _DONE
    while True:  # for each part of the text, up to the next special token
        is_last = mark == n_marks
        part_end = end if is_last else int64_at(marks + 24 * mark)
        part_limit = limit if is_last else part_end
        while True:
            count, stop = _find_words(
                text, readable, position, part_end, part_limit, classes, cache, words
            )
            done, out = _encode_words(words, count, cache, merges, scratch, scratch_size, out)
            if done < count:
                word = words + _WORD * done
                position = int64_at(word + _ADDRESS) - text
                set_int64(progress + _NEEDED, int64_at(word + _LENGTH) * SCRATCH_PER_BYTE)
                status = _SCRATCH_TOO_SMALL
                break
            if stop < 0:
                set_int64(progress + _NEEDED, ~stop)
                status = _NOT_UTF8
                break
            position = stop
            if count == 0:
                break
        if is_last or status != _DONE:
            break
        set_uint32(out, int64_at(marks + 24 * mark + 16))
        out += 4
        position = int64_at(marks + 24 * mark + 8)
        mark += 1
    set_int64(progress + _POSITION, position)
    set_int64(progress + _SPECIAL, mark)
    set_int64(progress + _WRITTEN, (out - ids) >> 2)
    return status


@helper
def _find_words(
    text: int,
    readable: int,
    position: int,
    end: int,
    limit: int,
    classes: int,
    cache: int,
    words: int,
) -> tuple[int, int]:
    """Fill `words` with the next pre-tokens.

    Returns their number, and where the last one ends; `~i` if byte i is not UTF-8.
    """
    ends = words + _ENDS
    count, stop = word_ends(text, position, end, classes, ends, _BATCH)
    if count > 0 and int64_at(ends + 8 * (count - 1)) > limit:
        while count > 0 and int64_at(ends + 8 * (count - 1)) > limit:
            count -= 1
        stop = int64_at(ends + 8 * (count - 1)) if count > 0 else position
    for i in range(count):
        word_end = int64_at(ends + 8 * i)
        word, length = text + position, word_end - position
        entry = words + _WORD * i
        set_int64(entry + _ADDRESS, word)
        set_int64(entry + _LENGTH, length)
        if length <= SHORT:
            low, high = short_key(word, length, readable - position)
            line = line_of(cache, low, high)
            prefetch(line)
            set_int64(entry + _LINE, line)
            set_uint64(entry + _LOW, low)
            set_uint64(entry + _HIGH, high)
        position = word_end
    return count, stop


@helper
def _encode_words(
    words: int, count: int, cache: int, merges: int, scratch: int, scratch_size: int, out: int
) -> tuple[int, int]:
    """Write the ids of a batch from address `out` on.

    Returns how many words were done, which is less than `count` if `scratch` is too small for the
    next one, and the address behind the ids.
    """
    for i in range(count):
        entry = words + _WORD * i
        word, length = int64_at(entry + _ADDRESS), int64_at(entry + _LENGTH)
        if length <= SHORT:
            line = int64_at(entry + _LINE)
            low, high = uint64_at(entry + _LOW), uint64_at(entry + _HIGH)
            size = copy_ids(line, low, high, out)
            if size == 0:
                n_ids = encode_word(word, length, merges, scratch, out)
                remember(line, low, high, out, n_ids)
                size = 4 * n_ids
            out += size
        elif length <= LONGEST:
            out += 4 * encode_long(word, length, cache, merges, scratch, out)
        elif length * SCRATCH_PER_BYTE <= scratch_size:
            out += 4 * encode_word(word, length, merges, scratch, out)
        else:
            return i, out
    return count, out
