"""Endless loops end, also those that catch everything, and nothing of it stays behind."""

import contextlib
import signal
import time

import pytest

from course.grading.timelimit import TooSlow, time_limit


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def stubborn():
    for _ in range(2):
        with contextlib.suppress(BaseException):
            spin(5)
    return "ran to its end"


def test_a_loop_that_catches_everything_is_stopped_again():
    began = time.monotonic()
    with time_limit(0.05):
        assert stubborn() == "ran to its end"
    assert time.monotonic() - began < 4


def test_afterwards_all_is_as_before():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TooSlow, match=r"longer than 0\.05 s"), time_limit(0.05):
        spin(5)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_no_limit_sets_no_timer():
    with time_limit(0):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
