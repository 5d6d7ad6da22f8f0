"""Encoding and decoding, against the plainest algorithm and against tiktoken."""

import functools
import itertools
import random
import time

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import bpe_oracle
from tests.assignment1_basics.test_train_bpe import PROSE

SPECIAL = ["<|endoftext|>", "<|endoftext|><|endoftext|>", "[pad]"]
# Lone surrogates are no text, and about unassigned code points Unicode versions disagree.
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40)


@functools.cache
def trained(special_tokens: tuple[str, ...] = ()):
    """A vocabulary and merges of 300 merges over a small multilingual text."""
    merges = bpe_oracle.train(PROSE, 300)
    return bpe_oracle.vocabulary(merges, special_tokens), merges


@functools.cache
def tiktoken_peer() -> tiktoken.Encoding:
    """The same vocabulary in tiktoken, whose encoder is GPT-2's."""
    vocab, _ = trained()
    ranks = {token: number for number, token in reversed(vocab.items())}
    return tiktoken.Encoding(
        "peer", pat_str=bpe_oracle.GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )


def check_ids(ids, expected, text: str, hint: str) -> None:
    check.true(
        isinstance(ids, list),
        f"encode returns {'None' if ids is None else f'a {type(ids).__name__}'}, not a list of ids",
        observed=type(ids).__name__,
    )
    check.equal(ids, list(expected), what=f"ids of {text!r}", hint=hint)


@pytest.mark.problem("tokenizer", points=2)
@pytest.mark.parametrize(
    "text",
    [
        "the widest window of the widow",
        " Don't you'd they'll I'VE we're 'tis",
        "It cost 1234 in 1999, or 12.50.",
        "  two spaces \n\n\t tab   \n",
        "naïve café 日本語 Ελληνικά русский 🙂🇳🇴",
        "",
        " ",
    ],
)
def test_encode(adapters, text):
    vocab, merges = trained()
    ids = adapters.get_tokenizer(vocab, merges).encode(text)
    check_ids(
        ids,
        bpe_oracle.encode(text, vocab, merges),
        text,
        "cut the text by GPT-2's pattern; in each piece apply the merges in order of training",
    )


@pytest.mark.problem("tokenizer", points=2)
@given(ANY_TEXT)
def test_encode_equals_tiktoken(adapters, text):
    vocab, merges = trained()
    ids = adapters.get_tokenizer(vocab, merges).encode(text)
    check_ids(ids, tiktoken_peer().encode_ordinary(text), text, "tiktoken gives other ids")


@pytest.mark.problem("tokenizer", points=2)
def test_merges_apply_in_order_of_training(adapters):
    # "abcd": the earliest merge is bc, so "ab", though it comes first in the text, never forms.
    merges = [(b"b", b"c"), (b"a", b"b"), (b"c", b"d"), (b"a", b"bc"), (b"abc", b"d")]
    merges += [(b"x", b"y"), (b"y", b"z"), (b"xy", b"yz"), (b"e", b"e"), (b"ee", b"e")]
    vocab = bpe_oracle.vocabulary(merges)
    tokenizer = adapters.get_tokenizer(vocab, merges)
    for text in ["abcd", "ab", "cd", "xyz", "xyyz", "eeeee", "eeeeeee", "dabcbcd"]:
        check_ids(
            tokenizer.encode(text),
            bpe_oracle.encode(text, vocab, merges),
            text,
            "of all pairs in the piece, the one merged earliest in training goes first",
        )


@pytest.mark.problem("tokenizer", points=1)
def test_ids_come_from_the_vocabulary(adapters):
    vocab, merges = trained(("<|endoftext|>",))
    numbers = list(vocab)
    random.Random(0).shuffle(numbers)
    shuffled = {3 * number: token for number, token in zip(numbers, vocab.values(), strict=True)}
    tokenizer = adapters.get_tokenizer(shuffled, merges, ["<|endoftext|>"])
    text = "the lowest widow<|endoftext|>banana"
    expected = bpe_oracle.encode(text, shuffled, merges, ["<|endoftext|>"])
    hint = "look ids up in `vocab`: they need not be bytes first, nor in the order of merges"
    check_ids(tokenizer.encode(text), expected, text, hint)
    check.equal(tokenizer.decode(expected), text, what="decoded text", hint=hint)


@pytest.mark.problem("tokenizer", points=2)
@pytest.mark.parametrize(
    "text",
    [
        "one<|endoftext|>two",
        "<|endoftext|><|endoftext|>",
        "<|endoftext|><|endoftext|><|endoftext|> the end",
        "[pad] [pad][pad] pad <|endoftext|",
        "the low<|endoftext|>est",
    ],
)
def test_special_tokens(adapters, text):
    vocab, merges = trained(tuple(SPECIAL))
    tokenizer = adapters.get_tokenizer(vocab, merges, list(SPECIAL))
    ids = tokenizer.encode(text)
    check_ids(
        ids,
        bpe_oracle.encode(text, vocab, merges, SPECIAL),
        text,
        "a special token is one id; where several match at one place, the longest wins",
    )
    check.equal(tokenizer.decode(ids), text, what=f"decode(encode({text!r}))")


@pytest.mark.problem("tokenizer", points=1)
def test_special_tokens_only_where_asked(adapters):
    vocab, merges = trained(tuple(SPECIAL))
    text = "one<|endoftext|>two"
    check_ids(
        adapters.get_tokenizer(vocab, merges).encode(text),
        bpe_oracle.encode(text, vocab, merges),
        text,
        "without `special_tokens` the text of a special token is ordinary text",
    )


@pytest.mark.problem("tokenizer", points=0.5)
def test_special_tokens_that_the_vocabulary_lacks(adapters):
    vocab, merges = trained(("<|endoftext|>",))
    given, size = dict(vocab), len(vocab)
    special = ["[pad]", "<|endoftext|>", "[mask]"]
    tokenizer = adapters.get_tokenizer(given, merges, special)
    text = "one[mask]<|endoftext|> two[pad]"
    check_ids(
        tokenizer.encode(text),
        bpe_oracle.encode(text, {**vocab, size: b"[pad]", size + 1: b"[mask]"}, merges, special),
        text,
        "special tokens that `vocab` lacks get the next free ids, in the order of the list",
    )
    check.equal(tokenizer.decode([size, size + 1]), "[pad][mask]", what="text of their ids")
    check.equal(len(given), size, what="get_tokenizer changes vocab", hint="copy it: dict(vocab)")


# A piece of 4,800 letters and one of 800: six times the work if a heap or a sweep for each merge
# finds the pairs, 36 times if every single merge goes over the whole piece. CPU time, of the best
# of three texts that no cache has seen, and only where it is long enough to be measured.
@pytest.mark.problem("tokenizer", points=1)
def test_one_long_pre_token(adapters):
    vocab, merges = trained()
    tokenizer = adapters.get_tokenizer(vocab, merges)

    numbers = itertools.count(1)

    def seconds(letters: int, tries: int) -> float:
        times = []
        for _ in range(tries):
            text = "banana" * (letters // 6) + "b" * next(numbers)
            start = time.process_time()
            tokenizer.encode(text)
            times.append(time.process_time() - start)
        return min(times)

    slow = seconds(4800, 1) > 0.2 and seconds(4800, 2) > 15 * seconds(800, 3)
    check.true(
        not slow,
        "a pre-token six times as long takes more than 15 times as long",
        hint="do not go over all of it for each single merge: merge every place of a pair in one "
        "sweep, or keep the pairs in a heap over a linked list",
    )


@pytest.mark.problem("tokenizer", points=1)
def test_decode_malformed_bytes(adapters):
    vocab, merges = trained()
    tokenizer = adapters.get_tokenizer(vocab, merges)
    ids = {token: number for number, token in vocab.items()}
    for raw in [b"\xff", b"a\xe6\x97", b"\xf0\x9f\x99\x82", b"\x80\x80b", b""]:
        check.equal(
            tokenizer.decode([ids[bytes([byte])] for byte in raw]),
            raw.decode("utf-8", errors="replace"),
            what=f"text of the bytes {raw!r}",
            hint="join the bytes of all tokens first, then decode with errors='replace'",
        )


@pytest.mark.problem("tokenizer", points=0.5)
@given(ANY_TEXT)
def test_round_trip(adapters, text):
    vocab, merges = trained(tuple(SPECIAL))
    tokenizer = adapters.get_tokenizer(vocab, merges, list(SPECIAL))
    check.equal(tokenizer.decode(tokenizer.encode(text)), text, what="decode(encode(text))")
