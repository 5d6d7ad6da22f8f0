"""The pytest plugin: one suite, for the references by default and for a student's stubs on demand.

    pytest                              everything, against the references
    pytest assignment1_basics           the graded tests of assignment 1, on that folder's stubs
    pytest assignment1_basics --problem rope
    pytest assignment1_basics --score-json results.json

The hooks only; what they do is in `session` (outcomes, recognised mistakes), `selection` (what a
folder stands for), `graded` (marks, points, order), `guard`, `failure`, `scores` and `report`.
"""

import contextlib
import difflib
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from course.errors import UserError
from course.grading.graded import KEY, assignment_of, graded, in_order, mark_graded, needs_of
from course.grading.gradescope import write_results, write_unfinished
from course.grading.implementation import Adapters, BrokenAdaptersError
from course.grading.process import no_sudden_end
from course.grading.report import Writer, write_explanations, write_table
from course.grading.rules import load_rules
from course.grading.selection import select
from course.grading.session import GRADING, TIME_LIMIT, Grading, run_silently
from course.grading.shapes import check_shapes
from course.grading.timelimit import stop_clock, time_limit


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of grading."""
    group = parser.getgroup("grading")
    group.addoption("--problem", action="append", metavar="NAME", help="grade this problem only")
    group.addoption("--score-json", type=Path, metavar="FILE", help="write Gradescope's results")
    group.addoption(
        "--time-limit", type=float, metavar="SECONDS", help="of one test of a student's; 0: none"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find out what is graded, before anything is collected."""
    config.addinivalue_line("markers", "problem(name, points, needs, seconds): a graded test")
    root = config.inipath.parent if config.inipath else config.rootpath
    selection = select(config.args, config.invocation_params.dir, root)
    limit = config.getoption("time_limit")
    if limit is None:
        limit = TIME_LIMIT if selection.students else 0.0
    config.stash[GRADING] = Grading(root, selection.students, limit)
    if selection.students:
        config.args = selection.arguments
        # The course's own warnings are errors; a student may be warned and still be right.
        config.addinivalue_line("filterwarnings", "ignore")
        _be_quiet(config)
    else:
        check_shapes(root)
    config.pluginmanager.register(BriefReports(config.stash[GRADING]))
    file = config.getoption("score_json")
    if file is not None and not config.option.collectonly:
        try:
            write_unfinished(file)
        except UserError as error:
            raise pytest.UsageError(f"--score-json {error}") from None


def _be_quiet(config: pytest.Config) -> None:
    """No traces and no file names, unless they were asked for: the blocks say what is wrong."""
    option = config.option
    asked = option.verbose >= 2 or option.fulltrace or option.tbstyle != "auto" or option.usepdb
    if not asked:
        option.tbstyle = "no"
        option.reportchars = ""
        config.stash[GRADING].traces = False
    if option.verbose == 0:
        option.verbose = -1


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the guards down."""
    if GRADING in config.stash:
        config.stash[GRADING].close()


# -- Collection ------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Read the marks, leave out what is not graded, and order problems as the handout does."""
    grading = config.stash[GRADING]
    mark_graded(items, grading.root)
    wanted = config.getoption("problem") or []
    known = dict.fromkeys(about.problem for item in items if (about := graded(item)))
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise pytest.UsageError(f"--problem {name}: there is none; {advice}")
    keep = []
    for item in items:
        about = graded(item)
        ungraded = about is None and (
            wanted or assignment_of(item.path, grading.root) in grading.students
        )
        unwanted = about is not None and wanted and about.problem not in wanted
        if not ungraded and not unwanted:
            keep.append(item)
    if len(keep) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(keep)])
    items[:] = keep
    _order(items)


def _order(items: list[pytest.Item]) -> None:
    """Put the graded tests, in the places that they have among the others, in order."""
    places = [place for place, item in enumerate(items) if graded(item)]
    by_assignment: dict[str, list[pytest.Item]] = {}
    for place in places:
        assignment = items[place].stash[KEY].assignment
        by_assignment.setdefault(assignment, []).append(items[place])
    ordered: list[pytest.Item] = []
    for assignment, tests in by_assignment.items():
        about = [test.stash[KEY] for test in tests]
        problems = [a.problem for a in about]
        ranks = in_order(problems, needs_of(about), load_rules(assignment).problems)
        pairs = sorted(zip(problems, tests, strict=True), key=lambda pair: ranks.index(pair[0]))
        ordered += [test for _, test in pairs]
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember of which assignments only a part runs."""
    for item in items:
        if about := graded(item):
            item.config.stash[GRADING].partial.add(about.assignment)


# -- Running ---------------------------------------------------------------------------------------


@pytest.fixture
def adapters(request: pytest.FixtureRequest) -> Adapters:
    """The adapters under test, as attributes; calls run behind the guard."""
    grading = request.config.stash[GRADING]
    assignment = assignment_of(request.path, grading.root)
    assert assignment is not None, "the fixture `adapters` is for tests below tests/assignment*/"
    return grading.adapters(assignment)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Import a student's adapters before the first test; afterwards make up the scores."""
    grading = session.config.stash[GRADING]
    if session.config.option.collectonly:
        return (yield)
    grading.items = [item for item in session.items if graded(item)]
    with no_sudden_end() if grading.students else contextlib.nullcontext():
        for assignment in grading.students:
            try:
                with time_limit(grading.seconds):
                    grading.implementation(assignment).functions()
            except BrokenAdaptersError:
                pass  # every test will say so
        finished = False
        try:
            result = yield
            finished = True
            return result
        finally:  # also after Ctrl-C, but then at once
            grading.finish(name_mistakes=finished)


def pytest_enter_pdb() -> None:
    """Let `breakpoint()` in a student's code wait for its student."""
    stop_clock()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test that is run once more is no news to the reporters."""
    if item.config.stash[GRADING].replayed is None:
        return None
    run_silently(item, nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit the time of a graded test."""
    grading, about = item.config.stash[GRADING], graded(item)
    seconds = 0.0
    if about is not None and not item.config.option.usepdb:
        seconds = grading.replay_seconds if grading.replayed else grading.limit(about)
    with time_limit(seconds):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how every graded test ended."""
    report = yield
    grading = item.config.stash[GRADING]
    grading.record(item, report, call)
    outcome = grading.outcomes.get(item.nodeid)
    if outcome and report.failed and outcome.graded.assignment in grading.students:
        report.user_properties.append(("status", outcome.status))
    return report


class BriefReports:
    """Makes reports without a trace where nobody reads it: pytest takes 0.1 s for each."""

    def __init__(self, grading: Grading) -> None:
        self._grading = grading

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo
    ) -> pytest.TestReport | None:
        """Make the report of a failure whose trace is not shown, leave others to pytest."""
        unread = self._grading.replayed is not None or not self._grading.traces
        if call.excinfo is None or not unread or call.excinfo.errisinstance(pytest.skip.Exception):
            return None
        assert call.when != "collect"
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="failed",
            longrepr=call.excinfo.exconly(),
            when=call.when,
            sections=[
                (f"Captured {key} {when}", text) for when, key, text in item._report_sections
            ],
            duration=call.duration,
            start=call.start,
            stop=call.stop,
        )


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, str] | None:
    """A stub that is not started is no failure; one that cannot be imported is no error of ours."""
    status = dict(getattr(report, "user_properties", [])).get("status")
    if status == "not started":
        return "not started", "-", "NOT STARTED"
    if status == "failed":
        return "failed", "F", "FAILED"
    return None


# -- Reporting -------------------------------------------------------------------------------------


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Without full marks, a student's run is no success, even if nothing but skips is missing."""
    grading = session.config.stash.get(GRADING, None)
    if grading is None or session.config.option.collectonly:
        return
    rows = [row for scores in grading.scores.values() for row in scores]
    if grading.students and exitstatus == 0 and any(row.status != "passed" for row in rows):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    file = session.config.getoption("score_json")
    if file is not None:
        write_results(file, rows, time.monotonic() - grading.started)


def pytest_terminal_summary(terminalreporter: Writer, config: pytest.Config) -> None:
    """Write what failed and why, then the score table."""
    grading = config.stash[GRADING]
    width = shutil.get_terminal_size().columns
    for assignment, rows in grading.scores.items():
        student = assignment in grading.students
        if student:
            write_explanations(terminalreporter, rows)
        title = f"your {assignment}" if student else f"{assignment}, the reference"
        write_table(terminalreporter, title, rows, width, assignment in grading.partial)
    if grading.students and any(r.status == "failed" for s in grading.scores.values() for r in s):
        terminalreporter.write_line(
            f"one problem alone: uv run pytest {grading.students[0]} --problem NAME;"
            " pytest's own traces: -vv"
        )
