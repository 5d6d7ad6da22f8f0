"""What the launches of all kernels share: strides, tensor descriptors, the precision of products.

Launches and kernels are in modules of their own: the tests check shapes by wrapping the functions
of every module that annotates them, and Triton cannot compile a wrapper.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

TMA_ALIGNMENT = 16
"""Bytes; of the base and of every stride but the last (CUDA driver API, cuTensorMapEncodeTiled)."""


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
