"""RoPE: rotate neighbouring pairs by position * theta^(-2i/d_k) (Su et al., 2021, section 3.2)."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    integers,
    leading_shapes,
    normal,
    rounding,
    seeds,
    sizes,
    trainable,
)

HINT = (
    "pair i is (x[2i], x[2i+1]); angle = position * theta^(-2i/d_k); "
    "new pair = (a cos - b sin, a sin + b cos)"
)


def tolerance(x: torch.Tensor, positions: torch.Tensor) -> float:
    """The angle is a float32 product as large as the position; rotating adds a few roundings."""
    return rounding(x, 4 * int(positions.max()) + 8)


# theta, d_k and max_seq_len (longer than the sequence) all vary.
@pytest.mark.problem("rope", points=1)
@few_examples
@given(
    leading=leading_shapes,
    seq=st.integers(1, 12),
    half=st.integers(1, 16),
    theta=st.sampled_from([10.0, 100.0, 10_000.0, 500_000.0]),
    spare=st.integers(0, 9),
    seed=seeds,
)
@example(leading=(2,), seq=3, half=2, theta=100.0, spare=3, seed=0)
def test_rope(adapters, leading, seq, half, theta, spare, seed):
    x, positions = normal(*leading, seq, 2 * half, seed=seed), torch.arange(seq)
    kept = x.clone()
    check.close(
        adapters.run_rope(2 * half, theta, seq + spare, x, positions),
        oracles.rope(x, positions, theta),
        what=f"rope: wrong result for d_k={2 * half}, theta={theta:g}, positions 0 to {seq - 1}",
        hint=HINT,
        rtol=0,
        atol=tolerance(x, positions),
    )
    check.equal(x, kept, what="rope: in_query_or_key was changed", hint="write to a new tensor")


# Positions that skip, repeat, go backwards, and differ between the rows of the batch.
@pytest.mark.problem("rope", points=1)
@few_examples
@given(
    leading=leading_shapes,
    shared=st.booleans(),
    seq=sizes,
    max_seq_len=st.integers(4, 60),
    seed=seeds,
)
@example(leading=(3,), shared=False, seq=4, max_seq_len=20, seed=0)
@example(leading=(2, 3), shared=True, seq=4, max_seq_len=20, seed=1)
def test_rope_positions(adapters, leading, shared, seq, max_seq_len, seed):
    x = normal(*leading, seq, 6, seed=seed)
    positions = integers(max_seq_len, (seq,) if shared else (*leading, seq), seed)
    positions.view(-1)[-1] = max_seq_len - 1
    check.close(
        adapters.run_rope(6, 50.0, max_seq_len, x, positions),
        oracles.rope(x, positions, 50.0),
        what=f"rope: wrong result at token_positions {positions.tolist()}",
        hint="the angles come from token_positions, which may differ between the rows of a batch",
        rtol=0,
        atol=tolerance(x, positions),
    )


# Numbers in bfloat16 have 8 bits: position 1001 and the angle must not be among them.
@pytest.mark.problem("rope", points=1)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_rope_at_far_positions(adapters, dtype):
    x = normal(2, 5, 16, seed=2, dtype=dtype)
    positions = torch.tensor([0, 257, 1001, 4093, 8191])
    check.close(
        adapters.run_rope(16, 10_000.0, 8192, x, positions),
        oracles.rope(x, positions, 10_000.0),
        what=f"rope: wrong result for {dtype} at positions up to 8191",
        hint="compute angles, cos and sin in float32, whatever the dtype of the input",
        rtol=0,
        # In bfloat16: cos, sin, two products and their sum are rounded to it at the worst.
        atol=tolerance(x, positions) + (dtype != torch.float32) * rounding(x, 4, dtype),
    )


@pytest.mark.problem("rope", points=1)
def test_rope_gradient(adapters):
    x, x64 = trainable(normal(2, 5, 6, seed=3))
    positions = torch.tensor([4, 0, 7, 7, 2])
    check_gradient(
        adapters.run_rope(6, 100.0, 8, x, positions),
        x,
        oracles.rope(x64, positions, 100.0),
        x64,
        what="rope",
        of="in_query_or_key",
        hint="the gradient is the rotation backwards; nothing else may come between",
        steps=64,
    )
