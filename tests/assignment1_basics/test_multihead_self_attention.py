"""Causal multi-head self-attention without positions (Vaswani et al., 2017, section 3.2.2)."""

import functools

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    leading_shapes,
    normal,
    normals,
    rounding,
    seeds,
    trainable,
)

HINT = (
    "project, split rows into heads (head h owns rows h*d_head to (h+1)*d_head), attend causally "
    "within each head with scale 1/sqrt(d_head), put the heads side by side, then output_proj"
)
# Projections, scores, softmax, mixing and the output: a few sums of up to 48 products in a row.
STEPS = 400


def projections(d_model: int, seed: int) -> list[torch.Tensor]:
    """Matrices that keep the size of their input, with scores well away from uniform."""
    return normals(*[(d_model, d_model)] * 4, seed=seed, scale=1.5 / d_model**0.5)


@pytest.mark.problem("multihead_self_attention", points=2)
@few_examples
@given(
    num_heads=st.integers(1, 6),
    d_head=st.integers(1, 8),
    batch=st.integers(1, 3),
    seq=st.integers(1, 10),
    seed=seeds,
)
@example(num_heads=2, d_head=3, batch=2, seq=4, seed=0)
@example(num_heads=4, d_head=4, batch=4, seq=4, seed=1)
@example(num_heads=1, d_head=6, batch=1, seq=5, seed=2)
def test_multihead(adapters, num_heads, d_head, batch, seq, seed):
    d_model = num_heads * d_head
    weights, x = projections(d_model, seed), normal(batch, seq, d_model, seed=seed + 1)
    expected = oracles.self_attention(x, *weights, num_heads)
    check.close(
        adapters.run_multihead_self_attention(d_model, num_heads, *weights, x),
        expected,
        what=f"attention: wrong result for {num_heads} heads of {d_head}, {seq} tokens",
        hint=HINT,
        rtol=0,
        atol=rounding(torch.cat((expected, x), 1), STEPS),
    )


# Token t sees tokens 0 to t, itself included: no token of the future, and none of the past missing.
@pytest.mark.problem("multihead_self_attention", points=1)
def test_multihead_is_causal(adapters):
    weights, x = projections(6, seed=3), normal(2, 5, 6, seed=4)
    output = adapters.run_multihead_self_attention(6, 3, *weights, x)
    check.close(
        output[:, 0],
        x[:, 0].double() @ weights[2].double().T @ weights[3].double().T,
        what="attention: wrong result for the first token",
        hint="the first token sees itself only: its output is W_o W_v x",
        rtol=0,
        atol=rounding(output, STEPS),
    )
    for token in range(1, 5):
        changed = x.clone()
        changed[:, token] = normal(2, 6, seed=100 + token)
        after = adapters.run_multihead_self_attention(6, 3, *weights, changed)
        check.close(
            after[:, :token],
            output[:, :token],
            what=f"attention: tokens before {token} change with token {token}",
            hint="a query sees no key of a later token: the mask is True on and below the diagonal",
            rtol=0,
            atol=rounding(output, STEPS),
        )
        check.true(
            bool(((after - output)[:, token:].abs().amax(-1) > 1e-3).all()),
            f"attention: some token from {token} on does not change with token {token}",
            hint="a token sees itself and every earlier one",
        )


@pytest.mark.problem("multihead_self_attention", points=1)
@few_examples
@given(leading=leading_shapes, seed=seeds)
@example(leading=(), seed=0)
@example(leading=(3, 2), seed=1)
def test_multihead_with_any_leading_dimensions(adapters, leading, seed):
    weights, x = projections(8, seed), normal(*leading, 4, 8, seed=seed + 1)
    expected = oracles.self_attention(x.reshape(-1, 4, 8), *weights, 2).reshape(x.shape)
    check.close(
        adapters.run_multihead_self_attention(8, 2, *weights, x),
        expected,
        what=f"attention: wrong result for in_features of shape {tuple(x.shape)}",
        hint="only the last two dimensions are tokens and features; the others are a batch",
        rtol=0,
        atol=rounding(torch.cat((expected, x), -2), STEPS),
    )


@pytest.mark.problem("multihead_self_attention", points=1)
def test_multihead_gradient(adapters):
    twins = [trainable(w) for w in projections(6, seed=5)]
    x, x64 = trainable(normal(2, 4, 6, seed=6))
    output = adapters.run_multihead_self_attention(6, 2, *(w for w, _ in twins), x)
    expected = oracles.self_attention(x64, *(w for _, w in twins), 2)
    close = functools.partial(check_gradient, what="attention", hint=HINT, steps=STEPS)
    close(output, x, expected, x64, of="in_features")
    for name, (w, w64) in zip(("q_proj", "k_proj", "v_proj", "output_proj"), twins, strict=True):
        close(output, w, expected, w64, of=name, weight=True)
