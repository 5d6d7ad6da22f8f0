"""One live progress line with rate and ETA on a terminal, a plain line every few seconds elsewhere.

    with Progress("encoding", total=size, unit="B") as bar:
        for chunk in chunks:
            bar.update(len(chunk), documents=seen)

It writes to stderr, so a command's stdout stays clean for its result. It starts no thread: the line
is drawn from `update`, at most ten times a second, which costs about a microsecond per call
otherwise. A log file of a Slurm job gets a line every `plain_interval` seconds instead.
"""

import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import rich.progress

RATE_WINDOW_S = 20.0
LIVE_INTERVAL_S = 0.1


class Progress:
    """How far a long job is: `update` moves it on, `print` writes a line above it.

    Args:
        title: what is being done, a word or two.
        total: the number of units when all is done; None when nobody knows.
        unit: what is counted, in the singular ("step", "document"); "B" prints as kB, MB, GB.
        start: units that were done before (a resumed run); they do not count in the rate.
        stream: where to write; stderr by default. A live line needs it to be a terminal.
        plain_interval: seconds between lines where there is no terminal.
    """

    def __init__(
        self,
        title: str,
        total: float | None = None,
        unit: str = "step",
        *,
        start: float = 0,
        stream: TextIO | None = None,
        plain_interval: float = 10.0,
    ):
        self.title, self.total, self.unit = title, total, unit
        self.done = start
        self.numbers: dict[str, object] = {}
        self._stream = sys.stderr if stream is None else stream
        self._live: rich.progress.Progress | None = None
        self._interval = LIVE_INTERVAL_S if self._stream.isatty() else plain_interval
        self._start = start
        self._began = self._drawn = time.monotonic()
        self._history: deque[tuple[float, float]] = deque([(self._began, start)])

    def __enter__(self) -> "Progress":
        self._began = self._drawn = time.monotonic()
        self._history = deque([(self._began, self.done)])
        if self._stream.isatty():
            self._live = _live_line(self._stream, self.title, self.total, self.done)
            self._live.start()
            self._draw(self._began)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or self._live is not None or self.done > self._start:
            self._draw(time.monotonic(), last=True)  # else a wrong option: there is no news
        if self._live is not None:
            self._live.stop()

    def update(self, n: float = 1, **numbers: object) -> None:
        """Count `n` more units as done and show `numbers` (name=value) behind the rate."""
        self.done += n
        self.numbers.update(numbers)
        now = time.monotonic()
        if now - self._drawn >= self._interval:
            self._draw(now)

    def print(self, text: str) -> None:
        """Write a line of its own above the live line."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self._stream, flush=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the block was entered."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Units per second over the last `RATE_WINDOW_S` seconds."""
        now, (then, before) = time.monotonic(), self._history[0]
        return (self.done - before) / (now - then) if now > then else 0.0

    def _draw(self, now: float, last: bool = False) -> None:
        self._drawn = now
        text = self._text(last)
        self._history.append((now, self.done))
        while len(self._history) > 2 and now - self._history[1][0] > RATE_WINDOW_S:
            self._history.popleft()
        if self._live is not None:
            task = self._live.task_ids[0]
            self._live.update(task, completed=self.done, total=self.total, text=text)
            self._live.refresh()
        else:
            print(f"{self.title}: {text}", file=self._stream, flush=True)

    def _text(self, last: bool) -> str:
        """Say how far, how fast and how long still; at the end, how long and how fast in all."""
        of = "" if self.total is None else f"/{_counted(self.total, self.unit)}"
        name = "" if self.unit == "B" else f" {self.unit}s"
        rate = (self.done - self._start) / max(self.elapsed, 1e-9) if last else self.rate
        parts = [f"{_counted(self.done, self.unit)}{of}{name}", f"{amount(rate, self.unit)}/s"]
        parts += [f"{name.replace('_', ' ')} {_shown(n)}" for name, n in self.numbers.items()]
        if last:
            parts.append(f"took {duration(self.elapsed)}")
        elif self.total is not None and rate > 0:
            parts.append(f"ETA {duration(max(self.total - self.done, 0) / rate)}")
        return " · ".join(parts)


def _live_line(
    stream: TextIO, title: str, total: float | None, done: float
) -> "rich.progress.Progress":
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Live

    live = Live(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream),
        auto_refresh=False,
    )
    live.add_task(title, total=total, completed=done, text="")  # type: ignore[arg-type]
    return live


def amount(n: float, unit: str = "") -> str:
    """Write a count shortly: 950, 12.3k, 4.56M; with unit "B" 12.3 kB, 4.56 MB (powers of ten)."""
    space, end = (" ", "B") if unit == "B" else ("", "")
    if n < 1000:
        return f"{n:.3g}{space}{end}" if n != int(n) else f"{int(n)}{space}{end}"
    for prefix in "kMGT":
        n /= 1000
        if n < 999.5 or prefix == "T":
            break
    return f"{n:.3g}{space}{prefix}{end}"


def duration(seconds: float) -> str:
    """Write a time shortly: 4.2 s, 3:07, 2:03:11, 5 d 3 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole >= 2 * 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _counted(n: float, unit: str) -> str:
    """Write a count to the last digit as long as one can read it."""
    return f"{int(n):,}" if unit != "B" and n < 10_000_000 else amount(n, unit)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
