"""Bytes that training needs before any activation, and the share of the peak that it uses."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check


@pytest.mark.problem("training_memory", points=0.25)
@given(st.integers(1, 500), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
@example(500, torch.float64)
@example(500, torch.float32)
def test_bytes(adapters, size, dtype):
    """PyTorch's own AdamW is the truth: the bytes of all that it and the weights hold."""
    weight = torch.nn.Parameter(torch.ones(size, dtype=dtype))
    weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.AdamW([weight])
    optimizer.step()
    moments = [optimizer.state[weight][name] for name in ("exp_avg", "exp_avg_sq")]
    expected = sum(t.numel() * t.element_size() for t in [weight, weight.grad, *moments])
    width = dtype.itemsize
    check.equal(
        adapters.run_training_memory_bytes(size, width, width, width),
        expected,
        what=f"bytes for {size} parameters, all in {dtype}",
        hint="weights, gradients, and two moments of AdamW",
    )


@pytest.mark.problem("training_memory", points=0.25)
@given(
    st.integers(1, 10**12), st.sampled_from([1, 2, 4]), st.sampled_from([2, 4]), st.integers(1, 8)
)
@example(1000, 1, 2, 4)
def test_formats_differ(adapters, count, parameter_bytes, gradient_bytes, state_bytes):
    check.equal(
        adapters.run_training_memory_bytes(count, parameter_bytes, gradient_bytes, state_bytes),
        count * (parameter_bytes + gradient_bytes + 2 * state_bytes),
        what=f"bytes for {count} parameters of {parameter_bytes} bytes, gradients of "
        f"{gradient_bytes}, moments of {state_bytes}",
        hint="each of the two moments takes state_bytes",
    )
    check.equal(
        adapters.run_training_memory_bytes(count),
        16 * count,
        what=f"bytes for {count} parameters when all is float32",
    )


@pytest.mark.problem("training_memory", points=0.5)
@pytest.mark.parametrize(
    ("tokens_per_second", "flops_per_token", "peak", "expected"),
    [(1e6, 1e8, 1e15, 0.3), (400_000, 0.268e9, 989e12, 0.3252), (10, 1e9, 1e11, 0.3)],
)
def test_utilization(adapters, tokens_per_second, flops_per_token, peak, expected):
    check.close(
        adapters.run_model_flops_utilization(tokens_per_second, flops_per_token, peak),
        expected,
        rtol=1e-3,  # the expected value is rounded
        what=f"utilisation at {tokens_per_second:,} tokens/s, {flops_per_token:.3g} forward FLOPs "
        f"a token, peak {peak:.3g} FLOP/s",
        hint="forward once, backward twice: three times the forward FLOPs",
    )
