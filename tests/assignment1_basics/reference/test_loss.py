import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.loss import (
    bits_per_byte,
    cross_entropy,
    perplexity,
    token_losses,
)


@given(
    leading=st.lists(st.integers(1, 4), max_size=3),
    vocab=st.integers(1, 30),
    scale=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_are_those_of_pytorch(leading, vocab, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*leading, vocab, generator=generator, dtype=torch.float64) * scale
    targets = torch.randint(vocab, leading, generator=generator)
    weights = torch.rand(leading, generator=generator, dtype=torch.float64)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    losses = token_losses(ours, targets)
    expected = torch.nn.functional.cross_entropy(
        theirs.reshape(-1, vocab), targets.reshape(-1), reduction="none"
    ).reshape(leading)
    torch.testing.assert_close(losses, expected)
    (losses * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(cross_entropy(logits, targets), expected.mean())


def test_gradcheck():
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 4, 2])
    assert torch.autograd.gradcheck(lambda x: token_losses(x, targets), (logits,))


def test_bfloat16_logits_give_a_float32_loss_and_a_bfloat16_gradient():
    logits = torch.randn(64, 5000).bfloat16().requires_grad_()
    targets = torch.randint(5000, (64,))
    loss = cross_entropy(logits, targets)
    loss.backward()
    exact = torch.nn.functional.cross_entropy(logits.double(), targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=1e-6)
    assert logits.grad.dtype == torch.bfloat16


def test_nothing_but_the_logits_is_kept_for_the_backward_pass():
    logits = torch.randn(8, 1000, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        token_losses(logits, torch.randint(1000, (8,)))
    assert sum(x.numel() for x in kept) <= 8 * 1000 + 2 * 8


def test_huge_logits_and_hopeless_guesses_stay_finite():
    logits = torch.tensor([[1e30, -1e30], [-1e30, 1e30]], requires_grad=True)
    losses = token_losses(logits, torch.tensor([0, 0]))
    assert losses[0] == 0
    assert losses[1].isfinite()
    losses.sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int64])
def test_targets_of_any_integer_type(dtype):
    targets = torch.tensor([1, 0], dtype=dtype)
    assert cross_entropy(torch.zeros(2, 4), targets) == pytest.approx(math.log(4))


def test_perplexity_and_bits_per_byte():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(1e4) == math.inf
    # 10 uniform guesses among 256 bytes are 8 bits each.
    assert bits_per_byte(10 * math.log(256), 10) == pytest.approx(8)
    assert bits_per_byte(10 * math.log(256), 40) == pytest.approx(2)
