"""What is allocated when, and for what: parameters, gradients, optimizer state, activations, rest.

An allocator knows addresses and sizes, not purposes. Most purposes are known from outside: the
addresses of parameters, optimizer state and gradients can be asked for. What the forward pass
leaves behind for the backward pass can be told by its lifetime alone: allocated during the forward
pass, still there at its end. All else is temporary, also what checkpointing computes again. So it
works for any model, compiled or not, on any device, without a look into autograd.

The events come from a trace of the PyTorch profiler with `profile_memory`. On a GPU the allocator
can also write a snapshot, with the Python stack of each block, for https://pytorch.org/memory_viz.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from assignment1_basics.reference.accounting.activations import TrainingSetup
from assignment1_basics.reference.accounting.formats import PRECISIONS
from assignment1_basics.reference.accounting.memory import training_memory
from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.measuring.measure import Build
from assignment2_systems.reference.measuring.profile import record_step
from assignment2_systems.reference.measuring.step import MeasuredStep, Variant, Workload
from assignment2_systems.reference.measuring.timing import synchronizer
from assignment2_systems.reference.measuring.trace import MemoryEvent, Operation, Trace, read_trace

CATEGORIES = ("parameters", "optimizer state", "gradients", "activations", "temporary")
STEPS = 2
SNAPSHOT_EVENTS = 1_000_000


@dataclass(frozen=True)
class Block:
    """One allocation; times in microseconds, `end` infinite if it was never released."""

    begin: float
    end: float
    address: int
    bytes: int

    def alive(self, time: float) -> bool:
        """Tell whether it was allocated at this moment."""
        return self.begin <= time < self.end


@dataclass(frozen=True)
class Timeline:
    """Bytes by category after every allocation and release."""

    times: list[float]
    """seconds since the first step began"""
    bytes: dict[str, list[int]]
    phases: list[tuple[str, float, float]]
    """name, beginning and end in seconds"""

    @property
    def totals(self) -> list[int]:
        """All categories together."""
        return [sum(at_once) for at_once in zip(*self.bytes.values(), strict=True)]

    @property
    def peak(self) -> int:
        """The most bytes at any moment."""
        return max(self.totals)

    def at_peak(self) -> dict[str, int]:
        """Return the bytes of each category when the total was highest."""
        totals = self.totals
        index = totals.index(max(totals))
        return {category: sizes[index] for category, sizes in self.bytes.items()}


def blocks_of(events: Iterable[MemoryEvent]) -> list[Block]:
    """Pair allocations with their releases; a release of what came before the record is dropped."""
    open_blocks: dict[int, MemoryEvent] = {}
    blocks = []
    for event in events:
        if event.bytes > 0:
            open_blocks[event.address] = event
        elif (begun := open_blocks.pop(event.address, None)) is not None:
            blocks.append(Block(begun.time, event.time, event.address, begun.bytes))
    blocks += [Block(e.time, float("inf"), e.address, e.bytes) for e in open_blocks.values()]
    return sorted(blocks, key=lambda block: block.begin)


def category_of(
    block: Block, forwards: Sequence[Operation], gradients: Sequence[tuple[float, set[int]]]
) -> str:
    """Return what a block of a step is for.

    `forwards` are the ranges of the forward passes; `gradients` the moments at which backward
    passes ended, each with the addresses of the gradients then.
    """
    if any(block.alive(moment) and block.address in them for moment, them in gradients):
        return "gradients"
    if any(span.start <= block.begin <= span.end and block.alive(span.end) for span in forwards):
        return "activations"
    return "temporary"


def timeline_of(
    trace: Trace, gradients: Sequence[set[int]], parameters: int, optimizer_state: int
) -> Timeline:
    """Add up a trace's allocations by category.

    Args:
        trace: of some steps, with ranges "step", "forward", "backward", "update".
        gradients: addresses of the gradients at the end of each step's backward pass.
        parameters: bytes that were allocated before and stay.
        optimizer_state: the same.
    """
    forwards, backwards = trace.ranges("forward"), trace.ranges("backward")
    moments = list(zip((span.end for span in backwards), gradients, strict=True))
    origin = trace.ranges("step")[0].start
    changes: list[tuple[float, str, int]] = []
    for block in blocks_of(event for event in trace.memory if event.time >= origin):
        category = category_of(block, forwards, moments)
        changes.append((block.begin, category, block.bytes))
        if block.end != float("inf"):
            changes.append((block.end, category, -block.bytes))
    changes.sort(key=lambda change: change[0])
    constant = {"parameters": parameters, "optimizer state": optimizer_state}
    sizes = {
        category: list(
            itertools.accumulate(
                (size if of == category else 0 for _, of, size in changes),
                initial=constant.get(category, 0),
            )
        )
        for category in CATEGORIES
    }
    spans = [
        (name, (span.start - origin) / 1e6, (span.end - origin) / 1e6)
        for name in ("forward", "backward", "update")
        for span in trace.ranges(name)
    ]
    times = [0.0, *((time - origin) / 1e6 for time, _, _ in changes)]
    return Timeline(times, sizes, sorted(spans, key=lambda span: span[1]))


def record_timeline(
    workload: Workload,
    variant: Variant,
    device: torch.device,
    path: Path,
    seed: int = 0,
    build: Build = Transformer,
) -> Timeline:
    """Record two steps into the trace `path`; return what they allocated."""
    step = MeasuredStep(workload, variant, device, seed, build)
    gradients: list[set[int]] = []

    def note_gradients(phase: str) -> None:
        if phase == "backward":
            found = [p.grad for p in step.model.parameters() if p.grad is not None]
            gradients.append({gradient.untyped_storage().data_ptr() for gradient in found})

    record_step(step, path, memory=True, steps=STEPS, after=note_gradients)
    state = [
        value
        for of_parameter in step.train_step.optimizer.state.values()
        for value in of_parameter.values()
        if isinstance(value, torch.Tensor) and value.device.type == device.type
    ]
    return timeline_of(
        read_trace(path, memory_of=device.type),
        gradients,
        sum(parameter.nbytes for parameter in step.model.parameters()),
        sum(tensor.nbytes for tensor in state),
    )


def write_snapshot(
    workload: Workload,
    variant: Variant,
    device: torch.device,
    path: Path,
    seed: int = 0,
    build: Build = Transformer,
) -> Path:
    """Write the GPU allocator's history of building a model and two steps, as a pickle."""
    torch.cuda.memory._record_memory_history(max_entries=SNAPSHOT_EVENTS, stacks="python")
    try:
        with variant.matmul_precision():
            step = MeasuredStep(workload, variant, device, seed, build)
            for _ in range(STEPS):
                step()
        synchronizer(device)()
        torch.cuda.memory._dump_snapshot(str(path))
    finally:
        torch.cuda.memory._record_memory_history(enabled=None)
    return path


def calculated_peak(workload: Workload, variant: Variant) -> int:
    """Return the peak that `course account` expects on a GPU, with fused AdamW."""
    name = "bf16-mixed" if variant.precision == "bf16" else variant.precision
    setup = TrainingSetup(
        batch_size=workload.batch_size,
        seq_len=workload.seq_len,
        precision=PRECISIONS[name],
        compiled=variant.mode == "compiled",
    )
    return training_memory(workload.model, setup).peak
