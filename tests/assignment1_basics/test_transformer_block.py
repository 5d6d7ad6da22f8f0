"""The pre-norm block: x + attention(ln1(x)), then x + feed-forward(ln2(x)) (Xiong et al., 2020)."""

import functools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.model_weights import block_weights
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    normal,
    rounding,
    seeds,
    sizes,
    trainable,
)

PROBLEM = "transformer_block"
NEEDS = ["multihead_self_attention_with_rope", "rmsnorm", "swiglu"]
HINT = (
    "y = x + attention(ln1(x)); z = y + swiglu(ln2(y)): norms before the sub-layers, "
    "residuals around them"
)
# Two norms and five matrix products in a row, of sums of up to some 50 products each.
STEPS = 800


@pytest.mark.problem(PROBLEM, points=2, needs=NEEDS)
@few_examples
@given(
    num_heads=st.integers(1, 4),
    half=st.integers(1, 4),
    d_ff=st.integers(1, 24),
    batch=sizes,
    seq=st.integers(1, 8),
    theta=st.sampled_from([10.0, 10_000.0]),
    scale=st.sampled_from([0.01, 1.0, 10.0]),
    seed=seeds,
)
@example(num_heads=2, half=2, d_ff=8, batch=2, seq=5, theta=100.0, scale=1.0, seed=0)
@example(num_heads=2, half=2, d_ff=12, batch=2, seq=5, theta=100.0, scale=0.003, seed=1)
def test_block(adapters, num_heads, half, d_ff, batch, seq, theta, scale, seed):
    d_model = 2 * half * num_heads
    weights = block_weights(d_model, d_ff, seed)
    x = normal(batch, seq, d_model, seed=seed, scale=scale)
    expected = oracles.block(x, weights, num_heads, theta)
    given_weights = dict(weights)
    check.close(
        adapters.run_transformer_block(d_model, num_heads, d_ff, seq + 3, theta, given_weights, x),
        expected,
        what=f"transformer_block: wrong result for theta={theta:g}, numbers about {scale:g}",
        # Inputs of 0.003 have a mean square of 1e-5: there RMSNorm's epsilon of 1e-5 shows.
        hint=HINT if scale >= 1 else HINT + "; RMSNorm's epsilon is 1e-5",
        rtol=0,
        atol=rounding(expected, STEPS),
    )
    check.equal(
        sorted(given_weights),
        sorted(weights),
        what="transformer_block: the dict weights was changed",
        hint="it belongs to the caller: look up the keys, do not pop() them",
    )


@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
def test_block_gradient(adapters):
    twins = {name: trainable(w) for name, w in block_weights(8, 12, seed=2).items()}
    x, x64 = trainable(normal(2, 4, 8, seed=3))
    output = adapters.run_transformer_block(
        8, 2, 12, 6, 100.0, {name: w for name, (w, _) in twins.items()}, x
    )
    expected = oracles.block(x64, {name: w64 for name, (_, w64) in twins.items()}, 2, 100.0)
    close = functools.partial(check_gradient, what="transformer_block", hint=HINT, steps=STEPS)
    close(output, x, expected, x64, of="in_features")
    for name, (w, w64) in twins.items():
        close(output, w, expected, w64, of=name, weight=True)
