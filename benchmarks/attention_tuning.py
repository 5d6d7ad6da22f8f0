"""Times every candidate config of the attention kernels: `python -m benchmarks.attention --tune`.

All are compiled first, in parallel processes that fill Triton's cache on disk, by a launch at a
short sequence whose sizes are specialised like those of the long ones. What does not compile, or
wants more shared memory than there is, drops out and is named.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from math import prod
from multiprocessing import get_context
from typing import get_args

import torch
from torch import Tensor

from assignment2_systems.reference.flash_attention.backward import (
    attention_backward,
    key_gradients,
    prepare,
    query_gradient,
)
from assignment2_systems.reference.flash_attention.configs import (
    TABLE,
    Config,
    Kernel,
    candidates,
)
from assignment2_systems.reference.flash_attention.forward import attention_forward
from assignment2_systems.reference.flash_attention.masks import make_band
from benchmarks.common import Row

KERNELS: tuple[Kernel, ...] = get_args(Kernel)
TOGETHER = (2, 4, 8)
"""Tried on the fastest candidate only."""
WARM_UP_MS, REPEAT_MS = 10, 40
SHORT = 256
Launch = Callable[[Kernel, Config], Callable[[], object]]


def bench(function: Callable[[], object]) -> float:
    """Return milliseconds; the median of many calls, each with a cold L2 cache."""
    from triton.testing import do_bench

    return float(do_bench(function, WARM_UP_MS, REPEAT_MS, return_mode="median"))


def launches(batch: int, heads: int, seq: int, d_head: int) -> Launch:
    """Return what makes a function that launches one kernel in one config."""
    q, k, v, grad = (
        torch.randn(batch, heads, seq, d_head, device="cuda", dtype=torch.bfloat16)
        for _ in range(4)
    )
    band, scale = make_band(seq, seq, True), d_head**-0.5
    # The backward kernels need finite numbers of the right size, not those of this attention.
    log_sum_exp = torch.full((batch, heads, seq), 5.0, device="cuda")
    log2_sum, delta = prepare(q, grad, log_sum_exp)

    def launch(kernel: Kernel, config: Config) -> Callable[[], object]:
        if kernel == "forward":
            return lambda: attention_forward(q, k, v, band, scale, config)
        make: Callable[..., object] = key_gradients if kernel == "keys" else query_gradient
        return lambda: make(q, k, v, grad, log2_sum, delta, band, scale, config)

    return launch


def compile_one(job: tuple[Kernel, int, int, Config]) -> str:
    """Launch one config once, in a worker; return what went wrong, if anything."""
    kernel, d_head, heads, config = job
    try:
        launches(1, heads, SHORT, d_head)(kernel, config)()
        torch.cuda.synchronize()
    except Exception as error:  # whatever the compiler throws: the candidate is out
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return ""


def compile_all(jobs: list[tuple[Kernel, int, int, Config]]) -> dict[tuple, str]:
    """Compile in as many processes as there are cores; return failures by job."""
    workers = min(len(os.sched_getaffinity(0)), 16, len(jobs))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return {job: wrong for job, wrong in zip(jobs, pool.map(compile_one, jobs)) if wrong}  # noqa: B905


def tune(shapes: list[tuple[int, int, int]], batch_of: Callable[[int], int]) -> list[Row]:
    """Time all candidates at shapes (d_head, heads, seq); print the lines of the table to keep."""
    began = time.perf_counter()
    sizes = sorted({(d_head, heads) for d_head, heads, _ in shapes})
    jobs = [
        (kernel, d_head, heads, config)
        for d_head, heads in sizes
        for kernel in KERNELS
        for config in candidates(kernel, d_head)
    ]
    failed = compile_all(jobs)
    print(f"{len(jobs)} candidates compiled in {time.perf_counter() - began:.0f} s", flush=True)
    for job, wrong in failed.items():
        print(f"out: {job[0]} {job[1]} {job[3]}: {wrong}")
    rows: list[Row] = []
    for d_head, heads in sizes:
        seqs = [seq for d, _, seq in shapes if d == d_head]
        launch_at = {seq: launches(batch_of(seq), heads, seq, d_head) for seq in seqs}
        for kernel in KERNELS:
            times: dict[Config, list[float]] = {}
            for job in jobs:
                if job[:3] == (kernel, d_head, heads) and job not in failed:
                    times[job[3]] = [bench(launch_at[seq](kernel, job[3])) for seq in seqs]
            best = min(times, key=lambda config: prod(times[config]))
            for together in TOGETHER:
                config = replace(best, together=together)
                times[config] = [bench(launch_at[seq](kernel, config)) for seq in seqs]
            rows += _report(kernel, d_head, seqs, times)
        for seq in seqs:
            rows.append(_atomic(d_head, heads, seq, batch_of(seq)))
        del launch_at
        torch.cuda.empty_cache()
    print(f"tuned in {time.perf_counter() - began:.0f} s")
    return rows


def _report(
    kernel: Kernel, d_head: int, seqs: list[int], times: dict[Config, list[float]]
) -> list[Row]:
    """Print all times of a kernel, the line for `TABLE`, and return the best per sequence."""
    ranked = sorted(times, key=lambda config: prod(times[config]))
    print(f"\n{kernel}, d_head {d_head}; ms at sequences {seqs}, best first")
    for config in ranked:
        print("  " + " ".join(f"{ms:8.3f}" for ms in times[config]), config)
    print(f'TABLE: ("{kernel}", {d_head}): {ranked[0]},')
    before = times.get(TABLE[kernel, d_head])
    rows = []
    for i, seq in enumerate(seqs):
        best = min(times, key=lambda config: times[config][i])
        rows.append(
            {
                "kernel": kernel,
                "d_head": d_head,
                "seq": seq,
                "best ms": times[best][i],
                "best overall ms": times[ranked[0]][i],
                "in the table ms": before[i] if before else "not a candidate",
                "best": str(best),
            }
        )
    return rows


def _atomic(d_head: int, heads: int, seq: int, batch: int) -> Row:
    """Time the whole backward pass in two passes and with atomic additions, as the table stands."""
    q, k, v, grad = (
        torch.randn(batch, heads, seq, d_head, device="cuda", dtype=torch.bfloat16)
        for _ in range(4)
    )
    band, scale = make_band(seq, seq, True), d_head**-0.5
    output, log_sum_exp = attention_forward(q, k, v, band, scale)

    def backward(atomic: bool) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: attention_backward(
            q, k, v, output, log_sum_exp, grad, band, scale, atomic=atomic
        )

    return {
        "kernel": "backward, whole",
        "d_head": d_head,
        "seq": seq,
        "best ms": bench(backward(False)),
        "best overall ms": bench(backward(True)),
        "in the table ms": "",
        "best": "two passes, and (second figure) one with atomics",
    }
