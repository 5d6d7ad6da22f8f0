"""Cross-entropy whose gradient is written while the logits are at hand; no float32 copy of them.

    loss = lse(o) - o[t],    do = (softmax(o) - onehot(t)) * scale

A program takes a row. It reads it once for the log-sum-exp, with a running maximum (Milakov and
Gimelshein 2018, algorithm 3), and, if a gradient is wanted, once more to turn each logit into its
gradient. The second read finds the row in the L2 cache (a row of 50,257 logits is 98 KiB in
bfloat16; the few hundred rows in flight fit in 50 MiB), so memory sees one read and one write:
half the traffic of a loss that computes the gradient in backward, which reads the logits again.
The idea is Liger's (Hsu et al. 2024, "Liger kernel", section 3.2).

The price: backward only multiplies what forward wrote by the gradient of the loss. That is a number
on the device, usually 1; a kernel looks there and leaves at once if it is 1, so the host does not
wait. And the gradient of a mean is rounded to the logits' dtype with the factor 1 / rows in it:
nothing to bfloat16, but float16 ends at 6e-8, so float16 logits need `token_losses`, which takes
the two passes and the gradients of single tokens (weighted losses need it as well).

Rows of an odd number of logits start anywhere. A program begins at the 16-byte boundary before its
row, so that every load but the first and the last is a full vector without a mask.
"""
# mypy: allow-untyped-defs

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from assignment2_systems.reference.kernels.launch import CHOICES
from assignment2_systems.reference.triton_support import (
    check_device,
    check_dtype,
    next_power_of_2,
)
from course.errors import UserError

IGNORE_INDEX = -100
"""Targets of this value count for nothing, as in PyTorch."""

SCALE_TILE = 4096


@triton.jit
def _update(high, total, x):
    """Add a block to a running maximum and sum of exponentials."""
    new_high = tl.maximum(high, tl.max(x, axis=0))
    # While everything was -inf there is nothing to rescale, and -inf - -inf is no number.
    shift = tl.where(new_high == float("-inf"), 0.0, new_high)
    return new_high, total * tl.exp(high - shift) + tl.sum(tl.exp(x - shift), axis=0)


@triton.jit
def _log_sum_exp(row_ptr, lead, width, BLOCK: tl.constexpr):
    """Return the log-sum-exp of a row that starts `lead` elements after `row_ptr`."""
    at = tl.arange(0, BLOCK)
    end = lead + width
    first = tl.load(row_ptr + at, mask=(at >= lead) & (at < end), other=float("-inf"))
    high, total = _update(float("-inf"), 0.0, first.to(tl.float32))
    full = end // BLOCK * BLOCK
    for start in range(BLOCK, full, BLOCK):
        high, total = _update(high, total, tl.load(row_ptr + start + at).to(tl.float32))
    if (full < end) & (full > 0):
        last = tl.load(row_ptr + full + at, mask=full + at < end, other=float("-inf"))
        high, total = _update(high, total, last.to(tl.float32))
    return tl.where(high == float("-inf"), high, high + tl.log(total))


@triton.jit
def _gradient(x, position, target, lse, scale, out_ptr):
    probability = tl.exp(x.to(tl.float32) - lse)
    gradient = tl.where(position == target, probability - 1.0, probability) * scale
    return gradient.to(out_ptr.dtype.element_ty)


@triton.jit
def _write_gradient(x_ptr, out_ptr, lead, width, target, lse, scale, BLOCK: tl.constexpr):
    """Write one row's gradient; `out_ptr` may be `x_ptr`. `target` counts from `x_ptr`, as at."""
    at = tl.arange(0, BLOCK)
    end = lead + width
    mask = (at >= lead) & (at < end)
    x = tl.load(x_ptr + at, mask=mask, other=0.0)
    tl.store(out_ptr + at, _gradient(x, at, target, lse, scale, out_ptr), mask=mask)
    full = end // BLOCK * BLOCK
    for start in range(BLOCK, full, BLOCK):
        x = tl.load(x_ptr + start + at)
        tl.store(out_ptr + start + at, _gradient(x, start + at, target, lse, scale, out_ptr))
    if (full < end) & (full > 0):
        mask = full + at < end
        x = tl.load(x_ptr + full + at, mask=mask, other=0.0)
        gradient = _gradient(x, full + at, target, lse, scale, out_ptr)
        tl.store(out_ptr + full + at, gradient, mask=mask)


@triton.jit
def _loss_kernel(
    x_ptr, gradient_ptr, target_ptr, scale_ptr, loss_ptr, lse_ptr, stride, width, ignore_index,
    BLOCK: tl.constexpr, VECTOR: tl.constexpr, WRITE: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    start = row.to(tl.int64) * stride
    aligned = start // VECTOR * VECTOR
    lead = (start - aligned).to(tl.int32)
    target = tl.load(target_ptr + row)
    counts = target != ignore_index
    # An id outside the vocabulary gives NaN, not a number from another row.
    known = counts & (target >= 0) & (target < width)
    # Read before the row is overwritten; the barrier below keeps it so between warps.
    at_target = tl.load(x_ptr + start + target, mask=known, other=float("nan")).to(tl.float32)
    lse = _log_sum_exp(x_ptr + aligned, lead, width, BLOCK)
    tl.store(loss_ptr + row, tl.where(counts, lse - at_target, 0.0))
    tl.store(lse_ptr + row, lse)
    if WRITE:
        scale = tl.where(counts, tl.load(scale_ptr), 0.0)
        tl.debug_barrier()
        _write_gradient(
            x_ptr + aligned, gradient_ptr + aligned, lead, width, target + lead, lse, scale, BLOCK
        )


@triton.jit
def _gradient_kernel(
    x_ptr, gradient_ptr, target_ptr, scale_ptr, lse_ptr, stride, width, ignore_index,
    BLOCK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    start = row.to(tl.int64) * stride
    aligned = start // VECTOR * VECTOR
    lead = (start - aligned).to(tl.int32)
    target = tl.load(target_ptr + row)
    scale = tl.where(target != ignore_index, tl.load(scale_ptr + row).to(tl.float32), 0.0)
    _write_gradient(
        x_ptr + aligned, gradient_ptr + aligned, lead, width, target + lead,
        tl.load(lse_ptr + row), scale, BLOCK,
    )  # fmt: skip


@triton.jit
def _scale_kernel(x_ptr, scale_ptr, stride, width, BLOCK: tl.constexpr):
    scale = tl.load(scale_ptr).to(tl.float32)
    if scale != 1.0:
        row_ptr = x_ptr + tl.program_id(0).to(tl.int64) * stride
        for start in range(0, width, BLOCK):
            at = start + tl.arange(0, BLOCK)
            x = tl.load(row_ptr + at, mask=at < width, other=0.0).to(tl.float32)
            tl.store(row_ptr + at, (x * scale).to(x_ptr.dtype.element_ty), mask=at < width)


def losses_and_gradient(
    logits: Tensor,
    targets: Tensor,
    scale: Tensor | None,
    gradient: Tensor | None,
    ignore_index: int,
) -> tuple[Tensor, Tensor]:
    """Return the losses and log-sum-exps of rows in float32; write the rows' gradient if asked.

    Args:
        logits: [rows vocab], of any row stride.
        targets: [rows], any integers.
        scale: a float32 on the device, the factor of all gradients; None with `gradient` None.
        gradient: where to write, with the strides of `logits`; `logits` itself will do.
        ignore_index: targets that count for nothing: loss 0, gradient 0.
    """
    rows, width = logits.shape
    losses = logits.new_empty(rows, dtype=torch.float32)
    lses = torch.empty_like(losses)
    launch = CHOICES["cross_entropy"]
    if rows:
        _loss_kernel[(rows,)](
            logits, logits if gradient is None else gradient, targets,
            losses if scale is None else scale, losses, lses, logits.stride(0), width, ignore_index,
            BLOCK=_block(logits), VECTOR=16 // logits.element_size(), WRITE=gradient is not None,
            num_warps=launch.num_warps,
        )  # fmt: skip
    return losses, lses


def _block(logits: Tensor) -> int:
    """Return a block that holds the lead-in of a row in any case."""
    width = max(logits.shape[-1], 16)
    return min(CHOICES["cross_entropy"].tile, next_power_of_2(width))


def mean_scale(targets: Tensor, ignore_index: int) -> Tensor:
    """Return 1 / (targets that count) as a float32 on the device; infinite if none does."""
    return 1.0 / (targets != ignore_index).sum().float()


class _MeanLoss(torch.autograd.Function):
    """The mean loss with its gradient written in forward, over the logits if `in_place`."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, ignore_index: int, in_place: bool
    ) -> Tensor:
        scale = mean_scale(targets, ignore_index)
        gradient = logits if in_place else logits.new_empty(logits.shape)
        source = logits if in_place else logits.contiguous()
        losses, _ = losses_and_gradient(source, targets, scale, gradient, ignore_index)
        if in_place:
            # Whatever kept the logits for its own backward pass now raises, as it should.
            torch.autograd.graph.increment_version(logits)
        ctx.save_for_backward(gradient)
        return losses.sum() * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        scale_(gradient, upstream)
        # A second pass through the same graph would scale twice: it raises instead.
        torch.autograd.graph.increment_version(gradient)
        return gradient, None, None, None


def scale_(x: Tensor, scale: Tensor) -> None:
    """Multiply the rows of a matrix by a number on the device; if it is 1, cost next to nothing."""
    rows, width = x.shape
    if x.numel():
        _scale_kernel[(rows,)](
            x, scale, x.stride(0), width, BLOCK=min(SCALE_TILE, next_power_of_2(width)), num_warps=4
        )


@torch.library.custom_op("lm_from_scratch::token_losses", mutates_args=())
def _token_losses(logits: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return the losses and the log-sum-exps of rows."""
    return losses_and_gradient(logits.contiguous(), targets, None, None, ignore_index)


@_token_losses.register_fake
def _(logits: Tensor, targets: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    rows = logits.shape[0]
    return (
        logits.new_empty(rows, dtype=torch.float32),
        logits.new_empty(rows, dtype=torch.float32),
    )


@torch.library.custom_op("lm_from_scratch::token_losses_backward", mutates_args=())
def _token_losses_backward(
    logits: Tensor, targets: Tensor, lses: Tensor, upstream: Tensor, ignore_index: int
) -> Tensor:
    logits = logits.contiguous()
    gradient = torch.empty_like(logits)
    rows, width = logits.shape
    if rows:
        _gradient_kernel[(rows,)](
            logits, gradient, targets, upstream.contiguous(), lses, width, width, ignore_index,
            BLOCK=_block(logits), VECTOR=16 // logits.element_size(),
            num_warps=CHOICES["cross_entropy"].num_warps,
        )  # fmt: skip
    return gradient


@_token_losses_backward.register_fake
def _(
    logits: Tensor, targets: Tensor, lses: Tensor, upstream: Tensor, ignore_index: int
) -> Tensor:
    return logits.new_empty(logits.shape)


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    logits, targets, ctx.ignore_index = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(logits, targets, output[1])


def _backward(ctx: Any, upstream: Tensor, _lses: None) -> tuple[Tensor, None, None]:
    gradient = _token_losses_backward(*ctx.saved_tensors, upstream, ctx.ignore_index)
    return gradient, None, None


_token_losses.register_autograd(_backward, setup_context=_save)


def token_losses(
    logits: Float[Tensor, "... vocab"],
    targets: Int[Tensor, "..."],
    ignore_index: int = IGNORE_INDEX,
) -> Float[Tensor, "..."]:
    """Return the negative log-likelihood in nats of every target, float32; 0 where it is ignored.

    A target outside the vocabulary gives NaN. The logits are kept for backward, which reads them
    once more: three passes over memory in all.

    Raises:
        UserError: shapes that do not fit, or no device that runs kernels.
    """
    _check(logits, targets)
    losses, _ = _token_losses(logits.flatten(0, -2), targets.flatten(), ignore_index)
    return losses.unflatten(0, targets.shape)


def cross_entropy(
    logits: Float[Tensor, "... vocab"],
    targets: Int[Tensor, "..."],
    ignore_index: int = IGNORE_INDEX,
    in_place: bool = False,
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood in nats of the targets that count, float32.

    Args:
        logits: in bfloat16 or float32 (see the module for float16).
        targets: ids of tokens; a target outside the vocabulary makes the mean NaN.
        ignore_index: targets that count for nothing; if all are ignored the mean is NaN.
        in_place: write the gradient over the logits, which are lost; it halves the peak of memory.
            Only without torch.compile, which keeps no tensor in a place of our choice.

    Backward can run once. Raises:
        UserError: shapes that do not fit, logits to overwrite that are not contiguous, or no
            device that runs kernels.
    """
    _check(logits, targets)
    if torch.compiler.is_compiling() or not (torch.is_grad_enabled() and logits.requires_grad):
        losses = token_losses(logits, targets, ignore_index)
        return losses.sum() * mean_scale(targets, ignore_index)
    if in_place and not logits.is_contiguous():
        raise UserError(f"logits have strides {logits.stride()}; in_place needs them contiguous")
    if in_place and logits.is_leaf:
        raise UserError("in_place would overwrite a leaf of the graph; pass what a product returned")
    return _MeanLoss.apply(logits.flatten(0, -2), targets.flatten(), ignore_index, in_place)


def _check(logits: Tensor, targets: Tensor) -> None:
    check_device(logits, targets)
    check_dtype(logits)
    if logits.ndim < 2 or logits.shape[:-1] != targets.shape or not logits.shape[-1]:
        raise UserError(
            f"logits are {list(logits.shape)} and targets {list(targets.shape)}; they must be "
            "[... vocab] and [...]"
        )
    if targets.is_floating_point():
        raise UserError(f"targets are {targets.dtype}; they must be integers")
