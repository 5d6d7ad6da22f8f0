"""Both versions of FlashAttention against float64, and Triton's against PyTorch's own error.

Tolerances: a float32 score is a sum of d_head products and goes through one exponential, an output
is a mean of values, a gradient a sum over all keys or queries; 64 roundings of float32, relative to
the largest number expected, cover the shapes here with room for the order of the sums.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment2_systems.reference.flash_attention.backward import attention_backward
from assignment2_systems.reference.flash_attention.configs import Config, configuration
from assignment2_systems.reference.flash_attention.forward import attention_forward
from assignment2_systems.reference.flash_attention.masks import make_band
from assignment2_systems.reference.flash_attention.operator import (
    TritonFlashAttention,
    flash_attention,
)
from assignment2_systems.reference.flash_attention.tiled import (
    TiledFlashAttention,
    tiled_backward,
    tiled_forward,
)
from tests.assignment2_systems.reference.attention_oracle import DEVICE, distance, draw, truth

FUNCTIONS = {"tiled": TiledFlashAttention, "triton": TritonFlashAttention}
ROUNDINGS = 64
PEER_FACTOR = 1.2
"""Ours may be this much less exact than PyTorch's attention in the same dtype."""

both = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def allowed(expected, dtype=torch.float32):
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    return ROUNDINGS * torch.finfo(dtype).eps * max(1.0, largest)


def agree(actual, expected):
    for mine, good in zip(actual, expected, strict=True):
        assert distance(mine, good) <= allowed(good)


def make(batch, heads, kv_heads, queries, keys, d_head, seed, **how):
    q_shape, k_shape = (batch, heads, queries, d_head), (batch, kv_heads, keys, d_head)
    return draw(q_shape, k_shape, k_shape, q_shape, seed=seed, **how)


def with_gradients(attend, q, k, v, grad):
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]
    output = attend(*leaves)
    return output, torch.autograd.grad(output, leaves, grad)


@both
@settings(max_examples=6)
@given(
    st.integers(1, 60), st.integers(1, 60), st.sampled_from([16, 20, 64]), st.booleans(),
    st.integers(0, 99),
)  # fmt: skip
def test_functions_against_float64(function, queries, keys, d_head, causal, seed):
    """[batch, seq, d_head], as the course's adapters call them."""
    q, k, v, grad = (x[:, 0] for x in make(2, 1, 1, queries, keys, d_head, seed))
    good = truth(*(x[:, None] for x in (q, k, v, grad)), causal)
    output, gradients = with_gradients(lambda *x: function.apply(*x, causal), q, k, v, grad)
    agree((output, *gradients), [x[:, 0] for x in (good.output, *good.gradients)])


@both
def test_functions_keep_the_log_sum_exp(function):
    q, k, v, grad = (x[:, 0].requires_grad_() for x in make(2, 1, 1, 40, 50, 16, 0))
    output = function.apply(q, k, v, True)
    good = truth(*(x[:, None] for x in (q, k, v, grad)), True)
    (found,) = [x for x in output.grad_fn.saved_tensors if x.shape == (2, 40)]
    agree([found], [good.log_sum_exp[:, 0]])


@settings(max_examples=6)
@given(
    st.integers(1, 60), st.integers(1, 60), st.sampled_from([(1, 1), (4, 2), (3, 1)]),
    st.sampled_from([8, 16, 24, 80]), st.booleans(), st.none() | st.integers(1, 40),
    st.integers(0, 99),
)  # fmt: skip
def test_operator_against_float64(queries, keys, heads, d_head, causal, window, seed):
    window = window if causal else None
    tensors = make(1, *heads, queries, keys, d_head, seed)
    good = truth(*tensors, causal, window, 0.3)
    output, gradients = with_gradients(
        lambda q, k, v: flash_attention(q, k, v, causal, window, 0.3), *tensors
    )
    agree((output, *gradients), (good.output, *good.gradients))


@pytest.mark.parametrize("atomic", [False, True], ids=["two passes", "atomic"])
@pytest.mark.parametrize(
    "config",
    [
        Config(32, 16, 4, 1),
        Config(16, 64, 4, 2, together=2),
        Config(64, 32, 4, 2, tma=True, together=3),
    ],
    ids=["32x16", "16x64 together", "64x32 tma"],
)
def test_every_way_to_tile_gives_the_same(config, atomic):
    q, k, v, grad = make(1, 2, 1, 50, 80, 16, 3)
    band, scale = make_band(50, 80, True, 45), 0.25
    output, log_sum_exp = attention_forward(q, k, v, band, scale, config)
    gradients = attention_backward(
        q, k, v, output, log_sum_exp, grad, band, scale, config, config, atomic
    )
    good = truth(q, k, v, grad, True, 45, scale)
    agree((output, log_sum_exp, *gradients), (good.output, good.log_sum_exp, *good.gradients))


@pytest.mark.parametrize("tile", [1, 7, 16, 64, 200])
def test_tiled_version_in_tiles_of_any_size(tile):
    q, k, v, grad = make(1, 2, 2, 40, 33, 8, 1, dtype=torch.float64)
    band = make_band(40, 33, True)
    output, log_sum_exp = tiled_forward(q, k, v, band, 0.5, tile)
    gradients = tiled_backward(q, k, v, output, log_sum_exp, grad, band, 0.5, tile)
    good = truth(q, k, v, grad, True, None, 0.5)
    for mine, expected in zip((output, *gradients), (good.output, *good.gradients), strict=True):
        assert distance(mine, expected) <= allowed(expected, torch.float64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("d_head", [16, 128])
def test_as_exact_as_pytorch_in_the_same_dtype(dtype, d_head):
    """Root mean squares, since the largest of few errors is a matter of luck."""
    tensors = make(1, 2, 2, 96, 96, d_head, 5, dtype=dtype)
    good = truth(*tensors, True)

    def peer(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    ours, our_gradients = with_gradients(flash_attention, *tensors)
    theirs, their_gradients = with_gradients(peer, *tensors)
    expected = (good.output, *good.gradients)
    for name, mine, other, exact in zip(
        ["output", "q", "k", "v"], (ours, *our_gradients), (theirs, *their_gradients), expected,
        strict=True,
    ):  # fmt: skip
        errors = [(x.detach().cpu().double() - exact).square().mean().sqrt() for x in (mine, other)]
        assert errors[0] <= PEER_FACTOR * errors[1], f"{name}: {errors[0]} against {errors[1]}"


@pytest.mark.parametrize("d_head", [32, 100, 256])
def test_head_dimensions(d_head):
    tensors = make(1, 1, 1, 33, 33, d_head, 2)
    good = truth(*tensors, True)
    output, gradients = with_gradients(flash_attention, *tensors)
    agree((output, *gradients), (good.output, *good.gradients))


@both
@pytest.mark.parametrize("size", [30.0, 100.0])
def test_large_scores(function, size):
    """Scores of thousands, whose exponentials are far beyond float32's range."""
    q, k, v, grad = make(1, 1, 1, 40, 40, 16, 4)
    q, k = q * size, k * size
    good = truth(q, k, v, grad, True)
    output, gradients = with_gradients(lambda *x: function.apply(*x, True), q, k, v, grad)
    # A score of size^2 is off by size^2 roundings, and so is its exponential, relatively.
    for mine, exact in zip((output, *gradients), (good.output, *good.gradients), strict=True):
        assert distance(mine, exact) <= size**2 * allowed(exact)


@both
def test_queries_that_see_nothing(function):
    """More queries than keys: the first 30 of 70 stand before every key."""
    q, k, v, grad = (x[:, 0] for x in make(1, 1, 1, 70, 40, 16, 6))
    output, gradients = with_gradients(lambda *x: function.apply(*x, True), q, k, v, grad)
    assert not output[:, :30].any()
    assert not gradients[0][:, :30].any()
    leaf = q.detach().requires_grad_()
    saved = function.apply(leaf, k, v, True).grad_fn.saved_tensors
    (log_sum_exp,) = [x for x in saved if x.shape == (1, 70)]
    assert log_sum_exp[:, :30].eq(float("-inf")).all()
    assert log_sum_exp[:, 30:].isfinite().all()
    # What they would have given changes nothing.
    grad[:, :30] = 1e4
    _, again = with_gradients(lambda *x: function.apply(*x, True), q, k, v, grad)
    assert all(a.equal(b) for a, b in zip(gradients, again, strict=True))


def test_no_key_at_all():
    q, k, v, grad = make(1, 2, 1, 5, 0, 16, 0)
    output, gradients = with_gradients(flash_attention, q, k, v, grad)
    assert not output.any()
    assert [x.shape for x in gradients] == [q.shape, k.shape, v.shape]
    assert not gradients[0].any()


@both
@pytest.mark.filterwarnings("ignore:All-NaN slice")  # NumPy, in the interpreter: rows not looked at
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_masked_tiles_are_not_read(function):
    """NaN times a probability of 0 is NaN: a masked tile that is visited shows."""
    forward = configuration("forward", 16, torch.float32)
    keys = configuration("keys", 16, torch.float32)
    tile = max(64, forward.k_tile, forward.q_tile, keys.k_tile, keys.q_tile)
    q, k, v, grad = (x[:, 0] for x in make(1, 1, 1, 2 * tile, 2 * tile, 16, 8))
    good = truth(*(x[:, :tile][:, None] for x in (q, k, v, grad)), True)
    for tensor in (k, v):
        tensor[:, tile:] = float("nan")
    output, gradients = with_gradients(lambda *x: function.apply(*x, True), q, k, v, grad)
    agree(
        (output[:, :tile], gradients[0][:, :tile]),
        (good.output[:, 0], good.gradients[0][:, 0]),
    )


def test_the_same_bits_in_every_run():
    tensors = make(1, 2, 1, 70, 70, 16, 9, dtype=torch.bfloat16)
    first, second = (with_gradients(flash_attention, *tensors) for _ in range(2))
    assert first[0].equal(second[0])
    assert all(a.equal(b) for a, b in zip(first[1], second[1], strict=True))


def test_one_query_at_a_time_is_the_whole_sequence():
    """As with a cache of keys: the mask leans on the lower right corner."""
    q, k, v, _ = make(1, 2, 1, 6, 40, 16, 10)
    whole = flash_attention(q, k, v)
    for i in range(6):
        visible = 40 - 5 + i
        alone = flash_attention(q[:, :, i : i + 1], k[:, :, :visible], v[:, :, :visible])
        assert distance(alone[:, :, 0], whole[:, :, i].double().cpu()) <= allowed(whole)


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy, in the interpreter
def test_nan_stays_visible():
    q, k, v, _ = make(1, 1, 1, 4, 4, 16, 0)
    v[:, :, 1] = float("nan")
    output = flash_attention(q, k, v)
    assert output.device.type == DEVICE
    assert output[0, 0, 1:].isnan().all()
