"""Generation: the loop, the cached path, text that appears as soon as it is certain, batches."""

import dataclasses

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.generate import (
    CachedLogits,
    generate_batch,
    generate_tokens,
    room_for_new_tokens,
    stream_text,
)
from assignment1_basics.reference.model.sampling import Sampling
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError

GREEDY = Sampling(temperature=0.0)
SMALL = TransformerConfig(
    vocab_size=30, context_length=20, d_model=16, n_layers=2, n_heads=2, d_ff=24
)


def small_model(**changes) -> Transformer:
    config = dataclasses.replace(SMALL, **changes)
    return Transformer(config, torch.Generator().manual_seed(2)).requires_grad_(False)


def count_up(ids: list[int]) -> torch.Tensor:
    """A model that always predicts the last id plus one."""
    return torch.eye(10)[(ids[-1] + 1) % 10] * 50


def test_the_loop_feeds_back_what_it_draws_and_ends_after_a_stop_token():
    assert list(generate_tokens(count_up, [3], 4, GREEDY)) == [4, 5, 6, 7]
    assert list(generate_tokens(count_up, [3], 9, GREEDY, stop_token_ids={6, 8})) == [4, 5, 6]
    assert list(generate_tokens(count_up, [3], 0, GREEDY)) == []


def test_tokens_are_drawn_one_by_one_as_they_are_asked_for():
    calls = []

    def spy(ids):
        calls.append(ids)
        return count_up(ids)

    tokens = generate_tokens(spy, [3], 5, GREEDY)
    assert next(tokens) == 4
    assert next(tokens) == 5
    assert calls == [[3], [3, 4]]


@settings(max_examples=10)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=12), st.integers(0, 99))
def test_the_cached_path_draws_the_same_tokens_as_the_uncached_one(prompt, seed):
    model = small_model()

    def uncached(ids):
        return model(torch.tensor([ids]))[0, -1]

    def draw(next_token_logits):
        generator = torch.Generator().manual_seed(seed)
        return list(generate_tokens(next_token_logits, prompt, 8, Sampling(), (), generator))

    assert draw(CachedLogits(model)) == draw(uncached)


def test_only_new_tokens_go_through_the_model(monkeypatch):
    model, lengths = small_model(), []
    hidden_states = model.hidden_states

    def spy(ids, cache):
        lengths.append(ids.shape[1])
        return hidden_states(ids, cache)

    monkeypatch.setattr(model, "hidden_states", spy)
    list(generate_tokens(CachedLogits(model), [1, 2, 3, 4], 3, GREEDY))
    assert lengths == [4, 1, 1]


def test_room_for_new_tokens():
    model = small_model()
    assert room_for_new_tokens(model, [0] * 20) == 1
    prompt = [0] * 17
    tokens = generate_tokens(
        CachedLogits(model), prompt, room_for_new_tokens(model, prompt), GREEDY
    )
    assert len(list(tokens)) == 4
    with pytest.raises(UserError, match="the prompt has 21 tokens, the model's context 20"):
        room_for_new_tokens(model, [0] * 21)
    with pytest.raises(UserError, match="prompt is empty"):
        room_for_new_tokens(model, [])


# --- text ---

texts = st.text(st.sampled_from("abcé€😀\n"), max_size=12)


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    """Cut bytes into tokens, also within characters."""
    pieces, start = [], 0
    for length in lengths:
        pieces.append(data[start : start + length])
        start += length
    return [*pieces, data[start:]]


def stream(pieces: list[bytes], stops: list[str]) -> list[str]:
    return list(stream_text(range(len(pieces)), dict(enumerate(pieces)), stops))


def text_before_stop(text: str, stops: list[str]) -> str:
    """Read one character at a time; stop when a stop string is complete."""
    for end in range(len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return text


@given(
    texts,
    st.lists(st.integers(0, 5), max_size=12),
    st.lists(texts.filter(bool), max_size=3),
)
@example("ab", [2], ["abc", "b"])
@example("aab", [1, 1, 1], ["ab"])
@example("xabcx", [2, 1, 2], ["abc", "bc"])
def test_streamed_text_does_not_depend_on_where_tokens_begin(text, lengths, stops):
    pieces = stream(cut(text.encode(), lengths), stops)
    assert "".join(pieces) == text_before_stop(text, stops)
    assert "" not in pieces


def test_text_appears_as_soon_as_it_is_certain():
    pieces = [b"caf", "é".encode()[:1], "é".encode()[1:], b" E", b"N", b"d", b"END", b"!"]
    tokens = iter(range(len(pieces)))
    read = []

    def recorded():
        for token in tokens:
            read.append(token)
            yield token

    shown = [
        (text, len(read)) for text in stream_text(recorded(), dict(enumerate(pieces)), ["END"])
    ]
    assert shown == [("caf", 1), ("é", 3), (" ", 4), ("ENd", 6)]
    assert list(tokens) == [7]  # nothing is drawn after the stop string


@given(st.lists(st.binary(max_size=4), max_size=8))
def test_bytes_that_are_not_utf8_become_replacement_characters_as_in_decode(pieces):
    assert "".join(stream(pieces, [])) == b"".join(pieces).decode("utf-8", errors="replace")


def test_an_empty_stop_string_is_refused():
    with pytest.raises(UserError, match="a stop string is empty"):
        stream([b"a"], [""])


# --- batches ---

prompts = st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=9), min_size=1, max_size=4)


@settings(max_examples=10)
@given(prompts, st.integers(0, 12), st.sets(st.integers(0, 29), max_size=4))
def test_each_row_of_a_batch_gets_what_it_would_get_alone(prompts, max_new_tokens, stops):
    model = small_model()
    alone = [
        list(generate_tokens(CachedLogits(model), prompt, max_new_tokens, GREEDY, stops))
        for prompt in prompts
    ]
    assert generate_batch(model, prompts, max_new_tokens, GREEDY, stops) == alone


def test_a_batch_fills_the_context_and_no_more():
    lengths = [len(row) for row in generate_batch(small_model(), [[1] * 18, [2]], 99, GREEDY)]
    assert lengths == [3, 20]


class StopsAtLength(torch.nn.Module):
    """A head that predicts 3, the stop token, once `cache` holds a row's length, and 2 before."""

    def __init__(self, lengths):
        super().__init__()
        self.lengths, self.cache, self.calls = lengths, None, 0

    def forward(self, hidden):
        self.calls += 1
        return torch.eye(30)[[3 if self.cache.length >= n else 2 for n in self.lengths]]


def run_until(lengths, prompts, max_new_tokens, monkeypatch):
    model, head = small_model(), StopsAtLength(lengths)
    model.lm_head = head
    new_cache = model.new_cache

    def remembered(*arguments):
        head.cache = new_cache(*arguments)
        return head.cache

    monkeypatch.setattr(model, "new_cache", remembered)
    return generate_batch(model, prompts, max_new_tokens, GREEDY, {3}), head.calls


def test_a_batch_ends_when_every_row_has_ended_and_not_before(monkeypatch):
    # What is drawn in the middle of a prompt ends nothing.
    assert run_until([1, 1], [[1], [1] * 4], 5, monkeypatch) == ([[3], [3]], 4)
    # The first row has all its tokens, the second one its stop token: nobody waits for a sixth.
    assert run_until([9, 5], [[1], [1] * 4], 3, monkeypatch) == ([[2, 2, 2], [2, 3]], 5)


def test_a_batch_of_one_draws_what_the_loop_draws():
    model = small_model()
    sampling, seeds = Sampling(1.3, top_k=20), (torch.Generator().manual_seed(4) for _ in range(2))
    single = generate_tokens(CachedLogits(model), [5, 6], 9, sampling, (), next(seeds))
    assert generate_batch(model, [[5, 6]], 9, sampling, (), next(seeds)) == [list(single)]
