"""Special tokens: strings such as `<|endoftext|>` that are one id each and never merge with text.

Text is cut at them first, and what lies between two of them is encoded as if it were a text of its
own. Where several match at one place the longest wins; matches are taken from left to right. This
is what tiktoken does (`find_special` in its lib.rs), for special tokens none of which is a prefix
of another; among those, tiktoken takes any one, so that we had to choose.

The search works on UTF-8 bytes with Python's `re`: the common prefix of all special tokens (`<|`)
is found at 3.6 GB/s; when they have none in common it is 0.2 GB/s, still
not what encoding waits for.
"""

import mmap
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from course.errors import UserError

Bytes = bytes | bytearray | memoryview | mmap.mmap


class SpecialMatch(NamedTuple):
    """A special token in a text: its bytes are `data[start:end]`."""

    start: int
    end: int
    token_id: int


class SpecialTokens:
    """The special tokens of one tokenizer, as text and id."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self._id_of_bytes = {token.encode(): number for token, number in ids.items()}
        longest_first = sorted(self._id_of_bytes, key=len, reverse=True)
        self.longest = len(longest_first[0]) if longest_first else 0
        self._pattern = re.compile(b"|".join(map(re.escape, longest_first)))

    def find(self, data: Bytes, start: int = 0) -> list[SpecialMatch]:
        """Return the special tokens in `data[start:]`, from left to right, none overlapping."""
        if not self.ids:
            return []
        return [
            SpecialMatch(match.start(), match.end(), self._id_of_bytes[match.group()])
            for match in self._pattern.finditer(data, start)
        ]

    def find_settled(self, data: bytes | bytearray) -> tuple[list[SpecialMatch], int]:
        """Return the matches in the beginning of a longer text that no continuation can change.

        Also returns up to which byte it is decided whether a special token begins there. Behind
        it, what looks like text may be the beginning of a special token, and what looks like a
        special token may be the beginning of a longer one.
        """
        limit = max(0, len(data) - max(0, self.longest - 1))
        while 0 < limit < len(data) and data[limit] & 0xC0 == 0x80:
            limit -= 1  # not in the middle of a character
        matches = [match for match in self.find(data) if match.start < limit]
        return matches, max(limit, matches[-1].end if matches else 0)

    def straddles(self, data: Bytes, cut: int) -> bool:
        """Tell whether a special token, matched or not, begins before `cut` and ends behind."""
        window = bytes(data[max(0, cut - self.longest + 1) : cut + self.longest - 1])
        middle = min(cut, max(0, self.longest - 1))
        return any(
            window.find(token, max(0, middle - len(token) + 1), middle + len(token) - 1) >= 0
            for token in self._id_of_bytes
        )


def assign_ids(special_tokens: Iterable[str], vocab: Mapping[int, bytes]) -> dict[str, int]:
    """Return the id of each special token: the vocabulary's own, or the next free one.

    Raises `UserError` for an empty special token and for one that is not valid Unicode.
    """
    id_of = {token: number for number, token in sorted(vocab.items(), reverse=True)}
    next_free = max(vocab, default=-1) + 1
    ids: dict[str, int] = {}
    for token in dict.fromkeys(special_tokens):
        if not token:
            raise UserError("a special token is empty; it would match everywhere")
        try:
            data = token.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"special token {token!r} is not valid Unicode: {error}") from None
        if data in id_of:
            ids[token] = id_of[data]
        else:
            ids[token] = next_free
            next_free += 1
    return ids
