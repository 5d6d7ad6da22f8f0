"""Comparisons for graded tests: when one fails, its message says what is wrong and shows it.

A plain `assert` tells a student that two numbers differ. These say first what was asked, in the
words of the handout (`what`), then what to look at (`hint`), then received, expected and the first
place where they differ. They also keep the received value, so that the grader can recognise a
classic mistake by it (`course.grading.naming`).

    check.close(adapters.run_softmax(x, -1), torch.softmax(x.double(), -1), what="softmax of rows",
                hint="the sum runs along dim only", rtol=1e-6, atol=0)
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from course.grading.show import brief, show

Lines = Sequence[tuple[str, str]]


class CheckFailed(AssertionError):
    """A comparison failed: `what` was asked, the details, and the value that was received."""

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        lines: Lines = (),
        observed: Any = None,
        expected: Any = None,
    ) -> None:
        super().__init__(what)
        self.what, self.hint, self.lines = what, hint, tuple(lines)
        self.observed, self.expected = observed, expected

    def __str__(self) -> str:
        details = [f"{label + ':':<12}{text}" for label, text in self.lines]
        return "\n".join([self.what, *filter(None, [self.hint]), *details])


def close(
    actual: Any,
    expected: Any,
    *,
    what: str,
    hint: str = "",
    rtol: float | None = None,
    atol: float | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> None:
    """Fail unless the shapes are equal and |actual - expected| <= atol + rtol * |expected|.

    Both may be tensors, arrays, numbers or (nested) lists of numbers; they are compared in float64,
    on the CPU, and the dtype itself is not compared. NaN equals NaN, infinity itself. Tolerances
    left out come from the dtype of `actual`: about 100 roundings of a number of that size.
    """
    __tracebackhide__ = True
    import torch

    received, wanted = _tensor(actual), _tensor(expected)
    assert wanted is not None, f"{what}: the test expects {expected!r}, which is no number"
    given = [("input", f"{name} = {show(value)}") for name, value in (inputs or {}).items()]
    if received is None:
        raise CheckFailed(
            f"{what}: {_no_numbers(actual)}",
            lines=[*given, ("received", brief(actual)), ("expected", show(expected))],
            observed=actual,
            expected=expected,
        )
    if received.shape != wanted.shape:
        raise CheckFailed(
            what,
            hint=hint,
            lines=[
                *given,
                ("received", f"shape {list(received.shape)}"),
                ("expected", f"shape {list(wanted.shape)}"),
            ],
            observed=received,
            expected=wanted,
        )
    default_rtol, default_atol = _tolerances(actual)
    rtol = default_rtol if rtol is None else rtol
    atol = default_atol if atol is None else atol
    a, b = _wide(received), _wide(wanted)
    good = torch.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    if bool(good.all()):
        return
    raise CheckFailed(
        what,
        hint=hint,
        lines=[
            *given,
            ("received", show(received)),
            ("expected", show(wanted)),
            ("difference", _difference(a, b, good, rtol, atol)),
        ],
        observed=received,
        expected=wanted,
    )


def equal(
    actual: Any,
    expected: Any,
    *,
    what: str,
    hint: str = "",
    inputs: Mapping[str, Any] | None = None,
) -> None:
    """Fail unless `actual` equals `expected`: numbers, strings, lists, dicts, or whole tensors."""
    __tracebackhide__ = True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(expected, torch.Tensor):
        close(actual, expected, what=what, hint=hint, rtol=0, atol=0, inputs=inputs)
        return
    if _equal(actual, expected):
        return
    if actual is None:
        what = f"{what}: {_no_numbers(actual)}"
    lines = [("input", f"{name} = {show(value)}") for name, value in (inputs or {}).items()]
    lines += [("received", show(actual)), ("expected", show(expected))]
    lines += [("difference", text) for text in [_first_difference(actual, expected)] if text]
    raise CheckFailed(what, hint=hint, lines=lines, observed=actual, expected=expected)


def true(
    condition: Any,
    what: str,
    *,
    hint: str = "",
    observed: Any = None,
    inputs: Mapping[str, Any] | None = None,
) -> None:
    """Fail with the line `what` (what is wrong) unless `condition`; show `observed` if given."""
    __tracebackhide__ = True
    if bool(condition):
        return
    lines = [("input", f"{name} = {show(value)}") for name, value in (inputs or {}).items()]
    lines += [("received", show(observed))] * (observed is not None)
    raise CheckFailed(what, hint=hint, lines=lines, observed=observed)


@contextlib.contextmanager
def raises(exception: type[Exception], *, what: str, hint: str = "") -> Iterator[None]:
    """Fail unless the block raises `exception`; `what` says which input has to be refused."""
    try:
        yield
    except exception:
        return
    raise CheckFailed(
        what, hint=hint, lines=[("received", "no error"), ("expected", exception.__name__)]
    )


def _no_numbers(value: Any) -> str:
    """Say what a value is that cannot be compared as a tensor, and how that comes about."""
    if value is None:
        return "the result is None: is a `return` missing?"
    if isinstance(value, Iterator):
        return "the result is a generator: `return` the numbers, do not `yield` them"
    if isinstance(value, tuple) and len(value) == 1:
        return "the result is a tuple of one element: is there a comma behind it?"
    if callable(value):
        return f"the result is {show(value)} itself, not what it makes of the input"
    return f"the result is of type {type(value).__name__}, not numbers"


def _tensor(value: Any) -> Any:
    """Return a number, a list of numbers, an array or a tensor as a tensor; None for others."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if value is None or isinstance(value, str | bytes | dict):
        return None
    try:
        tensor = torch.as_tensor(value)
        if tensor.is_floating_point() and isinstance(value, float | list | tuple):
            return torch.as_tensor(value, dtype=torch.float64)  # Python's floats are float64
        return tensor
    except (TypeError, ValueError, RuntimeError):
        return None


def _wide(tensor: Any) -> Any:
    import torch

    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _tolerances(actual: Any) -> tuple[float, float]:
    """About 100 roundings, relative and of a number of size 0.1; Python's floats are float64."""
    import torch

    dtype = getattr(actual, "dtype", None)
    if not isinstance(dtype, torch.dtype) or not (dtype.is_floating_point or dtype.is_complex):
        dtype = torch.float32 if str(dtype) == "float32" else torch.float64
    eps = torch.finfo(dtype).eps
    return 100 * eps, 10 * eps


def _difference(a: Any, b: Any, good: Any, rtol: float, atol: float) -> str:
    """Say where the first wrong element is, how many are wrong, and how far off they are."""
    bad = (~good).nonzero()
    first = tuple(bad[0].tolist())
    received, wanted = a[first].item(), b[first].item()
    if good.ndim == 0:
        text = f"{abs(received - wanted):.3g}"
    else:
        text = f"first at {list(first)}: {received:.7g}, expected {wanted:.7g}"
        text += f"; {len(bad)} of {good.numel()} elements are off"
        largest = (a - b).abs()[~good].max().item()
        if largest == largest and abs(largest) != float("inf"):
            text += f", by at most {largest:.3g}"
    return f"{text} (tolerance: {atol:.2g} + {rtol:.2g} x expected)" if rtol or atol else text


def _equal(actual: Any, expected: Any) -> bool:
    try:
        return bool(actual == expected)
    except Exception:  # a comparison of strange types, say a tensor of another shape
        return False


def _first_difference(actual: Any, expected: Any) -> str:
    """Say where two long values part; nothing for short ones, which one sees at a glance."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        for key in expected:
            if key not in actual:
                return f"key {key!r} is missing"
            if not _equal(actual[key], expected[key]):
                return f"at key {key!r}: {brief(actual[key])}, expected {brief(expected[key])}"
        return f"key {next(key for key in actual if key not in expected)!r} should not be there"
    if not (isinstance(actual, str | bytes | list | tuple) and type(actual) is type(expected)):
        if type(actual) is not type(expected):
            return f"received {type(actual).__name__}, expected {type(expected).__name__}"
        return ""
    if max(len(actual), len(expected)) < 4:
        return ""
    pairs = zip(actual, expected, strict=False)
    place = next((i for i, (x, y) in enumerate(pairs) if not _equal(x, y)), None)
    if place is None:
        return f"received {len(actual)} elements, expected {len(expected)}"
    window = slice(max(0, place - 2), place + 4)
    return f"first at [{place}]: ... {show(actual[window])}, expected ... {show(expected[window])}"
