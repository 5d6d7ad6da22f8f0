"""Embedding: row `id` of the weights for every token id."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    integers,
    leading_shapes,
    normal,
    seeds,
    trainable,
)

HINT = "the vector of token id i is row i of `weights` [vocab_size d_model], unchanged"


# Ids of any shape, with repetitions, with 0 and the last id: neither is special.
@pytest.mark.problem("embedding", points=1)
@few_examples
@given(
    shape=leading_shapes,
    vocab_size=st.integers(2, 60),
    d_model=st.integers(1, 16),
    seed=seeds,
)
@example(shape=(2, 3), vocab_size=5, d_model=5, seed=0)
def test_embedding(adapters, shape, vocab_size, d_model, seed):
    weights = normal(vocab_size, d_model, seed=seed)
    ids = integers(vocab_size, shape, seed)
    if ids.numel() > 1:
        ids.view(-1)[0], ids.view(-1)[-1] = 0, vocab_size - 1
    output = adapters.run_embedding(vocab_size, d_model, weights, ids)
    # A row is copied, so nothing is rounded.
    check.close(
        output,
        F.embedding(ids, weights.double()),
        what="embedding: wrong vectors",
        hint=HINT,
        rtol=0,
        atol=0,
    )


# An id that occurs twice gets the sum of both gradients; an id that does not occur gets zero.
@pytest.mark.problem("embedding", points=1)
def test_embedding_gradient(adapters):
    weights, weights64 = trainable(normal(6, 4, seed=3))
    ids = torch.tensor([[5, 0, 2], [2, 2, 0]])
    output = adapters.run_embedding(6, 4, weights, ids)
    check_gradient(
        output,
        weights,
        F.embedding(ids, weights64),
        weights64,
        what="embedding",
        of="weights",
        hint="every occurrence of an id adds to the gradient of its row",
        steps=4,
        weight=True,
    )
