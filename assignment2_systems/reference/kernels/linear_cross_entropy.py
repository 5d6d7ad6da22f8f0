"""The head and the loss as one operator: the full matrix of logits never exists.

Logits are the largest tensor of a training step: 32 x 1024 tokens and 32,000 ids are 2 GiB in
bfloat16, and a loss that keeps them holds their gradient as well. Here a chunk of rows at a time is
multiplied by the head, turned into its gradient in place (`cross_entropy`), and used up at once:

    o = x_c W^T,    do = (softmax(o) - onehot(t)) / rows,    dx_c = do W,    dW += do^T x_c

so both gradients are ready when forward ends; backward multiplies them by the gradient of the loss.
The products are those of a head with a loss apart: nothing is computed twice (unlike Wijmans et al.
2024, "Cut your losses", which computes the logits twice and never writes them). After Liger (Hsu et
al. 2024, section 3.2), with dW summed in float32 over chunks: in bfloat16, eight chunks lose three
of its eight bits.

A chunk has as many rows as fit `CHUNK_BYTES`, so memory is flat in the vocabulary. The sum dW in
float32 is read and written once a chunk: smaller chunks cost time (vocab x d_model x 8 bytes each),
and narrow products. Rows of a chunk start at multiples of 16 bytes, whatever the vocabulary: at
50,257 unpadded, cuBLAS has no fast kernel.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from assignment2_systems.reference.kernels.cross_entropy import (
    IGNORE_INDEX,
    losses_and_gradient,
    mean_scale,
)
from assignment2_systems.reference.triton_support import cdiv, check_device
from course.errors import UserError

CHUNK_BYTES = 256 * 2**20
"""Of logits. To be measured: `python -m benchmarks.fused_kernels --tune` tries others."""
ROW_MULTIPLE = 128
"""Rows of a chunk, so that the products have whole tiles."""


def chunk_rows(rows: int, vocab: int, itemsize: int, chunk_bytes: int) -> int:
    """Return the rows of a chunk: as many as fit, of about equal chunks, whole tiles."""
    fitting = max(1, chunk_bytes // (padded(vocab, itemsize) * itemsize))
    even = cdiv(rows, cdiv(rows, fitting))
    return min(rows, cdiv(even, ROW_MULTIPLE) * ROW_MULTIPLE)


def padded(vocab: int, itemsize: int) -> int:
    """Return the distance of two rows of logits in elements: 16-byte aligned."""
    vector = 16 // itemsize
    return cdiv(vocab, vector) * vector


def loss_and_gradients(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    ignore_index: int,
    wants_dx: bool,
    wants_dweight: bool,
    chunk_bytes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean loss, dx and dweight in the dtypes of x and weight (empty if not wanted)."""
    x = x.contiguous()
    (rows, _), vocab = x.shape, weight.shape[0]
    head = weight.to(x.dtype)
    scale = mean_scale(targets, ignore_index)
    total = x.new_zeros((), dtype=torch.float32)
    dx = torch.empty_like(x) if wants_dx else x.new_empty(0)
    dweight = x.new_zeros(weight.shape if wants_dweight else (0,), dtype=torch.float32)
    size = chunk_rows(rows, vocab, x.element_size(), chunk_bytes)
    buffer = x.new_empty(size, padded(vocab, x.element_size()))
    for start in range(0, rows, max(size, 1)):
        part = slice(start, min(start + size, rows))
        logits = buffer[: part.stop - start, :vocab]
        torch.mm(x[part], head.mT, out=logits)
        gradient = logits if wants_dx or wants_dweight else None
        losses, _ = losses_and_gradient(logits, targets[part], scale, gradient, ignore_index)
        total += losses.sum()
        if wants_dx:
            torch.mm(logits, head, out=dx[part])
        if wants_dweight:
            _add_product(dweight, logits.mT, x[part])
    return total * scale, dx, dweight.to(weight.dtype)


_linear_cross_entropy = torch.library.custom_op(
    "lm_from_scratch::linear_cross_entropy", loss_and_gradients, mutates_args=()
)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to a float32 sum in place, in the epilogue of the product."""
    if left.dtype == torch.float32:
        total.addmm_(left, right)
    elif total.is_cuda:
        torch.addmm(total, left, right, out_dtype=torch.float32, out=total)
    else:
        total += left.float() @ right.float()


@_linear_cross_entropy.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    ignore_index: int,
    wants_dx: bool,
    wants_dweight: bool,
    chunk_bytes: int,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        x.new_empty((), dtype=torch.float32),
        x.new_empty(x.shape if wants_dx else (0,)),
        weight.new_empty(weight.shape if wants_dweight else (0,)),
    )


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    _, dx, dweight = output
    ctx.mark_non_differentiable(dx, dweight)
    ctx.set_materialize_grads(False)  # no zeros as large as the head
    ctx.save_for_backward(dx, dweight)
    ctx.wants = inputs[4:6]


def _backward(
    ctx: Any, upstream: Tensor, _dx: None, _dweight: None
) -> tuple[Tensor | None, Tensor | None, None, None, None, None, None]:
    dx, dweight = (
        saved * upstream.to(saved.dtype) if wanted else None
        for saved, wanted in zip(ctx.saved_tensors, ctx.wants, strict=True)
    )
    return dx, dweight, None, None, None, None, None


_linear_cross_entropy.register_autograd(_backward, setup_context=_save)


def linear_cross_entropy(
    x: Float[Tensor, "... d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, "..."],
    ignore_index: int = IGNORE_INDEX,
    chunk_bytes: int | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the logits x W^T, in float32, without the logits.

    Args:
        x: hidden states; under autocast they are cast to its dtype. The products run in this dtype.
        weight: of the head; cast to the dtype of `x` inside, its gradient comes back in its own.
        targets: ids of tokens; a target outside the vocabulary makes the mean NaN.
        ignore_index: targets that count for nothing; if all are ignored the mean is NaN.
        chunk_bytes: of logits at a time; None: `CHUNK_BYTES`.

    Raises:
        UserError: shapes that do not fit, or no device that runs kernels.
    """
    check_device(x, weight, targets)
    if x.shape[:-1] != targets.shape or weight.shape[1:] != x.shape[-1:]:
        raise UserError(
            f"x is {list(x.shape)}, the weight {list(weight.shape)}, targets {list(targets.shape)};"
            " they must be [... d_model], [vocab d_model] and [...]"
        )
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    grads = torch.is_grad_enabled()
    return _linear_cross_entropy(
        x.flatten(0, -2),
        weight,
        targets.flatten(),
        ignore_index,
        grads and x.requires_grad,
        grads and weight.requires_grad,
        CHUNK_BYTES if chunk_bytes is None else chunk_bytes,
    )[0]
