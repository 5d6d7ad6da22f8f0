"""Which tests are graded, what they are worth, in which order they run.

    @pytest.mark.problem("rope", points=2, needs=["embedding"])

The mark may stand on a module (`pytestmark`) and on the test: `needs` add up, points and the rest
are those nearest to the test. The points of a parametrized test are shared equally by its cases.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ASSIGNMENT = re.compile(r"assignment\d+_\w+")


@dataclass(frozen=True)
class Graded:
    """What is known of a graded test before it runs; `seconds` is its own time limit."""

    assignment: str
    problem: str
    points: float
    needs: tuple[str, ...]
    seconds: float | None


KEY = pytest.StashKey[Graded]()


def graded(item: pytest.Item) -> Graded | None:
    """Return what `mark_graded` has found, None for a test that is not graded."""
    return item.stash.get(KEY, None)


def mark_graded(items: Iterable[pytest.Item], root: Path) -> None:
    """Read the marks of all collected tests; to be called before any test is deselected."""
    items = [item for item in items if item.get_closest_marker("problem")]
    cases = Counter(_function(item) for item in items)
    for item in items:
        assignment = assignment_of(item.path, root)
        if assignment is None:
            raise pytest.UsageError(f"{item.nodeid}: a graded test outside tests/assignment*/")
        problem, points, needs, seconds = None, None, [], None
        for mark in item.iter_markers("problem"):  # the nearest first
            unknown = set(mark.kwargs) - {"name", "points", "needs", "seconds"}
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: problem() has no argument {unknown.pop()}")
            own = mark.args[0] if mark.args else mark.kwargs.get("name")
            problem = own if problem is None else problem
            points = mark.kwargs.get("points") if points is None else points
            seconds = mark.kwargs.get("seconds") if seconds is None else seconds
            needs += mark.kwargs.get("needs", [])
        if problem is None:
            raise pytest.UsageError(f"{item.nodeid}: the mark does not name its problem")
        share = (points or 0) / cases[_function(item)]
        item.stash[KEY] = Graded(assignment, problem, share, tuple(dict.fromkeys(needs)), seconds)
        item.extra_keyword_matches.add(problem)


def assignment_of(path: Path, root: Path) -> str | None:
    """Return the assignment whose tests folder holds a file."""
    try:
        first = path.relative_to(root / "tests").parts[0]
    except (ValueError, IndexError):
        return None
    return first if ASSIGNMENT.fullmatch(first) else None


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def in_order(
    problems: Iterable[str], needs: dict[str, set[str]], handout: Sequence[str]
) -> list[str]:
    """Sort problems as in the handout, but each after those it needs."""
    place = {name: number for number, name in enumerate(handout)}
    ordered: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise pytest.UsageError(f"problems need each other: {' -> '.join((*above, name))}")
        if name not in ordered:
            for needed in sorted(needs.get(name, ()), key=lambda n: (place.get(n, len(place)), n)):
                visit(needed, (*above, name))
            ordered[name] = None

    wanted = list(dict.fromkeys(problems))
    for name in sorted(wanted, key=lambda n: place.get(n, len(place))):
        visit(name, ())
    return [name for name in ordered if name in wanted]


def needs_of(items: Iterable[Graded]) -> dict[str, set[str]]:
    """Return what each problem needs: the union over its tests."""
    needs: dict[str, set[str]] = {}
    for each in items:
        needs.setdefault(each.problem, set()).update(each.needs)
    return needs
