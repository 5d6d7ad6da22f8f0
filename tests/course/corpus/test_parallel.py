"""A map over processes: in order, lazy, and deaf to Ctrl-C only where it must be."""

import os
import signal
import threading
import time

import pytest

from course.corpus.parallel import _interrupts_blocked, parallel_map


def blocked_signals():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_ctrl_c_is_heard_afterwards(processes):
    before = blocked_signals(), signal.getsignal(signal.SIGINT)
    assert list(parallel_map(abs, range(-50, 50), processes, chunk=7)) == [
        abs(i) for i in range(-50, 50)
    ]
    assert (blocked_signals(), signal.getsignal(signal.SIGINT)) == before


def test_with_one_process_nothing_is_done_before_it_is_asked_for():
    calls = []
    results = parallel_map(calls.append, range(10), 1, chunk=3)
    next(results)
    assert calls == [0]


def start_worker(done):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)  # another thread takes it in its own time
    done.append("started")


@pytest.mark.parametrize("beside", [False, True])
def test_ctrl_c_while_workers_start_comes_when_they_have_started(beside):
    """Whichever thread the kernel gives it to: this one, or one `beside` it that blocks nothing."""
    end, done = threading.Event(), []
    thread = threading.Thread(target=end.wait)
    if beside:
        thread.start()
    try:
        with pytest.raises(KeyboardInterrupt), _interrupts_blocked():
            start_worker(done)
    finally:
        end.set()
    assert done == ["started"]
