"""Warmup-stable-decay schedule (Hu et al. 2024, MiniCPM, section 4.2) with linear decay."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check


@pytest.mark.problem("lr_wsd_schedule", points=1)
@given(
    warmup=st.integers(1, 15),
    stable=st.integers(1, 20),
    decay=st.integers(1, 20),
    maximum=st.floats(1e-4, 1.0),
    ratio=st.floats(0.0, 0.9),
)
@example(warmup=5, stable=9, decay=7, maximum=1.0, ratio=0.1)
def test_every_step(adapters, warmup, stable, decay, maximum, ratio):
    minimum, start, total = maximum * ratio, warmup + stable, warmup + stable + decay
    # The schedule is piecewise linear, so interpolation between its corners is an oracle.
    corners = [0, warmup, start, total, total + 10]
    values = [0.0, maximum, maximum, minimum, minimum]
    steps = range(total + 10)
    check.close(
        [
            adapters.run_get_lr_wsd_schedule(it, maximum, minimum, warmup, start, total)
            for it in steps
        ],
        np.interp(steps, corners, values),
        rtol=1e-9,
        atol=1e-12,
        what=f"learning rates of the steps 0, 1, ... (warm-up {warmup}, decay {start} to {total}, "
        f"from {maximum} to {minimum})",
        hint="linear up from 0, constant, linear down to the minimum, the minimum",
    )


@pytest.mark.problem("lr_wsd_schedule", points=1)
def test_corners(adapters):
    def rate(it, warmup=10, start=80, total=100):
        return adapters.run_get_lr_wsd_schedule(it, 2.0, 0.4, warmup, start, total)

    check.close(rate(10), 2.0, what="learning rate at the end of the warm-up (the maximum)")
    check.close(rate(80), 2.0, what="learning rate when the decay starts (the maximum)")
    check.close(rate(90), 1.2, what="learning rate half-way through the decay")
    check.close(rate(100), 0.4, what="learning rate at the last step (the minimum)")
    check.close(rate(500), 0.4, what="learning rate after the last step (the minimum)")
    check.close(rate(0, warmup=0), 2.0, what="learning rate at step 0 without a warm-up")
    check.close(
        rate(50, start=100), 2.0, what="learning rate of a schedule whose decay never starts"
    )
