"""Rotary position embedding of queries and keys in one launch, in the layout they already have.

The projections leave [batch seq heads d_head] in memory. Rotating there, before the heads are
transposed (which is then only a view), saves a copy; rotating queries and keys together reads every
cosine and sine once for all heads. Pairs are neighbours (2i, 2i+1), as in assignment 1
(`model/rope.py`; Su et al. 2021, "RoFormer", section 3.4). A pair lies in one 4-byte word in
bfloat16, so memory is read in order and the pair is split in registers.

A rotation is orthogonal: backward rotates the gradient by the opposite angle and needs nothing but
the table. `rope_` overwrites its inputs, which a projection's output allows: neither the projection
nor the attention needs the unrotated values in backward.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.kernels.launch import CHOICES, tiles
from assignment2_systems.reference.kernels.rope_kernels import rope_kernel
from assignment2_systems.reference.triton_support import check_device, check_dtype, next_power_of_2
from course.errors import UserError


def _launch(
    q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, q_out: Tensor, k_out: Tensor, inverse: bool
) -> None:
    batch, seq, n_heads, d_head = q.shape
    launch = CHOICES["rope"]
    if batch * seq:
        rope_kernel[(tiles(batch * seq, launch.tile),)](
            q, k, cos.contiguous(), sin.contiguous(), q_out, k_out, batch * seq, seq,
            *q.stride(), *k.stride(), *q_out.stride()[:3], *k_out.stride()[:3],
            N_HEADS=n_heads, N_KV_HEADS=k.shape[2], D=d_head, BLOCK_D=next_power_of_2(d_head),
            TOKENS=launch.tile, INVERSE=inverse, num_warps=launch.num_warps,
        )  # fmt: skip


@torch.library.custom_op("lm_from_scratch::rope", mutates_args=())
def _rope(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    q_out, k_out = q.new_empty(q.shape), k.new_empty(k.shape)
    _launch(q, k, cos, sin, q_out, k_out, inverse)
    return q_out, k_out


@_rope.register_fake
def _(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape)


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    _, _, cos, sin, ctx.inverse = inputs
    ctx.save_for_backward(cos, sin)


def _backward(ctx: Any, dq: Tensor, dk: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
    dq, dk = _rope(dq, dk, *ctx.saved_tensors, not ctx.inverse)
    return dq, dk, None, None, None


_rope.register_autograd(_backward, setup_context=_save)


class _RopeInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        _launch(q, k, cos, sin, q, k, inverse=False)
        ctx.mark_dirty(q, k)
        ctx.save_for_backward(cos, sin)
        return q, k

    @staticmethod
    def backward(ctx: Any, dq: Tensor, dk: Tensor) -> tuple[Tensor, Tensor, None, None]:
        dq, dk = _rope(dq, dk, *ctx.saved_tensors, True)
        return dq, dk, None, None


def rope(
    q: Float[Tensor, "batch seq n_heads d_head"],
    k: Float[Tensor, "batch seq n_kv_heads d_head"],
    cos: Float[Tensor, "seq d_head/2"],
    sin: Float[Tensor, "seq d_head/2"],
) -> tuple[Float[Tensor, "batch seq n_heads d_head"], Float[Tensor, "batch seq n_kv_heads d_head"]]:
    """Return queries and keys rotated by the angles of their positions, contiguous.

    Args:
        q: queries, of any strides.
        k: keys, of any strides; their number of heads may differ.
        cos: cosines, a row a position, float32 (`RoPE.between` of assignment 1 returns both).
        sin: sines likewise.

    Raises:
        UserError: shapes that do not fit, an odd d_head, or no device that runs kernels.
    """
    _check(q, k, cos, sin)
    return _rope(q, k, cos, sin, False)


def rope_(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate queries and keys in place; arguments, result and errors as `rope`'s.

    Their last dimension has to be contiguous. Not for torch.compile, which removes dead copies
    itself; use `rope` there.
    """
    _check(q, k, cos, sin)
    if q.stride(-1) != 1 or k.stride(-1) != 1:
        raise UserError(f"d_head has stride {q.stride(-1)} in q, {k.stride(-1)} in k; it must be 1")
    return _RopeInPlace.apply(q, k, cos, sin)


def _check(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> None:
    check_device(q, k, cos, sin)
    check_dtype(q, k)
    check_dtype(cos, sin)
    if q.ndim != 4 or k.ndim != 4 or (*q.shape[:2], q.shape[3]) != (*k.shape[:2], k.shape[3]):
        raise UserError(
            f"q is {list(q.shape)} and k {list(k.shape)}; both must be [batch seq heads d_head]"
        )
    if q.shape[3] % 2:
        raise UserError(f"d_head is {q.shape[3]}; it must be even: RoPE rotates pairs")
    wanted = (q.shape[1], q.shape[3] // 2)
    if cos.shape != wanted or sin.shape != wanted:
        raise UserError(
            f"cos is {list(cos.shape)} and sin {list(sin.shape)}; they must be {list(wanted)}"
        )
