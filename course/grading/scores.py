"""From the outcomes of tests to the score of problems: points, status, and who is to blame.

Partial credit: a test that passes earns its points, whatever the other tests of its problem do. A
problem that fails although it builds on one that has not passed is "blocked": the first cause is
what to look at, not the confusing failure above it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from course.grading.catalogue import Mistake
from course.grading.failure import Failure
from course.grading.graded import Graded

Status = Literal["passed", "failed", "not started", "skipped", "not run"]


@dataclass(frozen=True)
class Outcome:
    """How one graded test ended; `reason` is why it was skipped, `printed` what it printed."""

    nodeid: str
    graded: Graded
    status: Status
    failure: Failure | None = None
    reason: str = ""
    printed: str = ""

    @property
    def name(self) -> str:
        """The test's name, without its file."""
        return self.nodeid.rpartition("::")[2]


@dataclass
class ProblemScore:
    """One row of the score table."""

    assignment: str
    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    blocked_by: str | None = None
    telling: Outcome | None = None  # the failure in which classic mistakes were recognised
    mistakes: tuple[Mistake, ...] = ()  # usually one

    @property
    def points(self) -> float:
        """Points earned."""
        passed = (o.graded.points for o in self.outcomes if o.status == "passed")
        return round(sum(passed), 6)

    @property
    def possible(self) -> float:
        """Points that the tests that ran are worth."""
        return round(sum(o.graded.points for o in self.outcomes), 6)

    @property
    def status(self) -> Status | Literal["blocked"]:
        """The worst that happened; "blocked" if a needed problem explains it."""
        if self.blocked_by:
            return "blocked"
        statuses = {outcome.status for outcome in self.outcomes}
        order: tuple[Status, ...] = ("failed", "not started", "skipped", "not run")
        return next((status for status in order if status in statuses), "passed")

    @property
    def is_broken(self) -> bool:
        """Whether there were no adapters to grade at all."""
        return any(o.failure is not None and o.failure.kind == "broken" for o in self.outcomes)

    @property
    def failures(self) -> list[Outcome]:
        """The tests that failed, the most telling one first."""
        failed = [outcome for outcome in self.outcomes if outcome.status == "failed"]
        return sorted(failed, key=lambda outcome: outcome is not self.telling)


def score(outcomes: Iterable[Outcome], needs: Mapping[str, set[str]]) -> list[ProblemScore]:
    """Gather outcomes of one assignment into problems, in the order in which they ran."""
    rows: dict[str, ProblemScore] = {}
    for outcome in outcomes:
        name = outcome.graded.problem
        row = rows.setdefault(name, ProblemScore(outcome.graded.assignment, name))
        row.outcomes.append(outcome)
    for row in rows.values():
        if (row.status == "failed" and not row.is_broken) or _calls_unstarted(row):
            row.blocked_by = _root_cause(row.name, rows, needs)
    return list(rows.values())


def _calls_unstarted(row: ProblemScore) -> bool:
    """Whether the stub is written, but something that it calls is not."""
    failures = [outcome.failure for outcome in row.outcomes if outcome.status == "not started"]
    return any(failure and failure.reason != "not started" for failure in failures)


def _root_cause(
    name: str, rows: Mapping[str, ProblemScore], needs: Mapping[str, set[str]]
) -> str | None:
    """Return the earliest problem without full marks among those that `name` builds on."""
    below: set[str] = set()
    open_ = [name]
    while open_:
        for needed in needs.get(open_.pop(), ()):
            if needed not in below:
                below.add(needed)
                open_.append(needed)
    guilty = (row.name for row in rows.values() if row.name in below and row.status != "passed")
    return next(guilty, None)
