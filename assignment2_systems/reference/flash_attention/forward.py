"""The forward pass on the host: allocate, choose a config, launch `forward_kernel`."""

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.flash_attention.configs import Config, configuration
from assignment2_systems.reference.flash_attention.forward_kernel import forward_kernel
from assignment2_systems.reference.flash_attention.launch import (
    dot_precision,
    strides,
    tma_can_read,
    tma_source,
)
from assignment2_systems.reference.flash_attention.masks import Band
from assignment2_systems.reference.triton_support import LOG2_E, cdiv, next_power_of_2


def attention_forward(
    q: Float[Tensor, "batch heads queries d_head"],
    k: Float[Tensor, "batch kv_heads keys d_head"],
    v: Float[Tensor, "batch kv_heads keys d_head"],
    band: Band,
    scale: float,
    config: Config | None = None,
) -> tuple[
    Float[Tensor, "batch heads queries d_head"], Float[Tensor, "batch heads queries"]
]:  # fmt: skip
    """Launch the kernel; return the output, laid out as `q`, and the float32 log-sum-exp.

    The arguments have been checked (`operator`): one dtype and device, last strides 1, scale > 0.
    """
    batch, heads, queries, d_head = q.shape
    kv_heads, keys = k.shape[1:3]
    output = torch.empty_like(q)
    log_sum_exp = q.new_empty(batch, heads, queries, dtype=torch.float32)
    if q.numel() == 0:
        return output, log_sum_exp
    config = config or configuration("forward", d_head, q.dtype)
    d_tile = max(16, next_power_of_2(d_head))
    tma = config.tma and tma_can_read(q, k, v)
    grid = (cdiv(queries, config.q_tile) * batch * heads,)
    forward_kernel[grid](
        tma_source(q, config.q_tile, d_tile, tma),
        tma_source(k, config.k_tile, d_tile, tma),
        tma_source(v, config.k_tile, d_tile, tma),
        output,
        log_sum_exp,
        strides(q),
        strides(k),
        strides(v),
        strides(output),
        batch * heads,
        heads,
        queries,
        keys,
        band.first or 0,
        band.last or 0,
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
    return output, log_sum_exp
