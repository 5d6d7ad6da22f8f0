"""The plain and the compiled encoder give tiktoken's ids, on any text, in any state."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import encode_word, naive, plain, word_cache
from assignment1_basics.reference.tokenizer.encode import CompiledEncoder
from assignment1_basics.reference.tokenizer.encode_word import SCAN_UP_TO
from assignment1_basics.reference.tokenizer.plain import NotUtf8Error
from assignment1_basics.reference.tokenizer.special_tokens import SpecialMatch
from tests.assignment1_basics.reference.tokenizer_samples import (
    ENGLISH,
    encoders,
    texts,
    tiktoken_twin,
    trained,
)


@pytest.fixture(params=["plain", "compiled"])
def encoder(request):
    return encoders()[request.param]


def ids_of(encoder, text: str | bytes, specials=()) -> list[int]:
    data = text.encode() if isinstance(text, str) else text
    ids, consumed = encoder.encode(data, specials)
    assert consumed == len(data)
    return list(map(int, ids))


@settings(max_examples=400)
@given(text=texts)
@example("")
@example("\x00\x00")  # the key of this pair is 0, like that of an empty entry
def test_equals_tiktoken(encoder, text):
    assert ids_of(encoder, text) == tiktoken_twin().encode_ordinary(text)


def test_equals_tiktoken_on_english(encoder):
    assert ids_of(encoder, ENGLISH) == tiktoken_twin().encode_ordinary(ENGLISH)


@settings(max_examples=50, deadline=None)
@given(word=st.text("abct ", min_size=1, max_size=12), repeats=st.integers(1, 40))
def test_equals_the_naive_algorithm(word, repeats):
    """Pre-tokens of all lengths around those where the compiled encoder changes its way."""
    vocab, merges = trained()
    text = word.replace(" ", "e") * repeats
    expected = naive.encode(text, vocab, merges)
    assert [ids_of(encoder, text) for encoder in encoders().values()] == [expected] * 2


@pytest.mark.parametrize("alphabet", ["a", "ab", "aaaaab", "etaoin", "- ", "é", "\x00\x01"])
def test_lengths_at_which_the_way_of_encoding_changes(alphabet):
    generator = random.Random(0)
    plain, compiled = encoders()["plain"], encoders()["compiled"]
    for length in [*range(1, 40), *range(SCAN_UP_TO - 3, SCAN_UP_TO + 4), 255, 1000, 5000]:
        text = "".join(generator.choices(alphabet, k=length))
        for _ in range(2):  # merged, then from the cache
            assert ids_of(compiled, text) == ids_of(plain, text)
            assert ids_of(compiled, text + "\nthe end of a text") == ids_of(
                plain, text + "\nthe end of a text"
            )


def test_words_that_compete_for_a_line_of_the_cache():
    """Thousands of words on 20 lines of two rows: each look-up finds another word's row."""
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, size=(600_000, 8), dtype=np.uint8)
    low = letters.view(np.uint64)[:, 0]
    mixed = (low * np.uint64(0x9E3779B97F4A7C15) + np.uint64(8 << 56)) * np.uint64(
        0xD6E8FEB86659FD93
    )
    lines = (mixed >> np.uint64(32)).astype(np.int64) & ((1 << 18) - 1)  # as `line_of`
    competing = letters[lines < 40]
    assert len(competing) > 60
    chosen = competing[generator.integers(0, len(competing), size=2000)]
    text = b"\n".join(map(bytes, chosen))
    assert ids_of(encoders()["compiled"], text) == ids_of(encoders()["plain"], text)


@settings(max_examples=200)
@given(text=texts, more=texts)
def test_what_is_settled_does_not_depend_on_what_follows(encoder, text, more):
    data, whole = text.encode(), (text + more).encode()
    ids, consumed = encoder.encode(data, [], settled=len(data))
    assert list(ids) + ids_of(encoder, whole[consumed:]) == ids_of(encoder, whole)
    data[:consumed].decode()  # whole characters


def test_what_is_settled_is_nearly_all(encoder):
    data = ENGLISH.encode()[:100_000]
    _, consumed = encoder.encode(data, [], settled=len(data))
    assert len(data) - consumed < 30


def test_special_tokens_end_a_text(encoder):
    # Two spaces and a special token: at the end of a text the spaces stay together.
    ids = tiktoken_twin().encode_ordinary
    specials = [SpecialMatch(3, 6, 7_000), SpecialMatch(6, 9, 8_000)]
    assert ids_of(encoder, b"a  <s><e>  b", specials) == [*ids("a  "), 7_000, 8_000, *ids("  b")]


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=30), texts.map(str.encode)), st.binary(max_size=4), st.data())
def test_refuses_what_python_refuses(encoder, data, garbage, draw):
    where = draw.draw(st.integers(0, len(data)))
    data = data[:where] + garbage + data[where:]
    offset = first_malformed(data)
    if offset is None:
        ids_of(encoder, data)
        return
    with pytest.raises(NotUtf8Error) as refused:
        encoder.encode(data, [])
    assert (refused.value.offset, refused.value.byte) == (offset, data[offset])


def first_malformed(data: bytes) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def test_encodes_after_an_error(encoder):
    with pytest.raises(NotUtf8Error):
        encoder.encode(b"the \xff", [])
    assert ids_of(encoder, " the end") == tiktoken_twin().encode_ordinary(" the end")


@pytest.mark.parametrize("character", ["a", " ", "é"])
def test_one_character_a_million_times_is_not_quadratic(character):
    text = character * 1_000_000
    began = time.process_time()
    ids = ids_of(encoders()["compiled"], text)
    seconds = time.process_time() - began
    assert seconds < 10  # it takes 0.3 s; quadratic would be several minutes
    assert b"".join(trained().vocab[token] for token in ids) == text.encode()
    began = time.process_time()
    assert ids_of(encoders()["plain"], text[:200_000]) == ids_of(
        encoders()["compiled"], text[:200_000]
    )
    assert time.process_time() - began < 20  # 0.6 s; quadratic would be an hour


def test_threads_share_an_encoder():
    compiled = encoders()["compiled"]
    parts = [ENGLISH[i : i + 40_000] for i in range(0, 400_000, 20_000)]
    with ThreadPoolExecutor(4) as pool:
        received = list(pool.map(lambda text: ids_of(compiled, text), parts * 5))
    assert received == [tiktoken_twin().encode_ordinary(text) for text in parts] * 5


def test_merges_that_training_never_makes_are_refused():
    byte_ids = list(range(256))
    known = {(97, 98): (0, 256), (256, 99): (1, 257)}
    CompiledEncoder(byte_ids, known)
    for merges in [
        {(97, 98): (0, 257), (300, 99): (1, 258)},  # uses a token that nothing makes
        {(256, 99): (0, 257), (97, 98): (1, 256)},  # uses a token before it is made
        {(97, 98): (0, 256), (98, 99): (1, 256)},  # makes a token twice
        {(97, 98): (0, 99)},  # makes a byte
    ]:
        with pytest.raises(ValueError, match="plain"):
            CompiledEncoder(byte_ids, merges)
    with pytest.raises(ValueError, match="plain"):
        CompiledEncoder([-1, *byte_ids[1:]], known)


def test_the_plain_encoder_remembers_few_words_and_short_ones(monkeypatch):
    monkeypatch.setattr(plain, "_CACHED_WORDS", 3)
    encoder = plain.PlainEncoder(range(256), {})
    for word in ["a", "b", "c", "d", "x" * 100]:
        assert encoder.encode(word.encode(), ())[0] == list(word.encode())
        assert len(encoder._cache) <= 3
    assert "x" * 100 not in encoder._cache
    assert "d" in encoder._cache


LETTERS = "etaoinsh"


def long_words(count, length, ending=""):
    generator = random.Random(0)
    return ["".join(generator.choices(LETTERS, k=length)) + ending for _ in range(count)]


@pytest.mark.parametrize("words", [
    long_words(9000, 8, "theories"),  # two that share a row of the cache differ at the front only
    [word[:length] for word in long_words(2500, 24) for length in (24, 23, 22, 20, 19, 17, 16)],
], ids=["the same ending", "the same beginning"])  # fmt: skip
def test_long_words_that_share_a_row_of_the_cache_are_told_apart(words):
    """There are 4,096 rows."""
    text = "\n".join(words)
    assert ids_of(encoders()["compiled"], text) == ids_of(encoders()["plain"], text)


def test_a_word_of_too_many_ids_is_not_remembered():
    """There is room for 94; those of another row come behind."""
    encoder = CompiledEncoder(range(256), {})
    text = "".join(long_words(1, 128))
    assert ids_of(encoder, text) == list(text.encode())
    assert not encoder._idle_caches[0][word_cache._LONG :].any()


@pytest.mark.parametrize("room", [-1, 0])
def test_more_merges_than_numbers_need_the_plain_encoder(monkeypatch, room):
    byte_ids, pairs = list(range(256)), {(97, 98): (0, 256), (98, 99): (1, 257)}
    monkeypatch.setattr(encode_word, "_ID_MASK", 256 + len(pairs) + room)
    assert (encode_word.renumber(byte_ids, pairs) is None) == (room < 0)
