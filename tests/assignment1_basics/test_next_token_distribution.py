"""From logits to probabilities: temperature, top-k, top-p (Holtzman et al., 2019) and min-p."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import (
    few_examples,
    leading_shapes,
    normal,
    rounding,
    seeds,
)

PROBLEM = "next_token_distribution"
temperatures = st.sampled_from([0.25, 0.7, 1.0, 1.6, 4.0])


def clear_threshold(values: torch.Tensor, number: int) -> float:
    """A number in (0, 1) that is 0.005 or more away from all values: rounding never decides."""
    ordered = torch.cat((torch.zeros(1, dtype=torch.float64), values.flatten())).sort().values
    wide = (ordered.diff() > 0.01).nonzero()[:, 0]
    gap = int(wide[number % len(wide)])
    return float(ordered[gap : gap + 2].mean())


def sorted_probabilities(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    return torch.softmax(logits.double() / temperature, -1).sort(descending=True).values


def compare(adapters, logits: torch.Tensor, hint: str, largest: float = 20.0, **options) -> None:
    kept = logits.clone()
    rows = logits.reshape(-1, logits.shape[-1]).tolist()
    expected = [oracles.next_token_distribution(row, **options) for row in rows]
    said = ", ".join(f"{name}={value:.3g}" for name, value in options.items())
    check.close(
        adapters.run_next_token_distribution(logits, **options),
        torch.tensor(expected, dtype=torch.float64).reshape(logits.shape),
        what=f"next_token_distribution: wrong probabilities, {said or 'defaults'}",
        hint=hint,
        rtol=0,
        # exp makes the rounding of the largest logit (after the temperature) relative.
        atol=rounding(largest, 4),
    )
    check.equal(
        logits, kept, what="next_token_distribution: logits was changed", hint="mask a copy"
    )


@pytest.mark.problem(PROBLEM, points=0.5)
@few_examples
@given(leading=leading_shapes, vocab=st.integers(2, 30), temperature=temperatures, seed=seeds)
@example(leading=(2,), vocab=5, temperature=0.5, seed=0)
def test_temperature(adapters, leading, vocab, temperature, seed):
    logits = normal(*leading, vocab, seed=seed, scale=2.0)
    compare(adapters, logits, "softmax(logits / temperature)", temperature=temperature)
    compare(adapters, logits, "the default temperature is 1, without filters")
    hint = "subtract the maximum before exp"
    compare(adapters, logits + 5000, hint, largest=10_000.0, temperature=0.5)
    hint = "temperature 0 puts all probability on the largest logit: no division by zero"
    compare(adapters, logits, hint, temperature=0.0)


@pytest.mark.problem(PROBLEM, points=0.5)
@few_examples
@given(
    leading=leading_shapes,
    vocab=st.integers(3, 30),
    share=st.floats(0, 1),
    temperature=temperatures,
    seed=seeds,
)
@example(leading=(2, 2), vocab=6, share=0.4, temperature=1.0, seed=0)
@example(leading=(), vocab=7, share=0.0, temperature=0.7, seed=1)
def test_top_k(adapters, leading, vocab, share, temperature, seed):
    logits = normal(*leading, vocab, seed=seed, scale=2.0)
    hint = "keep the k most probable tokens of each row, in their places, and renormalise"
    compare(adapters, logits, hint, temperature=temperature, top_k=1 + int(share * (vocab - 1)))


# The sums follow the temperature, and every row has its own.
@pytest.mark.problem(PROBLEM, points=0.5)
@few_examples
@given(vocab=st.integers(4, 25), number=st.integers(0, 20), temperature=temperatures, seed=seeds)
@example(vocab=6, number=2, temperature=1.0, seed=0)
@example(vocab=6, number=1, temperature=4.0, seed=1)
def test_top_p(adapters, vocab, number, temperature, seed):
    hint = (
        "after the temperature, keep the smallest set of most probable tokens that reaches top_p: "
        "the token that crosses it is kept"
    )
    logits = normal(vocab, seed=seed, scale=2.0)
    sums = sorted_probabilities(logits, temperature).cumsum(-1)
    for top_p in (clear_threshold(sums, number), float(sums[0]) / 2, 1.0):
        compare(adapters, logits, hint, temperature=temperature, top_p=top_p)
    rows = torch.stack((logits, 0.3 * logits.flip(0), 3 * logits))
    top_p = clear_threshold(sorted_probabilities(rows).cumsum(-1), number + 1)
    compare(adapters, rows, "top-p cuts every row by itself", top_p=top_p)


# Min-p is relative to the most probable token; top-p counts what top-k left as one.
@pytest.mark.problem(PROBLEM, points=0.5)
@few_examples
@given(vocab=st.integers(8, 25), number=st.integers(0, 20), temperature=temperatures, seed=seeds)
@example(vocab=8, number=3, temperature=1.0, seed=0)
@example(vocab=12, number=2, temperature=1.6, seed=1)
def test_filters_together(adapters, vocab, number, temperature, seed):
    logits = normal(2, vocab, seed=seed, scale=1.5) * torch.tensor([[1.0], [0.5]])
    p = sorted_probabilities(logits, temperature)
    share = p / p[:, :1]
    options = {"temperature": temperature, "min_p": clear_threshold(share, number)}
    hint = "keep the tokens of at least min_p times the row's largest probability, and renormalise"
    compare(adapters, logits, hint, **options)
    top_k = 3 + number % (vocab - 3)
    sums = p[:, :top_k].cumsum(-1) / p[:, :top_k].sum(-1, keepdim=True)
    options = {"temperature": temperature, "top_k": top_k, "top_p": clear_threshold(sums, number)}
    hint = "top-p sums the probabilities that are renormalised after temperature and top-k"
    compare(adapters, logits, hint, **options)
    hint = "in this order: temperature, top_k, top_p, min_p; then renormalise"
    options |= {"top_p": clear_threshold(sums, -1), "min_p": clear_threshold(share, number + 1)}
    compare(adapters, logits, hint, **options)
