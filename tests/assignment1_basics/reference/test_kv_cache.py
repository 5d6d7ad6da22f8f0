"""The cached path equals the uncached one, however the sequence is cut, and knows its limits."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.kv_cache import KVCache
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError

SMALL = TransformerConfig(
    vocab_size=40, context_length=24, d_model=16, n_layers=2, n_heads=4, d_ff=24
)


def small_model(**changes) -> Transformer:
    config = dataclasses.replace(SMALL, **changes)
    return Transformer(config, torch.Generator().manual_seed(1)).requires_grad_(False)


@given(
    chunks=st.lists(st.integers(1, 8), min_size=1, max_size=8).filter(lambda c: sum(c) <= 24),
    batch=st.integers(1, 3),
    n_kv_heads=st.sampled_from([1, 2, 4]),
    backend=st.sampled_from(["sdpa", "plain"]),
    position=st.sampled_from(["rope", "none"]),
    seed=st.integers(0, 99),
)
def test_any_chunking_gives_the_logits_of_the_whole(
    chunks, batch, n_kv_heads, backend, position, seed
):
    model = small_model(n_kv_heads=n_kv_heads, attention=backend, position=position)
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(40, (batch, sum(chunks)), generator=generator)
    cache = model.new_cache(batch)
    cached = torch.cat([model(chunk, cache) for chunk in ids.split(chunks, dim=1)], dim=1)
    assert cache.length == sum(chunks)
    # Same sums in another order: a few dozen roundings of logits of size 1 to 10.
    torch.testing.assert_close(cached, model(ids), rtol=1e-4, atol=1e-4)


def test_appending_moves_nothing_that_is_held():
    model, cache = small_model(), small_model().new_cache()
    place = [layer.keys.data_ptr() for layer in cache.layers]
    model(torch.zeros(1, 5, dtype=torch.long), cache)
    held = cache.layers[1].keys[:, :, :5].clone()
    model(torch.ones(1, 1, dtype=torch.long), cache)
    assert [layer.keys.data_ptr() for layer in cache.layers] == place
    assert torch.equal(cache.layers[1].keys[:, :, :5], held)


def test_a_truncated_cache_continues_from_where_it_was_cut():
    model, ids = small_model(), torch.randint(40, (1, 10))
    cache = model.new_cache()
    model(ids, cache)
    cache.truncate(4)
    torch.testing.assert_close(model(ids[:, 4:], cache), model(ids)[:, 4:], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="it must be in 0 to 10"):
        cache.truncate(11)


def test_memory_is_that_of_the_kv_heads_only():
    layer = small_model(n_kv_heads=2).new_cache(batch_size=3, capacity=7).layers[0]
    assert layer.keys.shape == layer.values.shape == (3, 2, 7, 4)


def test_a_model_in_bfloat16_gets_a_cache_in_bfloat16():
    model = small_model().to(torch.bfloat16)
    cache = model.new_cache()
    assert cache.layers[0].keys.dtype == torch.bfloat16
    assert model(torch.zeros(1, 3, dtype=torch.long), cache).dtype == torch.bfloat16


def test_too_many_tokens_are_refused_and_leave_the_cache_as_it_was():
    model = small_model()
    cache = model.new_cache()
    model(torch.zeros(1, 20, dtype=torch.long), cache)
    with pytest.raises(
        UserError, match="20 \\+ 5 tokens do not fit into the model's context of 24"
    ):
        model(torch.zeros(1, 5, dtype=torch.long), cache)
    assert [layer.length for layer in cache.layers] == [20, 20]
    with pytest.raises(UserError, match="the KV cache of 4 tokens"):
        model(torch.zeros(1, 5, dtype=torch.long), model.new_cache(capacity=4))
    with pytest.raises(UserError, match="context of 24"):
        KVCache(model.config, capacity=25)
