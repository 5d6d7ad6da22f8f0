"""Forbidden packages, and the reference solution, which does not count as the student's own.

`import` and `importlib.import_module` are watched rather than `sys.meta_path`, because a module
that the tests have imported already never reaches a finder. Any other way to a file of the
reference (`exec`, a loader of one's own) passes an audit hook (PEP 578), and a function that was
copied from it is known by the file of its code.
"""

import builtins
import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from course.grading.guard.errors import ForbiddenImportError
from course.grading.guard.provenance import Provenance
from course.grading.rules import Rules


class ImportFence:
    """Refuses packages of `rules`, the tests, references from assignment `reference_from` on."""

    def __init__(
        self,
        rules: Rules,
        provenance: Provenance,
        root: Path,
        reference_from: int | None,
        is_inside: Callable[[], bool],
    ) -> None:
        self._rules = rules
        self._provenance = provenance
        self._root = root
        self._reference_from = reference_from
        self._is_inside = is_inside
        self._import: Any = builtins.__import__
        self._import_module = importlib.import_module
        if reference_from is not None:
            _watch_files(self)

    def up(self) -> None:
        """Watch imports."""
        builtins.__import__ = self._watched_import
        importlib.import_module = self._watched_import_module

    def down(self) -> None:
        """Stop watching imports."""
        builtins.__import__ = self._import
        importlib.import_module = self._import_module

    def close(self) -> None:
        """Stop watching files."""
        if self in _watchers:
            _watchers.remove(self)

    def refuse_reference_function(self, function: Any) -> None:
        """Raise if a function's code comes from the reference solution, whoever imported it."""
        while isinstance(function, functools.partial):
            function = function.func
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None:
            self._refuse_reference_file(code.co_filename)

    def file_used(self, file: str) -> None:
        """Raise if the student's code opens or executes a file of the reference solution."""
        if self._is_inside():
            self._refuse_reference_file(file)

    def _watched_import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        package = (globals or {}).get("__package__") or ""
        full = importlib.util.resolve_name("." * level + name, package) if level else name
        self._check(full, fromlist or ())
        return self._import(name, globals, locals, fromlist, level)

    def _watched_import_module(self, name: str, package: str | None = None) -> ModuleType:
        full = importlib.util.resolve_name(name, package) if name.startswith(".") else name
        self._check(full, ())
        return self._import_module(name, package)

    def _check(self, module: str, names: Iterable[str]) -> None:
        """Refuse `from module import names` if the caller's caller is the student's code."""
        top = module.partition(".")[0]
        if top in self._rules.packages:
            problem = f"{self._rules.handout} forbids the package {top}: write it yourself"
        elif top == "tests":
            problem = (
                f"your code imports {module}: the tests are there to call it, not to be called"
            )
        elif reference := self._reference(module, *(f"{module}.{name}" for name in names)):
            problem = f"your code imports {reference}; the reference does not count as yours"
        else:
            return
        if self._provenance.is_students(sys._getframe(2).f_code.co_filename):
            raise ForbiddenImportError(problem)

    def _reference(self, *modules: str) -> str | None:
        """Return the first of the modules that is part of a refused reference."""
        if self._reference_from is None:
            return None
        for module in modules:
            match = re.match(r"assignment(\d+)_\w+\.reference(\.|$)", module)
            if match and int(match[1]) >= self._reference_from:
                return module
        return None

    def _refuse_reference_file(self, file: str) -> None:
        if "reference" not in file:
            return
        try:
            path = Path(file).resolve().relative_to(self._root.resolve())
        except (ValueError, OSError):
            return
        if self._reference(".".join(path.parts)):
            raise ForbiddenImportError(
                f"your code uses {path}; the reference does not count as yours"
            )


_watchers: list[ImportFence] = []  # an audit hook cannot be removed, so it asks whom to tell


def _watch_files(fence: ImportFence) -> None:
    if not getattr(_watch_files, "installed", False):
        sys.addaudithook(_audit)
        _watch_files.installed = True  # type: ignore[attr-defined]
    _watchers.append(fence)


def _audit(event: str, arguments: tuple) -> None:
    if _watchers and event in ("open", "exec"):
        file = arguments[0] if event == "open" else getattr(arguments[0], "co_filename", None)
        if isinstance(file, bytes):
            file = file.decode(errors="replace")
        if isinstance(file, str):
            for fence in _watchers:
                fence.file_used(file)
