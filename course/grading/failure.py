"""Why a test failed, for its student: one line, a hint, then input, received and expected."""

import itertools
import linecache
import re
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

from course.grading.check import CheckFailed
from course.grading.guard import ForbiddenError, Provenance
from course.grading.guard.errors import SwitchError
from course.grading.implementation import (
    NOTHING_RETURNED,
    BrokenAdaptersError,
    Call,
    neighbour_hint,
    relative,
)
from course.grading.show import brief, show
from course.grading.timelimit import TooSlow

Kind = Literal["check", "error", "forbidden", "broken", "too slow", "not started"]
Site = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Failure:
    """What went wrong in one test.

    Attributes:
        reason: one line that says what to look at.
        lines: details, (label, text).
        site: the lines of the test that led to the check that failed.
        observed, expected: the values that the check compared, if it did.
    """

    kind: Kind
    reason: str
    hint: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    site: Site = ()
    observed: Any = None
    expected: Any = None


@dataclass(frozen=True)
class Context:
    """What is known beside the exception: whose file is whose, and the last call of an adapter."""

    root: Path
    provenance: Provenance
    last_call: Call | None = None


def explain(error: BaseException, trace: TracebackType | None, context: Context) -> Failure:
    """Turn what a test raised into a `Failure`."""
    frames = list(_frames(trace))
    mine = [f for f in frames if context.provenance.is_students(f[0])]
    before = itertools.takewhile(lambda f: not context.provenance.is_students(f[0]), frames)
    tests = str(context.root / "tests")
    site = tuple((file, line) for file, line, _ in before if file.startswith(tests))
    match error:
        case BrokenAdaptersError():
            return Failure("broken", str(error))
        case CheckFailed():
            labels = {label for label, _ in error.lines}
            lines = () if "input" in labels else _input(context.last_call)
            lines += (*_example(error), *error.lines)
            what = error.what + _changed(context.last_call)
            return Failure("check", what, error.hint, lines, site, error.observed, error.expected)
        case SwitchError():
            return Failure("check", str(error), site=site)
        case ForbiddenError():
            return Failure("forbidden", str(error), lines=_place(mine, context), site=site)
        case TooSlow():
            where = _place(mine, context, label="stopped at")
            return Failure("too slow", str(error), lines=(*_input(context.last_call), *where))
        case NotImplementedError() if mine and mine[-1] == frames[-1]:
            return _not_started(mine, context)
    return _explain_other(error, mine, site, context)


def _not_started(mine: list[tuple[str, int, FrameType]], context: Context) -> Failure:
    """The stub is as it was, or it calls something that is."""
    function = mine[-1][2].f_code.co_name
    if context.last_call is None or function == context.last_call.adapter:
        return Failure("not started", "not started")
    reason = f"not started: {function} raises NotImplementedError"
    return Failure("not started", reason, lines=_place(mine, context))


def _explain_other(
    error: BaseException, mine: list[tuple[str, int, FrameType]], site: Site, context: Context
) -> Failure:
    """An exception that nobody meant: from the student's code, or from what a test did with it."""
    text = _one_line(error)
    name = type(error).__name__
    if mine and not text:  # a bare assert, a MemoryError: the line says more
        text = linecache.getline(*mine[-1][:2]).strip()
    call = context.last_call
    lines = (*_input(call), *_example(error))
    if mine:
        text += neighbour_hint(error, mine[-1][0], context.root)
        reason = f"{_culprit(mine[0][2], call)} raises {name}: {text}"
        return Failure("error", reason, "", (*lines, *_place(mine, context)), site)
    if isinstance(error, AssertionError):
        return Failure("check", text or f"an assertion failed: {_source(site)}", "", lines, site)
    if call is not None and call.returned is not NOTHING_RETURNED:
        if call.returned is None:
            reason = f"{call.adapter} returns None: is a `return` missing?"
        else:
            reason = f"the test cannot use what {call.adapter} returns: {name}: {text}"
        lines += (("returned", show(call.returned)), ("the test", _source(site)))
        return Failure("error", reason, "", lines, site)
    reason = f"{call.adapter} cannot be called: {text}" if call else f"{name}: {text}"
    return Failure("error", reason, "", (*lines, ("the test", _source(site))), site)


def _culprit(first: FrameType, call: Call | None) -> str:
    """Name the adapter that raises, or the method of what it returned: `AdamW.step`."""
    if call is not None and call.returned is NOTHING_RETURNED:
        return call.adapter
    name = first.f_code.co_qualname.rpartition("<locals>.")[2]
    return name if name.replace(".", "").isidentifier() else "your code"


def _frames(trace: TracebackType | None) -> Any:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno, trace.tb_frame
        trace = trace.tb_next


def _input(call: Call | None) -> tuple[tuple[str, str], ...]:
    if call is None:
        return ()
    arguments = [f"{name}={brief(value, 120)}" for name, value in call.arguments.items()]
    text = f"{call.adapter}({', '.join(arguments)})"
    if len(text) > 90:
        text = f"{call.adapter}(\n" + ",\n".join(f"  {each}" for each in arguments) + ")"
    return (("input", text),)


def _example(error: BaseException) -> tuple[tuple[str, str], ...]:
    """Hypothesis says in a note for which example a test failed."""
    for note in getattr(error, "__notes__", []):
        if re.match(r"Falsifying (explicit )?example", note):
            arguments = [line.strip() for line in note.splitlines()[1:-1]]
            own = [a for a in arguments if "=" in a and not re.match(r"(adapters|tmp_path)", a)]
            return (("example", " ".join(own).rstrip(",")),) if own else ()
    return ()


def _changed(call: Call | None) -> str:
    """Say which arguments are no longer what they were: the expected value may come from them."""
    if call is None or not call.changed:
        return ""
    return f"; {call.adapter} changes {' and '.join(call.changed)} in place"


def _place(
    mine: list[tuple[str, int, FrameType]], context: Context, label: str = "your line"
) -> tuple[tuple[str, str], ...]:
    """Say in which line of the student's it happened."""
    if not mine:
        return ()
    file, line, _ = mine[-1]
    source = linecache.getline(file, line).strip()
    return ((label, f"{relative(file, context.root)}:{line}: {source}"),)


def _source(site: Site) -> str:
    if not site:
        return ""
    file, line = site[-1]
    return f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"


def _one_line(error: BaseException) -> str:
    """Return the first line of a message that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), "")
