"""Causal multi-head self-attention with RoPE on queries and keys."""

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
    normal,
    rounding,
    seeds,
    sizes,
    trainable,
)
from tests.assignment1_basics.test_multihead_self_attention import STEPS, projections

PROBLEM = "multihead_self_attention_with_rope"
NEEDS = ["multihead_self_attention", "rope"]
HINT = (
    "split into heads, rotate the queries and keys (not the values) of each head by d_head-wide "
    "RoPE, then causal attention"
)


# theta, heads and max_seq_len vary; without positions they are 0, 1, 2, ...
@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
@few_examples
@given(
    num_heads=st.integers(1, 4),
    half=st.integers(1, 4),
    batch=sizes,
    seq=st.integers(1, 8),
    theta=st.sampled_from([10.0, 1000.0, 500_000.0]),
    spare=st.integers(0, 5),
    seed=seeds,
)
@example(num_heads=2, half=2, batch=2, seq=5, theta=10.0, spare=3, seed=0)
def test_multihead_with_rope(adapters, num_heads, half, batch, seq, theta, spare, seed):
    d_model = num_heads * 2 * half
    weights, x = projections(d_model, seed), normal(batch, seq, d_model, seed=seed + 1)
    expected = oracles.self_attention(x, *weights, num_heads, theta)
    check.close(
        adapters.run_multihead_self_attention_with_rope(
            d_model, num_heads, seq + spare, theta, *weights, x
        ),
        expected,
        what=f"attention with rope: wrong result for {num_heads} heads, theta={theta:g}",
        hint=HINT,
        rtol=0,
        atol=rounding(torch.cat((expected, x), 1), STEPS),
    )


# Given positions skip; they are shared by the batch ([seq] or [1 seq]) or differ between
# its rows ([batch seq]), also where batch and heads are equally many.
@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
@few_examples
@given(batch=sizes, shape=st.sampled_from(["seq", "1 seq", "batch seq"]), seed=seeds)
@example(batch=2, shape="batch seq", seed=0)
@example(batch=3, shape="batch seq", seed=1)
@example(batch=3, shape="seq", seed=2)
@example(batch=3, shape="1 seq", seed=3)
def test_multihead_with_rope_positions(adapters, batch, shape, seed):
    weights, x = projections(8, seed), normal(batch, 5, 8, seed=seed + 1)
    rows = {"seq": (), "1 seq": (1,), "batch seq": (batch,)}[shape]
    # Increasing in every row, so that "earlier" means the same by place and by position.
    positions = 1 + integers(7, (*rows, 5), seed).cumsum(-1) + torch.arange(5)
    expected = oracles.self_attention(x, *weights, 2, 30.0, positions)
    check.close(
        adapters.run_multihead_self_attention_with_rope(
            8, 2, 40, 30.0, *weights, x, token_positions=positions
        ),
        expected,
        what=f"attention with rope: wrong result at token_positions {positions.tolist()}",
        hint="row b of token_positions belongs to row b of the batch and holds for all its heads",
        rtol=0,
        # The rotation adds the rounding of an angle up to 40.
        atol=rounding(torch.cat((expected, x), 1), STEPS + 4 * 40),
    )


# Scores depend on distances only; were the values rotated too, a shift would show.
@pytest.mark.problem(PROBLEM, points=0.5, needs=NEEDS)
def test_multihead_with_rope_is_relative(adapters):
    weights, x = projections(8, seed=6), normal(2, 5, 8, seed=7)
    positions = torch.arange(5)
    near, far = (
        adapters.run_multihead_self_attention_with_rope(
            8, 2, 64, 100.0, *weights, x, token_positions=positions + shift
        )
        for shift in (0, 50)
    )
    check.close(
        far,
        near,
        what="attention with rope: the result changes when all positions move by 50",
        hint="the output depends on differences of positions only: rotate q and k, never v",
        rtol=0,
        atol=rounding(near, STEPS + 4 * 55),
    )
    spread = adapters.run_multihead_self_attention_with_rope(
        8, 2, 64, 100.0, *weights, x, token_positions=3 * positions
    )
    check.true(
        bool((spread - near).abs().max() > 1e-3),
        "attention with rope: the result does not change when all distances triple",
        hint="positions do not reach the scores: rotate queries and keys",
    )


@pytest.mark.problem(PROBLEM, points=0.5, needs=NEEDS)
def test_multihead_with_rope_gradient(adapters):
    twins = [trainable(w) for w in projections(8, seed=8)]
    x, x64 = trainable(normal(2, 4, 8, seed=9))
    output = adapters.run_multihead_self_attention_with_rope(
        8, 2, 6, 100.0, *(w for w, _ in twins), x
    )
    check_gradient(
        output,
        x,
        oracles.self_attention(x64, *(w for _, w in twins), 2, 100.0),
        x64,
        what="attention with rope",
        of="in_features",
        hint=HINT,
        steps=STEPS,
    )
