import io

import pytest

from course import progress
from course.progress import Progress, amount, duration


class Clock:
    """Time that moves only when told."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_without_a_terminal_a_line_now_and_then_and_one_at_the_end(clock):
    stream = io.StringIO()
    with Progress("encoding", total=100, unit="step", stream=stream, plain_interval=5) as bar:
        for _ in range(10):
            clock.now += 1
            bar.update(5, loss=2.34567)
    assert stream.getvalue().splitlines() == [
        "encoding: 25/100 steps · 5/s · loss 2.346 · ETA 0:15",
        "encoding: 50/100 steps · 5/s · loss 2.346 · ETA 0:10",
        "encoding: 50/100 steps · 5/s · loss 2.346 · took 0:10",
    ]


def test_rate_forgets_what_is_long_ago_and_what_an_earlier_process_did(clock):
    stream = io.StringIO()
    with Progress("x", total=10_000, start=5000, stream=stream, plain_interval=1) as bar:
        for _ in range(100):
            clock.now += 1
            bar.update(1)
        assert bar.rate == pytest.approx(1)
        for _ in range(100):
            clock.now += 1
            bar.update(10)
        assert bar.rate == pytest.approx(10)
    assert bar.done == 6100
    assert stream.getvalue().endswith("x: 6,100/10,000 steps · 5.5/s · took 3:20\n")


def test_a_terminal_gets_a_live_line_and_messages_above_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with Progress("training", total=4, stream=stream) as bar:
        bar.update(1, loss=1.5)
        bar.print("saved [bold] checkpoint")  # not markup
        bar.update(3)
    text = stream.getvalue()
    assert "training" in text
    assert "4/4 steps" in text
    assert "saved [bold] checkpoint" in text


def test_no_total_no_eta(clock):
    stream = io.StringIO()
    with Progress("reading", unit="B", stream=stream, plain_interval=5) as bar:
        clock.now += 6
        bar.update(12_345_678)
    first = stream.getvalue().splitlines()[0]
    assert first == "reading: 12.3 MB · 2.06 MB/s"


@pytest.mark.parametrize(("done", "shown"), [(1, True), (0, False)])
def test_an_error_ends_the_line_if_there_is_one(clock, done, shown):
    """A wrong option is an error before anything is done: its line stands alone."""
    stream = io.StringIO()

    def work():
        with Progress("x", total=3, stream=stream) as bar:
            bar.update(done)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert ("took" in stream.getvalue()) == shown


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (0, "", "0"),
        (999, "", "999"),
        (0.5, "", "0.5"),
        (1000, "", "1k"),
        (12_345, "", "12.3k"),
        (999_600, "", "1M"),
        (1.9e6, "", "1.9M"),
        (999, "B", "999 B"),
        (4_560_000, "B", "4.56 MB"),
    ],
)
def test_amount(n, unit, text):
    assert amount(n, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (10, "0:10"), (187, "3:07"), (7391, "2:03:11"),
     (3 * 86400 + 7200, "3 d 2 h")],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text
