"""Attention over a sequence that arrives in chunks, with cached keys and values."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import few_examples, normal, rounding, seeds, sizes
from tests.assignment1_basics.test_multihead_self_attention import STEPS, projections

PROBLEM = "kv_cache"
NEEDS = ["multihead_self_attention_with_rope"]
HINT = (
    "append the new (rotated) keys and the new values to the cache; new tokens take the positions "
    "after all earlier ones, and see the whole cache and, causally, their own chunk"
)


AT_ONCE = (
    "compute each chunk when it arrives: in generation the next one depends on the last output, "
    "so it cannot be waited for"
)


def run(adapters, x, num_heads, max_seq_len, theta, weights, chunks):
    """Feed `x` in pieces, from an iterator that can be read once, as tokens arrive."""
    return feed(
        adapters, iter(torch.split(x, chunks, dim=1)), x, num_heads, max_seq_len, theta, weights
    )


def feed(adapters, pieces, x, num_heads, max_seq_len, theta, weights):
    return adapters.run_attention_with_kv_cache(
        x.shape[-1], num_heads, max_seq_len, theta, *weights, pieces
    )


def compare(outputs, x, num_heads, theta, weights, chunks, what):
    """Compare chunk by chunk with attention over the whole sequence at once."""
    outputs = list(outputs)
    check.equal(
        len(outputs),
        len(chunks),
        what="kv_cache: wrong number of outputs",
        hint="one for every chunk",
    )
    expected = oracles.self_attention(x, *weights, num_heads, theta)
    atol = rounding(torch.cat((expected, x), 1), STEPS + 4 * x.shape[1])
    for number, piece in enumerate(torch.split(expected, chunks, dim=1)):
        check.close(
            outputs[number],
            piece,
            what=f"kv_cache: wrong output for chunk {number + 1} of {len(chunks)}: {what}",
            hint=HINT,
            rtol=0,
            atol=atol,
        )


# A prompt, then one token at a time: what generation does.
@pytest.mark.problem(PROBLEM, points=1.5, needs=NEEDS)
@few_examples
@given(
    prompt=st.integers(1, 7),
    new=st.integers(0, 6),
    batch=sizes,
    num_heads=sizes,
    spare=st.integers(0, 5),
    theta=st.sampled_from([10.0, 10_000.0]),
    seed=seeds,
)
@example(prompt=3, new=4, batch=2, num_heads=2, spare=5, theta=20.0, seed=0)
def test_decode_one_token_at_a_time(adapters, prompt, new, batch, num_heads, spare, theta, seed):
    d_model, chunks = 4 * num_heads, [prompt] + [1] * new
    weights, x = projections(d_model, seed), normal(batch, prompt + new, d_model, seed=seed + 1)
    outputs = run(adapters, x, num_heads, prompt + new + spare, theta, weights, chunks)
    what = f"prompt of {prompt}, then single tokens"
    compare(outputs, x, num_heads, theta, weights, chunks, what)


# Later chunks of several tokens need a mask of their own: the cache is open, the chunk causal.
@pytest.mark.problem(PROBLEM, points=1, needs=NEEDS)
@few_examples
@given(chunks=st.lists(st.integers(1, 5), min_size=1, max_size=5), batch=sizes, seed=seeds)
@example(chunks=[2, 3, 3], batch=2, seed=0)
@example(chunks=[1, 4, 1, 2], batch=1, seed=1)
def test_chunks_of_several_tokens(adapters, chunks, batch, seed):
    weights, x = projections(8, seed), normal(batch, sum(chunks), 8, seed=seed + 1)
    outputs = run(adapters, x, 2, sum(chunks) + 2, 50.0, weights, chunks)
    compare(outputs, x, 2, 50.0, weights, chunks, f"chunks of {chunks}")


class MatrixProducts(TorchFunctionMode):
    """Count the matrix products that are asked for, and their floating-point operations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.flops = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "inner", "einsum"):
            inner = summed(*args) if name == "einsum" else args[0].shape[-1]
            self.calls += 1
            self.flops += 2 * result.numel() * inner
        return result


def summed(equation: str, *operands: torch.Tensor) -> int:
    """The number of products in every sum of an einsum."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    sizes = {}
    for term, operand in zip(inputs.split(","), operands, strict=True):
        left, _, right = term.partition("...")
        sizes |= dict(zip(left, operand.shape, strict=False))
        sizes |= dict(zip(right[::-1], operand.shape[::-1], strict=False))
    return math.prod(size for index, size in sizes.items() if index not in output)


# Right outputs from a cache that saves nothing: everything computed again for every token, or all
# chunks collected first and computed at once.
@pytest.mark.problem(PROBLEM, points=1.5, needs=NEEDS)
def test_nothing_is_computed_twice(adapters):
    d_model, length = 64, 32
    chunks = [8] + [1] * (length - 8)
    weights, x = projections(d_model, seed=3), normal(1, length, d_model, seed=4)
    idle = []  # numbers of the chunks after which nothing was computed

    def arriving():
        for number, piece in enumerate(torch.split(x, chunks, dim=1), start=1):
            before = products.calls
            yield piece
            if products.calls == before:
                idle.append(number)

    with MatrixProducts() as products:
        outputs = list(feed(adapters, arriving(), x, 2, length, 100.0, weights))
    compare(outputs, x, 2, 100.0, weights, chunks, "prompt of 8, then 24 single tokens")
    if not products.calls:
        return  # written without matrix products: nothing to count
    # Four projections of every token; scores and mixing over at most max_seq_len keys.
    needed = 2 * 4 * length * d_model**2 + 2 * 2 * length * length * d_model
    check.true(
        products.flops < 1.3 * needed,
        f"kv_cache: {products.flops / needed:.1f} times the FLOPs that {length} tokens need",
        hint="project the new tokens only, and take earlier keys and values from the cache",
    )
    check.true(
        products.calls >= len(chunks),
        f"kv_cache: {products.calls} matrix products for {len(chunks)} chunks",
        hint=AT_ONCE,
    )
    check.true(
        not idle,
        f"kv_cache: chunk {(idle or [0])[0] + 1} is asked for before chunk {(idle or [0])[0]} is "
        "computed",
        hint=AT_ONCE,
        observed=idle,
    )
