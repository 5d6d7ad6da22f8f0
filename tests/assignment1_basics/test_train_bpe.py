"""Byte-level BPE training, against the plainest algorithm (`bpe_oracle`)."""

from numbers import Integral
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import bpe_oracle

# Words that share pairs, so that counts must be updated as merges change their neighbours.
PROSE = (
    """\
The lowest of the low lived lower than the lowly. "Don't," they'd said, "we'll see; I'm sure
you've heard what they're like!"  It cost 1234 in 1999, or 12.50 --  tabs\tand  two  spaces.

Newer and newest, wider and widest; the widow's window widened. Ein schöner Tag, naïve café,
日本語の文章 と 中文, Ελληνικά, русский текст, 🙂🙃🙂 and a flag 🇳🇴.
"""
    + "banana bandana cabana " * 7
)
TIES = (
    "ties go to the lexicographically greatest pair of byte strings: "
    "max(counts, key=lambda pair: (counts[pair], pair))"
)


def train(adapters, tmp_path: Path, text: str, vocab_size: int, special_tokens=None):
    corpus = tmp_path / "corpus.txt"
    corpus.write_bytes(text.encode())
    result = adapters.run_train_bpe(
        input_path=str(corpus), vocab_size=vocab_size, special_tokens=special_tokens or []
    )
    check.true(result is not None, "run_train_bpe returns None: is a `return` missing?")
    check.true(
        isinstance(result, tuple | list)
        and list(map(type, result)) in ([dict, list], [dict, tuple]),
        "run_train_bpe does not return a dict and a list: vocab, merges",
        observed=result,
    )
    vocab, merges = result
    check.true(
        all(isinstance(i, Integral) and isinstance(token, bytes) for i, token in vocab.items()),
        "vocab does not map ids to bytes",
        hint="vocab[0] is, say, b'<|endoftext|>'",
        observed=vocab,
    )
    check.true(
        all(
            isinstance(pair, tuple | list) and list(map(type, pair)) == [bytes] * 2
            for pair in merges
        ),
        "merges are no pairs of bytes",
        hint="the first is, say, (b' ', b't'): the tokens themselves, not their ids",
        observed=merges,
    )
    return vocab, merges


def check_merges(merges, expected, text: str, what: str, hint: str, special_tokens=()) -> None:
    received = list(map(tuple, merges))
    if received != expected:
        wrong = bpe_oracle.first_wrong_merge(text, received, expected, special_tokens)
        if ("in a tie" in wrong) != (hint == TIES):
            hint = TIES if "in a tie" in wrong else ""
        check.equal(received, expected, what=f"{what}: {wrong}", hint=hint)


@pytest.mark.problem("train_bpe", points=3)
def test_merges_of_a_small_text(adapters, tmp_path):
    expected = bpe_oracle.train(PROSE, 120)
    _, merges = train(adapters, tmp_path, PROSE, 256 + 120)
    check_merges(
        merges,
        expected,
        PROSE,
        "a small multilingual text",
        "in each step merge the pair that is most frequent over all pre-tokens, within pre-tokens",
    )


@pytest.mark.problem("train_bpe", points=2)
def test_ties_go_to_the_greatest_pair(adapters, tmp_path):
    # Every pair occurs equally often. Comparing the joined bytes, or comparing ids, differs:
    # (b"a", b"z") < (b"az", b"") never arises here, but (" ", "zz") against (" z", "y") does.
    text = "zy az ab ba by yz za ya xa ax bx xb aza zaz byb"
    expected = bpe_oracle.train(text, 24)
    _, merges = train(adapters, tmp_path, text, 256 + 24)
    check_merges(
        merges,
        expected,
        text,
        "a text whose pairs are equally frequent",
        TIES,
    )


@pytest.mark.problem("train_bpe", points=2)
@given(st.text(alphabet="ab c", min_size=1, max_size=60), st.integers(1, 12))
def test_repeated_letters(adapters, tmp_path_factory, text, num_merges):
    expected = bpe_oracle.train(text, num_merges)
    folder = tmp_path_factory.mktemp("repeated")
    _, merges = train(adapters, folder, text, 256 + num_merges)
    check_merges(
        merges,
        expected,
        text,
        repr(text),
        "overlapping pairs such as those of 'aaa' all count; a merge replaces them left to right",
    )


@pytest.mark.problem("train_bpe", points=2)
def test_pre_tokens_are_gpt2s(adapters, tmp_path):
    # Each of these is cut otherwise by split(), by \\w+ and by a pattern without its space prefix.
    text = (
        "can't can't can't we'll we'll I'm I'm x1y22 x1y22 x1y22 foo_bar foo_bar foo_bar "
        "a.b.c a.b.c ... ... ...   three   spaces   three   spaces\n\n\nlines\n\n\nlines "
        "naïveté naïveté 12 345 12 345 ½½ ½½ ²² don’t don’t don’t"
    )
    expected = bpe_oracle.train(text, 60)
    _, merges = train(adapters, tmp_path, text, 256 + 60)
    check_merges(
        merges,
        expected,
        text,
        "contractions, digits, punctuation and runs of spaces",
        "pre-tokenize with GPT-2's pattern (the handout gives it) and the `regex` module",
    )


@pytest.mark.problem("train_bpe", points=2)
@pytest.mark.parametrize(
    "special_tokens",
    [
        ["<|endoftext|>"],
        ["[SEP]", "a+b", "$."],
        ["<|end|>", "<|end|><|end|>", "<|e"],
    ],
    ids=["one", "regex characters", "overlapping"],
)
def test_special_tokens_are_boundaries(adapters, tmp_path, special_tokens):
    documents = ["the end of the endless text", " of endings and ends", "text|end|text <text>"]
    separators = [*special_tokens, special_tokens[0]]
    text = "".join(
        documents[i % 3] + separators[i % len(separators)] for i in range(4 * len(separators))
    )
    expected = bpe_oracle.train(text, 40, special_tokens)
    vocab, merges = train(adapters, tmp_path, text, 256 + 40 + len(special_tokens), special_tokens)
    check_merges(
        merges,
        expected,
        text,
        f"special tokens {special_tokens}",
        "cut the text at special tokens (longest first, escaped) before pre-tokenization and do "
        "not count them",
        special_tokens,
    )
    for token in special_tokens:
        check.true(
            token.encode() in vocab.values(),
            f"the special token {token!r} is missing from the vocabulary",
        )


@pytest.mark.problem("train_bpe", points=1)
@pytest.mark.parametrize("special_tokens", [[], ["<|endoftext|>"], ["<|a|>", "<|b|>"]])
def test_vocabulary(adapters, tmp_path, special_tokens):
    size = 256 + len(special_tokens) + 30
    given = sorted(special_tokens, reverse=True)
    vocab, merges = train(adapters, tmp_path, PROSE, size, given)
    check.equal(
        given,
        sorted(special_tokens, reverse=True),
        what="run_train_bpe changes the list special_tokens",
        hint="it belongs to the caller: sorted(special_tokens) in place of special_tokens.sort()",
    )
    check.true(
        all(isinstance(pair, tuple) for pair in merges),
        "the pairs of merges are no tuples",
        hint="a list is no key of a dict, and encoding needs to look pairs up",
        observed=merges,
    )
    check.equal(len(vocab), size, what="size of the vocabulary")
    check.equal(len(merges), 30, what="number of merges: vocabulary less bytes and special tokens")
    check.equal(sorted(vocab), list(range(size)), what="token ids are 0, 1, 2, ...")
    special = {token.encode() for token in special_tokens}
    in_order = [bytes(vocab[i]) for i in range(size) if vocab[i] not in special]
    check.equal(
        in_order,
        [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges],
        what="the vocabulary in the order of its ids, special tokens left out",
        hint="first the 256 single bytes in order, then one token a merge in the order of merges",
    )


@pytest.mark.problem("train_bpe", points=1)
def test_nothing_left_to_merge(adapters, tmp_path):
    vocab, merges = train(adapters, tmp_path, "abc abc", 1000)
    check_merges(
        merges,
        bpe_oracle.train("abc abc", 1000),
        "abc abc",
        "a text too small for the vocabulary",
        "stop when no pair is left",
    )
    check.equal(len(vocab), 256 + len(merges), what="size of the vocabulary when merges run out")


@pytest.mark.problem("train_bpe", points=1)
def test_file_of_many_documents(adapters, tmp_path):
    """A file large enough to be read in pieces; its cuts must not split words or characters."""
    story = "Once upon a time there was a naïve 日本 fox. It said: “hello” 1234 times.\n\n"
    stories = [story.replace("fox", name) * 40 for name in ("fox", "vixen", "狐狸", "señor fox")]
    text = "<|endoftext|>".join(stories * 25)
    expected = bpe_oracle.train(text, 50, ["<|endoftext|>"])
    _, merges = train(adapters, tmp_path, text, 256 + 1 + 50, ["<|endoftext|>"])
    check_merges(
        merges,
        expected,
        text,
        f"a file of {len(text.encode()) / 1e6:.1f} MB",
        "when you cut the file into chunks, cut at the beginning of a special token",
        ["<|endoftext|>"],
    )
