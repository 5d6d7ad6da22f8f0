"""How long something takes on a device that works behind the host's back.

A GPU gets its kernels through a queue: the call returns when the work is queued, not when it is
done. So a clock is read only after the device was waited for, and the first calls, which compile,
allocate and pick algorithms, are not counted (NVIDIA, "CUDA C++ best practices guide", section
"Timing"). `run_benchmark` is that in ten lines.

It waits after every call, and so counts what training hides: the host running ahead of the device.
`time_phases` does not wait in between. It drops a mark into the queue at each border, a CUDA event
that the device stamps when it gets there, and waits once at the end. That costs a microsecond or
two a mark, and only a device with events can do it; on a CPU, where a call returns when its work is
done, the mark is the host's clock.

Of the repeats the median counts, because disturbances only ever add time. The spread is the range
of the middle half (interquartile range) over the median: one slow call in twenty does not move it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import torch

from course.errors import UserError

Call = Callable[[], object]


def run_benchmark(
    step: Call,
    warmup: int,
    repeats: int,
    synchronize: Call,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the seconds of each of `repeats` calls, after `warmup` calls that do not count.

    Args:
        step: what is timed; it may return before its work is done.
        warmup: calls before the first that counts.
        repeats: calls that count.
        synchronize: returns when all work is done that was begun.
        clock: the time in seconds, from any origin.
    """
    _require_counts(warmup, repeats)
    for _ in range(warmup):
        step()
    seconds = []
    for _ in range(repeats):
        synchronize()  # nothing of an earlier call is left to wait for
        began = clock()
        step()
        synchronize()
        seconds.append(clock() - began)
    return seconds


def queueing_seconds(
    step: Call, repeats: int, synchronize: Call, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return how long the host takes to queue each call, without the device's work.

    Where this comes near the time of the step the device waits for the host ("launch-bound").
    It is also the figure that a benchmark without synchronisation reports by mistake.
    """
    _require_counts(0, repeats)
    seconds = []
    for _ in range(repeats):
        synchronize()
        began = clock()
        step()
        seconds.append(clock() - began)
    synchronize()
    return seconds


class HostMarks:
    """Moments on the host's clock, for devices that work while the host waits."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._moments: list[float] = []

    def mark(self) -> None:
        """Note this moment."""
        self._moments.append(self._clock())

    def seconds(self) -> list[float]:
        """Return the time from each mark to the next."""
        return [end - begin for begin, end in zip(self._moments, self._moments[1:], strict=False)]


class EventMarks:
    """Moments on the GPU's clock: events in the current stream's queue."""

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []

    def mark(self) -> None:
        """Queue an event; the host goes on at once."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append(event)

    def seconds(self) -> list[float]:
        """Wait for the last mark; return the time from each mark to the next."""
        self._events[-1].synchronize()
        pairs = zip(self._events, self._events[1:], strict=False)
        return [begin.elapsed_time(end) / 1e3 for begin, end in pairs]


def time_phases(
    phases: Mapping[str, Call],
    warmup: int,
    repeats: int,
    synchronize: Call,
    marks: HostMarks | EventMarks,
) -> dict[str, list[float]]:
    """Run the phases in turn, `repeats` rounds; return the seconds of each phase in each round.

    The first `warmup` rounds do not count. With `EventMarks` the host is never made to wait between
    the first mark and the last, as in training, so a phase is charged the time in which the device
    had nothing to do because the host was late.
    """
    _require_counts(warmup, repeats)
    for _ in range(warmup):
        for phase in phases.values():
            phase()
    synchronize()
    marks.mark()
    for _ in range(repeats):
        for phase in phases.values():
            phase()
            marks.mark()
    seconds = marks.seconds()
    return {name: seconds[index :: len(phases)] for index, name in enumerate(phases)}


def synchronizer(device: torch.device) -> Call:
    """Return the function that waits for everything queued on `device`; on a CPU nothing is."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def marks_for(device: torch.device) -> HostMarks | EventMarks:
    """Return new marks on the clock of `device`."""
    return EventMarks() if device.type == "cuda" else HostMarks()


@dataclass(frozen=True)
class Summary:
    """Some repeats in a few numbers, in the unit of the repeats."""

    median: float
    first_quartile: float
    third_quartile: float
    fastest: float
    slowest: float

    @property
    def spread(self) -> float:
        """The interquartile range over the median."""
        return (self.third_quartile - self.first_quartile) / self.median if self.median else 0.0


def summarize(values: Sequence[float]) -> Summary:
    """Return median, quartiles and extremes of at least one value."""
    quartiles = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return Summary(median(values), quartiles[0], quartiles[2], min(values), max(values))


def _require_counts(warmup: int, repeats: int) -> None:
    if warmup < 0:
        raise UserError(f"warmup is {warmup}; it must be at least 0")
    if repeats < 1:
        raise UserError(f"repeats is {repeats}; it must be at least 1")
