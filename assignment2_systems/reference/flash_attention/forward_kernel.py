"""FlashAttention-2, forward, in Triton: one program per tile of queries walks its keys.

Dao 2023, "FlashAttention-2", algorithm 1. What makes it fast on a GPU:

- Scores stay in registers: the device's memory sees q, k, v once per tile and the output once.
- exp2 instead of exp, with scale * log2(e) folded into one multiply-add per score; the GPU has no
  other exponential, and at d_head 64 exponentials cost about as much as the products (Shah et al.
  2024, "FlashAttention-3", section 3.1).
- Empty tiles are not visited; full tiles run in a loop of their own, without mask arithmetic.
- Heavy tiles start first (`tiles.program_tile`), so that no long program is left alone at the end.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl

from assignment2_systems.reference.flash_attention.tile_ranges import tile_ranges_in_kernel
from assignment2_systems.reference.flash_attention.tiles import (
    load_tile,
    program_tile,
    store_tile,
    visible_keys,
)
from assignment2_systems.reference.triton_support import LOG2_E, product, rounded

LOG2_E_IN_KERNEL = tl.constexpr(LOG2_E)


@triton.jit
def forward_kernel(
    q,
    k,
    v,
    output,
    log_sum_exp,
    q_strides,
    k_strides,
    v_strides,
    output_strides,
    batch_heads,
    heads,
    queries,
    keys,
    first,
    last,
    scale_log2,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
    Q_TILE: tl.constexpr,
    K_TILE: tl.constexpr,
    HAS_FIRST: tl.constexpr,
    HAS_LAST: tl.constexpr,
    TOGETHER: tl.constexpr,
    TMA: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Write the output and the log-sum-exp of Q_TILE queries of one head."""
    batch_head, tile = program_tile(batch_heads, tl.cdiv(queries, Q_TILE), HAS_LAST, TOGETHER)
    batch = batch_head // heads
    head = batch_head - batch * heads
    row = tile * Q_TILE
    start, full_start, full_stop, stop = tile_ranges_in_kernel(
        row, min(queries - row, Q_TILE), keys, K_TILE, first, last, HAS_FIRST, HAS_LAST
    )
    q_tile = load_tile(q, q_strides, batch, head, row, queries, Q_TILE, D, D_TILE, True, TMA)
    sums = tl.zeros([Q_TILE, D_TILE], tl.float32)
    total = tl.zeros([Q_TILE], tl.float32)
    maximum = tl.full([Q_TILE], float("-inf"), tl.float32)
    # Left edge of the band, inside of it, right edge; the loop is the same but for the mask.
    if HAS_FIRST:
        sums, total, maximum = attend(
            sums, total, maximum, q_tile, k, v, k_strides, v_strides, batch, head // GROUP, row,
            keys, first, last, scale_log2, start, full_start,
            D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, PRECISION,
        )  # fmt: skip
    sums, total, maximum = attend(
        sums, total, maximum, q_tile, k, v, k_strides, v_strides, batch, head // GROUP, row,
        keys, first, last, scale_log2, full_start, full_stop,
        D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, False, TMA, PRECISION,
    )  # fmt: skip
    sums, total, maximum = attend(
        sums, total, maximum, q_tile, k, v, k_strides, v_strides, batch, head // GROUP, row,
        keys, first, last, scale_log2, full_stop, stop,
        D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, PRECISION,
    )  # fmt: skip
    # A query that saw no key has total 0 and maximum -inf: output 0, log-sum-exp -inf.
    total = tl.where(maximum == float("-inf"), 1.0, total)
    store_tile(
        output, output_strides, batch, head, row, queries, sums / total[:, None], Q_TILE, D, D_TILE
    )
    query = row + tl.arange(0, Q_TILE)
    # Back from base 2, so that the log-sum-exp is what its name says.
    logs = (maximum + tl.log2(total)) / LOG2_E_IN_KERNEL
    tl.store(log_sum_exp + batch_head.to(tl.int64) * queries + query, logs, query < queries)


@triton.jit
def attend(
    sums, total, maximum, q_tile, k, v, k_strides, v_strides, batch, kv_head, row,
    keys, first, last, scale_log2, begin, end,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
    Q_TILE: tl.constexpr,
    K_TILE: tl.constexpr,
    HAS_FIRST: tl.constexpr,
    HAS_LAST: tl.constexpr,
    PARTIAL: tl.constexpr,
    TMA: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Add the key tiles [begin, end) to the online softmax; `maximum` is in units of log2."""
    for tile in range(begin, end):
        column = tile * K_TILE
        k_tile = load_tile(
            k, k_strides, batch, kv_head, column, keys, K_TILE, D, D_TILE, PARTIAL, TMA
        )
        scores = product(q_tile, tl.trans(k_tile), PRECISION=PRECISION)
        if PARTIAL:
            visible = visible_keys(
                row + tl.arange(0, Q_TILE)[:, None],
                column + tl.arange(0, K_TILE)[None, :],
                keys, first, last, HAS_FIRST, HAS_LAST,
            )  # fmt: skip
            scores = tl.where(visible, scores, float("-inf"))
        new_maximum = tl.maximum(maximum, tl.max(scores, 1) * scale_log2)
        reference = new_maximum
        if PARTIAL:
            # A row that has seen nothing yet: -inf - -inf would be NaN.
            reference = tl.where(new_maximum == float("-inf"), 0.0, new_maximum)
        p = tl.exp2(scores * scale_log2 - reference[:, None])
        shrink = tl.exp2(maximum - reference)
        total = total * shrink + tl.sum(p, 1)
        sums = sums * shrink[:, None]
        v_tile = load_tile(
            v, v_strides, batch, kv_head, column, keys, K_TILE, D, D_TILE, PARTIAL, TMA
        )
        sums = product(rounded(p, v_tile.dtype), v_tile, sums, PRECISION)
        maximum = new_maximum
    return sums, total, maximum
