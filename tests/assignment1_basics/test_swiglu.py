"""SwiGLU: W2 (SiLU(W1 x) * W3 x) (Shazeer, 2020, equation 5)."""

import functools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    leading_shapes,
    normals,
    rounding,
    seeds,
    trainable,
)

HINT = "W2 (SiLU(W1 x) * (W3 x)): SiLU on the W1 branch only, then the product, then W2"
widths = st.integers(1, 24)


# d_ff is any number (not 8/3 d_model); d_ff = d_model comes first, where any order of the three
# matrices has a valid shape.
@pytest.mark.problem("swiglu", points=1, needs=["silu"])
@few_examples
@given(leading=leading_shapes, d_model=widths, d_ff=widths, seed=seeds)
@example(leading=(2,), d_model=4, d_ff=4, seed=0)
@example(leading=(), d_model=3, d_ff=8, seed=1)
def test_swiglu(adapters, leading, d_model, d_ff, seed):
    w1, w2, w3, x = normals(
        (d_ff, d_model), (d_model, d_ff), (d_ff, d_model), (*leading, d_model), seed=seed
    )
    output = adapters.run_swiglu(d_model, d_ff, w1, w2, w3, x)
    # Three sums of products in a row; |SiLU(a)| <= |a|, so sizes multiply through.
    size = ((x.abs() @ w1.abs().T) * (x.abs() @ w3.abs().T)) @ w2.abs().T
    check.close(
        output,
        oracles.swiglu(x, w1, w2, w3),
        what=f"swiglu: wrong result for d_model={d_model}, d_ff={d_ff}",
        hint=HINT,
        rtol=0,
        atol=rounding(size, 2 * d_model + d_ff + 8),
    )


@pytest.mark.problem("swiglu", points=1, needs=["silu"])
def test_swiglu_gradient(adapters):
    tensors = normals((6, 4), (4, 6), (6, 4), (2, 3, 4), seed=2)
    (w1, w1_64), (w2, w2_64), (w3, w3_64), (x, x64) = map(trainable, tensors)
    output = adapters.run_swiglu(4, 6, w1, w2, w3, x)
    expected = oracles.swiglu(x64, w1_64, w2_64, w3_64)
    close = functools.partial(check_gradient, what="swiglu", hint=HINT, steps=64)
    close(output, x, expected, x64, of="in_features")
    close(output, w1, expected, w1_64, of="w1", weight=True)
    close(output, w2, expected, w2_64, of="w2", weight=True)
    close(output, w3, expected, w3_64, of="w3", weight=True)
