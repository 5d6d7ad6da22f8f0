"""Recognise a classic mistake: the test that failed is run again with each mistake of its problem.

If a mistake fails in the same check with the same received value, it is the one. "The same" for
numbers means: the mistake's value explains at least 99% of the distance between the student's value
and the right one. That is independent of the tolerance of the check and of the scale of the
numbers, and a mistake that differs from the truth by 1e-6 is not taken for another such one.
"""

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from course.grading.catalogue import Mistake
from course.grading.failure import Failure
from course.grading.scores import Outcome

Test = TypeVar("Test")

UNEXPLAINED = 0.01  # of the distance from the truth
NOISE = 1e-6  # roundings, of the same distance
_MAX_PIVOTS = 2
_TELLING = ("check", "error")  # not "too slow" and the like, which are the same for all


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

    Where several mistakes fail the same test alike, the other tests decide between them. What
    already fails in an earlier test, which passed here, is another mistake with the same effect.
    """
    for pivot in itertools.islice(_failing(tests, mine), _MAX_PIVOTS) if mistakes else ():
        tied = _nearest(mine(pivot), {m: theirs(pivot, m) for m in mistakes})
        before = tests[: tests.index(pivot)]
        passed = [test for test in before if mine(test).status == "passed"]
        tied = [m for m in tied if all(theirs(test, m).status != "failed" for test in passed)]
        if not tied:
            continue
        for other in _others_first_failing(tests, mine, pivot):
            if len(tied) == 1:
                break
            tied = _nearest(mine(other), {m: theirs(other, m) for m in tied}) or tied
        return Recognised(mine(pivot), tuple(tied))
    return None


def _nearest(mine: Outcome, theirs: dict[Mistake, Outcome]) -> list[Mistake]:
    """Return the mistakes that did like `mine`; of those, the ones that are as near as the best."""
    distances = {mistake: distance(mine, outcome) for mistake, outcome in theirs.items()}
    near = {mistake: d for mistake, d in distances.items() if d <= UNEXPLAINED}
    best = min(near.values(), default=0.0)
    return [mistake for mistake, d in near.items() if d <= 4 * best + NOISE]


def _failing(tests: Sequence[Test], mine: Callable[[Test], Outcome]) -> Iterator[Test]:
    """Yield the tests whose failure has a value or an exception that a mistake may share."""
    for test in tests:
        outcome = mine(test)
        if outcome.failure is not None and outcome.failure.kind in _TELLING:
            yield test


def _others_first_failing(
    tests: Sequence[Test], mine: Callable[[Test], Outcome], pivot: Test
) -> Iterator[Test]:
    for status in ("failed", "passed"):
        for test in tests:
            if test is not pivot and mine(test).status == status:
                yield test


def distance(mine: Outcome, theirs: Outcome) -> float:
    """Return the share of a failure that another one does not explain: 0 for equal, 1 for unlike.

    Of two passed tests it is 0. Failures that differ only in what they measured (milliseconds, say)
    are nearly equal.
    """
    if mine.status != theirs.status:
        return 1.0
    a, b = mine.failure, theirs.failure
    if a is None or b is None:
        return 0.0 if a is b else 1.0
    if a.kind != b.kind or a.kind not in _TELLING or a.site != b.site:
        return 1.0
    if a.reason != b.reason:
        measured = a.kind == "check" and a.expected is None and b.expected is None
        return UNEXPLAINED if measured and _without_numbers(a) == _without_numbers(b) else 1.0
    return _distance_of_values(a.observed, b.observed, a.expected)


def _without_numbers(failure: Failure) -> str:
    return re.sub(r"\d[\d,._e+-]*", "#", failure.reason)


def _distance_of_values(mine: Any, theirs: Any, expected: Any) -> float:
    values = [mine, theirs, expected]
    if all(isinstance(value, float) for value in values):
        import torch

        values = [torch.tensor(value, dtype=torch.float64) for value in values]
    tensor = getattr(sys.modules.get("torch"), "Tensor", ())
    if all(isinstance(value, tensor) for value in values):
        return _distance_of_numbers(*values)
    try:
        return 0.0 if mine == theirs else 1.0
    except Exception:  # values of the student's own types may compare to anything
        return 1.0


def _distance_of_numbers(mine: Any, theirs: Any, expected: Any) -> float:
    """Return |mine - theirs| / |mine - expected|, where both are finite."""
    import torch

    if mine.shape != theirs.shape:
        return 1.0
    a, b = mine.to(torch.complex128), theirs.to(torch.complex128)
    finite = torch.isfinite(a)
    if not (torch.equal(finite, torch.isfinite(b)) and torch.equal(a.isnan(), b.isnan())):
        return 1.0
    apart = float((a - b)[finite].norm())
    if apart == 0:
        return 0.0
    error = 0.0
    if expected.shape == mine.shape:
        c = expected.to(torch.complex128)
        error = float((a - c)[finite & torch.isfinite(c)].norm())
    # Of the wrong shape, or wrong only in what is not finite: the numbers themselves must agree.
    return apart / (error or 1e-3 * float(a[finite].norm()))
