"""What a student reads at the end: a block for each failed problem, then the score table.

softmax: 1 of 2 points
  softmax of rows about 1e4, 100, 0, -100 and -1e4
  subtract the maximum along `dim` before exp: the largest exponent is then 0
    received    float32 [2, 3] ...
"""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from course.grading.scores import ProblemScore

MAX_PRINTED_LINES = 10
MAX_PRINTED_WIDTH = 200  # characters
MIN_WIDTH = 140  # of the table; a narrower terminal wraps its lines
_COLOURS = {
    "passed": {"green": True},
    "failed": {"red": True},
    "blocked": {"yellow": True},
    "skipped": {"yellow": True},
    "not started": {"light": True},
    "not run": {"light": True},
}


class Writer(Protocol):
    """The part of pytest's terminal reporter that is used here."""

    def write_line(self, line: str, **markup: bool) -> None: ...  # noqa: D102

    def write_sep(self, sep: str, title: str | None = None, **markup: bool) -> None: ...  # noqa: D102


def verdict(row: ProblemScore) -> str:
    """Say in one line how a problem stands and what to look at."""
    if row.status == "passed":
        return "passed"
    if row.status == "blocked":
        return f"blocked by {row.blocked_by}"
    if row.status == "failed":
        failure = row.failures[0].failure
        reason = failure.reason if failure else "failed"
        titles = " or ".join(mistake.title for mistake in row.mistakes)
        return f"failed: {titles or reason}"
    left = [outcome for outcome in row.outcomes if outcome.status == row.status]
    if row.status == "not run":
        return f"{len(left)} of {len(row.outcomes)} tests not run"
    if row.status == "skipped":
        return f"skipped, earns nothing: {left[0].reason}"
    failure = left[0].failure
    if len(left) < len(row.outcomes):
        return f"{len(left)} of {len(row.outcomes)} tests not started"
    return failure.reason if failure else "not started"


def explanation(row: ProblemScore) -> list[str]:
    """Return the block of a failed problem: its first failure, and the names of the others."""
    if row.status != "failed":
        return []
    first, *others = row.failures
    failure = first.failure
    if failure is None:
        return []
    lines = [failure.reason]
    for mistake in row.mistakes:
        lines += textwrap.wrap(f"This is what you get with {mistake.title!r}: {mistake.says}", 96)
    if failure.hint and not row.mistakes:
        lines += textwrap.wrap(failure.hint, 96)
    for label, text in failure.lines:
        lines += _labelled(label, text)
    printed = first.printed.strip().splitlines()
    if printed:
        if len(printed) > MAX_PRINTED_LINES:
            printed = ["...", *printed[-MAX_PRINTED_LINES:]]
        printed = [_fit(line, MAX_PRINTED_WIDTH) for line in printed]
        lines += _labelled("printed", "\n".join(printed))
    lines += _labelled("test", first.nodeid)
    if others:
        cases = Counter(outcome.name.partition("[")[0] for outcome in others)
        names = [f"{name} ({n} cases)" if n > 1 else name for name, n in cases.items()]
        lines += _labelled("also failing", textwrap.fill(", ".join(names), 96))
    return lines


def _labelled(label: str, text: str) -> list[str]:
    first, *rest = text.splitlines() or [""]
    lines = [f"  {label:<14}{first}", *(f"  {'':<14}{line}" for line in rest)]
    return [line.rstrip() for line in lines]


def write_explanations(writer: Writer, rows: Sequence[ProblemScore]) -> None:
    """Write the blocks of all failed problems, or the one reason why nothing could be graded."""
    names = {row.name for row in rows}
    nothing = all(row.is_broken for row in rows)
    for row in rows:
        if row.status != "failed":
            continue
        first, *rest = explanation(row)
        writer.write_line("")
        if nothing:
            writer.write_line("Nothing can be graded:", bold=True, red=True)
            writer.write_line(f"  {first}", bold=True)
            return
        points = f"{_number(row.points)} of {_number(row.possible)} points"
        writer.write_line(f"{row.name}: {points}", bold=True, red=True)
        writer.write_line(f"  {first}", bold=True)
        for line in rest:
            writer.write_line(f"  {line}")
        absent = [name for name in row.outcomes[0].graded.needs if name not in names]
        if absent:
            writer.write_line(f"    {row.name} builds on {', '.join(absent)}, not part of this run")


def write_table(
    writer: Writer, title: str, rows: Sequence[ProblemScore], width: int, partial: bool
) -> None:
    """Write one line a problem, then the total; `partial`: not all tests of the assignment ran."""
    name_width = max(len(row.name) for row in rows)
    points = [f"{_number(row.points)} / {_number(row.possible)}" for row in rows]
    earned, possible = sum(row.points for row in rows), sum(row.possible for row in rows)
    total = f"{_number(earned)} / {_number(possible)}"
    points_width = max(map(len, [*points, total]))
    writer.write_sep("=", title, bold=True)
    for row, of in zip(rows, points, strict=True):
        line = f"{row.name:<{name_width}}  {of:>{points_width}}  {verdict(row)}"
        writer.write_line(_fit(line, max(width, MIN_WIDTH)), **_COLOURS[row.status])
    passed = sum(row.status == "passed" for row in rows)
    summary = f"{passed} of {len(rows)} problems pass" + (" (a part was selected)" * partial)
    complete = {"green": True} if passed == len(rows) else {}
    writer.write_line(
        f"{'total':<{name_width}}  {total:>{points_width}}  {summary}", bold=True, **complete
    )


def _number(points: float) -> str:
    return f"{round(points, 2):g}"


def _fit(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 4] + " ..."
