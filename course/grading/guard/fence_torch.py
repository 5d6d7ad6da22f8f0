"""What the handout forbids of PyTorch: functions by a dispatch mode, classes by their constructor.

A `TorchFunctionMode` sees every call on tensors with the function itself, so that
`from torch.nn.functional import softmax as s` is caught like any other spelling. Helpers that
PyTorch writes in plain Python (`clip_grad_norm_`) never reach the mode and are replaced in their
module instead. Of a class, the constructor of the common base (`torch.nn.Module`) looks at what it
constructs, which catches subclasses too.
"""

import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

from course.grading.guard.errors import ForbiddenError
from course.grading.guard.provenance import Provenance, callers
from course.grading.rules import Rules

# Between a function of torch.nn.functional and the mode stand only these frames.
_DISPATCH = ("torch.overrides", "torch.nn.functional", "torch._ops")


class TorchFence:
    """Refuses the functions and classes of `rules` to the student's code."""

    def __init__(self, rules: Rules, provenance: Provenance, is_inside: Callable[[], bool]) -> None:
        self._rules = rules
        self._provenance = provenance
        self._is_inside = is_inside
        self._names: dict[Any, str] = {}  # forbidden function -> its dotted name
        self._replaced: list[tuple[Any, str, Callable]] = []
        self._mode: Any = None
        self._fenced: list[tuple[type, set[type], str]] = []  # base, allowed subclasses, package
        if rules.functions:
            self._find_functions()
            self._mode = self._make_mode()
        for base_name, allowed_names in rules.classes.items():
            base = _find(base_name)
            allowed = {base, *map(_find, allowed_names)}
            self._fenced.append((base, allowed, base_name.rpartition(".")[0]))
            self._fence_constructor(base)

    def up(self) -> None:
        """Watch the functions that this thread calls."""
        if self._mode is not None:
            self._mode.__enter__()

    def down(self) -> None:
        """Stop watching this thread."""
        if self._mode is not None:
            self._mode.__exit__(None, None, None)

    def close(self) -> None:
        """Put helpers and constructors back."""
        while self._replaced:
            owner, name, original = self._replaced.pop()
            setattr(owner, name, original)

    def _find_functions(self) -> None:
        for pattern in self._rules.functions:
            for owner, name, function in _functions(pattern):
                dotted = pattern.removesuffix("*") + name if pattern.endswith("*") else pattern
                if _reaches_mode(function):
                    self._names.setdefault(function, dotted)
                elif not pattern.endswith("*"):
                    self._replace(owner, name, self._refusing(function, dotted))

    def _make_mode(self) -> Any:
        from torch.overrides import TorchFunctionMode

        names, forbid = self._names, self._forbid
        no_ops = "torch.ops.*" in self._rules.functions

        def name_if_forbidden(func: Any) -> str | None:
            if no_ops and (getattr(func, "__module__", None) or "").startswith("torch._ops"):
                return f"torch.ops ({getattr(func, '__name__', func)})"
            return names.get(func)

        known: dict[Any, str | None] = {}

        class Fence(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
            ) -> Any:
                try:
                    name = known[func]
                except KeyError:
                    name = known[func] = name_if_forbidden(func)
                if name is not None:
                    forbid(name)
                return func(*args, **kwargs) if kwargs else func(*args)

        return Fence()

    def _refusing(self, function: Callable, name: str) -> Callable:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self._is_inside():
                self._forbid(name)
            return function(*args, **kwargs)

        return refuse

    def _forbid(self, name: str) -> None:
        if self._is_called_by_student():
            raise self._error(name)

    def _error(self, name: str) -> ForbiddenError:
        return ForbiddenError(f"{self._rules.handout} forbids {name}: write it yourself")

    def _is_called_by_student(self) -> bool:
        """Whether the nearest caller, PyTorch's dispatch left out, is the student's code.

        PyTorch may call what it likes for itself, unless it does so as a base class of the
        student's: `class MyLinear(torch.nn.Linear)` is Linear all the same.
        """
        for frame in callers():
            module = frame.f_globals.get("__name__", "")
            if module in _DISPATCH:
                continue
            if module.startswith("torch."):
                return self._provenance.is_students_class(type(frame.f_locals.get("self")))
            return self._provenance.is_students(frame.f_code.co_filename)
        return False

    def refuse_class(self, cls: type) -> None:
        """Raise `ForbiddenError` if `cls` is, or builds on, a finished class of PyTorch."""
        if name := self._forbidden_base(cls):
            raise self._error(name)

    def _forbidden_base(self, cls: type) -> str | None:
        for base, allowed, package in self._fenced:
            for each in cls.__mro__:
                is_torchs = f"{each.__module__}.".startswith(f"{package}.")
                if is_torchs and issubclass(each, base) and each not in allowed:
                    return f"{package}.{each.__name__}"
        return None

    def _fence_constructor(self, base: Any) -> None:
        original = base.__init__

        def __init__(instance: Any, *args: Any, **kwargs: Any) -> None:
            if self._is_inside() and (name := self._forbidden_base(type(instance))):
                self._forbid_class(name)
            original(instance, *args, **kwargs)

        __init__.__wrapped__ = original  # type: ignore[attr-defined]  # for inspect.signature
        self._replace(base, "__init__", __init__)

    def _replace(self, owner: Any, name: str, substitute: Callable) -> None:
        """Put in a substitute until `close`; it does as the original while the guard is down."""
        self._replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, substitute)

    def _forbid_class(self, name: str) -> None:
        """Refuse if the nearest caller outside of all libraries is the student's code."""
        files = (frame.f_code.co_filename for frame in callers())
        outside = (file for file in files if not self._provenance.is_library(file))
        if self._provenance.is_students(next(outside, "")):
            raise self._error(name)


def _find(dotted: str) -> Any:
    """Return what a dotted name such as "torch.nn.Module" stands for."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[split:]:
            value = getattr(value, attribute)
        return value
    raise ModuleNotFoundError(dotted)


def _functions(pattern: str) -> Iterator[tuple[Any, str, Any]]:
    """Yield (owner, name, function) for a dotted name; nothing if this PyTorch lacks it."""
    owner_name, _, name = pattern.rpartition(".")
    if owner_name == "torch.ops":  # made on demand: the mode knows them by their module
        return
    try:
        owner = _find(owner_name)
    except (ModuleNotFoundError, AttributeError):
        return
    names = [each for each in dir(owner) if not each.startswith("_")] if name == "*" else [name]
    for each in names:
        function = getattr(owner, each, None)
        if callable(function) and not isinstance(function, type):
            yield owner, each, function


def _reaches_mode(function: Any) -> bool:
    """Whether a `TorchFunctionMode` sees calls: C functions, and Python ones that dispatch."""
    if isinstance(function, types.FunctionType):
        return "handle_torch_function" in function.__code__.co_names
    return True
