"""Names on the timeline: ranges for phases and layers, in NVTX and in PyTorch's own trace.

A profiler sees kernels; a range says which layer they belong to. Nsight Systems shows NVTX ranges
(`nsys profile --trace=cuda,nvtx course benchmark --nvtx`), the PyTorch profiler `record_function`.
Both are pushed together here; without CUDA the NVTX half does nothing. A range costs the host a few
microseconds, so there are none while a step is timed, unless `--nvtx` asks for them.

Layers are named by hooks of the module: a forward range from its call to its return, a backward
range from the arrival of its output's gradient to that of its input. Inside a compiled graph there
are no layers any more; there the phases alone have names.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import record_function

BACKWARD = "backward of "


@contextmanager
def named_range(name: str) -> Iterator[None]:
    """Name what the block does, on every timeline."""
    _push(name)
    try:
        yield
    finally:
        _pop(name)


@contextmanager
def named_layers(model: nn.Module) -> Iterator[None]:
    """Name every module's forward and backward pass by its path in the model, for a while."""
    handles = [
        handle
        for name, module in model.named_modules()
        if name and not isinstance(module, nn.ModuleList)
        for handle in _hooks(module, name)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(module: nn.Module, name: str) -> list[Any]:
    def backward_begins(*_: object) -> None:
        _push(BACKWARD + name)

    def backward_ends(*_: object) -> None:
        _pop(BACKWARD + name)

    def forward_begins(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        _push(name)

    def forward_ends(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        _pop(name)

    handles = [
        module.register_forward_pre_hook(forward_begins),
        # Also when the forward pass raises, as it does when a recomputation has all it needs.
        module.register_forward_hook(forward_ends, always_call=True),
    ]
    if not _reads_indices(module):
        handles.append(module.register_full_backward_pre_hook(backward_begins))
        handles.append(module.register_full_backward_hook(backward_ends))
    return handles


def _reads_indices(module: nn.Module) -> bool:
    """Tell whether a module's input has no gradient, so that nothing says when it is done."""
    return "Embedding" in type(module).__name__


_open = threading.local()  # the backward pass of a GPU runs in a thread of its own


def _push(name: str) -> None:
    if not hasattr(_open, "ranges"):
        _open.ranges = []
    annotation = record_function(name)
    annotation.__enter__()
    if torch.cuda.is_available():
        torch.cuda.nvtx.range_push(name)
    _open.ranges.append((name, annotation))


def _pop(name: str) -> None:
    """End the newest range of that name and whatever was left open inside it."""
    ranges: list[tuple[str, record_function]] = getattr(_open, "ranges", [])
    if name not in (opened for opened, _ in ranges):
        return
    while True:
        opened, annotation = ranges.pop()
        if torch.cuda.is_available():
            torch.cuda.nvtx.range_pop()
        annotation.__exit__(None, None, None)
        if opened == name:
            return


def ranged(name: str, call: Callable[[], object]) -> Callable[[], object]:
    """Return `call` under a name."""

    def named() -> object:
        with named_range(name):
            return call()

    return named
