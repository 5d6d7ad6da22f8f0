"""Sizes of tiles and what else of a launch changes only the speed, per kernel and head dimension.

A large tile reuses what it loads more often; it also needs more registers and shared memory, and
leaves more work to the edge of the band. Which wins depends on the chip, so the table is measured:
`python -m benchmarks.attention --tune` times `candidates` and prints the best ones. Looking a
config up costs nothing at the first call, where an autotuner would compile and time them all.

Not among the choices is `tl.range(..., warp_specialize=True)`, a producer warp that loads while
others compute: for sm_90, Triton 3.6 and 3.9 fail to compile these loops with 4 warps, and with 8
warps make the same code as without.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from assignment2_systems.reference.triton_support import interpreted, next_power_of_2

Kernel = Literal["forward", "keys", "queries"]
"""`forward`; of the backward pass, `keys` makes the gradients of k and v, `queries` that of q."""


@dataclass(frozen=True)
class Config:
    """How a kernel is launched.

    Args:
        q_tile: queries in a tile of scores.
        k_tile: keys in a tile of scores.
        warps: warps in a program; a wgmma needs groups of four.
        stages: tiles of the inner loop in flight at once.
        tma: load through tensor descriptors, where alignment allows.
        together: heads walked side by side (`tiles.program_tile`).
    """

    q_tile: int
    k_tile: int
    warps: int
    stages: int
    tma: bool = False
    together: int = 1


# NOT MEASURED YET: by the compiler's report for sm_90, large tiles whose registers do not spill, or
# hardly (loads by pointers instead of descriptors need 20 to 60% more registers).
TABLE: dict[tuple[Kernel, int], Config] = {
    ("forward", 64): Config(128, 128, warps=8, stages=2, tma=True),
    ("forward", 128): Config(128, 128, warps=8, stages=2, tma=True),
    ("forward", 256): Config(128, 64, warps=8, stages=2, tma=True),
    ("keys", 64): Config(64, 128, warps=8, stages=2, tma=True),
    ("keys", 128): Config(64, 128, warps=8, stages=2, tma=True),
    ("keys", 256): Config(32, 64, warps=8, stages=2, tma=True),
    ("queries", 64): Config(128, 64, warps=8, stages=2, tma=True),
    ("queries", 128): Config(128, 64, warps=8, stages=2, tma=True),
    ("queries", 256): Config(64, 32, warps=8, stages=2, tma=True),
}
"""For 16-bit inputs, by kernel and d_head rounded up to one of these."""

FLOAT32: dict[Kernel, Config] = {
    "forward": Config(32, 32, warps=8, stages=1),
    "keys": Config(16, 32, warps=8, stages=1),
    "queries": Config(32, 16, warps=8, stages=1),
}

INTERPRETER = Config(32, 32, warps=1, stages=1)
"""A few tiles even in short sequences, and few programs, which run one after the other."""


def configuration(kernel: Kernel, d_head: int, dtype: torch.dtype) -> Config:
    """Return the config of a kernel for this head dimension (1 to 256) and dtype."""
    if interpreted():
        return INTERPRETER
    if dtype == torch.float32:
        return FLOAT32[kernel]
    return TABLE[kernel, max(64, next_power_of_2(d_head))]


# (q_tile, k_tile, warps) that do not spill more than a little; each is tried at 2 and 3 stages.
SHAPES: dict[tuple[Kernel, int], list[tuple[int, int, int]]] = {
    ("forward", 64): [(64, 64, 4), (64, 128, 4), (128, 64, 4), (128, 64, 8), (128, 128, 8)],
    ("forward", 128): [(64, 64, 4), (64, 128, 4), (128, 32, 4), (128, 64, 8), (128, 128, 8)],
    ("keys", 64): [(64, 64, 4), (32, 64, 4), (32, 128, 8), (64, 128, 8), (128, 64, 8)],
    ("keys", 128): [(64, 64, 4), (32, 64, 4), (32, 128, 8), (64, 128, 8), (64, 64, 8)],
    ("queries", 64): [(64, 64, 4), (64, 128, 4), (128, 32, 4), (128, 64, 8), (128, 128, 8)],
    ("queries", 128): [(64, 64, 4), (64, 32, 4), (128, 32, 8), (128, 64, 8), (64, 128, 8)],
}


def candidates(kernel: Kernel, d_head: int) -> list[Config]:
    """Return the configs worth timing for 16-bit inputs of d_head 64 or 128.

    Loads by pointers are tried only at 2 stages: their registers leave little else.
    """
    found = []
    for q_tile, k_tile, warps in SHAPES[kernel, d_head]:
        found += [Config(q_tile, k_tile, warps, stages, tma=True) for stages in (2, 3)]
        found.append(Config(q_tile, k_tile, warps, 2))
    return found
