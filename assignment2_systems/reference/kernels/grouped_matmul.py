"""The product of experts: rows sorted by expert, each group of rows times its expert's matrix.

    y_r = W_g x_r for the rows r of group g,   dx_r = W_g^T dy_r,   dW_g = sum_r dy_r x_r^T

Group sizes are known to the device only: the router has just counted them. A loop over experts
would wait for them, launch a product each, and leave most multiprocessors idle while groups are
small. Here one launch of as many programs as the GPU holds takes all tiles of all groups in turn:
each program reads the group sizes, adds up how many tiles every group has, and finds its own (as
MegaBlocks does with padding, Gale et al. 2023, section 5; here without).

A tile that hangs over the end of its group computes rows of nobody and stores none of them: with
tiles of 128 rows that wastes 64 rows a group on average, hence smaller tiles for small groups. dW
sums over the rows of one group inside one program: no atomics, the same bits in every run.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

from assignment2_systems.reference.kernels.launch import (
    INTERPRETED_PROGRAMS,
    PRODUCTS,
    SMALL_GROUP,
    Product,
    multiprocessors,
)
from assignment2_systems.reference.triton_support import (
    cdiv,
    check_device,
    check_dtype,
    interpreted,
    next_power_of_2,
)
from course.errors import UserError


@triton.jit
def _rows_kernel(
    x_ptr, w_ptr, y_ptr, ends_ptr, n_rows, n_columns, n_summed, w_group, w_column, w_summed,
    GROUPS: tl.constexpr, GROUP_BLOCK: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_COLUMNS: tl.constexpr, BLOCK_SUMMED: tl.constexpr, EVEN: tl.constexpr,
    PRECISION: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """y = x w_g^T for w_g[column, summed], or of any strides; `EVEN`: tiles never hang over.

    `WIDEN`: Triton's interpreter multiplies the bits of bfloat16 as if they were integers.
    """
    # After the groups comes one more: rows that no group claims, which get zeros.
    group = tl.arange(0, GROUP_BLOCK)
    ends = tl.load(ends_ptr + group, mask=group < GROUPS, other=n_rows)
    begins = tl.load(ends_ptr + group - 1, mask=(group > 0) & (group <= GROUPS), other=0)
    begins = tl.where(group > GROUPS, n_rows, begins)
    group_tiles = tl.cdiv(tl.maximum(ends - begins, 0), BLOCK_ROWS)
    tile_ends = tl.cumsum(group_tiles, axis=0)
    column_tiles = tl.cdiv(n_columns, BLOCK_COLUMNS)
    n_tiles = tl.sum(group_tiles, axis=0) * column_tiles
    for tile in range(tl.program_id(0), n_tiles, tl.num_programs(0)):
        row_tile, column_tile = tile // column_tiles, tile % column_tiles
        mine = tl.sum((tile_ends <= row_tile).to(tl.int32), axis=0)
        end = tl.sum(tl.where(group == mine, ends, 0), axis=0)
        begin = tl.sum(tl.where(group == mine, begins, 0), axis=0)
        before = tl.sum(tl.where(group == mine, tile_ends - group_tiles, 0), axis=0)
        row = begin + (row_tile - before) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
        column = column_tile * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
        summed = tl.arange(0, BLOCK_SUMMED)
        # The last row again instead of a mask: what it gives is not stored.
        x_row = tl.minimum(row, end - 1).to(tl.int64) * n_summed
        x_at = x_ptr + x_row[:, None] + summed[None, :]
        expert = w_ptr + tl.minimum(mine, GROUPS - 1).to(tl.int64) * w_group
        w_at = expert + summed[:, None] * w_summed + column[None, :].to(tl.int64) * w_column
        total = tl.zeros([BLOCK_ROWS, BLOCK_COLUMNS], dtype=tl.float32)
        for start in range(0, tl.where(mine < GROUPS, n_summed, 0), BLOCK_SUMMED):
            if EVEN:
                x, w = tl.load(x_at), tl.load(w_at)
            else:
                left = summed < n_summed - start
                x = tl.load(x_at, mask=left[None, :], other=0.0)
                mask = left[:, None] & (column < n_columns)[None, :]
                w = tl.load(w_at, mask=mask, other=0.0)
            if WIDEN:
                x, w = x.to(tl.float32), w.to(tl.float32)
            total = tl.dot(x, w, total, input_precision=PRECISION)
            x_at += BLOCK_SUMMED
            w_at += BLOCK_SUMMED * w_summed
        y_at = y_ptr + row.to(tl.int64)[:, None] * n_columns + column[None, :]
        inside = (row < end)[:, None] & (column < n_columns)[None, :]
        tl.store(y_at, total.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _weights_kernel(
    dy_ptr, x_ptr, dw_ptr, ends_ptr, d_out, d_in,
    GROUPS: tl.constexpr, BLOCK_OUT: tl.constexpr, BLOCK_IN: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, PRECISION: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """dw_g = dy_g^T x_g."""
    out_tiles, in_tiles = tl.cdiv(d_out, BLOCK_OUT), tl.cdiv(d_in, BLOCK_IN)
    for tile in range(tl.program_id(0), GROUPS * out_tiles * in_tiles, tl.num_programs(0)):
        group = tile // (out_tiles * in_tiles)
        out = tile // in_tiles % out_tiles * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
        into = tile % in_tiles * BLOCK_IN + tl.arange(0, BLOCK_IN)
        begin = tl.load(ends_ptr + group - 1, mask=group > 0, other=0)
        end = tl.load(ends_ptr + group)
        total = tl.zeros([BLOCK_OUT, BLOCK_IN], dtype=tl.float32)
        for start in range(begin, end, BLOCK_ROWS):
            row = start + tl.arange(0, BLOCK_ROWS)
            dy_at = dy_ptr + row.to(tl.int64)[:, None] * d_out + out[None, :]
            x_at = x_ptr + row.to(tl.int64)[:, None] * d_in + into[None, :]
            dy = tl.load(dy_at, mask=(row < end)[:, None] & (out < d_out)[None, :], other=0.0)
            x = tl.load(x_at, mask=(row < end)[:, None] & (into < d_in)[None, :], other=0.0)
            if WIDEN:
                dy, x = dy.to(tl.float32), x.to(tl.float32)
            total = tl.dot(tl.trans(dy), x, total, input_precision=PRECISION)
        dw_at = dw_ptr + group.to(tl.int64) * d_out * d_in + out[:, None] * d_in + into[None, :]
        inside = (out < d_out)[:, None] & (into < d_in)[None, :]
        tl.store(dw_at, total.to(dw_ptr.dtype.element_ty), mask=inside)


def _programs(tiles: int, device: torch.device) -> int:
    if device.type != "cuda":
        return max(1, min(tiles, INTERPRETED_PROGRAMS))
    return max(1, min(tiles, multiprocessors(device)))


def _precision() -> str:
    """Return how float32 is multiplied: as PyTorch was told for its own products."""
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def _summed_block(tile: Product, x: Tensor) -> int:
    return tile.summed * 2 // x.element_size()


@torch.library.custom_op("lm_from_scratch::grouped_matmul", mutates_args=())
def _grouped(x: Tensor, weights: Tensor, ends: Tensor, transposed: bool) -> Tensor:
    """Return x W_g^T, or x W_g if `transposed`."""
    x, weights = x.contiguous(), weights.contiguous()
    rows, groups = x.shape[0], weights.shape[0]
    columns, summed = weights.shape[1:][:: -1 if transposed else 1]
    y = x.new_empty(rows, columns)
    small = rows < groups * SMALL_GROUP
    tile = PRODUCTS["grouped_matmul small" if small else "grouped_matmul large"]
    block = _summed_block(tile, x)
    upper_bound = (cdiv(rows, tile.rows) + groups) * cdiv(columns, tile.columns)
    strides = weights.stride()
    if y.numel():
        _rows_kernel[(_programs(upper_bound, x.device),)](
            x, weights, y, ends, rows, columns, summed, strides[0],
            *(strides[:0:-1] if transposed else strides[1:]),
            GROUPS=groups, GROUP_BLOCK=next_power_of_2(groups + 1), BLOCK_ROWS=tile.rows,
            BLOCK_COLUMNS=tile.columns, BLOCK_SUMMED=block,
            EVEN=columns % tile.columns == 0 and summed % block == 0,
            PRECISION=_precision(), WIDEN=interpreted(), num_warps=tile.num_warps,
            num_stages=tile.num_stages,
        )  # fmt: skip
    return y


@_grouped.register_fake
def _(x: Tensor, weights: Tensor, ends: Tensor, transposed: bool) -> Tensor:
    return x.new_empty(x.shape[0], weights.shape[2 if transposed else 1])


@torch.library.custom_op("lm_from_scratch::grouped_matmul_weights", mutates_args=())
def _grouped_weights(dy: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    dy, x, groups = dy.contiguous(), x.contiguous(), ends.shape[0]
    d_out, d_in = dy.shape[1], x.shape[1]
    dw = x.new_empty(groups, d_out, d_in)
    tile = PRODUCTS["grouped_matmul weights"]
    n_tiles = groups * cdiv(d_out, tile.rows) * cdiv(d_in, tile.columns)
    if dw.numel():
        _weights_kernel[(_programs(n_tiles, x.device),)](
            dy, x, dw, ends, d_out, d_in, GROUPS=groups, BLOCK_OUT=tile.rows,
            BLOCK_IN=tile.columns, BLOCK_ROWS=_summed_block(tile, x), PRECISION=_precision(),
            WIDEN=interpreted(), num_warps=tile.num_warps, num_stages=tile.num_stages,
        )  # fmt: skip
    return dw


@_grouped_weights.register_fake
def _(dy: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], dy.shape[1], x.shape[1])


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weights, ends, ctx.transposed = inputs
    ctx.save_for_backward(x, weights, ends)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, weights, ends = ctx.saved_tensors
    dx = dw = None
    if ctx.needs_input_grad[0]:
        dx = _grouped(dy, weights, ends, not ctx.transposed)
    if ctx.needs_input_grad[1]:
        dw = _grouped_weights(*((x, dy) if ctx.transposed else (dy, x)), ends)
    return dx, dw, None, None


_grouped.register_autograd(_backward, setup_context=_save)


def grouped_matmul(
    x: Float[Tensor, "rows d_in"],
    weights: Float[Tensor, "experts d_out d_in"],
    group_sizes: Int[Tensor, "experts"],
) -> Float[Tensor, "rows d_out"]:
    """Multiply each group of rows by the matrix of its expert, summed in float32.

    Args:
        x: rows sorted by expert; under autocast `x` and `weights` are cast to its dtype.
        weights: a matrix an expert, one row an output.
        group_sizes: how many rows each expert has, in order, on the device; some may be 0. Rows
            beyond their sum come back zero and have no gradient.

    Raises:
        UserError: shapes or dtypes that do not fit, or no device that runs kernels.
    """
    check_device(x, weights, group_sizes)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weights = x.to(dtype), weights.to(dtype)
    check_dtype(x, weights)
    fits = x.ndim == 2 and weights.ndim == 3 and x.shape[1] == weights.shape[2]
    if not fits or group_sizes.shape != weights.shape[:1] or not len(weights):
        raise UserError(
            f"x is {list(x.shape)}, the weights {list(weights.shape)}, group_sizes "
            f"{list(group_sizes.shape)}; they must be [rows d_in], [experts d_out d_in], [experts]"
        )
    ends = group_sizes.cumsum(0, dtype=torch.int32)
    return _grouped(x, weights, ends, False)
