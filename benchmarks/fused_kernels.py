"""Fused kernels against eager and compiled PyTorch: time, share of the copy bandwidth, memory.

    python -m benchmarks.fused_kernels                     # on a GPU
    python -m benchmarks.fused_kernels --tune              # times every launch in kernels/launch.py
    python -m benchmarks.fused_kernels --quick             # tiny shapes, anywhere; no figures count

Each kernel and its peers take turns in one process. TB/s count what has to be read and written once
(`traffic` of a case), over the median time of many calls with a cold L2 cache; the copy that they
are compared with is measured in the same way before each group. "fused" is PyTorch's own fused
AdamW, "eager" of the experts is a loop of cuBLAS calls that knows the sizes of groups beforehand.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernels are imported

from assignment2_systems.reference.kernels import launch, linear_cross_entropy
from benchmarks import common
from benchmarks.fused_kernel_cases import BF16, GROUPS, Call, Case

MIB, COPY_BYTES = 2**20, 2**31
CHUNK_CANDIDATES = [2**power for power in (25, 26, 27, 28, 29, 30)]


def milliseconds(call: Call, device: str) -> float:
    """Return the median time of a call; on a GPU with its L2 cache flushed before each."""
    if device == "cuda":
        from triton.testing import do_bench

        return float(do_bench(call, warmup=50, rep=250, return_mode="median"))
    call()
    return median(common.seconds(call) for _ in range(2)) * 1e3


def peak_mib(call: Call, device: str) -> float:
    """Return how much more memory a call takes at its peak than before."""
    if device != "cuda":
        return 0.0
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def copy_bandwidth(device: str, quick: bool) -> float:
    """Return bytes per second of a copy, read and write counted."""
    source = torch.randn(1000 if quick else COPY_BYTES // 2, device=device).to(BF16)
    target = torch.empty_like(source)
    elapsed = milliseconds(lambda: target.copy_(source), device)
    return 2 * source.nbytes / elapsed * 1e3


def measure(case: Case, copy: float, device: str) -> common.Row:
    """Time all implementations of a case, twice around; the faster round counts for each."""
    times = {name: float("inf") for name in case.calls}
    for _ in range(2):
        for name, call in case.calls.items():
            times[name] = min(times[name], milliseconds(call, device))
    ours = times["ours"]
    peaks = (
        {name: peak_mib(call, device) for name, call in case.calls.items()} if case.memory else {}
    )
    rate = case.traffic / ours * 1e3
    others = [f"{name[6:]} {times[name]:.3f} ms" for name in times if name.startswith("ours, ")]
    return {
        "case": case.what,
        "ours ms": round(ours, 4),
        "TB/s": round(rate / 1e12, 3) if case.traffic else "",
        "of copy": round(rate / copy, 3) if case.traffic else "",
        "TFLOP/s": round(case.flops / ours / 1e9, 1) if case.flops else "",
        "eager ms": rounded(times.get("eager")),
        "compiled ms": rounded(times.get("compiled")),
        "fused ms": rounded(times.get("fused")),
        "x eager": over(times.get("eager"), ours),
        "x compiled": over(times.get("compiled"), ours),
        "x fused": over(times.get("fused"), ours),
        "peak MiB": round(peaks["ours"]) if peaks else "",
        "of compiled's": over(peaks.get("ours"), peaks.get("compiled")),
        "also": ", ".join(others),
    }


def rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def over(numerator: float | None, denominator: float | None) -> float | str:
    return round(numerator / denominator, 3) if numerator and denominator else ""


def tune(case: Case, copy: float, device: str, quick: bool) -> list[common.Row]:
    """Time `ours` with every candidate of the tables that it reads, the fastest first."""
    rows = []
    for table, candidates in candidates_of(case).items():
        timed = []
        for candidate in candidates[:2] if quick else candidates:
            with launched_as(table, candidate):
                timed.append((time_or_none(case.calls["ours"], device), candidate))
        working = sorted((pair for pair in timed if pair[0]), key=lambda pair: pair[0] or 0.0)
        rows += [
            {
                "case": case.what,
                "table": table,
                "candidate": str(candidate),
                "ms": round(elapsed or 0.0, 4),
                "of copy": over(case.traffic / (elapsed or 1) * 1e3, copy),
                "TFLOP/s": round(case.flops / (elapsed or 1) / 1e9, 1) if case.flops else "",
                "now": candidate == current(table),
            }
            for elapsed, candidate in working[:5]
        ]
    return rows


def candidates_of(case: Case) -> dict[str, list]:
    if case.kernel == "linear_cross_entropy":
        return {case.kernel: CHUNK_CANDIDATES}
    tables = case.tuned or (case.kernel,)
    return {
        table: launch.PRODUCT_CANDIDATES if table in launch.PRODUCTS else launch.CANDIDATES[table]
        for table in tables
    }


def current(table: str) -> object:
    if table == "linear_cross_entropy":
        return linear_cross_entropy.CHUNK_BYTES
    return launch.PRODUCTS.get(table) or launch.CHOICES.get(table)


@contextmanager
def launched_as(table: str, candidate: Any) -> Iterator[None]:
    """Launch as the candidate says inside the block."""
    if table in launch.PRODUCTS or table in launch.CHOICES:
        with launch.using(table, candidate):
            yield
        return
    before = linear_cross_entropy.CHUNK_BYTES
    linear_cross_entropy.CHUNK_BYTES = candidate
    yield
    linear_cross_entropy.CHUNK_BYTES = before


def time_or_none(call: Call, device: str) -> float | None:
    """Return None for a candidate that does not fit the chip."""
    from triton.runtime.errors import OutOfResources

    try:
        return milliseconds(call, device)
    except OutOfResources:
        return None


def main() -> None:
    parser: argparse.ArgumentParser = common.parser(__doc__)
    parser.add_argument("--tune", action="store_true", help="time every candidate of the tables")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, no claims")
    parser.add_argument("--only", default="", help=f"groups, by comma: {','.join(GROUPS)}")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    rows: list[common.Row] = []
    copies = []
    for name, make in GROUPS.items():
        if options.only and name not in options.only.split(","):
            continue
        began = time.perf_counter()
        copies.append(copy_bandwidth(device, options.quick))
        run: Callable[[Case], list[common.Row]] = (
            (lambda case: tune(case, copies[-1], device, options.quick))
            if options.tune
            else (lambda case: [measure(case, copies[-1], device)])
        )
        for case in make(device, options.quick):
            rows += run(case)
        print(f"{time.perf_counter() - began:5.0f} s  {name}", flush=True)
        print(common.table(rows), flush=True)
        gc.collect()
        torch._dynamo.reset()
        if device == "cuda":
            torch.cuda.empty_cache()
    common.report(
        "fused-kernels",
        "Fused kernels against eager and compiled PyTorch",
        rows,
        "python -m benchmarks.fused_kernels",
        [
            f"Copy bandwidth in this run: {min(copies) / 1e12:.2f} to {max(copies) / 1e12:.2f} "
            "TB/s, read and write counted.",
            "x eager, x compiled, x fused: their time over ours; of compiled's: our peak of memory "
            "over that of the compiled peer.",
        ],
        save=not (options.no_save or options.quick or options.tune),
    )


if __name__ == "__main__":
    main()
