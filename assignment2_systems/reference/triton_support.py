"""What every Triton kernel here needs from the host: where it may run, sizes, dtypes.

Triton compiles a kernel for the GPU when it is first called. Where there is no GPU, its interpreter
(environment variable TRITON_INTERPRET=1, read when a kernel is *defined*) runs the same source with
NumPy, one program after the other: right answers for small shapes, and no word about speed, races
or shared memory.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import os

import torch
import triton
import triton.language as tl
from torch import Tensor

from course.errors import UserError

DTYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}
"""The dtypes that the kernels take, and Triton's names for them; sums are float32 in all three."""

LOG2_E = 1.4426950408889634
"""The GPU computes powers of two: exp(x) = 2^(x log2 e)."""


def interpreted() -> bool:
    """Say whether kernels run in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")


INTERPRETED = tl.constexpr(interpreted())


@triton.jit
def product(a, b, sums=None, PRECISION: tl.constexpr = "ieee"):
    """Return a @ b (+ sums) in float32.

    The interpreter of Triton 3.6 and 3.9 multiplies the bits of bfloat16 numbers as if they were
    integers; in float32 their products are exact, which is what tensor cores compute.
    """
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, sums, input_precision=PRECISION)


@triton.jit
def rounded(x, dtype: tl.constexpr):
    """Return float32 `x` in another dtype, rounded to nearest, ties to even.

    The GPU does so by itself; the interpreter of Triton 3.6 and 3.9 cuts off the lower bits of a
    bfloat16, which doubles the error and pulls every sum towards zero.
    """
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        x = (bits + 0x7FFF + ((bits >> 16) & 1)).to(tl.float32, bitcast=True)
    return x.to(dtype)


def check_device(*tensors: Tensor) -> None:
    """Raise UserError unless a kernel can run on these tensors: one GPU, or the interpreter."""
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise UserError(f"the tensors are on {names}; a kernel needs them on one device")
    (device,) = devices
    if device.type != "cuda" and not interpreted():
        raise UserError(
            f"the tensors are on {device}, and Triton's kernels need a GPU; to run them slowly on "
            "the CPU, set TRITON_INTERPRET=1 before Python starts"
        )


def check_dtype(*tensors: Tensor) -> None:
    """Raise UserError unless all tensors have one dtype, and a kernel can read it."""
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) > 1 or not dtypes <= DTYPES.keys():
        found = ", ".join(sorted(map(str, dtypes)))
        raise UserError(f"the tensors are {found}; a kernel takes float32, float16 or bfloat16")


def cdiv(numerator: int, denominator: int) -> int:
    """Divide and round up, both positive: how many tiles cover a row."""
    return -(-numerator // denominator)


def next_power_of_2(number: int) -> int:
    """Return the smallest power of two that is at least `number`, as wide as a tile has to be."""
    return int(triton.next_power_of_2(number))
