"""The tokenizer as a user has it: special tokens, streams, surrogates, ids of any numbering."""

import copy
import itertools
import pickle
import random
import re
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import naive, stream
from assignment1_basics.reference.tokenizer import tokenizer as tokenizer_module
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course.errors import UserError
from tests.assignment1_basics.reference.tokenizer_samples import (
    ENGLISH,
    EOT,
    texts,
    tiktoken_twin,
    tokenizer,
    trained,
)

HANDOUT_VOCAB = dict(
    enumerate([b" ", b"a", b"c", b"e", b"h", b"t", b"th", b" c", b" a", b"the", b" at"])
)
HANDOUT_MERGES = [(b"t", b"h"), (b" ", b"c"), (b" ", b"a"), (b"th", b"e"), (b" a", b"t")]


@pytest.fixture(params=["plain", "compiled"])
def encoder_limit(request, monkeypatch):
    """Make new tokenizers encode all with one of the two encoders."""
    limit = {"plain": 1 << 60, "compiled": -1}[request.param]
    monkeypatch.setattr(tokenizer_module, "PLAIN_BYTES", limit)


@settings(max_examples=300)
@given(texts)
def test_equals_tiktoken_with_special_tokens(text):
    ids = tokenizer().encode(text)
    assert ids == tiktoken_twin().encode(text, allowed_special="all")
    assert tokenizer().decode(ids) == text


@given(st.text(st.sampled_from("a \ud83d\ude00\ud800\udfff\ufeff\ufffd😀"), max_size=12))
def test_surrogates_are_encoded_as_tiktoken_does(text):
    assert tokenizer().encode(text) == tiktoken_twin().encode(text)


def test_surrogates_in_words():
    ids = tokenizer().encode
    assert ids("\ud83d\ude00") == ids("😀")
    assert ids("a\ud83d b\ude00") == ids("a\ufffd b\ufffd")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("<a><a>", ["<a><a>"]),
        ("<a><a><a>", ["<a><a>", "<a>"]),
        ("x<a>", ["x", "<a>"]),
        ("<a", ["<", "a"]),
        ("<ab<a>b", ["<ab<a>", "b"]),
        ("<ab<a", ["<", "ab", "<", "a"]),
        ("a b", ["a b"]),  # a special token with white space in it
        ("xa b", ["x", "a b"]),
        ("日本", ["日本"]),
    ],
)
@pytest.mark.usefixtures("encoder_limit")
def test_the_longest_special_token_wins(text, pieces):
    special = ["<a>", "<ab<a>", "a b", "<a><a>", "日本"]
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"ab"}
    ours = Tokenizer(vocab, [(b"a", b"b")], special)
    ids = [
        ours.special_tokens.get(piece) or ours.encode_word(piece.encode())[0] for piece in pieces
    ]
    assert ours.encode(text) == ids
    assert list(ours.encode_iterable(text)) == ids


def test_special_tokens_get_their_own_or_the_next_free_ids():
    vocab = {i: bytes([i]) for i in range(256)} | {300: b"<b>", 7_000: b"<b><b>"}
    ours = Tokenizer(vocab, [], ["<new>", "<b>", "<newer>", "<new>"])
    assert ours.special_tokens == {"<new>": 7_001, "<b>": 300, "<newer>": 7_002}
    assert ours.vocab_size == 7_003
    assert ours.decode([7_001, 97, 300, 7_000]) == "<new>a<b><b><b>"


@pytest.mark.parametrize(
    ("special", "message"), [("", "is empty"), ("\ud800", "is not valid Unicode")]
)
def test_impossible_special_tokens(special, message):
    with pytest.raises(UserError, match=message):
        Tokenizer(HANDOUT_VOCAB, HANDOUT_MERGES, [special])


def test_the_example_of_the_handout():
    """A vocabulary without most bytes."""
    ours = Tokenizer(HANDOUT_VOCAB, HANDOUT_MERGES)
    assert ours.encode("the cat ate") == [9, 7, 1, 5, 10, 3]
    assert ours.encode_array("the cat ate " * 100_000).tolist()[:6] == [9, 7, 1, 5, 10, 3]
    with pytest.raises(UserError, match="byte 0x64 of b'dog' is not in the vocabulary"):
        ours.encode("dog")


@given(texts)
@settings(max_examples=100)
def test_ids_of_any_numbering(text):
    """As in GPT-2's files: the bytes are not in order, merges' ids neither."""
    vocab, merges = trained()
    ids = random.Random(0).sample(range(10, 100_000), len(vocab))
    shuffled = dict(zip(ids, vocab.values(), strict=True))
    new_id = dict(zip(vocab, ids, strict=True))
    for limit in (1 << 60, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokenizer_module, "PLAIN_BYTES", limit)
            ours = shuffled_tokenizer(limit, shuffled, merges)
            assert ours.encode(text) == [new_id[i] for i in tiktoken_twin().encode_ordinary(text)]


_shuffled: dict[int, Tokenizer] = {}


def shuffled_tokenizer(limit, vocab, merges) -> Tokenizer:
    return _shuffled.setdefault(limit, Tokenizer(vocab, merges))


@given(text=st.text("abcde f", max_size=30), data=st.data())
@settings(max_examples=100)
def test_any_merges_encode_as_the_lowest_rank_first(text, data):
    """Merges in an order that training never makes, some of them making the same token."""
    words = st.text("abcde", min_size=1, max_size=2).map(str.encode)
    merges = data.draw(st.lists(st.tuples(words, words), max_size=12, unique=True))
    tokens = {bytes([byte]) for byte in range(256)}
    tokens |= {part for merge in merges for part in (*merge, merge[0] + merge[1])}
    vocab = dict(enumerate(sorted(tokens)))
    id_of = {token: number for number, token in vocab.items()}
    expected = []
    for word in naive.pretokens(text):
        parts = [bytes([byte]) for byte in word]
        while ranked := [
            (merges.index(pair), i)
            for i, pair in enumerate(itertools.pairwise(parts))
            if pair in merges
        ]:
            _, i = min(ranked)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        expected += [id_of[part] for part in parts]
    ours = Tokenizer(vocab, merges)
    assert ours.encode(text) == expected
    assert list(ours._load_compiled().encode(text.encode(), [])[0]) == expected


def test_of_two_ids_with_the_same_bytes_the_lower_one_is_used():
    assert Tokenizer({5: b"a", 2: b"a", 9: b"a"}, []).encode("a") == [2]


def test_a_merge_that_is_listed_twice_counts_where_it_is_first():
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"ab", 257: b"bc"}
    merges = [(b"a", b"b"), (b"b", b"c"), (b"a", b"b")]
    assert Tokenizer(vocab, merges).encode("abc") == [256, ord("c")]


def test_vocabulary_and_merges_that_do_not_belong_together():
    vocab = {i: bytes([i]) for i in range(256)}
    with pytest.raises(UserError, match=r"merge 0 .* needs the token b'ab'"):
        Tokenizer(vocab, [(b"a", b"b")])


def test_decode_names_an_unknown_id():
    with pytest.raises(UserError, match="token id 99999 at position 1 is not in the vocabulary"):
        tokenizer().decode([5, 99_999])
    with pytest.raises(UserError, match="token id -1 at position 0"):
        tokenizer().decode([-1])


@given(st.lists(st.integers(0, 4256), max_size=20))
def test_decode_replaces_malformed_bytes(ids):
    data = b"".join(tokenizer().vocab[i] for i in ids)
    expected = data.decode(errors="replace")
    assert tokenizer().decode(ids) == expected
    assert tokenizer().decode(np.array(ids, dtype=np.uint16)) == expected
    assert tokenizer().decode(iter(ids)) == expected
    assert tokenizer().decode_bytes(ids) == data


@pytest.mark.usefixtures("encoder_limit")
def test_the_ways_to_encode_agree():
    ours = Tokenizer(*trained(), [EOT])
    text = (ENGLISH[:300_000] + EOT + "naïve 日本語 ") * 2
    expected = tiktoken_twin().encode(text, allowed_special="all")
    assert ours.encode(text) == expected
    for received in (
        ours.encode_array(text),
        ours.encode_array(text.encode()),
        ours.encode_array(text, threads=3),
    ):
        assert received.dtype == np.uint32
        assert received.tolist() == expected
    assert list(ours.encode_iterable(iter([text]))) == expected
    assert list(ours.encode_iterable(text.splitlines(keepends=True))) == expected


@pytest.mark.parametrize("ours", ["encode", "encode_array", "encode_iterable"])
def test_nothing_to_encode(ours):
    for nothing in ("", b"") if ours == "encode_array" else ("",):
        assert list(getattr(tokenizer(), ours)(nothing)) == []
    assert list(tokenizer().encode_iterable(["", "", ""])) == []
    assert tokenizer().decode([]) == ""


def test_the_change_to_the_compiled_encoder_does_not_show(monkeypatch):
    monkeypatch.setattr(tokenizer_module, "PLAIN_BYTES", 100_000)
    ours = Tokenizer(*trained(), [EOT])
    text = ENGLISH[:300_000]
    ids = []
    kinds = set()
    for token in ours.encode_iterable(iter(text[i : i + 700] for i in range(0, len(text), 700))):
        ids.append(token)
        kinds.add(type(ours._encoder_for(0)).__name__)
    assert ids == tiktoken_twin().encode(text)
    assert kinds == {"PlainEncoder", "CompiledEncoder"}


def test_a_prompt_is_encoded_without_loading_numba(tmp_path):
    tokenizer().save(tmp_path)
    code = (
        "import sys\n"
        "from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer\n"
        f"tokenizer = Tokenizer.load({str(tmp_path)!r})\n"
        "assert tokenizer.decode(tokenizer.encode('The widest window')) == 'The widest window'\n"
        "assert not {'numba', 'torch', 'tokenizers', 'tiktoken'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("encoder_limit")
def test_a_copy_gives_the_same_ids():
    ours = Tokenizer(*trained(), [EOT])
    ids = ours.encode("the widest window" + EOT)
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert copied.encode("the widest window" + EOT) == ids
        assert copied.hash == ours.hash


# ---------------------------------------------------------------------------------------------
# encode_iterable


@settings(max_examples=200)
@given(
    text=st.one_of(texts, st.text(st.sampled_from("a \ud83d\ude00\ud800\udfff'l<"), max_size=40)),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_chunking_does_not_matter(text, cuts):
    cuts = sorted(min(cut, len(text)) for cut in cuts)
    chunks = [text[i:j] for i, j in itertools.pairwise([0, *cuts, len(text)])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_FIRST_ATTEMPT", 1)  # else texts as short as these wait for the end
        assert list(tokenizer().encode_iterable(chunks)) == tokenizer().encode(text)
        assert list(tokenizer().encode_iterable(text)) == tokenizer().encode(text)  # by character


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(texts, min_size=5, max_size=20), size=st.integers(1, 5000))
@pytest.mark.parametrize("limit", [1 << 60, -1])
def test_chunking_of_long_texts_does_not_matter(limit, pieces, size):
    """Long enough that ids come before the end of the text."""
    special = [EOT, EOT + "\n" + EOT, "[pad]", "[pad]]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "PLAIN_BYTES", limit)
        ours = _streaming.setdefault(limit, Tokenizer(*trained(), special))
        text = "".join(itertools.islice(itertools.cycle([*pieces, EOT, " end\n"]), 400))
        chunks = (text[i : i + size] for i in range(0, len(text), size))
        assert list(ours.encode_iterable(chunks)) == ours.encode(text)


_streaming: dict[int, Tokenizer] = {}


def test_only_a_few_kilobytes_are_read_ahead():
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 10
            yield "windowing "

    ids = tokenizer().encode_iterable(endless())
    assert read == 0
    next(ids)
    assert read < 10_000
    for _ in itertools.islice(ids, 100_000):
        pass
    decoded = sum(len(trained().vocab[i]) for i in tokenizer().encode("windowing " * 100)) / 100
    assert decoded == 10
    assert read < 100_000 * 10


@pytest.mark.usefixtures("encoder_limit")
def test_memory_is_constant_on_one_giant_line():
    ours = Tokenizer(*trained(), [EOT])

    def peak(num_bytes: int) -> int:
        text = "the widest window in the world " * (num_bytes // 31)
        tracemalloc.start()
        for _ in ours.encode_iterable([text]):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(100_000)
    assert peak(1_600_000) < 1.5 * peak(200_000) < 4_000_000


def test_an_endless_pre_token_costs_linear_time():
    def seconds(num_bytes: int) -> float:
        began = time.process_time()
        count = sum(
            1 for _ in ours.encode_iterable(itertools.repeat("a" * 1000, num_bytes // 1000))
        )
        assert count > num_bytes / 100
        return time.process_time() - began

    ours = Tokenizer(*trained())
    ours.encode("a" * 2_000_000)  # the compiled encoder from here on
    seconds(100_000)
    assert seconds(3_200_000) < 16 * (seconds(400_000) + 0.1)  # quadratic: 64


# ---------------------------------------------------------------------------------------------
# Hash


def test_the_hash_tells_tokenizers_apart():
    vocab, merges = trained()
    others = [
        Tokenizer(vocab, merges),
        Tokenizer(vocab, merges, [EOT, "<s>"]),
        Tokenizer(vocab, merges[:-1], [EOT]),
        Tokenizer({i: t for i, t in vocab.items() if i != 4255}, merges[:-1], [EOT]),
        Tokenizer(vocab | {255: vocab[254], 254: vocab[255]}, merges, [EOT]),
        Tokenizer(vocab | {len(vocab): EOT.encode()}, merges),  # no text ever becomes that token
    ]
    hashes = [tokenizer().hash, *(other.hash for other in others)]
    assert len(set(hashes)) == len(hashes)
    assert re.fullmatch("[0-9a-f]{16}", hashes[0])
    assert Tokenizer(dict(reversed(vocab.items())), merges, [EOT]).hash == hashes[0]
