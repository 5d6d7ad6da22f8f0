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
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from assignment2_systems.reference.kernels.cross_entropy_kernels import (
    gradient_kernel,
    loss_kernel,
    scale_kernel,
)
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
        loss_kernel[(rows,)](
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
        scale_kernel[(rows,)](
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
        gradient_kernel[(rows,)](
            logits, gradient, targets, upstream.contiguous(), lses, width, width, ignore_index,
            BLOCK=_block(logits), VECTOR=16 // logits.element_size(),
            num_warps=CHOICES["cross_entropy"].num_warps,
        )  # fmt: skip
    return gradient


@_token_losses_backward.register_fake
def _(logits: Tensor, targets: Tensor, lses: Tensor, upstream: Tensor, ignore_index: int) -> Tensor:
    return logits.new_empty(logits.shape)


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    logits, targets, ctx.ignore_index = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # no zeros for the log-sum-exps
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
        raise UserError("in_place would overwrite a leaf; pass logits that a product returned")
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
