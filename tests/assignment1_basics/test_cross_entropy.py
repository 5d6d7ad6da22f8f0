"""Cross-entropy: the mean over the batch of -log softmax(inputs)[target], in nats."""

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
    normal,
    rounding,
    seeds,
    trainable,
)

HINT = "mean over the batch of log(sum(exp(logits))) - logits[target], natural logarithm"


@pytest.mark.problem("cross_entropy", points=1)
@few_examples
@given(batch=st.integers(1, 20), vocab=st.integers(1, 50), seed=seeds)
@example(batch=3, vocab=5, seed=0)
@example(batch=4, vocab=4, seed=1)
def test_cross_entropy(adapters, batch, vocab, seed):
    logits, targets = normal(batch, vocab, seed=seed, scale=2.0), integers(vocab, (batch,), seed)
    targets[0], targets[-1] = vocab - 1, 0  # every id is a target like any other
    kept = logits.clone()
    check.close(
        adapters.run_cross_entropy(logits, targets),
        F.cross_entropy(logits.double(), targets),
        what=f"cross_entropy: wrong loss of {batch} rows over {vocab} tokens",
        hint=HINT,
        # Differences, log and sum of numbers up to about 10; a mean of `batch` of them.
        rtol=0,
        atol=rounding(10.0, 16),
    )
    check.equal(
        logits, kept, what="cross_entropy: inputs was changed", hint="write to a new tensor"
    )


# The exact loss here is about 1500 and 120 nats: exp overflows, and the probability of the target
# underflows to 0, so log(softmax) is -inf, and log(softmax + tiny) is capped near 20 or 90.
@pytest.mark.problem("cross_entropy", points=1)
def test_cross_entropy_of_large_logits(adapters):
    targets = torch.tensor([2, 0, 3, 1])
    hint = (
        "subtract each row's maximum, and cancel log(exp(...)): "
        "loss = log(sum(exp(x - max))) - (x[target] - max)"
    )
    for spread, offset in ((30.0, 0.0), (1000.0, 0.0), (3.0, 10_000.0), (3.0, -10_000.0)):
        logits = normal(4, 5, seed=2, scale=spread) + offset
        logits[0, 2] -= 4 * spread
        check.close(
            adapters.run_cross_entropy(logits, targets),
            F.cross_entropy(logits.double(), targets),
            what=f"cross_entropy: wrong loss, logits about {offset:g} with a spread of {spread:g}",
            hint=hint,
            rtol=0,
            # Differences of numbers this large carry their rounding.
            atol=rounding(logits, 4) + rounding(10.0, 16),
        )
    logits = normal(4, 5, seed=3) + torch.tensor([[1e4], [100.0], [-100.0], [-1e4]])
    check.close(
        adapters.run_cross_entropy(logits, targets),
        F.cross_entropy(logits.double(), targets),
        what="cross_entropy: wrong loss, rows about 1e4, 100, -100 and -1e4",
        hint="the maximum is that of each row, not of the batch",
        rtol=0,
        atol=rounding(logits, 4) + rounding(10.0, 16),
    )


@pytest.mark.problem("cross_entropy", points=1)
def test_cross_entropy_gradient(adapters):
    targets = torch.tensor([2, 0, 3])
    for spread in (1.0, 100.0):
        logits, logits64 = trainable(normal(3, 5, seed=4, scale=spread))
        check_gradient(
            adapters.run_cross_entropy(logits, targets),
            logits,
            F.cross_entropy(logits64, targets),
            logits64,
            what=f"cross_entropy, logits with a spread of {spread:g}",
            of="inputs",
            hint="the gradient is (softmax(inputs) - one_hot(targets)) / batch",
            # exp doubles the rounding of differences as large as the spread.
            steps=32 + 8 * spread,
        )
