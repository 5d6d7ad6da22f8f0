"""The tokenizer: text to token ids and back, byte-level BPE as in GPT-2 (Radford et al. 2019).

    tokenizer = Tokenizer.load("data/tokenizer.json")
    ids = tokenizer.encode("The widest window")
    assert tokenizer.decode(ids) == "The widest window"

Two encoders give the same ids: `plain` in Python, at once, and `encode` compiled by numba, about 40
times as fast but 1 to 3 s in loading. A tokenizer uses the plain one for its first megabyte of text
and then changes over, so that neither a prompt nor a corpus waits.
"""

import functools
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, SupportsIndex

import numpy as np
from jaxtyping import UInt32

from assignment1_basics.reference.tokenizer import export
from assignment1_basics.reference.tokenizer.encode_file import (
    Encoded,
    encode_file,
    encode_in_parallel,
)
from assignment1_basics.reference.tokenizer.plain import Encoder, Ids, PairTable, PlainEncoder
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens, assign_ids
from assignment1_basics.reference.tokenizer.stream import EncodingStream, to_utf8
from course.errors import UserError

PLAIN_BYTES = 1 << 20
"""So much text a tokenizer encodes in plain Python before it loads the compiled encoder."""

_PIECE = 1 << 16  # characters that a stream takes at a time, so that one giant line is no exception


class Tokenizer:
    """A vocabulary, the merges in order of training, and special tokens.

    Args:
        vocab: the bytes of every token id. Ids need not be contiguous nor in any order.
        merges: pairs of tokens, in the order in which training merged them.
        special_tokens: strings that are one id wherever they occur in a text. Those that `vocab`
            lacks get the next free ids, in the order given.

    Raises `UserError` for a merge that makes a token which `vocab` lacks.
    """

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Iterable[str] | None = None,
    ) -> None:
        self.special_tokens = assign_ids(special_tokens or (), vocab)
        self.vocab = dict(vocab)
        self.vocab.update({number: token.encode() for token, number in self.special_tokens.items()})
        self.merges = [(left, right) for left, right in merges]
        self._specials = SpecialTokens(self.special_tokens)
        id_of = {token: number for number, token in sorted(self.vocab.items(), reverse=True)}
        self._byte_ids = [id_of.get(bytes([byte]), -1) for byte in range(256)]
        self._pairs = _pair_table(self.merges, id_of)
        self._plain = PlainEncoder(self._byte_ids, self._pairs)
        self._plain_bytes = 0  # encoded so far
        self._compiled: Encoder | None = None

    def __reduce__(self) -> tuple[type, tuple]:
        """Pickle what makes the tokenizer; the compiled encoder holds addresses of memory."""
        return type(self), (self.vocab, self.merges, list(self.special_tokens))

    @property
    def vocab_size(self) -> int:
        """The largest id plus one: the number of rows that an embedding needs."""
        return max(self.vocab, default=-1) + 1

    @functools.cached_property
    def hash(self) -> str:
        """16 hexadecimal digits that tokenizers share if and only if they give the same ids."""
        digest = hashlib.sha256()
        for number, token in sorted(self.vocab.items()):
            digest.update(b"%d %s\n" % (number, token.hex().encode()))
        for left, right in self.merges:
            digest.update(b"%s %s\n" % (left.hex().encode(), right.hex().encode()))
        for text, number in sorted(self.special_tokens.items()):
            digest.update(b"%d %s special\n" % (number, text.encode().hex().encode()))
        return digest.hexdigest()[:16]

    def encode_word(self, word: bytes) -> list[int]:
        """Return the ids of a single pre-token."""
        return self._plain.merge(word)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text. Half a surrogate pair is encoded as U+FFFD, as in tiktoken."""
        return _python_ints(self._encode(to_utf8(text)))

    def encode_array(self, text: str | bytes, threads: int = 1) -> UInt32[np.ndarray, "tokens"]:
        """Return the ids of a text, or of UTF-8 bytes, as an array: the fast way.

        Several threads share a text of some megabytes. Raises `NotUtf8Error`, a `UserError`, with
        the offset of the first byte that is not UTF-8.
        """
        data = to_utf8(text) if isinstance(text, str) else text
        encoder = self._encoder_for(len(data))

        def encode(part: bytes | memoryview) -> np.ndarray:
            return np.asarray(encoder.encode(part, self._specials.find(part))[0], dtype=np.uint32)

        if threads == 1 or isinstance(encoder, PlainEncoder):
            return encode(data)
        return encode_in_parallel(encode, data, self._specials, threads)

    def encode_file(
        self,
        source: str | os.PathLike,
        destination: str | os.PathLike,
        *,
        threads: int | None = None,
    ) -> Encoded:
        """Encode a UTF-8 file of any size into a token file; see `encode_file.encode_file`."""
        return encode_file(self, source, destination, threads=threads)

    def encode_iterable(self, texts: Iterable[str]) -> Iterator[int]:
        """Yield the ids of the concatenated texts, reading them only as ids are asked for.

        Holds a few kilobytes of text, or as much as the longest pre-token or a single item.
        """
        stream = EncodingStream(self._encoder_for, self._specials)
        for text in texts:
            for start in range(0, len(text), _PIECE):
                yield from _python_ints(stream.push(text[start : start + _PIECE]))
        yield from _python_ints(stream.finish())

    def decode_bytes(self, ids: Iterable[SupportsIndex]) -> bytes:
        """Return the bytes of the tokens; raises `UserError` for an id that is none."""
        ids = _python_ints(ids)
        try:
            return b"".join([self.vocab[token] for token in ids])
        except KeyError:
            position = next(i for i, token in enumerate(ids) if token not in self.vocab)
            raise UserError(
                f"token id {ids[position]} at position {position} is not in the vocabulary "
                f"({len(self.vocab):,} ids up to {self.vocab_size - 1:,})"
            ) from None

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """Return the text of the tokens; bytes that are not UTF-8 become U+FFFD.

        A character may be spread over several tokens, so decoding ids one by one is not the same.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def save(self, path: str | os.PathLike) -> Path:
        """Write `tokenizer.json`, a format that Hugging Face `tokenizers` reads, too.

        `path` is a file ending in .json or a folder. Returns the file's path.
        """
        file = json_file(Path(path))
        export.to_hugging_face(self, file)
        return file

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote, or another byte-level BPE `tokenizer.json` such as GPT-2's."""
        path = Path(path)
        return cls(*export.read_hugging_face(path if path.is_file() else json_file(path)))

    @classmethod
    def from_gpt2_files(
        cls,
        vocab_json: str | os.PathLike,
        merges_txt: str | os.PathLike,
        special_tokens: Sequence[str] = ("<|endoftext|>",),
    ) -> Self:
        """Read the two files in which GPT-2's tokenizer was published."""
        vocab, merges = export.read_gpt2_files(Path(vocab_json), Path(merges_txt))
        return cls(vocab, merges, special_tokens)

    def _encode(self, data: bytes) -> Ids:
        encoder = self._encoder_for(len(data))
        return encoder.encode(data, self._specials.find(data))[0]

    def _encoder_for(self, num_bytes: int) -> Encoder:
        """Return the encoder to use for so much text: see the top of this file."""
        if self._compiled is None:
            with _loading:  # one of several threads
                self._plain_bytes += num_bytes
                if self._plain_bytes > PLAIN_BYTES and self._compiled is None:
                    self._compiled = self._load_compiled()
        return self._compiled or self._plain

    def _load_compiled(self) -> Encoder:
        from assignment1_basics.reference.tokenizer.encode import CompiledEncoder  # numba: 1 s

        try:
            return CompiledEncoder(self._byte_ids, self._pairs)
        except ValueError:  # merges such as training never makes
            return self._plain


_loading = threading.Lock()


def _pair_table(merges: Sequence[tuple[bytes, bytes]], id_of: Mapping[bytes, int]) -> PairTable:
    pairs: PairTable = {}
    for rank, (left, right) in enumerate(merges):
        try:
            pair = id_of[left], id_of[right]
            pairs.setdefault(pair, (rank, id_of[left + right]))
        except KeyError as error:
            raise UserError(
                f"merge {rank} ({left!r} + {right!r}) needs the token {error.args[0]!r}, which the "
                "vocabulary lacks; vocabulary and merges must come from the same training"
            ) from None
    return pairs


def _python_ints(ids: Iterable[SupportsIndex]) -> list[int]:
    """Return ids as a list of ints; an array (also a torch tensor) is converted at once."""
    if isinstance(ids, list):
        return ids
    return ids.tolist() if hasattr(ids, "tolist") else [int(token) for token in ids]


def json_file(path: Path) -> Path:
    """Return the file in which a tokenizer is saved: `path` itself, or the one in the folder."""
    return path if path.suffix == ".json" else path / "tokenizer.json"
