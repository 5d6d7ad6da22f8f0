"""The language model: embedding, blocks, final norm, output matrix; the result is logits."""

import functools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.model_weights import language_model_weights
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    integers,
    rounding,
    seeds,
    sizes,
    trainable,
)

PROBLEM = "transformer_lm"
NEEDS = ["transformer_block", "embedding", "linear"]
HINT = "lm_head(ln_final(blocks(token_embeddings[ids]))): every position, logits not probabilities"
# A few blocks (see test_transformer_block; twelve narrow ones), a norm and the output matrix.
STEPS = 3000


# The sequence is as long as the context or shorter; layers, heads and sizes vary.
@pytest.mark.problem(PROBLEM, points=3, needs=NEEDS)
@few_examples
@given(
    num_layers=st.integers(1, 4),
    num_heads=st.integers(1, 3),
    half=st.integers(1, 4),
    d_ff=st.integers(2, 24),
    vocab_size=st.integers(2, 40),
    batch=sizes,
    seq=st.integers(1, 8),
    spare=st.integers(0, 6),
    theta=st.sampled_from([10.0, 10_000.0]),
    seed=seeds,
)
@example(
    num_layers=3, num_heads=2, half=2, d_ff=8, vocab_size=11, batch=2, seq=5, spare=4, theta=100.0,
    seed=0,
)  # fmt: skip
# "layers.1" is also the beginning of "layers.10", and as strings "10" < "2".
@example(
    num_layers=12, num_heads=1, half=1, d_ff=3, vocab_size=5, batch=1, seq=3, spare=0, theta=10.0,
    seed=1,
)  # fmt: skip
def test_logits(
    adapters, num_layers, num_heads, half, d_ff, vocab_size, batch, seq, spare, theta, seed
):
    d_model = 2 * half * num_heads
    weights = language_model_weights(vocab_size, d_model, d_ff, num_layers, seed)
    ids = integers(vocab_size, (batch, seq), seed)
    expected = oracles.language_model(ids, weights, num_layers, num_heads, theta)
    check.close(
        adapters.run_transformer_lm(
            vocab_size, seq + spare, d_model, num_layers, num_heads, d_ff, theta, weights, ids
        ),
        expected,
        what=f"transformer_lm: wrong logits for {num_layers} layers, {seq} of {seq + spare} tokens",
        hint=HINT,
        rtol=0,
        atol=rounding(expected, STEPS),
    )


# The logits of a prefix do not depend on what follows it, nor on the other rows of the batch.
@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
def test_logits_depend_on_the_past_of_their_own_row_only(adapters):
    weights, ids = language_model_weights(9, 8, 12, 2, seed=1), integers(9, (3, 7), seed=1)
    run = functools.partial(adapters.run_transformer_lm, 9, 7, 8, 2, 2, 12, 100.0, weights)
    whole = run(ids)
    close = functools.partial(check.close, rtol=0, atol=rounding(whole, STEPS))
    for length in range(1, 7):
        close(
            run(ids[:, :length]),
            whole[:, :length],
            what=f"transformer_lm: other logits for the first {length} of 7 tokens alone",
            hint="logits of a prefix are those of the longer text: attention is causal, and "
            "positions count from the start",
        )
    close(
        run(ids[1:2]),
        whole[1:2],
        what="transformer_lm: other logits for one row of the batch alone",
        hint="the rows of a batch do not mix",
    )


@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
def test_logits_gradient(adapters):
    twins = {name: trainable(w) for name, w in language_model_weights(9, 8, 12, 2, seed=2).items()}
    ids = integers(9, (2, 5), seed=2)
    logits = adapters.run_transformer_lm(
        9, 6, 8, 2, 2, 12, 100.0, {name: w for name, (w, _) in twins.items()}, ids
    )
    weights64 = {name: w64 for name, (_, w64) in twins.items()}
    expected = oracles.language_model(ids, weights64, 2, 2, 100.0)
    for name, (w, w64) in twins.items():
        check_gradient(
            logits,
            w,
            expected,
            w64,
            what="transformer_lm",
            of=name,
            hint="every parameter takes part in the logits; nothing on the way is detached",
            steps=STEPS,
            weight=True,
        )
