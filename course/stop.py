"""Ctrl-C and SIGTERM as a request: the loop finishes its step, saves and ends with its own code.

    with StopRequest() as stop:
        for step in range(steps):
            ...
            if stop.requested:
                save()
                stop.end("resume with: course train --resume --name tiny")

A Slurm job that submitit runs gets SIGUSR2 before preemption and before its time limit; SIGTERM
there belongs to submitit, which ignores it (`submitit/core/job_environment.py`, version 1.5).
"""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

from course.errors import PreemptedError


def preemption_signal() -> signal.Signals:
    """Return the signal that announces the end of this process: SIGTERM, in a Slurm job SIGUSR2."""
    if "SUBMITIT_EXECUTOR" not in os.environ:
        return signal.SIGTERM
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


class StopRequest:
    """Inside the block the first signal only sets `requested`; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGINT, preemption_signal()):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def end(self, message: str) -> NoReturn:
        """Raise what ends the command: KeyboardInterrupt (130) or PreemptedError (75)."""
        if self.requested == signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise PreemptedError(f"stopped by {(self.requested or signal.SIGTERM).name}; {message}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before, self.requested = self.requested, signal.Signals(number)
        if number == signal.SIGINT:
            if before == signal.SIGINT:
                raise KeyboardInterrupt("stopped at once: what came after the last save is lost")
            print("\nstopping after this step (Ctrl-C again: at once)", file=sys.stderr)
