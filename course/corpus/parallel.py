"""A lazy map over processes, in order: for plain Python, which threads cannot run at once."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from course.cores import available_cores

T = TypeVar("T")
R = TypeVar("R")
MAX_PROCESSES = 8
AHEAD = 4  # chunks for each process that wait or are done before they are asked for


def num_processes() -> int:
    """Return how many processes are worth while: the cores that this one may use, at most 8."""
    return min(MAX_PROCESSES, available_cores())


def parallel_map(
    function: Callable[[T], R], items: Sequence[T], processes: int, chunk: int
) -> Iterator[R]:
    """Yield `function(item)` of every item in order; with one process, in this one.

    Args:
        function: importable, as is its argument and its result picklable.
        items: what it is called with.
        processes: above 1, the calling script needs the `if __name__ == "__main__"` guard, since
            workers are spawned: the caller may have threads (torch does), which a fork breaks.
        chunk: so many items go to a worker at a time.
    """
    if processes <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    waiting: deque[Future[list[R]]] = deque()
    try:
        for start in range(0, len(items), chunk):
            part = items[start : start + chunk]
            with _interrupts_blocked():
                waiting.append(pool.submit(_call_each, function, part))
            if len(waiting) > AHEAD * processes:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _call_each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start workers that never see Ctrl-C: it is for this process, which ends them.

    They inherit the mask. Here another thread (NumPy has some) may still take the signal, and a
    worker that is half started when this one leaves would end with a trace: so it waits.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    on_main_thread = threading.current_thread() is threading.main_thread()
    arrived: list[int] = []
    if on_main_thread:
        handler = signal.signal(signal.SIGINT, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        if on_main_thread:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if arrived:
        raise KeyboardInterrupt
