"""What the tests of fused kernels share: where they run, drawn tensors, a tolerance from the dtype.

The truth is always PyTorch's own operations in float64 on the very inputs that the kernel gets.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping
import pytest
import torch
from torch import Tensor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""On the CPU the kernels run in Triton's interpreter (tests/conftest.py)."""


ignore_numpy = pytest.mark.filterwarnings(
    "ignore:(invalid value|overflow|divide by zero) encountered:RuntimeWarning"
)
"""Triton's interpreter computes with NumPy, which warns of infinities that a kernel means."""


@contextmanager
def unchecked_shapes() -> Iterator[None]:
    """Let wrong shapes through jaxtyping, as outside of tests, to the checks of the functions."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def draw(*shape: int, dtype: torch.dtype = torch.float32, size: float = 1.0, seed: int = 0):
    """Return normal numbers, rounded to `dtype`, as a leaf that wants a gradient."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * size
    return x.to(DEVICE, dtype).requires_grad_()


def wide(*tensors: Tensor) -> list[Tensor]:
    """Return the same numbers as float64 leaves."""
    return [tensor.detach().double().requires_grad_() for tensor in tensors]


def assert_near(actual: Tensor, truth: Tensor, *, ulps: float = 8.0, floor: float = 1e-3) -> None:
    """Allow `ulps` units in the last place of the largest element, in the dtype of `actual`.

    Sums of a row are float32, so an error grows with the row; what is stored is rounded once, by
    half a unit of its own dtype. Where terms cancel, the largest counts as `floor` at least.
    """
    assert actual.shape == truth.shape
    both_nan = actual.isnan() & truth.isnan()
    assert torch.equal(actual.isnan(), truth.isnan())
    same = both_nan | (actual.double() == truth)
    error = torch.where(same, 0.0, (actual.double() - truth).abs())
    largest = truth[truth.isfinite()].abs().max().item() if truth.isfinite().any() else 0.0
    limit = ulps * torch.finfo(actual.dtype).eps * max(largest, floor)
    worst = error.max().item() if error.numel() else 0.0
    assert worst <= limit, f"off by {worst:.3g}, at most {limit:.3g} is rounding"


def assert_gradients_near(
    outputs: Tensor | tuple[Tensor, ...],
    inputs: list[Tensor],
    true_outputs: Tensor | tuple[Tensor, ...],
    true_inputs: list[Tensor],
    *,
    ulps: float = 8.0,
    floor: float = 1e-3,
) -> None:
    """Compare outputs, and the gradients of all inputs for a random gradient of the outputs."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    true_outputs = true_outputs if isinstance(true_outputs, tuple) else (true_outputs,)
    upstream = [torch.randn_like(output) for output in outputs]
    gradients = torch.autograd.grad(outputs, inputs, upstream)
    truths = torch.autograd.grad(true_outputs, true_inputs, [up.double() for up in upstream])
    for actual, truth in zip((*outputs, *gradients), (*true_outputs, *truths), strict=True):
        assert_near(actual.detach(), truth.detach(), ulps=ulps, floor=floor)
    for gradient, x in zip(gradients, inputs, strict=True):
        assert gradient.dtype == x.dtype
