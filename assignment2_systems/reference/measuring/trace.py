"""A recorded trace, read back: operations, kernels, ranges and allocations with their times.

The PyTorch profiler writes the Trace Event Format (Google, 2016), which Perfetto and Chrome show.
All that the tables and pictures here need is in that file, so they are made from it: what can be
seen in the viewer and what is printed are the same. Of its fields these are read: an operation's
shapes and types, "External id" (an operation's number, and on a kernel that of the operation which
launched it), and "[memory]" events with address and bytes.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from assignment2_systems.reference.measuring.operation_costs import TRACE_DTYPES, Shape

ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")


@dataclass(eq=False)
class Operation:
    """One call on the host; times in microseconds."""

    name: str
    start: float
    duration: float
    external_id: int | None
    shapes: tuple[Shape, ...]
    """of its tensors, without scalars"""
    dtypes: tuple[torch.dtype | None, ...]
    is_range: bool
    parent: "Operation | None" = None

    @property
    def end(self) -> float:
        """When it returned."""
        return self.start + self.duration

    def ancestors(self) -> Iterator["Operation"]:
        """Yield the call itself and the calls around it, the outermost last."""
        operation: Operation | None = self
        while operation is not None:
            yield operation
            operation = operation.parent


@dataclass(frozen=True)
class Kernel:
    """One kernel, copy or fill on the device."""

    name: str
    start: float
    duration: float
    external_id: int | None


@dataclass(frozen=True)
class MemoryEvent:
    """An allocation (positive bytes) or a release (negative)."""

    time: float
    address: int
    bytes: int


@dataclass
class Trace:
    """What happened, in the order of time."""

    operations: list[Operation] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    memory: list[MemoryEvent] = field(default_factory=list)

    def ranges(self, name: str) -> list[Operation]:
        """Return the host's ranges of that name."""
        return [o for o in self.operations if o.is_range and o.name == name]


def read_trace(path: Path, memory_of: str = "cpu") -> Trace:
    """Read a trace that `torch.profiler.profile.export_chrome_trace` wrote.

    `memory_of` picks the device whose allocations are wanted, "cpu" or "cuda".
    """
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    trace = Trace()
    threads: dict[Any, list[Operation]] = defaultdict(list)
    wanted_memory = 0 if memory_of == "cpu" else 1
    for event in events:
        category, arguments = event.get("cat"), event.get("args", {})
        if event.get("ph") == "X" and category in ("cpu_op", "user_annotation"):
            threads[event["pid"], event["tid"]].append(_operation(event, arguments))
        elif event.get("ph") == "X" and category in ON_DEVICE:
            trace.kernels.append(
                Kernel(event["name"], event["ts"], event["dur"], arguments.get("External id"))
            )
        elif event.get("name") == "[memory]" and arguments["Device Type"] == wanted_memory:
            trace.memory.append(MemoryEvent(event["ts"], arguments["Addr"], arguments["Bytes"]))
    for operations in threads.values():
        operations.sort(key=lambda operation: (operation.start, -operation.duration))
        _nest(operations)
        trace.operations += operations
    trace.operations.sort(key=lambda operation: operation.start)
    trace.kernels.sort(key=lambda kernel: kernel.start)
    trace.memory.sort(key=lambda event: event.time)
    return trace


def _operation(event: dict[str, Any], arguments: dict[str, Any]) -> Operation:
    shapes: list[Shape] = []
    dtypes: list[torch.dtype | None] = []
    dims, types = arguments.get("Input Dims", []), arguments.get("Input type", [])
    for dim, kind in zip(dims, types, strict=False):
        found = list(_shapes(dim))
        shapes += found
        dtypes += [TRACE_DTYPES.get(kind)] * len(found)
    return Operation(
        event["name"],
        event["ts"],
        event.get("dur", 0.0),
        arguments.get("External id"),
        tuple(shapes),
        tuple(dtypes),
        is_range=event["cat"] == "user_annotation",
    )


def _shapes(dims: Any) -> Iterator[Shape]:
    """Yield the shapes in an argument's entry: one tensor's, a list's, or none of a scalar."""
    if isinstance(dims, list) and dims:
        if isinstance(dims[0], list):
            for inner in dims:
                yield from _shapes(inner)
        else:
            yield tuple(dims)


def _nest(operations: list[Operation]) -> None:
    """Set every call's parent: the innermost call of the same thread that is still running."""
    running: list[Operation] = []
    for operation in operations:
        while running and running[-1].end <= operation.start:
            running.pop()
        operation.parent = running[-1] if running else None
        running.append(operation)
