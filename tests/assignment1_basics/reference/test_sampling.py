"""Sampling against an independent implementation, its definition, and the frequencies of draws."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from assignment1_basics.reference.model.sampling import (
    Sampling,
    next_token_distribution,
    sample,
)
from course.errors import UserError

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.05, 1.0),
    min_p=st.none() | st.floats(0.0, 1.0),
)


def by_definition(logits: list[float], sampling: Sampling) -> tuple[list[float], float]:
    """The words of the docstring in plain Python, and how close a threshold came to a decision."""
    ids = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    if sampling.temperature == 0:
        return [float(i == ids[0]) for i in range(len(logits))], 1.0
    weights = [math.exp((x - max(logits)) / sampling.temperature) for x in logits]
    kept, margin = ids[: sampling.top_k], 1.0
    if sampling.top_p is not None and sampling.top_p < 1:
        total, mass, nucleus = sum(weights[i] for i in kept), 0.0, []
        for i in kept:
            nucleus.append(i)
            mass += weights[i] / total
            margin = min(margin, abs(mass - sampling.top_p))
            if mass >= sampling.top_p:
                break
        kept = nucleus
    if sampling.min_p is not None:
        # The most probable token has weight 1.
        margin = min([margin] + [abs(weights[i] - sampling.min_p) for i in kept[1:]])
        kept = [i for i in kept if weights[i] >= sampling.min_p]
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0 for i in range(len(logits))], margin


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=10), samplings)
def test_the_distribution_is_that_of_the_definition(tenths, sampling):
    logits = [number / 10 for number in tenths]  # equal ones are frequent: ties
    expected, margin = by_definition(logits, sampling)
    assume(margin > 1e-5)  # closer than float32 can decide
    received = next_token_distribution(torch.tensor(logits), sampling)
    torch.testing.assert_close(received, torch.tensor(expected), rtol=1e-5, atol=1e-6)


@given(samplings.filter(lambda s: s.temperature > 0), st.integers(0, 99))
def test_filters_agree_with_transformers(sampling, seed):
    from transformers import (
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits = torch.randn(3, 20, generator=torch.Generator().manual_seed(seed)) * 3
    scores = TemperatureLogitsWarper(sampling.temperature)(None, logits)
    if sampling.top_k:
        scores = TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p and sampling.top_p < 1:
        scores = TopPLogitsWarper(sampling.top_p)(None, scores)
    if sampling.min_p:
        scores = MinPLogitsWarper(sampling.min_p)(None, scores)
    received = next_token_distribution(logits, sampling)
    torch.testing.assert_close(received, scores.softmax(-1), rtol=1e-5, atol=1e-6)


@given(samplings, st.lists(st.integers(1, 3), max_size=2), st.integers(0, 99))
def test_leading_dimensions_are_independent(sampling, shape, seed):
    logits = torch.randn(*shape, 9, generator=torch.Generator().manual_seed(seed))
    together = next_token_distribution(logits, sampling)
    for index in torch.cartesian_prod(*map(torch.arange, shape), torch.tensor([0])).view(
        -1, len(shape) + 1
    ):
        row = tuple(index[:-1].tolist())
        torch.testing.assert_close(together[row], next_token_distribution(logits[row], sampling))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_extreme_temperatures_and_logits_stay_finite(dtype):
    logits = torch.tensor([-1e4, 3e4, 2e4, float("-inf")], dtype=dtype)
    for temperature in (1e-30, 1.0, 1e30):
        result = next_token_distribution(logits, Sampling(temperature, top_k=3, top_p=0.999))
        assert result.isfinite().all()
        assert result[3] == 0
        torch.testing.assert_close(result.sum(), torch.ones_like(result.sum()))


def test_exactly_top_k_of_equal_tokens_are_kept_the_first_ones():
    assert next_token_distribution(torch.zeros(5), Sampling(top_k=2)).tolist() == [
        0.5,
        0.5,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize(("top_p", "kept"), [(0.25, 1), (0.5, 2), (0.51, 3), (1.0, 4)])
def test_top_p_keeps_no_token_that_the_mass_does_not_need(top_p, kept):
    distribution = next_token_distribution(torch.zeros(4), Sampling(top_p=top_p))
    assert distribution.tolist() == pytest.approx([1 / kept] * kept + [0.0] * (4 - kept))


def test_a_temperature_whose_inverse_overflows():
    distribution = next_token_distribution(torch.tensor([1.0, 10.0, 9.0]), Sampling(1e-39))
    assert distribution.tolist() == [0.0, 1.0, 0.0]


def test_draws_have_the_frequencies_of_the_distribution():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    sampling, draws = Sampling(0.7, top_k=3), 20_000
    expected = next_token_distribution(logits, sampling)
    tokens = sample(logits.expand(draws, 4), sampling, torch.Generator().manual_seed(0))
    counts = torch.bincount(tokens, minlength=4)
    assert counts[3] == 0
    # A count strays from its mean by its standard deviation; five of them in one of 600,000 tests.
    deviation = (draws * expected * (1 - expected)).sqrt()
    assert ((counts - draws * expected).abs() <= 5 * deviation).all()


def test_the_generator_is_the_only_source_of_randomness():
    logits, sampling = torch.randn(8, 50), Sampling()
    first = sample(logits, sampling, torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    assert torch.equal(first, sample(logits, sampling, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top-k is 0; it must be at least 1"),
        ({"top_p": 0.0}, "top-p is 0.0; it must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top-p is 1.5"),
        ({"min_p": -1.0}, "min-p is -1.0; it must be from 0 to 1"),
    ],
)
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Sampling(**options)
