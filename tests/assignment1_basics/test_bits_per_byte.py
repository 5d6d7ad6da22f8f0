"""Bits per byte: the information in the targets under the model, over the length of their text."""

import math

import pytest
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics.tensors import few_examples, integers, normal, rounding, seeds


# More bytes than tokens, as in all text; a sum over tokens, and 2 as the base.
@pytest.mark.problem("bits_per_byte", points=1, needs=["cross_entropy"])
@few_examples
@given(tokens=st.integers(1, 30), vocab=st.integers(2, 50), extra=st.integers(0, 90), seed=seeds)
@example(tokens=4, vocab=6, extra=9, seed=0)
def test_bits_per_byte(adapters, tokens, vocab, extra, seed):
    logits = normal(tokens, vocab, seed=seed, scale=2.0)
    targets, num_bytes = integers(vocab, (tokens,), seed), tokens + extra
    bits = F.cross_entropy(logits.double(), targets, reduction="sum") / math.log(2)
    check.close(
        float(adapters.run_bits_per_byte(logits, targets, num_bytes)),
        float(bits) / num_bytes,
        what=f"bits_per_byte: wrong for {tokens} tokens that are {num_bytes} bytes",
        hint="(mean loss in nats * number of tokens) / ln 2 / num_bytes",
        rtol=0,
        # The rounding of cross_entropy, times tokens per byte (at most 1), over ln 2.
        atol=rounding(10.0, 32),
    )
