"""A limit on the seconds of one test, so that an endless loop is reported instead of waited for."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class TooSlow(BaseException):
    """A test took longer than its limit. No `Exception`: `except Exception` must not catch it."""


def stop_clock() -> None:
    """Lift the limit of the block that runs: a person in a debugger takes as long as it takes."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in the block after `seconds`, and again every second until it ends.

    By SIGALRM, so only in the main thread and where there is that signal; elsewhere, and for 0
    seconds, there is no limit.
    """
    if (
        seconds <= 0
        or not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"took longer than {seconds:g} s: an endless loop, or far too slow a method")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
