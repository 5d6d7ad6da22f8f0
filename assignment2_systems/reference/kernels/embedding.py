"""The lookup of token embeddings with a gradient that is the same in every run.

Backward adds the gradients of all places where a token stands to that token's row. torch.compile
makes this atomic additions, whose order, and so whose last bits, change from run to run; in
bfloat16 each addition rounds as well. PyTorch's own backward kernel sorts the tokens and sums each
row in float32. This operator keeps torch.compile from replacing it: no kernel of ours is needed.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@torch.library.custom_op("lm_from_scratch::embedding", mutates_args=())
def _embedding(weight: Tensor, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
    return weight[token_ids].to(dtype)


@_embedding.register_fake
def _(weight: Tensor, token_ids: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.new_empty((*token_ids.shape, weight.shape[1]), dtype=dtype)


@torch.library.custom_op("lm_from_scratch::embedding_backward", mutates_args=())
def _embedding_backward(
    gradient: Tensor, token_ids: Tensor, vocab_size: int, dtype: torch.dtype
) -> Tensor:
    summed = torch.ops.aten.embedding_dense_backward(
        gradient.contiguous(), token_ids, vocab_size, -1, False
    )
    return summed.to(dtype)


@_embedding_backward.register_fake
def _(gradient: Tensor, token_ids: Tensor, vocab_size: int, dtype: torch.dtype) -> Tensor:
    return gradient.new_empty((vocab_size, gradient.shape[-1]), dtype=dtype)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    weight, token_ids, _ = inputs
    ctx.save_for_backward(token_ids)
    ctx.vocab_size, ctx.dtype = weight.shape[0], weight.dtype


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    (token_ids,) = ctx.saved_tensors
    return _embedding_backward(gradient, token_ids, ctx.vocab_size, ctx.dtype), None, None


_embedding.register_autograd(_backward, setup_context=_save)


def embedding(
    weight: Float[Tensor, "vocab d_model"],
    token_ids: Int[Tensor, "..."],
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "... d_model"]:
    """Return the row of every token in `dtype` (None: that of the weight).

    An id outside the vocabulary raises IndexError on the CPU and stops the program on a GPU.
    """
    return _embedding(weight, token_ids, dtype or weight.dtype)
