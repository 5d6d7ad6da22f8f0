"""BPE encoding in plain Python: for short texts, and what the compiled encoder must equal.

A text is cut into pre-tokens by GPT-2's pattern (Radford et al., 2019; `encoder.py` of
openai/gpt-2). In each one, as long as two neighbours can merge, the pair that training merged
earliest goes first, of equal pairs the leftmost (Sennrich et al., 2016, algorithm 1, on bytes).

Looking for that pair anew after each merge takes time quadratic in the length of the pre-token: a
line of a million dashes would take hours. Here the candidates wait in a heap; entries that a merge
has made wrong are recognised when they are popped. Nothing is compiled, so a prompt is encoded
within a millisecond, at 4 MB/s; `encode`, compiled by numba, is about 40 times as fast, but takes
as long to load as this takes for some megabytes.
"""

import heapq
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import regex

from assignment1_basics.reference.tokenizer.naive import PATTERN
from assignment1_basics.reference.tokenizer.special_tokens import SpecialMatch
from course.errors import UserError

# How much of the text behind a pre-token the pattern looks at: in "'ll" two characters behind "'".
LOOKAHEAD = 2

Ids = Sequence[int] | np.ndarray

# Merges: the ids of two neighbours -> (rank in training, id of the token they become).
PairTable = dict[tuple[int, int], tuple[int, int]]

_CACHED_WORDS = 1 << 16
_CACHED_LENGTH = 32  # longer pre-tokens hardly ever come twice


class Encoder(Protocol):
    """What `PlainEncoder` and the compiled encoder both do."""

    def encode(
        self,
        data: bytes | memoryview,
        specials: Sequence[SpecialMatch],
        settled: int | None = None,
    ) -> tuple[Ids, int]:
        """Encode UTF-8 text and the special tokens found in it.

        With `settled` the text goes on behind `data`, and only up to there is it known where
        special tokens are. Then pre-tokens that a continuation could change are left out.

        Returns the ids and how many bytes they stand for: all of `data` unless `settled` is given.
        Raises `NotUtf8Error`, and `UserError` for a byte that the vocabulary lacks.
        """
        ...


class PlainEncoder:
    """Encodes with dictionaries and a heap.

    `byte_ids[b]` is the id of the byte b, or -1 where the vocabulary lacks it.
    """

    def __init__(self, byte_ids: Sequence[int], pairs: PairTable) -> None:
        self._byte_ids = byte_ids
        self._pairs = pairs
        self._pattern = regex.compile(PATTERN)
        self._cache: dict[str, list[int]] = {}

    def encode(
        self,
        data: bytes | memoryview,
        specials: Sequence[SpecialMatch],
        settled: int | None = None,
    ) -> tuple[list[int], int]:
        """See `Encoder`."""
        ids: list[int] = []
        position = 0
        for special in specials:
            self._encode_text(decode_utf8(data, position, special.start), ids)
            ids.append(special.token_id)
            position = special.end
        if settled is None:
            self._encode_text(decode_utf8(data, position, len(data)), ids)
            return ids, len(data)
        text = decode_utf8(data, position, settled)
        consumed = self._encode_text(text, ids, len(text) - LOOKAHEAD)
        return ids, position + len(text[:consumed].encode())

    def _encode_text(self, text: str, ids: list[int], limit: int | None = None) -> int:
        """Append the ids of the pre-tokens that end at `limit` or before; return where they end."""
        consumed = 0
        for match in self._pattern.finditer(text):
            if limit is not None and match.end() > limit:
                break
            consumed = match.end()
            word = match.group()
            word_ids = self._cache.get(word)
            if word_ids is None:
                word_ids = self.merge(word.encode())
                if len(word) <= _CACHED_LENGTH:
                    if len(self._cache) >= _CACHED_WORDS:
                        self._cache.clear()
                    self._cache[word] = word_ids
            ids += word_ids
        return consumed

    def merge(self, word: bytes) -> list[int]:
        """Return the ids of one pre-token: start from bytes, merge until no pair can merge."""
        dead = -1  # what has become a part of its left neighbour; also the end of the word
        ids = [self._byte_ids[byte] for byte in word]
        if min(ids, default=0) < 0:
            missing = word[ids.index(-1)]
            raise UserError(f"byte {missing:#04x} of {word!r} is not in the vocabulary")
        ids.append(dead)
        previous = list(range(-1, len(word)))
        following = list(range(1, len(word) + 2))
        pairs = self._pairs
        candidates = [
            (merge[0], position)
            for position in range(len(word))
            if (merge := pairs.get((ids[position], ids[position + 1])))
        ]
        heapq.heapify(candidates)
        while candidates:
            rank, left = heapq.heappop(candidates)
            right = following[left]
            if ids[left] == dead:
                continue
            merge = pairs.get((ids[left], ids[right]))
            if merge is None or merge[0] != rank:
                continue  # one of the two has become another token meanwhile
            ids[left], ids[right] = merge[1], dead
            after, before = following[right], previous[left]
            following[left], previous[after] = after, left
            if merge := pairs.get((merge[1], ids[after])):
                heapq.heappush(candidates, (merge[0], left))
            if before >= 0 and (merge := pairs.get((ids[before], ids[left]))):
                heapq.heappush(candidates, (merge[0], before))
        return [token for token in ids if token != dead]


def decode_utf8(data: bytes | memoryview, start: int, end: int) -> str:
    """Return `data[start:end]` as text; for malformed UTF-8 raise `NotUtf8Error`."""
    try:
        return bytes(data[start:end]).decode()
    except UnicodeDecodeError as error:
        offset = start + error.start
        raise NotUtf8Error(data[offset], offset) from None


class NotUtf8Error(UserError):
    """A text is not UTF-8: `byte` at `offset` is no character, nor the beginning of one."""

    def __init__(self, byte: int, offset: int, what: str = "text") -> None:
        super().__init__(
            f"{what} is not UTF-8: byte {byte:#04x} at offset {offset:,} is no character; convert "
            "it, for example with iconv"
        )
        self.byte, self.offset = byte, offset
