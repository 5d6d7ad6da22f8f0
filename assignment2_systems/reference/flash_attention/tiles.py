"""What the forward and the backward kernels share: which tile a program makes, loads, masks.

Tensors are [batch, heads, seq, d_head] with any strides but a last one of 1, so heads cut out of a
fused projection are read where they lie. A tile is loaded in one of two ways: by pointers, every
thread for itself (cp.async), or through a tensor descriptor, for which Hopper's copy engine (TMA)
does the addresses and fills what lies outside the tensor with zeros.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl

from assignment2_systems.reference.triton_support import rounded


@triton.jit
def program_tile(heads, tiles, HEAVY_LAST: tl.constexpr, TOGETHER: tl.constexpr):
    """Return (head, tile) of this program, heavy tiles first.

    Programs start in the order of their number. Those of one head come together, so that its keys
    and values stay in the L2 cache; TOGETHER heads are walked side by side, tile by tile, which
    starts all their heavy tiles before any light one. Under a causal mask the late tiles of queries
    are heavy (HEAVY_LAST), and the early tiles of keys.
    """
    number = tl.program_id(0)
    section = number // (tiles * TOGETHER)
    within = number - section * tiles * TOGETHER
    size = min(heads - section * TOGETHER, TOGETHER)
    tile = within // size
    head = section * TOGETHER + within - tile * size
    if HEAVY_LAST:
        tile = tiles - 1 - tile
    return head, tile


@triton.jit
def load_tile(
    tensor,
    strides,
    batch,
    head,
    row,
    rows,
    ROWS: tl.constexpr,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
    CHECK: tl.constexpr,
    TMA: tl.constexpr,
):
    """Load rows [row, row + ROWS) of one head; zeros beyond `rows` (if CHECK) and beyond D."""
    # One return: what follows a `return` under a constant `if` would be compiled all the same.
    if TMA:
        tile = tensor.load([batch, head, row, 0]).reshape(ROWS, D_TILE)
    else:
        pointers = tile_pointers(tensor, strides, batch, head, row, ROWS, D_TILE)
        row_exists = row + tl.arange(0, ROWS)[:, None] < rows
        column_exists = tl.arange(0, D_TILE)[None, :] < D
        if CHECK and D < D_TILE:
            tile = tl.load(pointers, row_exists & column_exists, other=0.0)
        elif CHECK:
            tile = tl.load(pointers, row_exists, other=0.0)
        elif D < D_TILE:
            tile = tl.load(pointers, column_exists, other=0.0)
        else:
            tile = tl.load(pointers)
    return tile


@triton.jit
def store_tile(
    tensor,
    strides,
    batch,
    head,
    row,
    rows,
    values,
    ROWS: tl.constexpr,
    D: tl.constexpr,
    D_TILE: tl.constexpr,
):
    """Store `values` as rows [row, row + ROWS) of one head, in the tensor's dtype."""
    pointers = tile_pointers(tensor, strides, batch, head, row, ROWS, D_TILE)
    exists = row + tl.arange(0, ROWS)[:, None] < rows
    if D < D_TILE:
        exists = exists & (tl.arange(0, D_TILE)[None, :] < D)
    tl.store(pointers, rounded(values, tensor.dtype.element_ty), exists)


@triton.jit
def tile_pointers(
    tensor, strides, batch, head, row, ROWS: tl.constexpr, D_TILE: tl.constexpr
):  # fmt: skip
    """Return [ROWS, D_TILE] pointers; 64 bits up to the tile, 32 within it."""
    base = tensor + batch.to(tl.int64) * strides[0] + head.to(tl.int64) * strides[1]
    base += tl.cast(row, tl.int64) * strides[2]
    return base + tl.arange(0, ROWS)[:, None] * strides[2] + tl.arange(0, D_TILE)[None, :]


@triton.jit
def visible_keys(
    query, key, keys, first, last, HAS_FIRST: tl.constexpr, HAS_LAST: tl.constexpr
):  # fmt: skip
    """Return where the keys are visible to the queries; both are numbers that broadcast."""
    visible = key < keys
    visible = visible & (query >= 0)  # true; gives the mask its full shape
    if HAS_LAST:
        visible = visible & (key <= query + last)
    if HAS_FIRST:
        visible = visible & (key >= query + first)
    return visible
