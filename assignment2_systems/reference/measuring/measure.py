"""One variant of a step, measured: its phases, the whole, what the host needs, the memory.

The phases are timed by marks in the device's queue, without waiting in between; the whole step by
the host's clock, with waiting. The two differ by what waiting costs, so each checks the other.
"""

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch

from assignment1_basics.reference.device import is_out_of_memory
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.measuring.nvtx import named_layers, ranged
from assignment2_systems.reference.measuring.step import (
    PHASES,
    MeasuredStep,
    Variant,
    Workload,
    datasheet_flops,
)
from assignment2_systems.reference.measuring.timing import (
    Call,
    marks_for,
    queueing_seconds,
    run_benchmark,
    summarize,
    synchronizer,
    time_phases,
)

Build = Callable[[TransformerConfig, torch.Generator], Transformer]
Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Measurement:
    """What one variant took; lists are seconds, one entry for each repeat."""

    workload: Workload
    variant: Variant
    phases: dict[str, list[float]] = field(default_factory=dict)
    step: list[float] = field(default_factory=list)
    queueing: list[float] = field(default_factory=list)
    """what the host needs to queue a step; empty on a CPU, where it does the work itself"""
    first_step: float = 0.0
    """seconds of the first step of all: compilation, allocation, choice of algorithms"""
    peak_bytes: int | None = None
    """most bytes allocated during a step; None on a CPU, whose allocator does not count"""
    peak_flops: float | None = None
    """the datasheet's rate in this variant's format, None where it is not known"""
    failure: str | None = None
    """why there are no numbers"""

    def rows(self) -> list[Row]:
        """Return a row for each phase and one for the whole step, times in seconds."""
        rows: list[Row] = []
        flops = self.workload.flops()
        for phase, seconds in {**self.phases, "step": self.step}.items():
            if not seconds:
                continue
            of = summarize(seconds)
            rate = flops[phase] / of.median if flops[phase] else None
            rows.append(
                {
                    "precision": self.variant.precision,
                    "mode": self.variant.mode,
                    "phase": phase,
                    "median_s": of.median,
                    "first_quartile_s": of.first_quartile,
                    "third_quartile_s": of.third_quartile,
                    "fastest_s": of.fastest,
                    "slowest_s": of.slowest,
                    "spread": of.spread,
                    "tokens_per_s": self.workload.tokens / of.median,
                    "flops_per_s": rate,
                    "mfu": rate / self.peak_flops if rate and self.peak_flops else None,
                    "queueing_s": summarize(self.queueing).median if self.queueing else None,
                    "peak_bytes": self.peak_bytes,
                    "first_step_s": self.first_step,
                }
            )
        return rows


def measure(
    workload: Workload,
    variant: Variant,
    device: torch.device,
    warmup: int,
    repeats: int,
    seed: int = 0,
    build: Build = Transformer,
    ranges: bool = False,
) -> Measurement:
    """Build the model and measure one variant of its step; out of memory is a result, too.

    With `ranges` phases and layers have names for Nsight Systems; they cost the host some time.
    """
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)  # events are those of the current device
    if variant.mode == "compiled":
        torch._dynamo.reset()  # the same code with another switch would count as a recompilation
    try:
        with variant.matmul_precision():
            return _measure(
                MeasuredStep(workload, variant, device, seed, build), warmup, repeats, ranges
            )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return Measurement(workload, variant, failure="out of memory")
    finally:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _measure(step: MeasuredStep, warmup: int, repeats: int, ranges: bool) -> Measurement:
    device = step.device
    on_gpu = device.type == "cuda"
    synchronize = synchronizer(device)
    began = time.perf_counter()
    step()
    synchronize()
    first_step = time.perf_counter() - began
    calls: dict[str, Call] = dict(step.phases)
    with ExitStack() as stack:
        if ranges:
            calls = {name: ranged(name, call) for name, call in calls.items()}
            if step.variant.mode == "eager":
                stack.enter_context(named_layers(step.model))
        phases = time_phases(calls, warmup, repeats, synchronize, marks_for(device))
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = run_benchmark(step, warmup, repeats, synchronize)
    return Measurement(
        step.workload,
        step.variant,
        phases={name: phases[name] for name in PHASES},
        step=seconds,
        queueing=queueing_seconds(step, repeats, synchronize) if on_gpu else [],
        first_step=first_step,
        peak_bytes=torch.cuda.max_memory_allocated(device) if on_gpu else None,
        peak_flops=datasheet_flops(device, step.variant),
    )
