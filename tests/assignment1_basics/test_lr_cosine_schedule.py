"""Cosine learning-rate schedule (Loshchilov & Hutter 2017, equation 5) with linear warm-up."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check


def cosine_schedule(it, maximum, minimum, warmup, cycle):
    """The closed form, written once for each part."""
    if it < warmup:
        return maximum * it / warmup
    if it <= cycle:
        phase = math.pi * (it - warmup) / (cycle - warmup)
        return minimum + (maximum - minimum) * (1 + math.cos(phase)) / 2
    return minimum


@pytest.mark.problem("lr_cosine_schedule", points=1)
@given(
    warmup=st.integers(0, 20),
    length=st.integers(1, 40),
    maximum=st.floats(1e-4, 1.0),
    ratio=st.floats(0.0, 0.9),
)
@example(warmup=7, length=14, maximum=1.0, ratio=0.1)
def test_every_step(adapters, warmup, length, maximum, ratio):
    minimum, cycle = maximum * ratio, warmup + length
    steps = range(cycle + 10)
    check.close(
        [adapters.run_get_lr_cosine_schedule(it, maximum, minimum, warmup, cycle) for it in steps],
        [cosine_schedule(it, maximum, minimum, warmup, cycle) for it in steps],
        rtol=1e-9,
        atol=1e-12,
        what=f"learning rates of the steps 0, 1, ... (warm-up {warmup}, cycle {cycle}, "
        f"from {maximum} to {minimum})",
        hint="linear from 0 over the warm-up, cosine from there to the end of the cycle, then the "
        "minimum",
    )


@pytest.mark.problem("lr_cosine_schedule", points=1)
@pytest.mark.parametrize(("warmup", "cycle"), [(7, 21), (0, 10), (100, 1000)])
def test_corners(adapters, warmup, cycle):
    def rate(it):
        return adapters.run_get_lr_cosine_schedule(it, 2.0, 0.5, warmup, cycle)

    check.close(rate(warmup), 2.0, what="learning rate at the end of the warm-up (the maximum)")
    check.close(rate(cycle), 0.5, what="learning rate at the end of the cycle (the minimum)")
    check.close(rate(3 * cycle), 0.5, what="learning rate long after the cycle (the minimum)")
    middle = (warmup + cycle) / 2
    if middle.is_integer():
        check.close(rate(int(middle)), 1.25, what="learning rate half-way down the cosine")
    if warmup:
        check.close(rate(0), 0.0, what="learning rate at step 0 of a warm-up", atol=1e-12)
