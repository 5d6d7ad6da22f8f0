"""The layers against PyTorch's own in float64, and what they start from."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.model.layers import (
    Embedding,
    Linear,
    RMSNorm,
    SiLUFeedForward,
    SwiGLU,
    silu,
    softmax,
)

leading = st.lists(st.integers(1, 3), max_size=3).map(tuple)


@given(leading, st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_linear_is_a_product_for_any_leading_dimensions(shape, d_in, d_out, seed):
    generator = torch.Generator().manual_seed(seed)
    layer = Linear(d_in, d_out, generator).double()
    x = torch.randn(*shape, d_in, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight))


@given(leading, st.integers(2, 65), st.sampled_from([1e-6, 1e-2, 1.0]), st.integers(0, 99))
def test_rms_norm_equals_pytorchs(shape, d_model, eps, seed):
    generator = torch.Generator().manual_seed(seed)
    norm = RMSNorm(d_model, eps).double()
    norm.weight.data.normal_(generator=generator)
    x = torch.randn(*shape, d_model, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (d_model,), norm.weight, eps))


def test_rms_norm_computes_in_float32_and_returns_the_dtype_of_its_input():
    x = torch.full((4,), 300.0, dtype=torch.float16)  # its square is infinite in float16
    assert torch.equal(RMSNorm(4)(x), torch.ones(4, dtype=torch.float16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_softmax_keeps_the_dtype_and_does_not_overflow(dtype):
    x = torch.tensor([[0.0, 100.0, 100.0], [float("-inf"), 0.0, -3.0]], dtype=dtype)
    result = softmax(x, dim=-1)
    assert result.dtype == dtype
    # Rounded once, to the result's dtype.
    torch.testing.assert_close(result, torch.softmax(x.double(), -1).to(dtype))


@given(st.integers(-3, 2), st.integers(0, 99))
def test_softmax_and_its_gradient_along_any_dimension(dim, seed):
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(softmax(x, dim), torch.softmax(x, dim))
    assert torch.autograd.gradcheck(lambda x: softmax(x, dim), x.requires_grad_())


def test_feed_forward_networks():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 8, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(silu(x), F.silu(x))
    gated, plain = SwiGLU(8, 12, generator).double(), SiLUFeedForward(8, 12, generator).double()
    gate, value = F.silu(F.linear(x, gated.w1.weight)), F.linear(x, gated.w3.weight)
    torch.testing.assert_close(gated(x), F.linear(gate * value, gated.w2.weight))
    hidden = F.silu(F.linear(x, plain.w1.weight))
    torch.testing.assert_close(plain(x), F.linear(hidden, plain.w2.weight))


@pytest.mark.parametrize("make", [lambda: Linear(500, 300), lambda: Embedding(500, 300)])
def test_initial_weights_are_a_normal_distribution_cut_at_three_standard_deviations(make):
    layer = make()
    std = (2 / 800) ** 0.5 if isinstance(layer, Linear) else 1.0
    weight = layer.weight.detach() / std
    assert 2.9 < weight.abs().max() <= 3
    # The variance of the cut distribution is 1 - 6 phi(3) / (2 Phi(3) - 1) = 0.9733. Of 150,000
    # draws the mean and the standard deviation stray by less than 0.01 (four standard errors).
    assert weight.mean().abs() < 0.01
    assert abs(weight.std() - 0.9733**0.5) < 0.01


def test_a_generator_decides_the_initial_weights_alone():
    first, second = (Linear(4, 4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.weight, second.weight)


def test_an_id_outside_the_vocabulary_is_refused():
    with pytest.raises(IndexError):
        Embedding(10, 4)(torch.tensor([10]))
