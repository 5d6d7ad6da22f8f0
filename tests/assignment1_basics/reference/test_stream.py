"""A text cut in two at every place, around whatever a cut can break."""

import functools

import pytest

from assignment1_basics.reference.tokenizer import stream
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens, assign_ids
from assignment1_basics.reference.tokenizer.stream import EncodingStream
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

from .tokenizer_samples import encoders, trained

SPECIAL = ["<|end|>", "<|end|>\n\n<|", "é|"]
TEXTS = [
    *(
        "two spaces  <|end|>  and two more",
        "a word<|end|>\n\n<|end|>",
        "<|end|>\n\n<|<|end|>\n\nno",
    ),
    *("they'll  we've 'l 'v<|end|>'ll", "café| naïve é|é é|", "spaces \n \n  \n", "日本  語é|"),
    "<|end<|end|><|end|",
]


@functools.cache
def specials() -> SpecialTokens:
    return SpecialTokens(assign_ids(SPECIAL, trained().vocab))


@pytest.mark.parametrize("encoder", ["plain", "compiled"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_anywhere_changes_nothing(text, encoder, monkeypatch):
    monkeypatch.setattr(stream, "_FIRST_ATTEMPT", 1)  # else short texts are encoded in the end
    expected = Tokenizer(*trained(), SPECIAL).encode(text)
    for cut in range(len(text) + 1):
        for second in {cut, min(cut + 1, len(text)), min(cut + 5, len(text))}:
            encoding = EncodingStream(lambda _: encoders()[encoder], specials())
            received: list[int] = []
            for piece in (text[:cut], text[cut:second], text[second:]):
                received.extend(map(int, encoding.push(piece)))
            received.extend(map(int, encoding.finish()))
            assert received == expected, (text[:cut], text[cut:second], text[second:])
