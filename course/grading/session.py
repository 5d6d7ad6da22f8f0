"""What the grader knows during a test run, and how it runs a test once more on other adapters."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from course.grading.catalogue import Mistake, load_mistakes
from course.grading.failure import Context, explain
from course.grading.graded import KEY, Graded, graded, needs_of
from course.grading.implementation import Adapters, BrokenAdaptersError, Implementation
from course.grading.naming import recognise
from course.grading.scores import Outcome, ProblemScore, Status, score

TIME_LIMIT = 60.0  # seconds of a student's test
LEAST_LIMIT = 5.0  # seconds, after several that were too slow
REPLAY_LIMIT = 2.0  # seconds of a mistake in one test of a student's failed problem
NAMING_LIMIT = 5.0  # seconds to find the mistake of one problem


class _OutOfTime(Exception):
    pass


@dataclass
class Grading:
    """The state of one pytest session."""

    root: Path
    students: tuple[str, ...]
    seconds: float  # the time limit of a test; 0: none
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    items: list[pytest.Item] = field(default_factory=list)  # the graded ones, in order
    partial: set[str] = field(default_factory=set)  # assignments of which a part was selected
    scores: dict[str, list[ProblemScore]] = field(default_factory=dict)
    replayed: Adapters | None = None  # stands in for the implementation under test
    replay_seconds: float = REPLAY_LIMIT
    traces: bool = True  # pytest's own, of failed tests
    started: float = field(default_factory=time.monotonic)
    _implementations: dict[str, Implementation] = field(default_factory=dict)

    def implementation(self, assignment: str) -> Implementation:
        """Return the implementation of an assignment that is under test."""
        if assignment not in self._implementations:
            student = assignment in self.students
            self._implementations[assignment] = Implementation(self.root, assignment, student)
        return self._implementations[assignment]

    def limit(self, about: Graded) -> float:
        """Return the seconds that a test may take, 0 for no limit.

        After each test of the same problem that took too long it is a sixth: an endless loop that
        thirty tests meet costs minutes, not half an hour.
        """
        seconds = about.seconds if self.seconds and about.seconds is not None else self.seconds
        late = sum(
            outcome.failure is not None and outcome.failure.kind == "too slow"
            for outcome in self.outcomes.values()
            if (outcome.graded.assignment, outcome.graded.problem)
            == (about.assignment, about.problem)
        )
        return max(seconds / 6**late, min(seconds, LEAST_LIMIT))

    def adapters(self, assignment: str) -> Adapters:
        """Return what a test calls."""
        return self.replayed or self.implementation(assignment).adapters()

    def record(self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo) -> None:
        """Keep how a graded test ended; the worst of setup, call and teardown counts."""
        about = graded(item)
        if about is None or (report.passed and report.when != "call"):
            return
        failure, reason = None, ""
        status: Status = "passed"
        if report.failed and call.excinfo is not None:
            adapters = getattr(item, "funcargs", None) or {}
            last_call = getattr(adapters.get("adapters"), "last_call", None)
            provenance = self.implementation(about.assignment).guard.provenance
            context = Context(self.root, provenance, last_call)
            failure = explain(call.excinfo.value, call.excinfo.tb, context)
            status = "not started" if failure.kind == "not started" else "failed"
        elif report.skipped:
            status = "skipped"
            reason = str(call.excinfo.value) if call.excinfo else "skipped"
        self.outcomes[item.nodeid] = Outcome(
            item.nodeid, about, status, failure, reason, report.capstdout
        )

    def replay(self, item: pytest.Item, adapters: Adapters) -> Outcome:
        """Run a test once more, on other adapters; neither pytest nor the score hears of it."""
        kept = self.outcomes.pop(item.nodeid, None)
        self.replayed = adapters
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            return self.outcomes[item.nodeid]
        finally:
            self.replayed = None
            if kept is not None:
                self.outcomes[item.nodeid] = kept

    def finish(self, *, name_mistakes: bool) -> None:
        """Turn outcomes into scores, and recognise the mistakes in a student's failures."""
        for item in self.items:
            about = graded(item)
            if about is not None and item.nodeid not in self.outcomes:
                self.outcomes[item.nodeid] = Outcome(item.nodeid, about, "not run")
        for assignment in dict.fromkeys(o.graded.assignment for o in self.outcomes.values()):
            outcomes = [o for o in self.outcomes.values() if o.graded.assignment == assignment]
            needs = needs_of(outcome.graded for outcome in outcomes)
            rows = self.scores[assignment] = score(outcomes, needs)
            if name_mistakes and assignment in self.students:
                self._name_mistakes(assignment, rows)

    def _name_mistakes(self, assignment: str, rows: Sequence[ProblemScore]) -> None:
        failed = [row for row in rows if row.status == "failed" and not row.is_broken]
        if not failed:
            return
        mistakes = load_mistakes(assignment, skip_broken=True)
        reference = Implementation(self.root, assignment, student=False)
        is_released = (self.root / reference.where).is_file()
        base = reference if is_released else self.implementation(assignment)
        for row in failed:
            items = [i for i in self.items if i.nodeid in {o.nodeid for o in row.outcomes}]
            self._name_mistake(row, items, mistakes, base)
        reference.guard.close()

    def _name_mistake(
        self,
        row: ProblemScore,
        items: Sequence[pytest.Item],
        mistakes: Iterable[Mistake],
        base: Implementation,
    ) -> None:
        deadline = time.monotonic() + NAMING_LIMIT
        built: dict[Mistake, Adapters] = {}

        def theirs(item: pytest.Item, mistake: Mistake) -> Outcome:
            if time.monotonic() > deadline:
                raise _OutOfTime
            try:
                if mistake not in built:
                    built[mistake] = base.overlaid(mistake.build(), guarded=False)
            except (ImportError, BrokenAdaptersError):
                return Outcome(item.nodeid, item.stash[KEY], "not run")
            return self.replay(item, built[mistake])

        found = None
        own = [mistake for mistake in mistakes if mistake.problem == row.name]
        with contextlib.suppress(_OutOfTime):
            found = recognise(items, lambda item: self.outcomes[item.nodeid], theirs, own)
        if found:
            row.telling, row.mistakes = found.outcome, found.mistakes

    def close(self) -> None:
        """Take all guards down."""
        for implementation in self._implementations.values():
            implementation.guard.close()


GRADING = pytest.StashKey[Grading]()


def run_silently(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test without telling the reporters of pytest."""
    runtestprotocol(item, nextitem=nextitem, log=False)
