"""Encoding a stream: the same ids, little of it held at a time."""

import functools
import itertools
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import bpe_oracle
from tests.assignment1_basics.test_tokenizer import trained

SPECIAL = ["<|endoftext|>"]
LINE = "The lowest widow's window widened in 1999; naïve café 日本語.\n"


@pytest.mark.problem("encode_iterable", points=0.5, needs=["tokenizer"])
def test_lines(adapters):
    vocab, merges = trained(tuple(SPECIAL))
    lines = [LINE, "banana<|endoftext|>bandana\n", " two\n", "last line without an end"]
    ids = adapters.get_tokenizer(vocab, merges, SPECIAL).encode_iterable(iter(lines))
    check.equal(
        list(ids),
        bpe_oracle.encode("".join(lines), vocab, merges, SPECIAL),
        what="ids of a stream of lines",
    )


@pytest.mark.problem("encode_iterable", points=1, needs=["tokenizer"])
def test_lazy(adapters):
    vocab, merges = trained(tuple(SPECIAL))
    consumed, limit = 0, 2000  # lines; 120,000 characters for 1,000 ids are generous

    def endless():
        nonlocal consumed
        while True:
            consumed += 1
            check.true(
                consumed < limit,
                f"encode_iterable read {limit:,} lines before it gave 1,000 ids",
                hint="yield the ids of a piece before you read the next one",
            )
            yield LINE

    ids = adapters.get_tokenizer(vocab, merges, SPECIAL).encode_iterable(endless())
    check.equal(
        list(itertools.islice(ids, 1000)),
        bpe_oracle.encode(LINE * 60, vocab, merges, SPECIAL)[:1000],
        what="first 1,000 ids of an endless stream",
    )


@pytest.mark.problem("encode_iterable", points=1, needs=["tokenizer"])
def test_constant_memory(adapters):
    vocab, merges = trained(tuple(SPECIAL))
    tokenizer = adapters.get_tokenizer(vocab, merges, SPECIAL)

    def peak_bytes(num_lines: int) -> int:
        tracemalloc.start()
        for _ in tokenizer.encode_iterable(itertools.repeat(LINE, num_lines)):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    peak_bytes(100)  # caches fill once
    small, large = peak_bytes(1_000), peak_bytes(8_000)
    check.true(
        large < 2 * small + 100_000,
        f"peak memory grew from {small:,} to {large:,} bytes as the stream became 8 times longer",
        hint="do not collect the text or the ids in a list",
    )


@pytest.mark.problem("encode_iterable", points=0.5, needs=["tokenizer"])
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_chunking_does_not_matter(adapters, lengths):
    vocab, merges = trained(tuple(SPECIAL))
    text = "the  widest<|endoftext|>window's \n\n\n end  of 1999 日本語🙂 bananas" * 2
    chunks, start = [], 0
    for length in itertools.cycle(lengths):
        chunks.append(text[start : start + length])
        start += length
        if start >= len(text):
            break
    ids = adapters.get_tokenizer(vocab, merges, SPECIAL).encode_iterable(iter(chunks))
    check.equal(
        list(ids),
        bpe_oracle.encode(text, vocab, merges, SPECIAL),
        what=f"ids of a text that arrives in chunks of {lengths[:6]} ... characters",
        hint="a pre-token or a special token may continue in the next chunk: hold the last ones "
        "back until you know",
    )


# Whoever collects some thousand characters before encoding never cuts a short text. Here every
# chunk ends where it matters how the text goes on, in more text than a lazy reader may hold.
@pytest.mark.problem("encode_iterable", points=1, needs=["tokenizer"])
def test_long_stream(adapters):
    vocab, merges = trained(tuple(SPECIAL))
    draw = random.Random(0)
    words = [" the", " widest", " window's", "<|endoftext|>", "  ", "\n", "!!", " 1999", "日本語🙂"]
    ends = ["<|endoftext|", ">"], ["<|end", "oftext|>"], ["'l", "l"], [" they'", "ve"], [" ", " on"]
    ends += ["wid", "ow"], ["19", "99"], ["日", "本語"], ["\n", " \n"], [" !", "!!"]
    chunks = [""]
    while sum(map(len, chunks)) < 150_000:
        left, right = draw.choice(ends)
        chunks[-1] += left
        chunks.append(right + "".join(draw.choices(words, k=draw.choice([1, 9, 99]))))
    text = "".join(chunks)

    @functools.cache
    def ids_of(piece: str) -> list[int]:
        return bpe_oracle.encode(piece, vocab, merges, SPECIAL)

    pieces = bpe_oracle.pre_tokens(text, SPECIAL)
    check.equal(
        list(adapters.get_tokenizer(vocab, merges, SPECIAL).encode_iterable(iter(chunks))),
        list(itertools.chain.from_iterable(map(ids_of, pieces))),
        what=f"ids of {len(text):,} characters that arrive in {len(chunks)} chunks",
        hint="where you cut what you have collected, a pre-token or a special token may go on: "
        "'l and then l are one contraction, 'll",
    )
