"""The roofline: no kernel is faster than its bytes over the bandwidth, or its FLOPs over the peak.

Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model for
multicore architectures". Whichever of the two takes longer bounds the kernel; the least time over
the measured time is its share of the roofline. Both ceilings are measured here in the same process,
by a large copy and large matrix products: a datasheet's figures cannot be reached by anybody.

A share above 1 is no mistake of the clock: tensors that fit into a cache need not come from memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from assignment2_systems.reference.measuring.operation_costs import Cost
from assignment2_systems.reference.measuring.timing import run_benchmark, synchronizer

MIB = 2**20
COPY_BYTES = {"cuda": 1024 * MIB, "cpu": 128 * MIB}
MATRIX_SIZE = {"cuda": 8192, "cpu": 1024}
REPEATS = 10


@dataclass(frozen=True)
class Ceilings:
    """What a device reached at most."""

    bytes_per_second: float
    """of a copy, read and written"""
    flops_per_second: Mapping[torch.dtype, float]
    """of a square product, by the format of its operands"""

    def least_seconds(self, cost: Cost) -> tuple[float, str]:
        """Return the time that `cost` takes at the ceiling, and what bounds it."""
        in_memory = cost.bytes / self.bytes_per_second
        peak = self.flops_per_second.get(cost.dtype)
        in_products = cost.flops / peak if peak else 0.0
        if in_products > in_memory:
            return in_products, "matmul"
        return in_memory, "memory"


def measure_ceilings(device: torch.device) -> Ceilings:
    """Time a large copy and a product in float32 and bfloat16; the fastest of ten calls counts.

    A float32 product is computed as `torch.get_float32_matmul_precision` says at this moment.
    """
    synchronize = synchronizer(device)
    source = torch.ones(COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = run_benchmark(lambda: target.copy_(source), 2, REPEATS, synchronize)
    bandwidth = 2 * source.nbytes / min(copying)
    del source, target
    rates = {}
    size = MATRIX_SIZE[device.type]
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.randn(size, size, device=device).to(dtype)
        right = torch.randn(size, size, device=device).to(dtype)
        product = torch.empty(size, size, dtype=dtype, device=device)
        multiplying = run_benchmark(
            lambda a=left, b=right, c=product: torch.mm(a, b, out=c),  # type: ignore[misc]
            2, REPEATS, synchronize,
        )  # fmt: skip
        rates[dtype] = 2 * size**3 / min(multiplying)
    return Ceilings(bandwidth, rates)
