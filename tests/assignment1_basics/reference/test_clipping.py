import pytest
import torch
from torch import nn

from assignment1_basics.reference.optimizer.clipping import clip_gradients, global_norm


def parameters(*gradients):
    found = []
    for gradient in gradients:
        found.append(nn.Parameter(torch.zeros(3 if gradient is None else gradient.shape)))
        if gradient is not None:
            found[-1] = nn.Parameter(torch.zeros_like(gradient))
            found[-1].grad = gradient.clone()
    return found


def test_one_norm_over_all_and_the_direction_stays():
    gradients = [torch.randn(4, 3), torch.randn(5), None]
    weights = parameters(*gradients)
    joint = torch.cat([g.flatten() for g in gradients if g is not None])
    norm = clip_gradients(weights, 0.5)
    torch.testing.assert_close(norm, joint.norm())
    clipped = torch.cat([p.grad.flatten() for p in weights if p.grad is not None])
    torch.testing.assert_close(clipped, joint * (0.5 / (joint.norm() + 1e-6)))
    assert weights[2].grad is None


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_it_is_pytorchs_at_any_size(size):
    ours, theirs = parameters(torch.full((4,), size)), parameters(torch.full((4,), size))
    clip_gradients(ours, size)
    nn.utils.clip_grad_norm_(theirs, size)
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("limit", [5.0, 5.0000001, 100.0])  # 5.0: exactly the norm
def test_within_the_limit_no_bit_changes(limit):
    weights = parameters(torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]))
    assert clip_gradients(weights, limit) == 5.0
    assert weights[0].grad.tolist() == [3.0, 0.0]
    assert weights[1].grad.tolist() == [[4.0]]


def test_nothing_to_clip():
    assert clip_gradients([], 1.0) == 0.0
    assert clip_gradients(parameters(None), 1.0) == 0.0
    zeros = parameters(torch.zeros(3))
    assert clip_gradients(zeros, 1.0) == 0.0
    assert zeros[0].grad.tolist() == [0.0] * 3


def test_bfloat16_gradients_sum_in_float32():
    weights = parameters(*[torch.full((1000,), 0.1, dtype=torch.bfloat16) for _ in range(20)])
    exact = torch.cat([p.grad.double() for p in weights]).norm()
    norm = clip_gradients(weights, 1.0)
    assert norm.dtype == torch.float32
    torch.testing.assert_close(norm.double(), exact, rtol=3e-3, atol=0)  # bf16: 8 bits a tensor
    assert weights[0].grad.dtype == torch.bfloat16


def test_a_norm_that_is_not_finite_comes_back_as_such():
    weights = parameters(torch.tensor([1.0, float("nan")]))
    assert clip_gradients(weights, 1.0).isnan()
    assert global_norm([torch.tensor([float("inf")])]).isinf()
