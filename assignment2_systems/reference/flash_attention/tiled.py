"""FlashAttention-2 in plain PyTorch: exact attention that never holds the matrix of scores.

Dao 2023, "FlashAttention-2", algorithms 1 (forward) and 2 (backward); the running maximum is from
Milakov and Gimelshein 2018, "Online normalizer calculation for softmax". Of the softmax only one
number a query is kept, L = log sum_j exp(s_j), from which the backward pass computes every
probability again: p_j = exp(s_j - L). At 16k tokens in bf16 that is 64 KiB a head for L instead of
512 MiB for the scores, paid for with 5 products in the backward pass where 4 would do.

This version is for reading and for the CPU: the loops are Python's, so it is slow, and the kernels
in `forward` and `backward` do the same steps in the same order.
"""

from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.flash_attention.masks import Band, make_band
from assignment2_systems.reference.flash_attention.tile_ranges import tile_ranges

TILE = 64
"""Queries and keys in a tile of scores."""


def tiled_forward(
    q: Float[Tensor, "... queries d_head"],
    k: Float[Tensor, "... keys d_head"],
    v: Float[Tensor, "... keys d_head"],
    band: Band,
    scale: float,
    tile: int = TILE,
) -> tuple[Float[Tensor, "... queries d_head"], Float[Tensor, "... queries"]]:
    """Return the attention and, in float32 or wider, the log-sum-exp of every query's scores.

    A query that sees no key gets zeros and -inf.
    """
    wide = torch.promote_types(q.dtype, torch.float32)
    output = torch.zeros_like(q)
    log_sum_exp = q.new_full(q.shape[:-1], float("-inf"), dtype=wide)
    for rows, key_tiles in _tiles(q.shape[-2], k.shape[-2], band, tile):
        q_tile = q[..., rows, :].to(wide)
        maximum = log_sum_exp[..., rows].clone()
        total = torch.zeros_like(maximum)
        sums = torch.zeros_like(q_tile)
        for columns, visible in key_tiles:
            scores = _scores(
                q_tile, k[..., columns, :].to(wide), scale, rows, columns, band, visible
            )
            new_maximum = torch.maximum(maximum, scores.amax(-1))
            # A row that has seen nothing yet: any finite number does, since its scores are -inf.
            reference = new_maximum.masked_fill(new_maximum == float("-inf"), 0.0)
            p = torch.exp(scores - reference[..., None])
            shrink = torch.exp(maximum - reference)
            total = total * shrink + p.sum(-1)
            sums = sums * shrink[..., None] + p @ v[..., columns, :].to(wide)
            maximum = new_maximum
        # One division per query, after the last tile, instead of one per tile.
        output[..., rows, :] = (sums / total.masked_fill(total == 0, 1.0)[..., None]).to(q.dtype)
        log_sum_exp[..., rows] = maximum + total.log()
    return output, log_sum_exp


def tiled_backward(
    q: Float[Tensor, "... queries d_head"],
    k: Float[Tensor, "... keys d_head"],
    v: Float[Tensor, "... keys d_head"],
    output: Float[Tensor, "... queries d_head"],
    log_sum_exp: Float[Tensor, "... queries"],
    grad_output: Float[Tensor, "... queries d_head"],
    band: Band,
    scale: float,
    tile: int = TILE,
) -> tuple[
    Float[Tensor, "... queries d_head"],
    Float[Tensor, "... keys d_head"],
    Float[Tensor, "... keys d_head"],
]:
    """Return the gradients of the queries, the keys and the values.

    The derivative of the softmax needs, per query, sum_j p_j dp_j. That equals the product of the
    output with its gradient (since o = sum_j p_j v_j), so no row of p has to be whole.
    """
    wide = log_sum_exp.dtype
    grad_q, grad_k, grad_v = (torch.zeros_like(x, dtype=wide) for x in (q, k, v))
    delta = (output.to(wide) * grad_output.to(wide)).sum(-1)
    for columns, query_tiles in _tiles(k.shape[-2], q.shape[-2], band.transposed(), tile):
        k_tile, v_tile = k[..., columns, :].to(wide), v[..., columns, :].to(wide)
        for rows, full in query_tiles:
            q_tile, grad = q[..., rows, :].to(wide), grad_output[..., rows, :].to(wide)
            scores = _scores(q_tile, k_tile, scale, rows, columns, band, full)
            # A query that sees nothing has a log-sum-exp of -inf; in an empty row p must be 0.
            l_tile = log_sum_exp[..., rows]
            reference = l_tile.masked_fill(l_tile == float("-inf"), 0.0)
            p = torch.exp(scores - reference[..., None])
            grad_v[..., columns, :] += p.mT @ grad
            grad_p = grad @ v_tile.mT
            grad_scores = p * (grad_p - delta[..., rows, None]) * scale
            grad_q[..., rows, :] += grad_scores @ k_tile
            grad_k[..., columns, :] += grad_scores.mT @ q_tile
    return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype)


def _tiles(rows: int, columns: int, band: Band, tile: int) -> Any:
    """Yield, per tile of rows, its slice and the tiles of columns to visit: (slice, is it full)."""
    first, last = band.first, band.last
    for row in range(0, rows, tile):
        height = min(tile, rows - row)
        start, full_start, full_stop, stop = tile_ranges(
            row, height, columns, tile, first, last, first is not None, last is not None
        )
        partial = chain(range(start, full_start), range(full_stop, stop))
        numbers = [(number, False) for number in partial]
        numbers += [(number, True) for number in range(full_start, full_stop)]
        visits = [
            (slice(number * tile, min((number + 1) * tile, columns)), full)
            for number, full in sorted(numbers)
        ]
        yield slice(row, row + height), visits


def _scores(
    q: Tensor, k: Tensor, scale: float, rows: slice, columns: slice, band: Band, full: bool
) -> Tensor:
    """Return a tile of scores, -inf where the query must not see the key."""
    scores = q @ k.mT * scale
    if full:
        return scores
    visible = band.mask(q.shape[-2], k.shape[-2], rows.start, columns.start, q.device)
    return scores.masked_fill(~visible, float("-inf"))


class TiledFlashAttention(torch.autograd.Function):
    """`apply(q, k, v, is_causal)` on [..., seq, d_head]; scores are divided by sqrt(d_head)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False) -> Tensor:
        """Return the attention; keep the log-sum-exp [..., seq] for the backward pass."""
        ctx.band = make_band(q.shape[-2], k.shape[-2], is_causal)
        ctx.scale = q.shape[-1] ** -0.5
        output, log_sum_exp = tiled_forward(q, k, v, ctx.band, ctx.scale)
        ctx.save_for_backward(q, k, v, output, log_sum_exp)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of q, k and v."""
        q, k, v, output, log_sum_exp = ctx.saved_tensors
        (grad,) = grad_outputs
        gradients = tiled_backward(q, k, v, output, log_sum_exp, grad, ctx.band, ctx.scale)
        return *gradients, None
