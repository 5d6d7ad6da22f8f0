"""Attention and RoPE against loops in float64, for both backends."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from assignment1_basics.reference.model.attention import (
    ATTENTION,
    MultiHeadSelfAttention,
    causal_mask,
    scaled_dot_product_attention,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.rope import RoPE, rotate


def attend_in_a_loop(q, k, v):
    """One query of one head at a time; the queries are the newest of the keys' positions."""
    batch, n_heads, queries, d_head = q.shape
    keys, group = k.shape[-2], n_heads // k.shape[1]
    result = torch.zeros(batch, n_heads, queries, v.shape[-1], dtype=torch.float64)
    for b in range(batch):
        for head in range(n_heads):
            for i in range(queries):
                seen = keys - queries + i + 1
                scores = k[b, head // group, :seen].double() @ q[b, head, i].double()
                weights = torch.softmax(scores / d_head**0.5, dim=0)
                result[b, head, i] = weights @ v[b, head // group, :seen].double()
    return result


@pytest.mark.parametrize("backend", ATTENTION)
@given(
    batch=st.integers(1, 2),
    kv_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    queries=st.integers(1, 5),
    cached=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_backends_equal_a_loop(backend, batch, kv_heads, group, queries, cached, seed):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, kv_heads * group, queries, 6, generator=generator)
    k, v = torch.randn(2, batch, kv_heads, cached + queries, 6, generator=generator)
    # Float32 with sums of at most 9 terms of size 1 to 10: 1e-5 is 10 roundings of the largest.
    expected = attend_in_a_loop(q, k, v).float()
    torch.testing.assert_close(ATTENTION[backend](q, k, v), expected, rtol=1e-5, atol=1e-5)


def test_without_a_mask_every_key_is_seen_and_values_may_have_a_width_of_their_own():
    q, k, v = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 7)
    expected = torch.softmax(torch.einsum("bqd, bkd -> bqk", q, k) / 2, dim=-1) @ v
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v), expected)


def test_the_causal_mask_leans_on_the_lower_right_corner():
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True] * 4]


def test_shared_keys_are_not_repeated_in_memory():
    sizes = []

    class RecordSizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                sizes.append(result.untyped_storage().nbytes())
            return result

    q, k, v = torch.randn(1, 16, 1, 32), torch.randn(1, 2, 500, 32), torch.randn(1, 2, 500, 32)
    with RecordSizes():
        ATTENTION["plain"](q, k, v)
    assert max(sizes) <= k.untyped_storage().nbytes()


@given(
    st.integers(1, 8),
    st.sampled_from([100.0, 10_000.0, 1e6]),
    st.lists(st.integers(0, 299_999), min_size=1, max_size=5),
)
def test_rope_is_exact_also_far_out(half, theta, positions):
    x = torch.randn(3, len(positions), 2 * half, generator=torch.Generator().manual_seed(0))
    # A rotation is a product with a complex number of length 1; neighbours are its two parts.
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.tensor(positions, dtype=torch.float64), frequencies)
    turned = torch.view_as_complex(x.double().unflatten(-1, (half, 2))) * torch.exp(1j * angles)
    expected = torch.view_as_real(turned).flatten(-2).float()
    result = rotate(x, far_rope(2 * half, theta)(torch.tensor(positions)))
    # Four roundings of numbers below 5.
    torch.testing.assert_close(result, expected, rtol=0, atol=4 * 5 * 2**-24)


def far_rope(d_head: int, theta: float, tables: dict = {}) -> RoPE:  # noqa: B006 - a cache
    key = d_head, theta
    return tables.setdefault(key, tables.get(key) or RoPE(d_head, theta, 300_000))


def test_scores_depend_on_the_distance_only():
    rope, (q, k) = RoPE(8, 10_000.0, 200), torch.randn(2, 1, 8)
    scores = [
        rotate(q, rope.between(p, p + 1)) @ rotate(k, rope.between(p - 7, p - 6)).mT
        for p in (7, 50, 199)
    ]
    torch.testing.assert_close(torch.cat(scores), scores[0].expand(3, 1), rtol=1e-5, atol=1e-5)


def test_positions_may_differ_from_row_to_row():
    layer = MultiHeadSelfAttention(TransformerConfig(d_model=16, n_heads=2))
    rope, x = RoPE(8, 10_000.0, 20), torch.randn(2, 5, 16)
    positions = torch.tensor([[0, 1, 2, 3, 4], [3, 9, 2, 2, 19]])
    together = layer(x, rope(positions))
    for row in range(2):
        torch.testing.assert_close(together[row], layer(x[row], rope(positions[row])))


def test_the_table_of_rope_stays_float32_when_the_model_becomes_bfloat16():
    rope = RoPE(8, 10_000.0, 1000)
    before = rope.cos.clone()
    assert torch.equal(rope.to(torch.bfloat16).cos, before)
    assert rope.to("meta").cos.device.type == "cpu"
    assert not rope.state_dict()


def test_rotation_of_bfloat16_is_computed_in_float32():
    rope, x = RoPE(8, 10_000.0, 1000), torch.randn(1, 8).bfloat16()
    rotation = rope.between(999, 1000)
    assert torch.equal(rotate(x, rotation), rotate(x.float(), rotation).bfloat16())
