"""A text cut into chunks of every size has the pre-tokens of the whole text."""

import itertools

import pytest

from assignment1_basics.reference.tokenizer.chunks import chunks
from assignment1_basics.reference.tokenizer.naive import pretokens, split_at_special_tokens
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens, assign_ids

SPECIAL = ["<|end|>", "|> <|", "a  b"]
TEXTS = [
    "some words, they'll do\n",
    "wide\u3000  and\xa0 \u2003\n narrow \u3000 spaces\x85  end",
    "\n\n \t mixed \r\n  up \x0b\x0c",
    "no<|end|>space <|end|> a space |> <| a  b a  b",
    "one_endless_word" * 3,
    "日本語 \u3000 中文  é",
]


def words(text: str) -> list[bytes]:
    parts = split_at_special_tokens(text, SPECIAL)
    return [word for p in parts for word in ([p.encode()] if p in SPECIAL else pretokens(p))]


@pytest.mark.parametrize("text", TEXTS)
def test_chunks_of_every_size(text):
    data = text.encode()
    for size in range(1, len(data) + 2):
        spans = list(chunks(data, SpecialTokens(assign_ids(SPECIAL, {})), size))
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
        assert spans[-1][1] == len(data)
        parts = [data[start:end].decode() for start, end in spans]
        assert list(itertools.chain(*map(words, parts))) == words(text), parts
