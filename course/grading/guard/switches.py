"""PyTorch's global switches, which a student's code must leave as it found them.

A `torch.set_grad_enabled(False)` that stays makes every later gradient test fail, with messages
about anything but the switch. So each call is compared with how it found things, the switch is put
back, and the error names it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from course.grading.guard.errors import SwitchError

_ADVICE = {
    "set_grad_enabled": "use `with torch.no_grad():` where you need it",
    "set_default_dtype": "give `dtype=` to the tensors that need it",
    "set_default_device": "give `device=` to the tensors that need it",
}


def _read() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "set_grad_enabled": torch.is_grad_enabled(),
        "set_default_dtype": torch.get_default_dtype(),
        "set_default_device": torch.get_default_device(),
    }


@contextmanager
def kept(what: str) -> Iterator[None]:
    """Raise `SwitchError` if the block changes a switch and leaves it so; put it back.

    Args:
        what: what runs in the block, the subject of the message.
    """
    __tracebackhide__ = True
    before = _read()
    try:
        yield
    finally:
        changed = _put_back(before)
    if changed:
        name, value = changed
        raise SwitchError(
            f"{what} leaves torch.{name}({value}) behind, for the whole process: {_ADVICE[name]}"
        )


def _put_back(before: dict[str, Any]) -> tuple[str, Any] | None:
    """Return the first switch that differs, after all are as they were."""
    after = _read()
    if not after or after == before:
        return None
    import torch

    if not before:  # torch came with the block
        before = {
            "set_grad_enabled": True,
            "set_default_dtype": torch.float32,
            "set_default_device": torch.device("cpu"),
        }
    changed = [name for name, value in before.items() if after[name] != value]
    for name in changed:
        plain = name == "set_default_device" and before[name] == torch.device("cpu")
        getattr(torch, name)(None if plain else before[name])
    return (changed[0], after[changed[0]]) if changed else None
