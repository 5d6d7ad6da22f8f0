"""Softmax along any dimension, for numbers of any size."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    normal,
    rounding,
    seeds,
    trainable,
)

HINT = "exp(x) / sum(exp(x)), the sum along `dim` only"


# Every dimension of tensors of several ranks, counted from both ends.
@pytest.mark.problem("softmax", points=1)
@few_examples
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    dim=st.integers(-4, 3),
    seed=seeds,
)
@example(shape=[3, 4], dim=0, seed=0)
@example(shape=[2, 3, 4], dim=1, seed=1)
@example(shape=[2, 3, 4], dim=-1, seed=2)
def test_softmax(adapters, shape, dim, seed):
    dim = max(-len(shape), min(dim, len(shape) - 1))
    x = normal(*shape, seed=seed, scale=3.0)
    kept = x.clone()
    check.close(
        adapters.run_softmax(x, dim),
        torch.softmax(x.double(), dim),
        what=f"softmax: wrong result for shape {shape} along dim {dim}",
        hint=HINT,
        # exp doubles the rounding of numbers up to about 20; then a short sum and a division.
        rtol=rounding(20.0, 2),
        atol=0,
    )
    check.equal(x, kept, what="softmax: in_features was changed", hint="write to a new tensor")


# Rows far apart: without a maximum exp overflows, with one maximum for all rows the others vanish.
@pytest.mark.problem("softmax", points=0.5)
def test_softmax_of_large_numbers(adapters):
    offsets = torch.tensor([[1e4], [100.0], [0.0], [-100.0], [-1e4]])
    x = normal(5, 6, seed=3) + offsets
    x[1, 2], x[2, 0] = -1e30, -torch.inf  # no probability at all
    hint = "subtract the maximum along `dim` before exp: the largest exponent is then 0"
    # Numbers of 1e4 are rounded to 1e4 * eps, and exp turns that into a relative error.
    tolerance = rounding(1e4, 2)
    for dim, numbers in ((-1, x), (0, x.T)):
        check.close(
            adapters.run_softmax(numbers, dim),
            torch.softmax(numbers.double(), dim),
            what="softmax: wrong result for rows about 1e4, 100, 0, -100 and -1e4",
            hint=hint,
            rtol=tolerance,
            atol=1e-30,
        )


@pytest.mark.problem("softmax", points=0.5)
def test_softmax_gradient(adapters):
    x, x64 = trainable(normal(3, 4, 2, seed=4))
    check_gradient(
        adapters.run_softmax(x, 1),
        x,
        torch.softmax(x64, 1),
        x64,
        what="softmax",
        of="in_features",
        hint=HINT,
        steps=32,
    )
