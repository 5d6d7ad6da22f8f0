"""Attention: softmax(Q K^T / sqrt(d_k)) V (Vaswani et al., 2017, equation 1), with a mask."""

import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
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

HINT = "softmax over the keys of Q K^T / sqrt(d_k), d_k the last dimension of Q; then times V"
MASK_HINT = "True = may attend; set the other scores to -inf before the softmax over the keys"
widths = st.integers(1, 20)
lengths = st.integers(1, 9)


def random_mask(*shape: int, seed: int) -> torch.Tensor:
    """A mask in which every query sees some keys, and at least one."""
    mask = normal(*shape, seed=seed) > 0
    mask[..., seed % shape[-1]] = True
    return mask


def tolerance(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> float:
    """Scores of size s have an error of d_k roundings of s, which exp makes relative."""
    scores = (q.abs() @ k.abs().mT).max() / q.shape[-1] ** 0.5
    return rounding(v, (1 + float(scores)) * q.shape[-1] ** 0.5 * 2 + k.shape[-2] + 16)


# Queries and keys differ in number, d_k differs from d_v and is no constant.
@pytest.mark.problem("scaled_dot_product_attention", points=1.5)
@few_examples
@given(leading=leading_shapes, queries=lengths, keys=lengths, d_k=widths, d_v=widths, seed=seeds)
@example(leading=(2,), queries=4, keys=4, d_k=4, d_v=4, seed=0)
@example(leading=(2,), queries=3, keys=5, d_k=64, d_v=2, seed=1)
@example(leading=(2, 3), queries=5, keys=4, d_k=3, d_v=7, seed=2)
def test_attention(adapters, leading, queries, keys, d_k, d_v, seed):
    q, k, v = normals(
        (*leading, queries, d_k), (*leading, keys, d_k), (*leading, keys, d_v), seed=seed
    )
    check.close(
        adapters.run_scaled_dot_product_attention(q, k, v),
        F.scaled_dot_product_attention(q.double(), k.double(), v.double()),
        what=f"attention: wrong result for {queries} queries, {keys} keys, d_k={d_k}, d_v={d_v}",
        hint=HINT,
        rtol=0,
        atol=tolerance(q, k, v),
    )


# The mask differs between batch elements and heads, or is shared by all.
@pytest.mark.problem("scaled_dot_product_attention", points=1)
@few_examples
@given(
    leading=leading_shapes,
    shared=st.booleans(),
    queries=lengths,
    keys=lengths,
    d_k=widths,
    seed=seeds,
)
@example(leading=(2,), shared=False, queries=3, keys=4, d_k=4, seed=0)
@example(leading=(2, 3), shared=False, queries=4, keys=3, d_k=5, seed=1)
@example(leading=(2, 3), shared=True, queries=4, keys=4, d_k=5, seed=2)
def test_attention_mask(adapters, leading, shared, queries, keys, d_k, seed):
    q, k, v = normals(
        (*leading, queries, d_k), (*leading, keys, d_k), (*leading, keys, 3), seed=seed
    )
    mask = random_mask(*(() if shared else leading), queries, keys, seed=seed)
    check.close(
        adapters.run_scaled_dot_product_attention(q, k, v, mask),
        F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=mask),
        what=f"attention: wrong result with a mask of shape {tuple(mask.shape)}",
        hint=MASK_HINT,
        rtol=0,
        atol=tolerance(q, k, v),
    )


# Small integers and d_k = 4 make the scores exact, so the tolerance stays tight for scores of 1800:
# exp overflows without a maximum; and a hidden key that beats the visible ones by 1800 leaves them
# nothing, unless it is hidden before the softmax. The queries differ in size: so do their maxima.
@pytest.mark.problem("scaled_dot_product_attention", points=1.5)
@pytest.mark.parametrize("masked", [False, True], ids=["open", "hidden"])
def test_attention_of_large_scores(adapters, masked):
    q = torch.tensor([30.0, 1.0, 0.0])[:, None].expand(2, 3, 4)
    k = torch.tensor([[30.0] * 4, [1, 0, 0, 0], [0, 1, 0, 0], [1.0, 0, 0, -1]]).expand(2, 4, 4)
    k = torch.cat((k, torch.tensor([[[29.9375, 30, 30, 30]]]).expand(2, 1, 4)), dim=1)
    v = normal(2, 5, 3, seed=3)
    mask = torch.tensor([False, True, True, True, False]).expand(2, 3, 5) if masked else None
    if masked:
        v[:, 0] = 1e20  # of a hidden value nothing at all may show
    check.close(
        adapters.run_scaled_dot_product_attention(q, k, v, mask),
        F.scaled_dot_product_attention(q.double(), k.double(), v.double(), attn_mask=mask),
        what="attention: wrong result for scores up to 1800" + ", the largest hidden" * masked,
        hint=MASK_HINT if masked else "the softmax subtracts the maximum over the keys first",
        rtol=0,
        # The scores are exact; log-sum-exp as a way to the softmax rounds once at their size.
        atol=rounding(v[:, 1:], 64 if masked else 2 * 1800),
    )


@pytest.mark.problem("scaled_dot_product_attention", points=1)
def test_attention_gradient(adapters):
    (q, q64), (k, k64), (v, v64) = map(trainable, normals((2, 3, 4), (2, 5, 4), (2, 5, 6), seed=4))
    mask = random_mask(2, 3, 5, seed=4)
    output = adapters.run_scaled_dot_product_attention(q, k, v, mask)
    expected = F.scaled_dot_product_attention(q64, k64, v64, attn_mask=mask)
    close = functools.partial(check_gradient, what="attention", hint=HINT, steps=128)
    close(output, q, expected, q64, of="Q")
    close(output, k, expected, k64, of="K")
    close(output, v, expected, v64, of="V")
