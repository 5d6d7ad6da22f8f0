"""Softmax along one dimension, forward and backward, a row to a program.

    y = exp(x - max x) / sum exp(x - max x),      dx = y (dy - sum y dy)

A row that fits a tile is read once. A longer one is read twice: the first pass keeps a running
maximum m and the sum of exp(x - m), rescaled by exp(m_old - m_new) whenever the maximum grows
(Milakov and Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3), the second
writes. PyTorch's expression of assignment 1 makes five passes. Sums are float32; a row that is -inf
throughout gives NaN, as there.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.kernels.launch import CHOICES, rows_and_block, tiles
from assignment2_systems.reference.triton_support import check_device, check_dtype

MAX_BLOCK = 8192
"""Rows beyond this are read in pieces: a thread has no registers for more."""


@triton.jit
def _forward_kernel(
    x_ptr, y_ptr, n_rows, width, ROWS: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    col = tl.arange(0, BLOCK)
    inside = (row < n_rows)[:, None]
    start = row[:, None] * width
    if WHOLE:
        mask = inside & (col < width)[None, :]
        x = tl.load(x_ptr + start + col[None, :], mask=mask, other=float("-inf")).to(tl.float32)
        exponential = tl.exp(x - tl.max(x, axis=1)[:, None])
        y = exponential / tl.sum(exponential, axis=1)[:, None]
        tl.store(y_ptr + start + col[None, :], y.to(y_ptr.dtype.element_ty), mask=mask)
    else:
        high = tl.full([ROWS], float("-inf"), dtype=tl.float32)
        total = tl.zeros([ROWS], dtype=tl.float32)
        for first in range(0, width, BLOCK):
            mask = inside & (first + col < width)[None, :]
            x = tl.load(x_ptr + start + first + col[None, :], mask=mask, other=float("-inf"))
            x = x.to(tl.float32)
            new_high = tl.maximum(high, tl.max(x, axis=1))
            # While everything was -inf there is nothing to rescale, and -inf - -inf is no number.
            shift = tl.where(new_high == float("-inf"), 0.0, new_high)
            total = total * tl.exp(high - shift) + tl.sum(tl.exp(x - shift[:, None]), axis=1)
            high = new_high
        for first in range(0, width, BLOCK):
            mask = inside & (first + col < width)[None, :]
            x = tl.load(x_ptr + start + first + col[None, :], mask=mask, other=float("-inf"))
            y = tl.exp(x.to(tl.float32) - high[:, None]) / total[:, None]
            at = start + first + col[None, :]
            tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _backward_kernel(
    dy_ptr, y_ptr, dx_ptr, n_rows, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, WHOLE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    col = tl.arange(0, BLOCK)
    inside = (row < n_rows)[:, None]
    start = row[:, None] * width
    if WHOLE:
        mask = inside & (col < width)[None, :]
        dy = tl.load(dy_ptr + start + col[None, :], mask=mask, other=0.0).to(tl.float32)
        y = tl.load(y_ptr + start + col[None, :], mask=mask, other=0.0).to(tl.float32)
        dx = y * (dy - tl.sum(y * dy, axis=1)[:, None])
        tl.store(dx_ptr + start + col[None, :], dx.to(dx_ptr.dtype.element_ty), mask=mask)
    else:
        product = tl.zeros([ROWS], dtype=tl.float32)
        for first in range(0, width, BLOCK):
            mask = inside & (first + col < width)[None, :]
            at = start + first + col[None, :]
            dy = tl.load(dy_ptr + at, mask=mask, other=0.0).to(tl.float32)
            product += tl.sum(tl.load(y_ptr + at, mask=mask, other=0.0).to(tl.float32) * dy, axis=1)
        for first in range(0, width, BLOCK):
            mask = inside & (first + col < width)[None, :]
            at = start + first + col[None, :]
            dy = tl.load(dy_ptr + at, mask=mask, other=0.0).to(tl.float32)
            y = tl.load(y_ptr + at, mask=mask, other=0.0).to(tl.float32)
            dx = y * (dy - product[:, None])
            tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=mask)


def _tile(width: int) -> tuple[int, int, bool]:
    rows, block = rows_and_block("softmax", width)
    return (rows, block, True) if block <= MAX_BLOCK else (1, CHOICES["softmax"].tile, False)


@torch.library.custom_op("lm_from_scratch::softmax", mutates_args=())
def _softmax(x: Tensor) -> Tensor:
    x = x.contiguous()
    y, width = torch.empty_like(x), x.shape[-1]
    if x.numel():
        rows, block, whole = _tile(width)
        n_rows = x.numel() // width
        _forward_kernel[(tiles(n_rows, rows),)](
            x, y, n_rows, width, ROWS=rows, BLOCK=block, WHOLE=whole,
            num_warps=CHOICES["softmax"].num_warps,
        )  # fmt: skip
    return y


@_softmax.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("lm_from_scratch::softmax_backward", mutates_args=())
def _softmax_backward(dy: Tensor, y: Tensor) -> Tensor:
    dy, y = dy.contiguous(), y.contiguous()
    dx, width = torch.empty_like(y), y.shape[-1]
    if y.numel():
        rows, block, whole = _tile(width)
        n_rows = y.numel() // width
        _backward_kernel[(tiles(n_rows, rows),)](
            dy, y, dx, n_rows, width, ROWS=rows, BLOCK=block, WHOLE=whole,
            num_warps=CHOICES["softmax"].num_warps,
        )  # fmt: skip
    return dx


@_softmax_backward.register_fake
def _(dy: Tensor, y: Tensor) -> Tensor:
    return y.new_empty(y.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(output)


def _backward(ctx: Any, dy: Tensor) -> Tensor:
    return _softmax_backward(dy, *ctx.saved_tensors)


_softmax.register_autograd(_backward, setup_context=_save)


def softmax(x: Float[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """Return exp(x) normalised to sum 1 along `dim`, computed in float32, in the dtype of `x`.

    Another dimension than the last one is moved there and back, which costs a copy each way.

    Raises:
        UserError: a dtype that kernels do not take, or no device that runs them.
    """
    check_device(x)
    check_dtype(x)
    return _softmax(x.movedim(dim, -1)).movedim(-1, dim)
