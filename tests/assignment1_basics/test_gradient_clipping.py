"""Clipping by the joint norm of all gradients (Pascanu et al. 2013, algorithm 1)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course.grading import check


def parameters(seed: int, scale: float) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    params = [
        torch.nn.Parameter(torch.randn(shape, generator=generator))
        for shape in [(4, 3), (6,), (2,)]
    ]
    for param in params[:2]:
        param.grad = scale * torch.randn(param.shape, generator=generator)
    return params  # the last one has no gradient


@pytest.mark.problem("gradient_clipping", points=1)
@given(
    seed=st.integers(0, 100),
    scale=st.sampled_from([0.5, 3.0, 40.0]),
    limit=st.sampled_from([0.3, 1.0, 1.5]),
)
def test_large_gradients(adapters, seed, scale, limit):
    params = parameters(seed, scale)
    grads = [p.grad.double() for p in params[:2]]
    norm = torch.cat([g.flatten() for g in grads]).norm()
    if norm <= 1.01 * limit:
        return
    adapters.run_gradient_clipping(iter(params), limit)  # any iterable, gone through once
    for number, (param, grad) in enumerate(zip(params, grads, strict=False)):
        check.close(
            param.grad.double(),
            grad * limit / (norm + 1e-6),
            rtol=1e-5,  # float32
            atol=1e-6,
            what=f"gradient {number} when the joint norm is {float(norm):.2f}, the limit {limit}",
            hint="one factor for all gradients: max_l2_norm / (their joint norm + 1e-6)",
        )
    check.true(params[2].grad is None, "a parameter without a gradient was given one: skip it")


@pytest.mark.problem("gradient_clipping", points=1)
@pytest.mark.parametrize("limit", [1e3, 50.0])
def test_small_gradients_stay(adapters, limit):
    params = parameters(0, 1.0)
    before = [p.grad.clone() for p in params[:2]]
    held = [p.grad for p in params[:2]]
    adapters.run_gradient_clipping(params, limit)
    for number, (param, grad) in enumerate(zip(params, before, strict=False)):
        check.close(
            param.grad,
            grad,
            rtol=0,
            atol=0,
            what=f"gradient {number}, whose norm is within the limit of {limit}",
            hint="gradients within the limit stay as they are",
        )
    norm = torch.cat([g.flatten() for g in before]).norm()
    adapters.run_gradient_clipping(params, float(norm) / 2)
    check.close(
        held[0],
        before[0] / 2,
        rtol=1e-5,
        atol=1e-6,
        what="the gradient tensor itself after clipping to half its norm",
        hint="change the gradients in place: others hold the same tensors",
    )
