"""RMSNorm fused with the residual addition before it: two ideas of one pass over memory.

    s = residual + update            (rounded to the residual's dtype: what later layers see)
    y = s * rstd * gain,  rstd = (mean(s^2) + eps)^-1/2          (Zhang and Sennrich 2019, eq. 4)

Written apart, s is written, read back and normalised. Fused, the row is still in registers: per
element 2 reads and 2 writes. `y` leaves in the dtype that the next product reads, so a float32
residual stream costs no cast of its own.

Backward needs s and one number per row, rstd, from which everything else is recomputed:

    dx = rstd (g - x^ mean(g x^)) + ds,    g = dy * gain,   x^ = s * rstd,   dgain = sum of dy x^

dgain sums over rows, which thousands of programs own. Atomic additions would make the result depend
on their order. Instead a fixed number of programs takes rows in turn, each keeps its sum in
registers, and a second small kernel adds their sums: the same bits in every run, for the price of
(programs x d_model) float32 numbers, 1.6 MiB at d_model 768 on an H200.

Everything is summed in float32.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.kernels.launch import (
    CHOICES,
    persistent_programs,
    rows_and_block,
    tiles,
)
from assignment2_systems.reference.triton_support import check_device
from course.errors import UserError

MAX_WIDTH = 32_768
"""A row has to fit into the registers of one program."""


@triton.jit
def _forward_kernel(
    x_ptr, update_ptr, gain_ptr, y_ptr, sum_ptr, rstd_ptr, n_rows, eps,
    D: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, ADD: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    col = tl.arange(0, BLOCK)
    mask = (row < n_rows)[:, None] & (col < D)[None, :]
    at = row[:, None] * D + col[None, :]
    x = tl.load(x_ptr + at, mask=mask, other=0.0).to(tl.float32)
    if ADD:
        x += tl.load(update_ptr + at, mask=mask, other=0.0).to(tl.float32)
        stored = x.to(sum_ptr.dtype.element_ty)
        tl.store(sum_ptr + at, stored, mask=mask)
        x = stored.to(tl.float32)
    rstd = tl.rsqrt(tl.sum(x * x, axis=1) / D + eps)
    gain = tl.load(gain_ptr + col, mask=col < D, other=0.0).to(tl.float32)
    y = x * rstd[:, None] * gain[None, :]
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=mask)
    tl.store(rstd_ptr + row, rstd, mask=row < n_rows)


@triton.jit
def _backward_kernel(
    dy_ptr, dsum_ptr, x_ptr, gain_ptr, rstd_ptr, dx_ptr, dupdate_ptr, dgain_ptr, n_rows,
    D: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
    ADD_DSUM: tl.constexpr, WRITE_DUPDATE: tl.constexpr,
):  # fmt: skip
    col = tl.arange(0, BLOCK)
    gain = tl.load(gain_ptr + col, mask=col < D, other=0.0).to(tl.float32)
    dgain = tl.zeros([ROWS, BLOCK], dtype=tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(n_rows, ROWS), tl.num_programs(0)):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        mask = (row < n_rows)[:, None] & (col < D)[None, :]
        at = row[:, None] * D + col[None, :]
        rstd = tl.load(rstd_ptr + row, mask=row < n_rows, other=0.0)
        dy = tl.load(dy_ptr + at, mask=mask, other=0.0).to(tl.float32)
        x_hat = tl.load(x_ptr + at, mask=mask, other=0.0).to(tl.float32) * rstd[:, None]
        dgain += dy * x_hat
        g = dy * gain[None, :]
        dx = (g - x_hat * (tl.sum(g * x_hat, axis=1) / D)[:, None]) * rstd[:, None]
        if ADD_DSUM:
            dx += tl.load(dsum_ptr + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=mask)
        if WRITE_DUPDATE:
            tl.store(dupdate_ptr + at, dx.to(dupdate_ptr.dtype.element_ty), mask=mask)
    at = tl.program_id(0) * D + col
    tl.store(dgain_ptr + at, tl.sum(dgain, axis=0), mask=col < D)


@torch.library.custom_op("lm_from_scratch::add_rms_norm", mutates_args=())
def _add_rms_norm(
    residual: Tensor, update: Tensor | None, gain: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, s (empty without an update: s is `residual`) and rstd."""
    residual, gain = residual.contiguous(), gain.contiguous()
    update = None if update is None else update.contiguous()
    width = residual.shape[-1]
    n_rows = residual.numel() // width
    y = torch.empty_like(residual, dtype=dtype)
    total = torch.empty_like(residual) if update is not None else residual.new_empty(0)
    rstd = residual.new_empty(residual.shape[:-1], dtype=torch.float32)
    rows, block = rows_and_block("rms_norm forward", width)
    if n_rows:
        _forward_kernel[(tiles(n_rows, rows),)](
            residual, residual if update is None else update, gain, y, total, rstd, n_rows, eps,
            D=width, ROWS=rows, BLOCK=block, ADD=update is not None,
            num_warps=CHOICES["rms_norm forward"].num_warps,
        )  # fmt: skip
    return y, total, rstd


@_add_rms_norm.register_fake
def _(
    residual: Tensor, update: Tensor | None, gain: Tensor, eps: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    shape = residual.shape
    return (
        residual.new_empty(shape, dtype=dtype),
        residual.new_empty(shape if update is not None else (0,)),
        residual.new_empty(shape[:-1], dtype=torch.float32),
    )


@torch.library.custom_op("lm_from_scratch::rms_norm_backward", mutates_args=())
def _rms_norm_backward(
    dy: Tensor,
    dsum: Tensor | None,
    x: Tensor,
    gain: Tensor,
    rstd: Tensor,
    update_dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, the same in `update_dtype` (empty if that is None), and dgain."""
    dy, x, gain = dy.contiguous(), x.contiguous(), gain.contiguous()
    dsum = None if dsum is None else dsum.contiguous()
    width = x.shape[-1]
    n_rows = x.numel() // width
    dx = torch.empty_like(x)
    dupdate = x.new_empty(0) if update_dtype is None else torch.empty_like(x, dtype=update_dtype)
    rows, block = rows_and_block("rms_norm backward", width)
    programs = persistent_programs("rms_norm backward", tiles(n_rows, rows), x.device)
    partial = x.new_zeros((programs, width), dtype=torch.float32)
    if n_rows:
        _backward_kernel[(programs,)](
            dy, dy if dsum is None else dsum, x, gain, rstd, dx, dupdate, partial, n_rows,
            D=width, ROWS=rows, BLOCK=block, ADD_DSUM=dsum is not None,
            WRITE_DUPDATE=update_dtype is not None,
            num_warps=CHOICES["rms_norm backward"].num_warps,
        )  # fmt: skip
    return dx, dupdate, partial.sum(0).to(gain.dtype)


@_rms_norm_backward.register_fake
def _(
    dy: Tensor,
    dsum: Tensor | None,
    x: Tensor,
    gain: Tensor,
    rstd: Tensor,
    update_dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor, Tensor]:
    dupdate = x.new_empty(0) if update_dtype is None else x.new_empty(x.shape, dtype=update_dtype)
    return x.new_empty(x.shape), dupdate, torch.empty_like(gain)


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    residual, update, gain, _, _ = inputs
    _, total, rstd = output
    ctx.set_materialize_grads(False)  # a sum that nobody reads has no gradient to add
    ctx.mark_non_differentiable(rstd)
    ctx.save_for_backward(residual if update is None else total, gain, rstd)
    ctx.update_dtype = None if update is None else update.dtype


def _backward(
    ctx: Any, dy: Tensor | None, dsum: Tensor | None, _rstd: None
) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
    x, gain, rstd = ctx.saved_tensors
    if dy is None:
        dupdate = dsum.to(ctx.update_dtype) if dsum is not None and ctx.update_dtype else None
        return dsum, dupdate, None, None, None
    own_dtype = ctx.update_dtype not in (None, x.dtype)
    dx, dupdate, dgain = _rms_norm_backward(
        dy, dsum, x, gain, rstd, ctx.update_dtype if own_dtype else None
    )
    if ctx.update_dtype is None:
        return dx, None, dgain, None, None
    return dx, dupdate if own_dtype else dx, dgain, None, None


_add_rms_norm.register_autograd(_backward, setup_context=_save)


def rms_norm(
    x: Float[Tensor, "... d_model"],
    gain: Float[Tensor, "d_model"],
    eps: float = 1e-5,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Return x / sqrt(mean(x^2) + eps) * gain over the last dimension.

    Args:
        x: of any shape; summed in float32 whatever its dtype.
        gain: one factor a column, in its own dtype.
        eps: added to the mean square.
        dtype: of the result; None: that of `x`.

    Raises:
        UserError: widths that differ or exceed `MAX_WIDTH`, or no device that runs kernels.
    """
    _check(x, None, gain)
    return _add_rms_norm(x, None, gain, eps, dtype or x.dtype)[0]


def add_rms_norm(
    residual: Float[Tensor, "... d_model"],
    update: Float[Tensor, "... d_model"],
    gain: Float[Tensor, "d_model"],
    eps: float = 1e-5,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "... d_model"]]:
    """Return the norm of `residual + update`, and the sum, which is the new residual stream.

    The sum has the dtype of `residual`, and the norm is taken of the sum as rounded to it. The norm
    comes back in `dtype` (None: that of `residual`); `update` may have any dtype.

    Raises:
        UserError: as `rms_norm`, and for shapes of `residual` and `update` that differ.
    """
    _check(residual, update, gain)
    y, total, _ = _add_rms_norm(residual, update, gain, eps, dtype or residual.dtype)
    return y, total


def _check(x: Tensor, update: Tensor | None, gain: Tensor) -> None:
    check_device(x, gain, *(() if update is None else (update,)))
    if gain.shape != x.shape[-1:]:
        raise UserError(
            f"the gain has shape {list(gain.shape)}; it must be [{x.shape[-1]}], as wide as x"
        )
    if update is not None and update.shape != x.shape:
        raise UserError(
            f"the update has shape {list(update.shape)}; it must be the residual's, {list(x.shape)}"
        )
    if not 0 < x.shape[-1] <= MAX_WIDTH:
        raise UserError(f"the rows of x have {x.shape[-1]} elements; it must be 1 to {MAX_WIDTH}")
