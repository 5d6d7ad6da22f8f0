"""The graded tests of one assignment, collected once, to be run in this process on many adapters.

For the tests of the tests: hundreds of mistakes against a handful of tests each. A pytest session
of its own for every mistake would cost most of a second; here a second session inside the first
collects the tests and hands them over, and to run one costs 3 ms.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig

from course.grading.catalogue import Alternative, Mistake, load_mistakes
from course.grading.graded import KEY
from course.grading.implementation import Adapters, Implementation
from course.grading.naming import Recognised, recognise
from course.grading.scores import Outcome
from course.grading.session import GRADING, TIME_LIMIT, Grading

# The inner session reports nothing, caches nothing, and leaves standard output alone.
_QUIET = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-s"]


class GradedSuite:
    """The graded tests of `assignment`, by problem. Close it in the end.

    Attributes:
        tests: problem -> its tests, problems in the order of the handout.
    """

    def __init__(self, root: Path, assignment: str) -> None:
        files = sorted((root / "tests" / assignment).glob("test_*.py"))
        self._config = _prepareconfig([*map(str, files), "--rootdir", str(root), *_QUIET])
        self._config._do_configure()
        session = pytest.Session.from_config(self._config)
        self._config.hook.pytest_sessionstart(session=session)
        self._grading.replay_seconds = TIME_LIMIT
        session.perform_collect()
        self.assignment = assignment
        self.reference: Implementation = self._grading.implementation(assignment)
        self.items = session.items
        self.tests: dict[str, list[pytest.Item]] = {}
        for item in session.items:
            if KEY in item.stash:
                self.tests.setdefault(item.stash[KEY].problem, []).append(item)
        self._outcomes: dict[tuple[Mistake, str], Outcome] = {}

    @property
    def _grading(self) -> Grading:
        return self._config.stash[GRADING]

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """The catalogue of the assignment."""
        return load_mistakes(self.assignment)

    def close(self) -> None:
        """End the inner session.

        Its end collects garbage; what other tests left open is not for it to complain about.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._config._ensure_unconfigure()

    def failures(self, alternative: Alternative) -> list[Outcome]:
        """Run the problem's tests on a right answer, guarded; return what does not pass."""
        adapters = self.reference.overlaid(alternative.build(), guarded=True)
        outcomes = [
            self._grading.replay(test, adapters) for test in self.tests[alternative.problem]
        ]
        return [outcome for outcome in outcomes if outcome.status != "passed"]

    def outcome(self, test: pytest.Item, mistake: Mistake) -> Outcome:
        """Return how a mistake does in a test; it runs once and is remembered."""
        key = (mistake, test.nodeid)
        if key not in self._outcomes:
            self._outcomes[key] = self._grading.replay(test, self._adapters(mistake))
        return self._outcomes[key]

    def first_failure(self, mistake: Mistake) -> Outcome | None:
        """Return the first test of the problem that a mistake fails, run up to there."""
        outcomes = (self.outcome(test, mistake) for test in self.tests[mistake.problem])
        return next((outcome for outcome in outcomes if outcome.status != "passed"), None)

    def recognise(self, mistake: Mistake) -> Recognised | None:
        """Say which mistakes the failure of this one would be taken for."""
        return recognise(
            self.tests[mistake.problem],
            lambda test: self.outcome(test, mistake),
            self.outcome,
            self._mistakes_of(mistake.problem),
        )

    def _mistakes_of(self, problem: str) -> Sequence[Mistake]:
        return [mistake for mistake in self.mistakes if mistake.problem == problem]

    def _adapters(self, mistake: Mistake) -> Adapters:
        return self.reference.overlaid(mistake.build(), guarded=False)
