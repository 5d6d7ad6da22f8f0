import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.optimizer.schedules import cosine_schedule, wsd_schedule

STEPS = st.integers(0, 50)


@given(warmup=STEPS, decay=STEPS)
def test_cosine_rises_then_falls_between_its_bounds(warmup, decay):
    rates = [cosine_schedule(t, 1.0, 0.1, warmup, warmup + decay) for t in range(120)]
    if decay:
        assert all(a < b for a, b in itertools.pairwise(rates[: warmup + 1]))
    falling = rates[warmup : warmup + decay + 1]
    assert falling == sorted(falling, reverse=True)
    assert rates[0] == (0.0 if warmup else (1.0 if decay else 0.1))
    assert set(rates[warmup + decay :]) == {0.1}


def test_cosine_in_the_middle_and_at_a_quarter():
    assert cosine_schedule(10 + 50, 1.0, 0.0, 10, 110) == pytest.approx(0.5)
    quarter = 0.5 * (1 + math.cos(math.pi / 4))
    assert cosine_schedule(10 + 25, 1.0, 0.0, 10, 110) == pytest.approx(quarter)


@given(warmup=STEPS, stable=STEPS, decay=STEPS)
def test_wsd_is_piecewise_linear(warmup, stable, decay):
    start, end = warmup + stable, warmup + stable + decay
    rates = [wsd_schedule(t, 2.0, 0.5, warmup, start, end) for t in range(end + 5)]
    assert set(rates[warmup : start + 1]) == {2.0}
    assert set(rates[end + 1 :]) == {0.5}
    for part in (rates[: warmup + 1], rates[start : end + 1]):
        slopes = [b - a for a, b in itertools.pairwise(part)]
        assert all(slope == pytest.approx(slopes[0]) for slope in slopes)


def test_wsd_can_be_made_longer_before_it_decays():
    short = [wsd_schedule(t, 1.0, 0.1, 5, 80, 100) for t in range(81)]
    long = [wsd_schedule(t, 1.0, 0.1, 5, 160, 200) for t in range(81)]
    assert short == long
