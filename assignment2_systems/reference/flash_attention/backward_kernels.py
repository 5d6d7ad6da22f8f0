"""FlashAttention-2, backward, in Triton: two passes over the tiles of scores, no atomics.

Dao 2023, "FlashAttention-2", algorithm 2, computes each tile's probabilities once and adds to the
gradient of q from many programs at once, with atomic additions whose order, and so whose rounding,
differs from run to run. Here one kernel owns tiles of keys (gradients of k and v) and another tiles
of queries (gradient of q). That is 7 products a tile instead of 5, and every sum is made by one
program in one order: the same bits in every run. `ATOMIC` makes the first kernel do it all the
paper's way; benchmarks/attention.py times both.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl

from assignment2_systems.reference.flash_attention.tile_ranges import tile_ranges_in_kernel
from assignment2_systems.reference.flash_attention.tiles import (
    load_tile,
    program_tile,
    store_tile,
    tile_pointers,
    visible_keys,
)
from assignment2_systems.reference.triton_support import LOG2_E, product, rounded

LOG2_E_IN_KERNEL = tl.constexpr(LOG2_E)


@triton.jit
def prepare_kernel(
    output, grad_output, log_sum_exp, delta, log2_sum, output_strides, grad_strides,
    heads, queries, D: tl.constexpr, D_TILE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Write delta = sum_d output * grad_output, and the log-sum-exp as the exponent wants it.

    That is in base 2, and +inf where a query saw no key: then exp2(score - inf) = 0.
    """
    batch_head, tile = program_tile(
        tl.num_programs(0) // tl.cdiv(queries, ROWS), tl.cdiv(queries, ROWS), False, 1
    )
    batch = batch_head // heads
    head = batch_head - batch * heads
    row = tile * ROWS
    o = load_tile(output, output_strides, batch, head, row, queries, ROWS, D, D_TILE, True, False)
    g = load_tile(
        grad_output, grad_strides, batch, head, row, queries, ROWS, D, D_TILE, True, False
    )
    query = row + tl.arange(0, ROWS)
    offset = batch_head.to(tl.int64) * queries + query
    tl.store(delta + offset, tl.sum(o.to(tl.float32) * g.to(tl.float32), 1), query < queries)
    logs = tl.load(log_sum_exp + offset, query < queries, other=0.0)
    logs = tl.where(logs == float("-inf"), float("inf"), logs * LOG2_E_IN_KERNEL)
    tl.store(log2_sum + offset, logs, query < queries)


@triton.jit
def keys_kernel(
    q, k, v, grad_output, log2_sum, delta, grad_k, grad_v, grad_q_sums,
    q_strides, k_strides, v_strides, grad_strides, grad_k_strides, grad_v_strides, sums_strides,
    batch_heads, heads, queries, keys, first, last, scale, scale_log2,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
    Q_TILE: tl.constexpr,
    K_TILE: tl.constexpr,
    HAS_FIRST: tl.constexpr,
    HAS_LAST: tl.constexpr,
    TOGETHER: tl.constexpr,
    TMA: tl.constexpr,
    ATOMIC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of K_TILE keys and values of one head that `heads` // GROUP share.

    `batch_heads` and `heads` count heads of keys. With ATOMIC, also add to the gradient of q.
    """
    batch_head, tile = program_tile(batch_heads, tl.cdiv(keys, K_TILE), False, TOGETHER)
    batch = batch_head // heads
    head = batch_head - batch * heads
    column = tile * K_TILE
    # The band as the keys see it: query i sees key j when j - last <= i <= j - first.
    start, full_start, full_stop, stop = tile_ranges_in_kernel(
        column, min(keys - column, K_TILE), queries, Q_TILE, -last, -first, HAS_LAST, HAS_FIRST
    )
    k_tile = load_tile(k, k_strides, batch, head, column, keys, K_TILE, D, D_TILE, True, TMA)
    v_tile = load_tile(v, v_strides, batch, head, column, keys, K_TILE, D, D_TILE, True, TMA)
    dk = tl.zeros([K_TILE, D_TILE], tl.float32)
    dv = tl.zeros([K_TILE, D_TILE], tl.float32)
    for member in range(GROUP):
        q_head = head * GROUP + member
        if HAS_LAST:
            dk, dv = gather_queries(
                dk, dv, k_tile, v_tile, q, grad_output, log2_sum, delta, grad_q_sums,
                q_strides, grad_strides, sums_strides, batch, q_head, heads * GROUP, column,
                queries, keys, first, last, scale, scale_log2, start, full_start,
                D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, ATOMIC,
                PRECISION,
            )  # fmt: skip
        dk, dv = gather_queries(
            dk, dv, k_tile, v_tile, q, grad_output, log2_sum, delta, grad_q_sums,
            q_strides, grad_strides, sums_strides, batch, q_head, heads * GROUP, column,
            queries, keys, first, last, scale, scale_log2, full_start, full_stop,
            D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, False, TMA, ATOMIC,
            PRECISION,
        )  # fmt: skip
        dk, dv = gather_queries(
            dk, dv, k_tile, v_tile, q, grad_output, log2_sum, delta, grad_q_sums,
            q_strides, grad_strides, sums_strides, batch, q_head, heads * GROUP, column,
            queries, keys, first, last, scale, scale_log2, full_stop, stop,
            D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, ATOMIC,
            PRECISION,
        )  # fmt: skip
    store_tile(grad_k, grad_k_strides, batch, head, column, keys, dk * scale, K_TILE, D, D_TILE)
    store_tile(grad_v, grad_v_strides, batch, head, column, keys, dv, K_TILE, D, D_TILE)


@triton.jit
def gather_queries(
    dk, dv, k_tile, v_tile, q, grad_output, log2_sum, delta, grad_q_sums,
    q_strides, grad_strides, sums_strides, batch, head, heads, column,
    queries, keys, first, last, scale, scale_log2, begin, end,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
    Q_TILE: tl.constexpr,
    K_TILE: tl.constexpr,
    HAS_FIRST: tl.constexpr,
    HAS_LAST: tl.constexpr,
    PARTIAL: tl.constexpr,
    TMA: tl.constexpr,
    ATOMIC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Add what the query tiles [begin, end) of one head contribute; scores are [keys, queries]."""
    line = (batch.to(tl.int64) * heads + head) * queries
    for tile in range(begin, end):
        row = tile * Q_TILE
        query = row + tl.arange(0, Q_TILE)
        q_tile = load_tile(q, q_strides, batch, head, row, queries, Q_TILE, D, D_TILE, PARTIAL, TMA)
        # Queries that do not exist are zeros with a gradient of zero: they add nothing.
        if PARTIAL:
            logs = tl.load(log2_sum + line + query, query < queries, other=0.0)
            means = tl.load(delta + line + query, query < queries, other=0.0)
        else:
            logs = tl.load(log2_sum + line + query)
            means = tl.load(delta + line + query)
        scores = product(k_tile, tl.trans(q_tile), PRECISION=PRECISION)
        if PARTIAL:
            visible = visible_keys(
                query[None, :],
                column + tl.arange(0, K_TILE)[:, None],
                keys, first, last, HAS_FIRST, HAS_LAST,
            )  # fmt: skip
            scores = tl.where(visible, scores, float("-inf"))
        p = tl.exp2(scores * scale_log2 - logs[None, :])
        grad = load_tile(
            grad_output, grad_strides, batch, head, row, queries, Q_TILE, D, D_TILE, PARTIAL, TMA
        )
        dv = product(rounded(p, grad.dtype), grad, dv, PRECISION)
        dp = product(v_tile, tl.trans(grad), PRECISION=PRECISION)
        ds = rounded(p * (dp - means[None, :]), q_tile.dtype)
        dk = product(ds, q_tile, dk, PRECISION)
        if ATOMIC:
            pointers = tile_pointers(grad_q_sums, sums_strides, batch, head, row, Q_TILE, D_TILE)
            exists = (query < queries)[:, None] & (tl.arange(0, D_TILE)[None, :] < D)
            dq = product(tl.trans(ds), k_tile, PRECISION=PRECISION)
            tl.atomic_add(pointers, dq * scale, exists, sem="relaxed")
    return dk, dv


@triton.jit
def queries_kernel(
    q, k, v, grad_output, log2_sum, delta, grad_q,
    q_strides, k_strides, v_strides, grad_strides, grad_q_strides,
    batch_heads, heads, queries, keys, first, last, scale, scale_log2,
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
):  # fmt: skip
    """Write the gradient of Q_TILE queries of one head."""
    batch_head, tile = program_tile(batch_heads, tl.cdiv(queries, Q_TILE), HAS_LAST, TOGETHER)
    batch = batch_head // heads
    head = batch_head - batch * heads
    row = tile * Q_TILE
    start, full_start, full_stop, stop = tile_ranges_in_kernel(
        row, min(queries - row, Q_TILE), keys, K_TILE, first, last, HAS_FIRST, HAS_LAST
    )
    q_tile = load_tile(q, q_strides, batch, head, row, queries, Q_TILE, D, D_TILE, True, TMA)
    grad = load_tile(
        grad_output, grad_strides, batch, head, row, queries, Q_TILE, D, D_TILE, True, TMA
    )
    query = row + tl.arange(0, Q_TILE)
    line = batch_head.to(tl.int64) * queries
    logs = tl.load(log2_sum + line + query, query < queries, other=0.0)
    means = tl.load(delta + line + query, query < queries, other=0.0)
    dq = tl.zeros([Q_TILE, D_TILE], tl.float32)
    if HAS_FIRST:
        dq = gather_keys(
            dq, q_tile, grad, logs, means, k, v, k_strides, v_strides, batch, head // GROUP, row,
            keys, first, last, scale_log2, start, full_start,
            D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, PRECISION,
        )  # fmt: skip
    dq = gather_keys(
        dq, q_tile, grad, logs, means, k, v, k_strides, v_strides, batch, head // GROUP, row,
        keys, first, last, scale_log2, full_start, full_stop,
        D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, False, TMA, PRECISION,
    )  # fmt: skip
    dq = gather_keys(
        dq, q_tile, grad, logs, means, k, v, k_strides, v_strides, batch, head // GROUP, row,
        keys, first, last, scale_log2, full_stop, stop,
        D, D_TILE, Q_TILE, K_TILE, HAS_FIRST, HAS_LAST, True, TMA, PRECISION,
    )  # fmt: skip
    store_tile(grad_q, grad_q_strides, batch, head, row, queries, dq * scale, Q_TILE, D, D_TILE)


@triton.jit
def gather_keys(
    dq, q_tile, grad, logs, means, k, v, k_strides, v_strides, batch, kv_head, row,
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
    """Add what the key tiles [begin, end) contribute; the scale comes once, at the end."""
    for tile in range(begin, end):
        column = tile * K_TILE
        k_tile = load_tile(
            k, k_strides, batch, kv_head, column, keys, K_TILE, D, D_TILE, PARTIAL, TMA
        )
        v_tile = load_tile(
            v, v_strides, batch, kv_head, column, keys, K_TILE, D, D_TILE, PARTIAL, TMA
        )
        scores = product(q_tile, tl.trans(k_tile), PRECISION=PRECISION)
        if PARTIAL:
            visible = visible_keys(
                row + tl.arange(0, Q_TILE)[:, None],
                column + tl.arange(0, K_TILE)[None, :],
                keys, first, last, HAS_FIRST, HAS_LAST,
            )  # fmt: skip
            scores = tl.where(visible, scores, float("-inf"))
        p = tl.exp2(scores * scale_log2 - logs[:, None])
        dp = product(grad, tl.trans(v_tile), PRECISION=PRECISION)
        ds = p * (dp - means[:, None])
        dq = product(rounded(ds, k_tile.dtype), k_tile, dq, PRECISION)
    return dq
