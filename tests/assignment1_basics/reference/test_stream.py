"""A text cut in two at every place, around whatever a cut can break."""

import functools

import pytest

from assignment1_basics.reference.tokenizer import stream
from assignment1_basics.reference.tokenizer.encode import CompiledEncoder
from assignment1_basics.reference.tokenizer.stream import EncodingStream
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

SPECIAL = ("<|end|>", "<|end|>\n\n<|", "é|")
TEXTS = [
    *(
        "two spaces  <|end|>  and two more",
        "a word<|end|>\n\n<|end|>",
        "<|end|>\n\n<|<|end|>\n\nno",
    ),
    *("they'll  we've they're 'l 'v<|end|>'ll", "café| naïve é|é é|", "spaces \n \n  \n"),
    *("日本  語é|", "<|end<|end|><|end|"),
]
# What is one token in one pre-token and two in two.
MERGES = ["l l", "' ll", "v e", "' ve", "r e", "' re", "\n \n", "t h", "th e", "a n", "an d"]
MERGES = [tuple(part.encode() for part in merge.rsplit(" ", 1)) for merge in MERGES]
MERGES += [(b" ", b" "), (b"  ", b"\n"), (b" ", b"a"), (b" ", b"t"), (b"\xc3", b"\xa9")]


@functools.cache
def tokenizer(special: tuple[str, ...]) -> Tokenizer:
    tokens = [bytes([byte]) for byte in range(256)] + [left + right for left, right in MERGES]
    return Tokenizer(dict(enumerate(tokens)), MERGES, special)


@functools.cache
def compiled(ours: Tokenizer) -> CompiledEncoder:
    return CompiledEncoder(ours._byte_ids, ours._pairs)


@pytest.mark.parametrize("encoder", [lambda ours: ours._plain, compiled], ids=["plain", "compiled"])
@pytest.mark.parametrize("special", [(), SPECIAL])
@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_anywhere_changes_nothing(text, special, encoder, monkeypatch):
    monkeypatch.setattr(stream, "_FIRST_ATTEMPT", 1)  # else short texts are encoded in the end
    ours = tokenizer(special)
    for cut in range(len(text) + 1):
        for second in {cut, min(cut + 1, len(text)), min(cut + 5, len(text))}:
            encoding = EncodingStream(lambda _: encoder(ours), ours._specials)
            received: list[int] = []
            for piece in (text[:cut], text[cut:second], text[second:]):
                received.extend(map(int, encoding.push(piece)))
            received.extend(map(int, encoding.finish()))
            assert received == ours.encode(text), (text[:cut], text[cut:second], text[second:])
