"""The gate of SwiGLU, SiLU(gate) * up (Shazeer 2020, equation 6), in one pass each way.

    h = g s u,  s = sigmoid(g)
    dg = dh u s (1 + g (1 - s)),   du = dh g s

Only g and u are kept, which the products before already wrote: sigmoid costs nothing beside the
memory traffic (2 reads and 1 write forward, 3 and 2 backward), so backward computes it again.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.kernels.launch import CHOICES
from assignment2_systems.reference.triton_support import cdiv, check_device, check_dtype
from course.errors import UserError


@triton.jit
def _forward_kernel(gate_ptr, up_ptr, h_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    gate = tl.load(gate_ptr + at, mask=at < n, other=0.0).to(tl.float32)
    up = tl.load(up_ptr + at, mask=at < n, other=0.0).to(tl.float32)
    h = gate * tl.sigmoid(gate) * up
    tl.store(h_ptr + at, h.to(h_ptr.dtype.element_ty), mask=at < n)


@triton.jit
def _backward_kernel(dh_ptr, gate_ptr, up_ptr, dgate_ptr, dup_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    dh = tl.load(dh_ptr + at, mask=at < n, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + at, mask=at < n, other=0.0).to(tl.float32)
    up = tl.load(up_ptr + at, mask=at < n, other=0.0).to(tl.float32)
    s = tl.sigmoid(gate)
    dgate = dh * up * s * (1 + gate * (1 - s))
    dup = dh * gate * s
    tl.store(dgate_ptr + at, dgate.to(dgate_ptr.dtype.element_ty), mask=at < n)
    tl.store(dup_ptr + at, dup.to(dup_ptr.dtype.element_ty), mask=at < n)


@torch.library.custom_op("lm_from_scratch::swiglu", mutates_args=())
def _swiglu(gate: Tensor, up: Tensor) -> Tensor:
    gate, up = gate.contiguous(), up.contiguous()
    h, launch = torch.empty_like(gate), CHOICES["swiglu"]
    if gate.numel():
        _forward_kernel[(cdiv(gate.numel(), launch.tile),)](
            gate, up, h, gate.numel(), BLOCK=launch.tile, num_warps=launch.num_warps
        )
    return h


@_swiglu.register_fake
def _(gate: Tensor, up: Tensor) -> Tensor:
    return gate.new_empty(gate.shape)


@torch.library.custom_op("lm_from_scratch::swiglu_backward", mutates_args=())
def _swiglu_backward(dh: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    dh, gate, up = dh.contiguous(), gate.contiguous(), up.contiguous()
    dgate, dup, launch = torch.empty_like(gate), torch.empty_like(gate), CHOICES["swiglu"]
    if gate.numel():
        _backward_kernel[(cdiv(gate.numel(), launch.tile),)](
            dh, gate, up, dgate, dup, gate.numel(), BLOCK=launch.tile, num_warps=launch.num_warps
        )
    return dgate, dup


@_swiglu_backward.register_fake
def _(dh: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    return gate.new_empty(gate.shape), gate.new_empty(gate.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor]:
    return _swiglu_backward(dh, *ctx.saved_tensors)


_swiglu.register_autograd(_backward, setup_context=_save)


def swiglu(gate: Float[Tensor, "..."], up: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return SiLU(gate) * up, computed in float32, in the dtype of both.

    Raises:
        UserError: shapes or dtypes that differ, or no device that runs kernels.
    """
    check_device(gate, up)
    check_dtype(gate, up)
    if gate.shape != up.shape:
        raise UserError(f"gate is {list(gate.shape)} and up {list(up.shape)}; they must be alike")
    return _swiglu(gate, up)
