"""The scanner of 64-byte blocks finds the pre-tokens that `regex` finds, wherever blocks begin."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import naive
from assignment1_basics.reference.tokenizer.block_scanner import BLOCK, word_ends
from assignment1_basics.reference.tokenizer.compiled import kernel
from assignment1_basics.reference.tokenizer.memory import (
    address_of,
    byte_range_at,
    set_int64,
    trailing_zeros,
)
from assignment1_basics.reference.tokenizer.unicode_tables import character_classes
from tests.assignment1_basics.reference.tokenizer_samples import ENGLISH, texts

ALL_ASCII = "".join(map(chr, range(128)))


@kernel
def _scan(text: int, length: int, classes: int, ends: int, wanted: int, result: int) -> int:
    """Write all ends, `wanted` at a time; return their number, and where it stopped in `result`."""
    count, position = 0, 0
    while 0 <= position < length:
        found, position = word_ends(text, position, length, classes, ends + 8 * count, wanted)
        count += found
    set_int64(result, position)
    return count


def scan(data: bytes, wanted: int = 64) -> tuple[list[bytes], int]:
    """Return the pre-tokens and where the scanner stopped."""
    text, classes = np.frombuffer(data, dtype=np.uint8), character_classes()
    ends = np.empty(len(data) + wanted + BLOCK, dtype=np.int64)
    stopped = np.zeros(1, dtype=np.int64)
    count = _scan(
        *(address_of(text), len(data), address_of(classes)),
        *(address_of(ends), wanted, address_of(stopped)),
    )
    cuts = itertools.pairwise([0, *ends[:count].tolist()])
    return [data[start:end] for start, end in cuts], int(stopped[0])


def check(text: str, wanted: int = 64) -> None:
    assert scan(text.encode(), wanted) == (naive.pretokens(text), len(text.encode()))


@settings(max_examples=500)
@given(pieces=st.lists(texts, min_size=1, max_size=12), wanted=st.integers(1, 80))
def test_equals_regex(pieces, wanted):
    check("".join(pieces), wanted)


@settings(max_examples=500)
@given(st.text(st.sampled_from("aB1 \n'slv.é"), min_size=100, max_size=400))
def test_equals_regex_where_classes_change_all_the_time(text):
    check(text)


def test_equals_regex_on_every_order_of_classes():
    """All texts of six of these, one after the other, from every place in a block."""
    products = list(itertools.product([" ", "\n", "a", "1", "'", "s", "!"], repeat=6))
    random.Random(0).shuffle(products)
    text = "".join(map("".join, products))
    for shift in range(0, 64, 7):
        check("x" * shift + text)


@pytest.mark.parametrize(
    "before", ["", "a", "1", "!", " ", "  ", "\n", "\n ", " \n", "'", "a'", "é"]
)
def test_every_ascii_character_behind_every_class(before):
    for after in ["a", "1", "!", " ", "\n", "é", ""]:
        check("".join(before + character + after for character in ALL_ASCII) + "x" * 70)
        check("".join(before + character + after + " word" for character in ALL_ASCII))


@pytest.mark.parametrize(
    "suffix", ["'s", "'t", "'ll", "'ve", "'re", "'l", "'v", "'r", "'S", "'é", "''s"]
)
def test_contractions_at_every_place_of_a_block(suffix):
    for length in range(70):
        for end in ["", " and so on" * 10, "now" * 30, "é" * 40]:
            check("." + "a" * length + suffix + end)
            check(" " * length + suffix + end)


@pytest.mark.parametrize("character", ["a", " ", "\n", "'", "!", "7", "é"])
def test_runs_longer_than_a_block(character):
    for length in [62, 63, 64, 65, 66, 127, 128, 129, 1000]:
        for around in [("", ""), (" ", "a"), ("a", " b"), ("x ", "\n" * 70)]:
            check(around[0] + character * length + around[1] + "the end" * 20)


def test_equals_regex_on_english():
    check(ENGLISH)


@settings(max_examples=300)
@given(bad=st.binary(min_size=1, max_size=4), place=st.integers(0, 300))
def test_stops_where_python_stops(bad, place):
    data = ENGLISH.encode()[1000 : 1000 + place] + bad + ENGLISH.encode()[5000:5200]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        words, stopped = scan(data)
        assert ~stopped == error.start  # noqa: PT017
        assert b"".join(words) == data[: sum(map(len, words))]
    else:
        check(text)


def test_reads_nothing_behind_the_end():
    """What follows the end must not matter: it may be another text, or no memory at all."""
    text = "the end of a text "
    for behind in [b"", b"words" * 20, b"   " * 30, b"\xff" * 90]:
        data = np.frombuffer(text.encode() + behind, dtype=np.uint8)
        ends, stopped = np.zeros(200, dtype=np.int64), np.zeros(1, dtype=np.int64)
        count = _scan(
            *(address_of(data), len(text), address_of(character_classes())),
            *(address_of(ends), 64, address_of(stopped)),
        )
        assert (count, stopped[0]) == (6, len(text))


@kernel
def _masks(block: int, set_bits: int, lowest: int, highest: int, result: int) -> None:
    mask = byte_range_at(block, set_bits, lowest, highest)
    set_int64(result, mask)
    set_int64(result + 8, trailing_zeros(mask))


@given(st.binary(min_size=64, max_size=64), st.integers(0, 255), st.integers(0, 255), st.data())
def test_byte_range(block, set_bits, lowest, data):
    highest = data.draw(st.integers(lowest, 255))
    text, result = np.frombuffer(block, dtype=np.uint8), np.zeros(2, dtype=np.int64)
    _masks(address_of(text), set_bits, lowest, highest, address_of(result))
    within = [lowest <= byte | set_bits <= highest for byte in block]
    assert [bool(int(result[0]) >> i & 1) for i in range(64)] == within
    assert result[1] == (within.index(True) if any(within) else 64)
