"""The grader's own process, which a student's code must not end."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def no_sudden_end() -> Iterator[None]:
    """Let `os._exit` raise `SystemExit` in this process.

    It would end the grader without a word, and `os._exit(0)` would look like full marks. Processes
    that the student's code forks (multiprocessing does, and ends them by `os._exit`) are let go.
    """
    grader, end = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != grader:
            end(status)
        raise SystemExit(f"os._exit({status}) would end the grader, too")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end
