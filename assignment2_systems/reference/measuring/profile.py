"""Which kernels a step spends its time in, and how far each is from what the device can do.

One step is recorded by the PyTorch profiler, with a range for every phase and layer, and written as
a trace. Each kernel is charged to the operation that launched it (on a CPU the operation itself is
the kernel), which says what had to be computed and moved: `operation_costs`. An operation that
launches several kernels divides its cost among them by their time. Kernels of one name are added
up; then time, share of all kernels' time, rates and share of the roofline are those of the sum.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch.profiler import ProfilerActivity, profile

from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.measuring.measure import Build
from assignment2_systems.reference.measuring.nvtx import named_layers, named_range
from assignment2_systems.reference.measuring.operation_costs import (
    Cost,
    CountCosts,
    Key,
    cost_from_shapes,
)
from assignment2_systems.reference.measuring.roofline import Ceilings
from assignment2_systems.reference.measuring.step import MeasuredStep, Variant, Workload
from assignment2_systems.reference.measuring.timing import synchronizer
from assignment2_systems.reference.measuring.trace import Operation, Trace, read_trace

WARMUP = 3
ON_LISTS = ("aten::_foreach_", "aten::_fused_")


@dataclass(frozen=True)
class KernelTotal:
    """All launches of one kernel in a step."""

    name: str
    launches: int
    seconds: float
    share: float
    """of the time of all kernels"""
    flops: float
    bytes: float
    least_seconds: float | None
    """at the ceilings; None where nothing says what the kernel had to do"""
    bound: str
    """by "memory" or by "matmul"; empty where it is not known"""

    @property
    def roofline_share(self) -> float | None:
        """The least time over the measured."""
        return None if self.least_seconds is None else self.least_seconds / self.seconds


def record_step(
    step: MeasuredStep,
    path: Path,
    *,
    memory: bool = False,
    steps: int = 1,
    after: Callable[[str], None] = lambda phase: None,
) -> None:
    """Record `steps` steps after a warm-up and write the trace to `path` (.json.gz).

    `memory` records allocations too; `after` is called with the name of each phase at its end.
    """
    # Kineto writes its own news to stderr; the library reads this when it starts.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    synchronize = synchronizer(step.device)
    activities = [ProfilerActivity.CPU]
    if step.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with ExitStack() as stack:
        stack.enter_context(step.variant.matmul_precision())
        for _ in range(WARMUP):
            step()
        if step.variant.mode == "eager":
            stack.enter_context(named_layers(step.model))
            step()
        synchronize()
        profiler = stack.enter_context(
            profile(
                activities=activities, record_shapes=True, profile_memory=memory, acc_events=True
            )
        )
        for _ in range(steps):
            with named_range("step"):
                for name, phase in step.phases.items():
                    with named_range(name):
                        phase()
                    after(name)
        synchronize()
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))


def count_costs(
    workload: Workload, variant: Variant, device: torch.device, seed: int, build: Build
) -> dict[Key, Cost]:
    """Run one eager step under `CountCosts`; products are the same when compiled."""
    with variant.matmul_precision():
        step = MeasuredStep(workload, Variant(variant.precision, "eager"), device, seed, build)
        step()
        with CountCosts() as counted:
            step()
    return counted.costs


def kernel_totals(trace: Trace, costs: Mapping[Key, Cost], ceilings: Ceilings) -> list[KernelTotal]:
    """Add up a trace's kernels by name, the costliest first."""
    launches = _launches_on_device(trace, costs) if trace.kernels else _calls_on_host(trace, costs)
    by_name: dict[str, list[tuple[float, Cost | None]]] = defaultdict(list)
    for name, seconds, cost in launches:
        by_name[name].append((seconds, cost))
    all_seconds = sum(seconds for _, seconds, _ in launches)
    totals = []
    for name, group in by_name.items():
        seconds = sum(of for of, _ in group)
        known = [cost for _, cost in group if cost is not None]
        least = 0.0
        bounds: dict[str, float] = defaultdict(float)
        for cost in known:
            limit, bound = ceilings.least_seconds(cost)
            least += limit
            bounds[bound] += limit
        totals.append(
            KernelTotal(
                name,
                len(group),
                seconds,
                seconds / all_seconds,
                sum(cost.flops for cost in known),
                sum(cost.bytes for cost in known),
                least if len(known) == len(group) else None,
                max(bounds, key=lambda bound: bounds[bound]) if bounds else "",
            )
        )
    return sorted(totals, key=lambda total: -total.seconds)


def _cost_of(operation: Operation, costs: Mapping[Key, Cost]) -> Cost | None:
    counted = costs.get((operation.name, operation.shapes))
    if counted is not None:
        return counted
    if operation.name.startswith(ON_LISTS):  # a trace leaves out the shapes of long lists
        alike = [cost for (name, _), cost in costs.items() if name == operation.name]
        if alike:
            flops, size = (fmean(getattr(c, of) for c in alike) for of in ("flops", "bytes"))
            return Cost(flops, size, alike[0].dtype)
    return cost_from_shapes(operation.name, operation.shapes, operation.dtypes)


def _working_operation(
    operation: Operation, costs: Mapping[Key, Cost]
) -> tuple[Operation, Cost | None]:
    """Return the outermost call around `operation` whose cost is known: it did the work."""
    found: tuple[Operation, Cost | None] = operation, None
    for call in operation.ancestors():
        cost = None if call.is_range else _cost_of(call, costs)
        if cost is not None:
            found = call, cost
    return found


def _launches_on_device(
    trace: Trace, costs: Mapping[Key, Cost]
) -> list[tuple[str, float, Cost | None]]:
    by_id = {o.external_id: o for o in trace.operations if o.external_id and not o.is_range}
    working = []
    spent: dict[int, float] = defaultdict(float)
    for kernel in trace.kernels:
        launcher = by_id.get(kernel.external_id or 0)
        call, cost = (None, None) if launcher is None else _working_operation(launcher, costs)
        working.append((kernel, call, cost))
        spent[id(call)] += kernel.duration
    launches = []
    for kernel, call, cost in working:
        if cost is not None and spent[id(call)]:
            part = kernel.duration / spent[id(call)]
            cost = Cost(cost.flops * part, cost.bytes * part, cost.dtype)
        launches.append((kernel.name, kernel.duration / 1e6, cost))
    return launches


def _calls_on_host(trace: Trace, costs: Mapping[Key, Cost]) -> list[tuple[str, float, Cost | None]]:
    """Take each outermost operation with a known cost, and each kernel of a compiled graph."""
    calls: dict[int, tuple[Operation, Cost | None]] = {}
    for operation in trace.operations:
        if operation.is_range:
            continue
        call, cost = _working_operation(operation, costs)
        if cost is not None or _is_compiled(call.name):
            calls[id(call)] = call, cost
    return [
        (host_kernel_name(call.name, call.shapes), call.duration / 1e6, cost)
        for call, cost in calls.values()
    ]


def _is_compiled(name: str) -> bool:
    return "_fused_" in name and not name.startswith("aten::")


def host_kernel_name(name: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """Return an operation's name with the shapes of its operands: `mm [64x8] [8x32]`."""
    sizes = " ".join(f"[{'x'.join(map(str, shape))}]" for shape in shapes[:3])
    short = name.removeprefix("aten::").replace("_scaled_dot_product_flash_", "flash_")
    return f"{short} {sizes}".strip()


def profile_step(
    workload: Workload,
    variant: Variant,
    device: torch.device,
    ceilings: Ceilings,
    path: Path,
    seed: int = 0,
    build: Build = Transformer,
) -> list[KernelTotal]:
    """Record a step of one variant into `path`; return its kernels, the costliest first."""
    costs = count_costs(workload, variant, device, seed, build)
    patches = {}
    if device.type == "cpu":
        patches["cpp.enable_kernel_profile"] = True  # else compiled kernels have no names
    torch._dynamo.reset()
    with torch._inductor.config.patch(patches):
        record_step(MeasuredStep(workload, variant, device, seed, build), path)
    return kernel_totals(read_trace(path), costs, ceilings)
