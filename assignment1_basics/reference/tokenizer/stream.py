"""Encoding a text that arrives in pieces: the ids of the whole, little of it held at a time.

Three things may be cut in two by the end of a piece: a pre-token (and what the pattern looks at
behind it), a special token, and a character (Python strings can hold half of a UTF-16 pair). The
end of what has arrived is held back until the next piece decides. What is held grows only with the
longest pre-token: to merge, BPE must see it whole.

A piece is encoded when twice as much is held as the last time left over. So even a single endless
pre-token, for which each attempt is in vain, costs time linear in its length.
"""

from collections.abc import Callable

from assignment1_basics.reference.tokenizer.plain import Encoder, Ids
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens

_FIRST_ATTEMPT = 4096  # bytes; below, a call of the compiled encoder costs more than its work


class EncodingStream:
    """Takes text with `push`, gives ids as soon as they are certain; `finish` gives the rest.

    `encoder_for(n)` returns the encoder to use for the next n bytes.
    """

    def __init__(
        self, encoder_for: Callable[[int], Encoder], special_tokens: SpecialTokens
    ) -> None:
        self._encoder_for = encoder_for
        self._special_tokens = special_tokens
        self._held = b""
        self._arrived: list[bytes] = []
        self._waiting = 0  # bytes in `_arrived`
        self._attempt_at = _FIRST_ATTEMPT
        self._half_character = ""

    def push(self, text: str) -> Ids:
        """Add text; return the ids that are certain now, often none."""
        text = self._half_character + text
        self._half_character = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        data = to_utf8(text[:-1] if self._half_character else text)
        self._arrived.append(data)
        self._waiting += len(data)
        if len(self._held) + self._waiting < self._attempt_at:
            return ()
        data = self._take()
        specials, settled = self._special_tokens.find_settled(data)
        ids, consumed = self._encoder_for(len(data)).encode(data, specials, settled)
        self._held = data[consumed:]
        self._attempt_at = max(_FIRST_ATTEMPT, 2 * len(self._held))
        return ids

    def finish(self) -> Ids:
        """Return the ids of what was held back; the text ends here."""
        self._arrived.append(to_utf8(self._half_character))
        data = self._take()
        self._held, self._half_character = b"", ""
        ids, _ = self._encoder_for(len(data)).encode(data, self._special_tokens.find(data))
        return ids

    def _take(self) -> bytes:
        data = b"".join((self._held, *self._arrived))
        self._arrived, self._waiting = [], 0
        return data


def to_utf8(text: str) -> bytes:
    """Return a text in UTF-8; surrogates, which UTF-8 cannot hold, as tiktoken does it.

    The two halves of a UTF-16 pair become the character that they stand for; half a pair on its own
    becomes U+FFFD, the replacement character (tiktoken's `Encoding.encode`).
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
