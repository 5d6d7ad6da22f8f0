import os
import signal
import threading

import pytest

from course.errors import PreemptedError
from course.stop import StopRequest, preemption_signal


@pytest.fixture(autouse=True)
def _outside_of_a_job(monkeypatch):
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    monkeypatch.delenv("SUBMITIT_PREEMPT_SIGNAL", raising=False)


def test_nothing_happens_without_a_signal():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert stop.requested is None
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_asks_and_the_end_is_preempted(capsys):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested == signal.SIGTERM
        with pytest.raises(PreemptedError, match="stopped by SIGTERM; saved"):
            stop.end("saved")


def test_the_first_ctrl_c_asks_the_second_stops_at_once(capsys):
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == signal.SIGINT
        assert "Ctrl-C again" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt, match="stopped at once"):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match="saved"):
            stop.end("saved")


def test_in_a_slurm_job_the_signal_is_that_of_submitit(monkeypatch):
    assert preemption_signal() == signal.SIGTERM
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert preemption_signal() == signal.SIGUSR2
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.requested == signal.SIGUSR1


def test_in_a_thread_it_listens_to_nothing():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
