"""FlashAttention as an operator of PyTorch: what models call.

Registered with `torch.library`, it is one node to `torch.compile`: the compiler never looks inside
(no graph break), learns shapes from the fake versions, and finds the backward pass registered.
Only q, k, v, the output and the log-sum-exp (4 bytes a query and head) are kept for that pass.

`TritonFlashAttention` is the same kernels as a plain `torch.autograd.Function`, the form in which
the course asks for them.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.flash_attention.backward import attention_backward
from assignment2_systems.reference.flash_attention.forward import attention_forward
from assignment2_systems.reference.flash_attention.launch import with_last_stride_1
from assignment2_systems.reference.flash_attention.masks import check_window, make_band
from assignment2_systems.reference.triton_support import check_device, check_dtype
from course.errors import UserError

LARGEST_D_HEAD = 256
"""A tile of queries and its sums have to fit into registers and shared memory."""


def flash_attention(
    q: Float[Tensor, "... n_heads queries d_head"],
    k: Float[Tensor, "... n_kv_heads keys d_head"],
    v: Float[Tensor, "... n_kv_heads keys d_head"],
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
) -> Float[Tensor, "... n_heads queries d_head"]:
    """Return softmax(scale q k^T) v over the visible keys, without the matrix of scores in memory.

    Products take the inputs' dtype and add up in float32. Under autocast the inputs are cast to its
    dtype first. Twice the same call gives the same bits, the gradients included.

    Args:
        q: in any strides with d_head last, as all three; float32, float16 or bfloat16.
        k: head h of q reads head h // (n_heads // n_kv_heads) of k and v (GQA).
        v: as `k`.
        causal: query i sees the keys up to i + keys - queries: the last query sees all of them.
        window: with `causal`, only this many of those keys, the newest; None: all.
        scale: of the scores, above 0; None: 1 / sqrt(d_head).

    Returns:
        As `q`, also in memory. A query that may see no key gets zeros, and gives no gradient.

    Raises:
        UserError: shapes, dtypes or devices that do not fit together, d_head above 256, a window
            without `causal`, tensors on the CPU without Triton's interpreter.
    """
    _check_shapes(q, k, v)
    check_window(causal, window)
    if scale is None:
        scale = q.shape[-1] ** -0.5
    if not scale > 0:
        raise UserError(f"scale is {scale}; it has to be above 0")
    device = q.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    flat = [x.reshape(-1, *x.shape[-3:]) if x.ndim != 4 else x for x in (q, k, v)]
    output, _ = attention_operator(*flat, causal, window, scale)
    return output.reshape(q.shape)


def _check_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if min(q.ndim, k.ndim, v.ndim) < 3:
        raise UserError(f"{shapes}: each needs the dimensions [..., heads, seq, d_head]")
    if k.shape != v.shape or q.shape[:-3] != k.shape[:-3] or q.shape[-1] != k.shape[-1]:
        raise UserError(f"{shapes}: k and v need one shape, that of q but for heads and seq")
    if not 1 <= q.shape[-1] <= LARGEST_D_HEAD:
        raise UserError(f"{shapes}: d_head is {q.shape[-1]}; 1 to {LARGEST_D_HEAD} are possible")
    if k.shape[-3] == 0 or q.shape[-3] % k.shape[-3]:
        raise UserError(f"{shapes}: the heads of q must be a multiple of those of k and v")


@torch.library.custom_op(
    "lm_from_scratch::flash_attention",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, bool causal, int? window, float scale)"
    " -> (Tensor, Tensor)",
)
def attention_operator(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Return the output and the log-sum-exp of checked [batch heads seq d_head] tensors."""
    check_device(q, k, v)
    check_dtype(q, k, v)
    q, k, v = map(with_last_stride_1, (q, k, v))
    return attention_forward(q, k, v, make_band(q.shape[2], k.shape[2], causal, window), scale)


@torch.library.custom_op(
    "lm_from_scratch::flash_attention_backward",
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor output, Tensor log_sum_exp, Tensor grad_output,"
    " bool causal, int? window, float scale) -> (Tensor, Tensor, Tensor)",
)
def attention_backward_operator(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    output: Tensor,
    log_sum_exp: Tensor,
    grad_output: Tensor,
    causal: bool,
    window: int | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v."""
    q, k, v = map(with_last_stride_1, (q, k, v))
    band = make_band(q.shape[2], k.shape[2], causal, window)
    return attention_backward(q, k, v, output, log_sum_exp, grad_output, band, scale)


@attention_operator.register_fake
def _fake_forward(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, window: int | None, scale: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(with_last_stride_1(q)), q.new_empty(q.shape[:3], dtype=torch.float32)


@attention_backward_operator.register_fake
def _fake_backward(
    q: Tensor, k: Tensor, v: Tensor, *_: Tensor | bool | int | float | None
) -> tuple[Tensor, Tensor, Tensor]:
    like_q, like_k, like_v = (torch.empty_like(with_last_stride_1(x)) for x in (q, k, v))
    return like_q, like_k, like_v


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, ctx.causal, ctx.window, ctx.scale = inputs
    ctx.save_for_backward(q, k, v, *output)
    ctx.set_materialize_grads(False)  # nobody differentiates the log-sum-exp: no zeros for it


def _backward(ctx: Any, grad_output: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    if grad_output is None:
        return (None,) * 6
    saved = ctx.saved_tensors
    arguments = (ctx.causal, ctx.window, ctx.scale)
    return *attention_backward_operator(*saved, grad_output, *arguments), None, None, None


attention_operator.register_autograd(_backward, setup_context=_save)


class TritonFlashAttention(torch.autograd.Function):
    """`apply(q, k, v, is_causal)` on [..., seq, d_head]; scores are divided by sqrt(d_head)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False) -> Tensor:
        """Return the attention; keep the log-sum-exp [..., seq] for the backward pass."""
        check_device(q, k, v)
        check_dtype(q, k, v)
        ctx.band = make_band(q.shape[-2], k.shape[-2], is_causal)
        ctx.scale = q.shape[-1] ** -0.5
        output, log_sum_exp = attention_forward(
            _as_heads(q), _as_heads(k), _as_heads(v), ctx.band, ctx.scale
        )
        output, log_sum_exp = output.reshape(q.shape), log_sum_exp.reshape(q.shape[:-1])
        ctx.save_for_backward(q, k, v, output, log_sum_exp)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of q, k and v."""
        (grad_output,) = grad_outputs
        q, k, v, output, log_sum_exp = ctx.saved_tensors
        gradients = attention_backward(
            _as_heads(q),
            _as_heads(k),
            _as_heads(v),
            _as_heads(output),
            log_sum_exp.reshape(1, -1, q.shape[-2]),
            _as_heads(grad_output),
            ctx.band,
            ctx.scale,
        )
        return *(x.reshape(like.shape) for x, like in zip(gradients, (q, k, v), strict=True)), None


def _as_heads(x: Float[Tensor, "... seq d_head"]) -> Float[Tensor, "1 heads seq d_head"]:
    """Let every leading index be a head of its own."""
    return with_last_stride_1(x.reshape(1, -1, *x.shape[-2:]))
