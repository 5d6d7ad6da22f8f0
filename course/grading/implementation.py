"""The adapters under test: the reference's, a student's, or either with some functions replaced."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from course.grading.guard import ForbiddenError, Guard
from course.grading.guard.boundary import Boundary
from course.grading.guard.errors import SwitchError
from course.grading.guard.switches import kept
from course.grading.rules import load_rules

NOTHING_RETURNED = object()


class BrokenAdaptersError(Exception):
    """There is no implementation to grade; the message is one line that says why."""


class MissingAdapterError(BrokenAdaptersError, AttributeError):
    """The file has no function of that name."""


@dataclass
class Call:
    """One call of an adapter: its arguments by name and what it returned.

    `changed` names the tensors among the arguments that the call wrote to.
    """

    adapter: str
    arguments: dict[str, Any]
    returned: Any = NOTHING_RETURNED
    changed: tuple[str, ...] = ()


class Adapters:
    """What the tests see: every adapter as an attribute, called as `call(function, ...)`.

    Keeps the last call, so that a failure can show its input.
    """

    def __init__(
        self, functions: Mapping[str, Callable], call: Callable[..., Any], where: str
    ) -> None:
        self._functions = functions
        self._call = call
        self._where = where
        self.last_call: Call | None = None

    def __getattr__(self, name: str) -> Callable:
        function = self._functions.get(name)
        if name.startswith("_") or not callable(function):
            raise MissingAdapterError(f"{self._where} has no function {name}")

        def adapter(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            self.last_call = call = Call(name, _by_name(function, args, kwargs))
            before = _versions(call.arguments)
            call.returned = self._call(function, *args, **kwargs)
            after = _versions(call.arguments)
            call.changed = tuple(name for name in before if before[name] != after[name])
            return call.returned

        return adapter


def _versions(arguments: Mapping[str, Any]) -> dict[str, int]:
    """Return how often each tensor was written to; PyTorch counts that for autograd."""
    return {
        name: value._version
        for name, value in arguments.items()
        if hasattr(value, "is_inference") and not value.is_inference()
    }


def _by_name(function: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        return inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # the call itself will say what is wrong
        return {**{f"argument {i}": value for i, value in enumerate(args)}, **kwargs}


class Implementation:
    """One assignment's adapters, loaded on first use, behind that assignment's guard.

    Args:
        root: the repository.
        assignment: the folder's name, say "assignment1_basics".
        student: the folder's own `adapters.py`; otherwise those of its `reference`.
    """

    def __init__(self, root: Path, assignment: str, student: bool) -> None:
        number = int(assignment.removeprefix("assignment").partition("_")[0])
        self.root, self.assignment, self.student = root, assignment, student
        self.guard = Guard(load_rules(assignment), root, number if student else None)
        self.boundary = Boundary(self.guard)
        self._functions: dict[str, Callable] | BrokenAdaptersError | None = None

    @property
    def where(self) -> str:
        """The file that holds the adapters, from the repository's root."""
        return f"{self.assignment}/{'' if self.student else 'reference/'}adapters.py"

    def adapters(self) -> Adapters:
        """Return the adapters as they are; raise `BrokenAdaptersError` if they cannot be had."""
        return Adapters(self.functions(), self.boundary.call, self.where)

    def overlaid(self, overlay: Mapping[str, Callable], *, guarded: bool) -> Adapters:
        """Return the adapters with those of `overlay` in their place."""
        call = self.boundary.call if guarded else _plain_call
        return Adapters({**self.functions(), **overlay}, call, self.where)

    def functions(self) -> dict[str, Callable]:
        """Import the adapters, once."""
        if self._functions is None:
            try:
                self._functions = self._load()
            except BrokenAdaptersError as error:
                self._functions = error
        if isinstance(self._functions, BrokenAdaptersError):
            raise BrokenAdaptersError(*self._functions.args)
        return self._functions

    def _load(self) -> dict[str, Callable]:
        file = self.root / self.where
        if not file.is_file():
            advice = "" if self.student else f"; to grade yours: uv run pytest {self.assignment}"
            raise BrokenAdaptersError(f"{self.where} does not exist{advice}")
        if str(self.root) not in sys.path:
            sys.path.insert(0, str(self.root))
        try:
            with self.guard, kept(f"importing {self.where}"):
                module = importlib.import_module(self.where.removesuffix(".py").replace("/", "."))
        except (Exception, SystemExit) as error:
            raise BrokenAdaptersError(self._first_line(error)) from error
        self._check_origin(module, file)
        functions = {name: value for name, value in vars(module).items() if callable(value)}
        for name, function in functions.items():
            try:
                self.guard.imports.refuse_reference_function(function)
            except ImportError as error:
                raise BrokenAdaptersError(f"{self.where}, {name}: {error}") from error
        return functions

    def _check_origin(self, module: ModuleType, file: Path) -> None:
        found = Path(module.__file__ or "")
        if found.resolve() != file.resolve():
            raise BrokenAdaptersError(
                f"Python imports {found} instead of {file}: run the tests with that folder's own "
                "`uv run pytest`, or put it first in PYTHONPATH"
            )

    def _first_line(self, error: BaseException) -> str:
        """Say what was raised while importing, and in which line of the student's."""
        if isinstance(error, SwitchError):
            return str(error)
        message = next(iter(str(error).splitlines()), "") or "no message"
        frames = traceback.extract_tb(error.__traceback__)
        is_students = self.guard.provenance.is_students
        places = [(f.filename, f.lineno) for f in frames if is_students(f.filename)]
        if isinstance(error, SyntaxError) and error.filename:
            message = f"{error.msg}: {(error.text or '').strip()}"
            places = [(error.filename, error.lineno)]
        file, line = places[-1] if places else (str(self.root / self.where), None)
        message += neighbour_hint(error, file, self.root)
        place = relative(file, self.root) + (f", line {line}" if line else "")
        kind = "" if isinstance(error, ForbiddenError) else f"{type(error).__name__}: "
        return f"cannot import {place}: {kind}{message}"


def neighbour_hint(error: BaseException, file: str, root: Path) -> str:
    """Say the full name of a module that `file`, which lies beside it, imports by its bare name."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    module = Path(file).with_name(f"{error.name}.py")
    if not module.is_file():
        return ""
    name = relative(str(module), root).removesuffix(".py").replace("/", ".")
    return f"; import it as {name}"


def relative(file: str, root: Path) -> str:
    """Return a file's path from the repository's root, or the whole path if it is elsewhere."""
    try:
        return str(Path(file).resolve().relative_to(root.resolve()))
    except ValueError:
        return file


def _plain_call(function: Callable, /, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    return function(*args, **kwargs)
