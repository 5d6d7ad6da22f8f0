"""The fast trainer makes the merges of the naive one, to the last, on whatever text."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import naive
from assignment1_basics.reference.tokenizer.train import train_bpe
from course.errors import UserError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"

    def write(text):
        path.write_bytes(text.encode())
        return path

    return write


def words_over(alphabet, longest):
    return st.lists(st.text(alphabet, min_size=1, max_size=longest), min_size=1, max_size=30)


@given(
    words=st.one_of(
        words_over("a", 60),
        words_over("ab", 30),
        words_over("abc", 12),
        words_over("aé ", 8),
        words_over("abcdefgh \n'.1", 10),
    ),
    repeats=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    n_merges=st.integers(0, 150),
)
@settings(max_examples=300)
def test_equals_the_naive_algorithm(file, words, repeats, n_merges):
    text = " ".join(word for word, n in zip(words, repeats, strict=False) for _ in range(n))
    vocab, merges = train_bpe(file(text), 256 + n_merges)
    assert (vocab, merges) == naive.train_bpe(text, 256 + n_merges)


@given(
    parts=st.lists(
        st.sampled_from(["ab", "abab", " ", "a", "b ", "<s>", "<s><s>", "<", "s>", "x y", "\n"]),
        min_size=1,
        max_size=60,
    ),
    special_tokens=st.lists(st.sampled_from(["<s>", "<s><s>", "x y", "ab "]), unique=True),
)
@settings(max_examples=200)
def test_equals_the_naive_algorithm_with_special_tokens(file, parts, special_tokens):
    text = "".join(parts)
    vocab, merges = train_bpe(file(text), 300, special_tokens)
    assert (vocab, merges) == naive.train_bpe(text, 300, special_tokens)


def test_equals_the_naive_algorithm_on_english(file):
    text = Path(naive.__file__).read_text() * 2 + Path(np.__file__).read_text()[:10_000]
    vocab, merges = train_bpe(file(text), 800, ["def"])
    assert (vocab, merges) == naive.train_bpe(text, 800, ["def"])


def test_equals_the_naive_algorithm_while_its_tables_grow(file):
    """Thousands of distinct pairs, most of them of equal counts."""
    generator = np.random.default_rng(0)
    letters = np.array([chr(i) for i in range(ord("A"), ord("Z") + 1)])
    text = " ".join("".join(generator.choice(letters, size=25)) for _ in range(100))
    vocab, merges = train_bpe(file(text), 256 + 1500)
    assert (vocab, merges) == naive.train_bpe(text, 256 + 1500)
    vocab, merges = train_bpe(file(text), 100_000)
    assert set(naive.pretokens(text)) <= set(vocab.values())  # until no pair is left
    assert len(set(vocab.values())) == len(vocab)  # no two merges make the same token


def test_threads_do_not_matter(file):
    text = Path(np.__file__).read_text()
    results = [train_bpe(file(text), 600, ["\n\n"], n_threads) for n_threads in (1, 2, 5)]
    assert results[0] == results[1] == results[2]


def test_time_is_linear_in_the_length_of_a_word(file):
    """4 MB of one letter. A merge halves the number of symbols, so there are 22."""
    began = time.perf_counter()
    merges = train_bpe(file("a" * (1 << 22)), 1000).merges
    assert time.perf_counter() - began < 10  # 0.1 s; quadratic would be hours
    assert merges == [(b"a" * (1 << i), b"a" * (1 << i)) for i in range(22)]


def test_long_words_of_two_letters(file):
    text = "ab" * 300_001 + " " + "ba" * 300_001
    began = time.perf_counter()
    merges = train_bpe(file(text), 280).merges
    assert time.perf_counter() - began < 10
    assert merges[:3] == [(b"b", b"a"), (b"ba", b"ba"), (b"baba", b"baba")]


def test_special_tokens_come_first_and_doubles_count_once(file):
    vocab, merges = train_bpe(file("ab<|x|>ab"), 258, ["<|x|>", "<|x|>"])
    assert vocab[0] == b"<|x|>"
    assert vocab[1] == b"\x00"
    assert merges == [(b"a", b"b")]


def test_progress_reports_both_stages(file):
    seen = []
    train_bpe(file("some words and more words" * 9), 266, progress=lambda *n: seen.append(n))
    assert ("counting", 225, 225) in seen
    assert [n for n in seen if n[0] == "merging"] == [("merging", i, 10) for i in range(1, 11)]


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "message"),
    [
        (255, [], "vocab_size 255 is too small; 256 bytes and the special tokens need"),
        (257, ["<a>", "<b>"], "need at least 258"),
        (300, [""], "a special token is empty"),
        (300, ["\ud800"], "is not valid Unicode"),
    ],
)
def test_wrong_arguments_are_named(file, vocab_size, special_tokens, message):
    with pytest.raises(UserError, match=message):
        train_bpe(file("text"), vocab_size, special_tokens)
