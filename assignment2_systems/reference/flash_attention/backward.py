"""The backward pass on the host: allocate, launch `backward_kernels` in order."""

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.flash_attention.backward_kernels import (
    keys_kernel,
    prepare_kernel,
    queries_kernel,
)
from assignment2_systems.reference.flash_attention.configs import Config, configuration
from assignment2_systems.reference.flash_attention.launch import (
    dot_precision,
    strides,
    tma_can_read,
    tma_source,
    with_last_stride_1,
)
from assignment2_systems.reference.flash_attention.masks import Band
from assignment2_systems.reference.triton_support import LOG2_E, cdiv, next_power_of_2

PREPARE_ROWS = 64


def attention_backward(
    q: Float[Tensor, "batch heads queries d_head"],
    k: Float[Tensor, "batch kv_heads keys d_head"],
    v: Float[Tensor, "batch kv_heads keys d_head"],
    output: Float[Tensor, "batch heads queries d_head"],
    log_sum_exp: Float[Tensor, "batch heads queries"],
    grad_output: Float[Tensor, "batch heads queries d_head"],
    band: Band,
    scale: float,
    keys_config: Config | None = None,
    queries_config: Config | None = None,
    atomic: bool = False,
) -> tuple[
    Float[Tensor, "batch heads queries d_head"],
    Float[Tensor, "batch kv_heads keys d_head"],
    Float[Tensor, "batch kv_heads keys d_head"],
]:
    """Return the gradients of q, k and v, each laid out as its tensor.

    `atomic` makes all three in one pass, with sums of q's in an order that changes between runs.
    """
    if q.numel() == 0 or k.numel() == 0:
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    grad_output = with_last_stride_1(grad_output)
    log2_sum, delta = prepare(output, grad_output, log_sum_exp)
    scores = (q, k, v, grad_output, log2_sum, delta, band, scale)
    if atomic:
        grad_q_sums = torch.zeros_like(q, dtype=torch.float32)
        grad_k, grad_v = key_gradients(*scores, keys_config, grad_q_sums)
        return grad_q_sums.to(q.dtype), grad_k, grad_v
    grad_k, grad_v = key_gradients(*scores, keys_config)
    return query_gradient(*scores, queries_config), grad_k, grad_v


def prepare(output: Tensor, grad_output: Tensor, log_sum_exp: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-sum-exp in base 2 and delta, both float32 [batch, heads, queries]."""
    batch, heads, queries, d_head = output.shape
    log2_sum, delta = torch.empty_like(log_sum_exp), torch.empty_like(log_sum_exp)
    prepare_kernel[(cdiv(queries, PREPARE_ROWS) * batch * heads,)](
        output,
        grad_output,
        log_sum_exp,
        delta,
        log2_sum,
        strides(output),
        strides(grad_output),
        heads,
        queries,
        D=d_head,
        D_TILE=max(16, next_power_of_2(d_head)),
        ROWS=PREPARE_ROWS,
        enable_fp_fusion=True,
    )
    return log2_sum, delta


def key_gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    grad_output: Tensor,
    log2_sum: Tensor,
    delta: Tensor,
    band: Band,
    scale: float,
    config: Config | None = None,
    grad_q_sums: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of k and v; add q's to float32 `grad_q_sums`, if given, atomically."""
    batch, heads, queries, d_head = q.shape
    kv_heads, keys = k.shape[1:3]
    grad_k, grad_v = torch.empty_like(k), torch.empty_like(v)
    config = config or configuration("keys", d_head, q.dtype)
    d_tile = max(16, next_power_of_2(d_head))
    tma = config.tma and tma_can_read(q, k, v, grad_output)
    atomic = grad_q_sums is not None
    sums = grad_k if grad_q_sums is None else grad_q_sums  # without atomics it is not touched
    keys_kernel[(cdiv(keys, config.k_tile) * batch * kv_heads,)](
        tma_source(q, config.q_tile, d_tile, tma),
        tma_source(k, config.k_tile, d_tile, tma),
        tma_source(v, config.k_tile, d_tile, tma),
        tma_source(grad_output, config.q_tile, d_tile, tma),
        log2_sum,
        delta,
        grad_k,
        grad_v,
        sums,
        *map(strides, (q, k, v, grad_output, grad_k, grad_v, sums)),
        batch * kv_heads,
        kv_heads,
        queries,
        keys,
        band.first or 0,
        band.last or 0,
        scale,
        scale * LOG2_E,
        GROUP=heads // kv_heads,
        D=d_head,
        D_TILE=d_tile,
        Q_TILE=config.q_tile,
        K_TILE=config.k_tile,
        HAS_FIRST=band.first is not None,
        HAS_LAST=band.last is not None,
        TOGETHER=config.together,
        TMA=tma,
        ATOMIC=atomic,
        PRECISION=dot_precision(q.dtype),
        num_warps=config.warps,
        num_stages=config.stages,
        enable_fp_fusion=True,
    )
    return grad_k, grad_v


def query_gradient(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    grad_output: Tensor,
    log2_sum: Tensor,
    delta: Tensor,
    band: Band,
    scale: float,
    config: Config | None = None,
) -> Tensor:
    """Return the gradient of q."""
    batch, heads, queries, d_head = q.shape
    kv_heads, keys = k.shape[1:3]
    grad_q = torch.empty_like(q)
    config = config or configuration("queries", d_head, q.dtype)
    d_tile = max(16, next_power_of_2(d_head))
    tma = config.tma and tma_can_read(q, k, v, grad_output)
    queries_kernel[(cdiv(queries, config.q_tile) * batch * heads,)](
        tma_source(q, config.q_tile, d_tile, tma),
        tma_source(k, config.k_tile, d_tile, tma),
        tma_source(v, config.k_tile, d_tile, tma),
        tma_source(grad_output, config.q_tile, d_tile, tma),
        log2_sum,
        delta,
        grad_q,
        *map(strides, (q, k, v, grad_output, grad_q)),
        batch * heads,
        heads,
        queries,
        keys,
        band.first or 0,
        band.last or 0,
        scale,
        scale * LOG2_E,
        GROUP=heads // kv_heads,
        D=d_head,
        D_TILE=d_tile,
        Q_TILE=config.q_tile,
        K_TILE=config.k_tile,
        HAS_FIRST=band.first is not None,
        HAS_LAST=band.last is not None,
        TOGETHER=config.together,
        TMA=tma,
        PRECISION=dot_precision(q.dtype),
        num_warps=config.warps,
        num_stages=config.stages,
        enable_fp_fusion=True,
    )
    return grad_q
