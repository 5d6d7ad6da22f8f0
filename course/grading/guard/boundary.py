"""Keeps the guard up for what the student's code returns: objects, classes, generators, functions.

`get_adamw_cls()` returns in an instant; what it forbids happens later, in `step`. So the methods of
every class of the student's that crosses into a test are wrapped, once and in place: `isinstance`,
`super()`, pickling and `state_dict` go on working, which a proxy object would break. Generators
and functions are replaced by ones that raise the guard around every step or call.
"""

import functools
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from course.grading.guard import Guard
from course.grading.guard.switches import kept

# Attribute access and comparison are frequent, and no place for an optimizer.
_UNTOUCHED = {"__new__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__"}
_UNTOUCHED |= {"__eq__", "__hash__", "__repr__", "__init_subclass__", "__class_getitem__"}
_MAX_ELEMENTS = 16


class Boundary:
    """Passes values from the student's code to a test, with the guard kept up around their use."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._wrapped: weakref.WeakSet[type] = weakref.WeakSet()

    def call(self, function: Callable, /, *args: Any, **kwargs: Any) -> Any:
        """Call the student's function behind the guard; return its result, adopted."""
        __tracebackhide__ = True
        with self._guard, kept(getattr(function, "__name__", "your code")):
            result = function(*args, **kwargs)
        return self.adopt(result)

    def adopt(self, value: Any) -> Any:
        """Return `value`, or what stands for it, such that using it raises the guard.

        Raises `ForbiddenError` for a class that may not be constructed: `return torch.optim.AdamW`.
        """
        made = value.func if isinstance(value, functools.partial) else value
        self._guard.refuse_class(made if isinstance(made, type) else type(made))
        if isinstance(value, type):
            self._wrap_classes(value)
        elif isinstance(value, types.FunctionType | functools.partial | types.MethodType):
            return self._guarded(value)
        elif isinstance(value, Iterator) and not self._is_students(type(value)):
            return self._iterate(value)
        elif isinstance(value, list | tuple) and len(value) <= _MAX_ELEMENTS:
            for element in value:
                self._wrap_classes(type(element))
        else:
            self._wrap_classes(type(value))
            for part in getattr(value, "modules", list)() if _is_module(value) else ():
                self._wrap_classes(type(part))
        return value

    def _is_students(self, cls: type) -> bool:
        return self._guard.provenance.is_students_class(cls)

    def _wrap_classes(self, cls: type) -> None:
        """Wrap the methods of a class and of its bases, as far as they are the student's."""
        for each in cls.__mro__:
            if each in self._wrapped or not self._is_students(each):
                continue
            self._wrapped.add(each)
            for name, attribute in list(vars(each).items()):
                wrapped = self._wrap_attribute(name, attribute)
                if wrapped is not attribute:
                    setattr(each, name, wrapped)

    def _wrap_attribute(self, name: str, attribute: Any) -> Any:
        if name in _UNTOUCHED:
            return attribute
        if isinstance(attribute, types.FunctionType):
            return self._guarded(attribute)
        if isinstance(attribute, staticmethod | classmethod):
            return type(attribute)(self._guarded(attribute.__func__))
        if isinstance(attribute, property) and attribute.fget:
            getter = self._guarded(attribute.fget)
            return property(getter, attribute.fset, attribute.fdel, attribute.__doc__)
        return attribute

    def _guarded(self, function: Callable) -> Callable:
        guard = self._guard

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            if guard.is_inside():  # called by the student's own code
                return function(*args, **kwargs)
            return self.call(function, *args, **kwargs)

        return guarded

    def _iterate(self, iterator: Iterator) -> Iterator:
        """Step through a lazy iterator with the guard up in every step and down between them."""
        guard = self._guard
        try:
            while True:
                with guard:
                    try:
                        value = next(iterator)
                    except StopIteration:
                        return
                yield value
        finally:
            getattr(iterator, "close", bool)()


def _is_module(value: Any) -> bool:
    return any(cls.__module__ == "torch.nn.modules.module" for cls in type(value).__mro__)
