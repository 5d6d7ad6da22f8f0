"""Recognise a classic mistake: the test that failed is run again with each mistake of its problem.

If a mistake fails in the same check with the same received value, it is the one. "The same" for
numbers means: the mistake's value explains at least 99% of the distance between the student's value
and the right one. That is independent of the tolerance of the check and of the scale of the
numbers, and a mistake that differs from the truth by 1e-6 is not taken for another such one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from course.grading.catalogue import Mistake
from course.grading.failure import Failure
from course.grading.scores import Outcome

Test = TypeVar("Test")

UNEXPLAINED = 0.01
_MAX_PIVOTS = 3


@dataclass(frozen=True)
class Recognised:
    """A failing test, and the mistakes that fail it alike; one, if the catalogue is good."""

    outcome: Outcome
    mistakes: tuple[Mistake, ...]


def recognise(
    tests: Sequence[Test],
    mine: Callable[[Test], Outcome],
    theirs: Callable[[Test, Mistake], Outcome],
    mistakes: Sequence[Mistake],
) -> Recognised | None:
    """Find the mistake that explains the first failure of a problem that any of them explains.

    Args:
        tests: the tests of the problem.
        mine: how the implementation under test did in a test.
        theirs: how a mistake does in it.
        mistakes: those of the problem.

    Where several mistakes fail the same test alike, the other tests decide between them.
    """
    for pivot in list(_failing(tests, mine))[:_MAX_PIVOTS] if mistakes else ():
        levels = [(likeness(mine(pivot), theirs(pivot, mistake)), mistake) for mistake in mistakes]
        best = max(level for level, _ in levels)
        tied = [mistake for level, mistake in levels if level == best]
        if best == 0:
            continue
        for other in _others_first_failing(tests, mine, pivot):
            if len(tied) == 1:
                break
            alike = [m for m in tied if likeness(mine(other), theirs(other, m)) > 0]
            tied = alike or tied
        return Recognised(mine(pivot), tuple(tied))
    return None


def _failing(tests: Sequence[Test], mine: Callable[[Test], Outcome]) -> Iterator[Test]:
    return (test for test in tests if mine(test).status == "failed")


def _others_first_failing(
    tests: Sequence[Test], mine: Callable[[Test], Outcome], pivot: Test
) -> Iterator[Test]:
    for status in ("failed", "passed"):
        for test in tests:
            if test is not pivot and mine(test).status == status:
                yield test


def likeness(mine: Outcome, theirs: Outcome) -> int:
    """Return 2 if two outcomes are the same, 1 if they differ in measured numbers only, else 0."""
    if mine.status != theirs.status:
        return 0
    a, b = mine.failure, theirs.failure
    if a is None or b is None:
        return 2 if a is b else 0
    if a.kind != b.kind or a.kind not in ("check", "error") or a.site != b.site:
        return 0
    if a.reason != b.reason:
        measured = a.kind == "check" and a.expected is None and b.expected is None
        return 1 if measured and _without_numbers(a) == _without_numbers(b) else 0
    return 2 if _same_value(a.observed, b.observed, a.expected) else 0


def _without_numbers(failure: Failure) -> str:
    return re.sub(r"\d[\d,._e+-]*", "#", failure.reason)


def _same_value(mine: Any, theirs: Any, expected: Any) -> bool:
    import torch

    if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor):
        return _same_numbers(mine, theirs, expected)
    if isinstance(mine, float) and isinstance(theirs, float):
        return _same_numbers(torch.tensor(mine), torch.tensor(theirs), torch.tensor(expected))
    try:
        return bool(mine == theirs)
    except Exception:  # values of the student's own types may compare to anything
        return False


def _same_numbers(mine: Any, theirs: Any, expected: Any) -> bool:
    import torch

    if mine.shape != theirs.shape:
        return False
    a, b = mine.to(torch.complex128), theirs.to(torch.complex128)
    finite = torch.isfinite(a)
    if not torch.equal(finite, torch.isfinite(b)):
        return False
    same_rest = torch.equal(torch.isnan(a), torch.isnan(b))
    scale = float(a[finite].abs().max()) if bool(finite.any()) else 0.0
    allowed = 8 * torch.finfo(torch.float32).eps * scale * a.numel() ** 0.5
    if isinstance(expected, torch.Tensor) and expected.shape == mine.shape:
        c = expected.to(torch.complex128)
        both = finite & torch.isfinite(c)
        error = float((a - c)[both].norm())
        # An error of a few roundings explains nothing; then the numbers themselves must agree.
        allowed = UNEXPLAINED * error if error > 0 else allowed
    return same_rest and float((a - b)[finite].norm()) <= allowed
