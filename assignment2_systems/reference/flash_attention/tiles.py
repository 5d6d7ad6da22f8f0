"""What the forward and the backward kernels share: which tile a program makes, loads, masks.

Tensors are [batch, heads, seq, d_head] with any strides but a last one of 1, so heads cut out of a
fused projection are read where they lie. A tile is loaded in one of two ways: by pointers, every
thread for itself (cp.async), or through a tensor descriptor, for which Hopper's copy engine (TMA)
does the addresses and fills what lies outside the tensor with zeros.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

TMA_ALIGNMENT = 16
"""Bytes; of the base and of every stride but the last (CUDA driver API, cuTensorMapEncodeTiled)."""


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
    tl.store(pointers, values.to(tensor.dtype.element_ty), exists)


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


def strides(tensor: Float[Tensor, "batch heads seq d_head"]) -> tuple[int, int, int]:
    """Return the strides over batch, heads and sequence, in elements; the last one is 1."""
    return tensor.stride(0), tensor.stride(1), tensor.stride(2)


def with_last_stride_1(tensor: Tensor) -> Tensor:
    """Return `tensor`, copied if neighbours along its last dimension lie apart."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def tma_can_read(*tensors: Tensor) -> bool:
    """Say whether tensor descriptors of all these tensors are allowed."""
    return all(
        tensor.numel() > 0
        and tensor.data_ptr() % TMA_ALIGNMENT == 0
        and all(
            step > 0 and step * tensor.itemsize % TMA_ALIGNMENT == 0
            for step in tensor.stride()[:-1]
        )
        for tensor in tensors
    )


def tma_source(tensor: Tensor, rows: int, d_tile: int, tma: bool) -> Tensor | TensorDescriptor:
    """Return what `load_tile` reads: a descriptor of tiles [1, 1, rows, d_tile], or the tensor."""
    if not tma:
        return tensor
    block = [1, 1, rows, d_tile]
    return TensorDescriptor(tensor, list(tensor.shape), list(tensor.stride()), block)


def dot_precision(dtype: torch.dtype) -> str:
    """Return how float32 products are made: exactly, unless PyTorch's own may be faster than that.

    `torch.set_float32_matmul_precision("high")` allows tf32 (10 bits of mantissa) everywhere.
    """
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return "tf32"
    return "ieee"
