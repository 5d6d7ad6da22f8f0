"""Texts, a vocabulary trained on them and its tiktoken twin, for the tests of the tokenizer."""

import functools
import pydoc_data.topics
import tempfile
import unicodedata

import tiktoken
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import naive
from assignment1_basics.reference.tokenizer.encode import CompiledEncoder
from assignment1_basics.reference.tokenizer.plain import PlainEncoder
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from assignment1_basics.reference.tokenizer.train import BPE, train_bpe

EOT = "<|endoftext|>"
ENGLISH = "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))

# Every class of the pattern in every length of UTF-8, parts of contractions, runs of one character.
_PIECES = [
    *(" ", "  ", "\n", "\r\n", "\t", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u3000"),
    *("a", "the", " the", "é", "ß", "中文", " 日本語", "ﬁ", "𝒳", "e\u0301", "ª"),
    *("0", "1999", " 3.14", "²", "٣", "Ⅷ", "½"),
    *("!", "--", " ...", "—", "€", "😀", "🇳🇴", "\x00", "\x7f", "\ufeff", "\ufffd"),
    *("'", "'s", "'d", "'m", "'t", "'l", "'ll", "'v", "'ve", "'re", "'S", "’s"),
    *("<|endoftext|>", "<|endoftext", "|>", "<|", "[pad]", "[pad]]"),
    *(" function", "returns", "incomprehensibilities", "=" * 20, " " * 17, "ab" * 70, "x" * 140),
]


def _is_assigned(character: str) -> bool:
    """Tell whether all versions of Unicode agree on a character: the newest do not on new ones."""
    return unicodedata.category(character) not in ("Cn", "Cs")


texts = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=20).map("".join),
    st.text(st.characters(exclude_categories=("Cn", "Cs")), max_size=60),
    st.text(st.sampled_from("ab '\n1é"), max_size=60),
)


@functools.cache
def trained() -> BPE:
    """Return a vocabulary of 256 bytes and 4,000 merges, so that ids ascend as tiktoken needs."""
    assigned = "".join(filter(_is_assigned, map(chr, range(0x20, 0x3000, 7))))
    with tempfile.NamedTemporaryFile() as file:
        file.write((ENGLISH + (" ".join(_PIECES) + assigned) * 2).encode())
        file.flush()
        return train_bpe(file.name, 4256)


@functools.cache
def tokenizer() -> Tokenizer:
    return Tokenizer(*trained(), [EOT])


@functools.cache
def tiktoken_twin() -> tiktoken.Encoding:
    """Build the twin from the vocabulary alone, not through our export."""
    vocab = trained().vocab
    return tiktoken.Encoding(
        "twin",
        pat_str=naive.PATTERN,
        mergeable_ranks={token: number for number, token in vocab.items()},
        special_tokens={EOT: len(vocab)},
    )


@functools.cache
def encoders() -> dict[str, PlainEncoder | CompiledEncoder]:
    """Both encoders, with the same arguments."""
    vocab, merges = trained()
    id_of = {token: number for number, token in vocab.items()}
    byte_ids = [id_of[bytes([byte])] for byte in range(256)]
    pairs = {
        (id_of[left], id_of[right]): (rank, id_of[left + right])
        for rank, (left, right) in enumerate(merges)
    }
    return {
        "plain": PlainEncoder(byte_ids, pairs),
        "compiled": CompiledEncoder(byte_ids, pairs),
    }
