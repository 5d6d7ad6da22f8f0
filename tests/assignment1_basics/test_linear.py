"""Linear: y = W x, without bias."""

import functools

import pytest
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    leading_shapes,
    normals,
    rounding,
    seeds,
    trainable,
)

HINT = "y = W x: row j of `weights` [d_out d_in] gives output j; the layer has no bias"
widths = st.integers(1, 48)


# Sizes vary, and a square matrix comes first: there a forgotten transpose has a valid shape.
@pytest.mark.problem("linear", points=1)
@few_examples
@given(leading=leading_shapes, d_in=widths, d_out=widths, seed=seeds)
@example(leading=(2, 3), d_in=4, d_out=4, seed=0)
@example(leading=(), d_in=3, d_out=5, seed=1)
def test_linear(adapters, leading, d_in, d_out, seed):
    weights, x = normals((d_out, d_in), (*leading, d_in), seed=seed)
    output = adapters.run_linear(d_in, d_out, weights, x)
    # A sum of d_in products makes at most d_in roundings of numbers below the sum of sizes.
    size = x.abs() @ weights.abs().T
    check.close(
        output,
        F.linear(x.double(), weights.double()),
        what=f"linear: wrong result for weights [{d_out} {d_in}]",
        hint=HINT,
        rtol=0,
        atol=rounding(size, d_in + 2),
    )


# Right values computed without a graph cannot be trained.
@pytest.mark.problem("linear", points=1)
def test_linear_gradient(adapters):
    (weights, weights64), (x, x64) = map(trainable, normals((5, 3), (2, 4, 3), seed=2))
    output, expected = adapters.run_linear(3, 5, weights, x), F.linear(x64, weights64)
    close = functools.partial(check_gradient, what="linear", hint=HINT, steps=16)
    close(output, x, expected, x64, of="in_features")
    close(output, weights, expected, weights64, of="weights", weight=True)
