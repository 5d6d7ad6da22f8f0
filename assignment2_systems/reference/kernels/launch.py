"""How every kernel is launched: tile sizes and warps, in one table that a benchmark can try out.

A memory-bound kernel is as fast as its bytes in flight: tiles large enough that a thread has
several 16-byte loads under way, small enough that many programs share a multiprocessor. Which pair
wins depends on the chip and the compiler, so it is measured: `python -m benchmarks.fused_kernels
--tune` times every candidate below. Until a row says "measured" in its comment, its choice is a
guess from register counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from assignment2_systems.reference.triton_support import cdiv, next_power_of_2

INTERPRETED_PROGRAMS = 3
"""Programs of a persistent kernel on the CPU: few, but more than one, so that sharing is tested."""


@dataclass(frozen=True)
class Launch:
    """One way to launch a kernel; what `tile` counts is said in `CHOICES`."""

    tile: int
    num_warps: int
    per_sm: int = 0
    """programs per multiprocessor of a persistent kernel"""


CHOICES: dict[str, Launch] = {
    "softmax": Launch(4096, 8),  # elements of a tile: as many rows as fit, at least one
    "rms_norm forward": Launch(4096, 8),  # elements of a tile, likewise
    "rms_norm backward": Launch(2048, 4, per_sm=4),  # elements of a tile, likewise
    "swiglu": Launch(2048, 4),  # elements of a tile
    "rope": Launch(16, 4),  # tokens of a tile; a program takes all their heads
    "cross_entropy": Launch(8192, 16),  # elements of a row that are loaded at a time
    "adamw": Launch(2048, 8),  # elements of a tile; a program takes `adamw.CHUNK` of them
}
CANDIDATES: dict[str, list[Launch]] = {
    "softmax": [Launch(t, w) for t in (2048, 4096, 8192) for w in (4, 8)],
    "rms_norm forward": [Launch(t, w) for t in (1024, 2048, 4096, 8192) for w in (2, 4, 8)],
    "rms_norm backward": [
        Launch(t, w, p) for t in (1024, 2048, 4096, 8192) for w in (4, 8) for p in (1, 2, 4, 8)
    ],
    "swiglu": [Launch(t, w) for t in (1024, 2048, 4096) for w in (4, 8)],
    "rope": [Launch(t, w) for t in (2, 4, 8, 16, 32) for w in (2, 4, 8)],
    "cross_entropy": [
        Launch(t, w) for t in (2048, 4096, 8192, 16384, 32768) for w in (4, 8, 16, 32)
    ],
    "adamw": [Launch(t, w) for t in (1024, 2048, 4096) for w in (4, 8)],
}


@dataclass(frozen=True)
class Product:
    """Tiles of a matrix product: rows and columns of the result, and the summed dimension."""

    rows: int
    columns: int
    summed: int
    """elements of two bytes; half as many of four"""
    num_warps: int
    num_stages: int


PRODUCTS: dict[str, Product] = {
    "grouped_matmul large": Product(128, 256, 64, 8, 3),
    "grouped_matmul small": Product(64, 128, 64, 4, 4),
    "grouped_matmul weights": Product(128, 256, 64, 8, 3),
}
PRODUCT_CANDIDATES = [
    Product(128, 256, 64, 8, 3),
    Product(128, 256, 64, 8, 4),
    Product(128, 128, 64, 8, 4),
    Product(128, 128, 64, 4, 4),
    Product(128, 128, 128, 8, 3),
    Product(256, 128, 64, 8, 3),
    Product(64, 256, 64, 4, 4),
    Product(64, 128, 64, 4, 4),
    Product(64, 128, 128, 4, 3),
    Product(64, 64, 128, 4, 4),
    Product(32, 128, 128, 4, 4),
    Product(16, 128, 128, 4, 4),
]
SMALL_GROUP = 96
"""Groups of fewer rows on average take the smaller tiles."""


@contextmanager
def using(kernel: str, launch: Launch | Product) -> Iterator[None]:
    """Launch `kernel` as said inside the block; for measurements."""
    table: dict[str, Any] = PRODUCTS if isinstance(launch, Product) else CHOICES
    before = table[kernel]
    table[kernel] = launch
    try:
        yield
    finally:
        table[kernel] = before


def rows_and_block(kernel: str, width: int) -> tuple[int, int]:
    """Return a tile's shape for rows of `width` elements: as many whole rows as fit its size."""
    block = next_power_of_2(width)
    return max(1, CHOICES[kernel].tile // block), block


def persistent_programs(kernel: str, tiles: int, device: torch.device) -> int:
    """Return how many programs share `tiles`, none of them idle; fixed for a device and a size."""
    if device.type != "cuda":
        return max(1, min(tiles, INTERPRETED_PROGRAMS))
    return max(1, min(tiles, CHOICES[kernel].per_sm * multiprocessors(device)))


@cache
def multiprocessors(device: torch.device) -> int:
    """Return the number of streaming multiprocessors of a GPU."""
    return torch.cuda.get_device_properties(device).multi_processor_count


def tiles(rows: int, rows_per_tile: int) -> int:
    """Return how many tiles cover the rows: the grid of a kernel that is not persistent."""
    return cdiv(rows, rows_per_tile)
