"""The Transformer of assignment 1 with every kernel of this assignment switched on.

`fused(model)` is the switch: the same parameters, shared, the same state dict, the same numbers up
to rounding. What changes is how often the residual stream and the logits pass through memory:

    each norm is fused with the residual addition before it (kernels/rms_norm.py)
    queries and keys are rotated in one launch, in the layout of the projection (kernels/rope.py)
    attention never holds the scores (flash_attention)
    the gate of SwiGLU is one pass each way (kernels/swiglu.py)
    `loss` never holds the logits (kernels/linear_cross_entropy.py)
    the embedding's gradient is summed in a fixed order (kernels/embedding.py)

All of them are operators of `torch.library`: torch.compile takes the model as one graph and fuses
what is left between them (casts of weights, mostly). Products stay cuBLAS's.

The dtype of the residual stream is that of the embedding (float32 under autocast, as in assignment
1) or what `residual_dtype` says. The norms return the products' dtype: autocast's, or the weights'.
A bfloat16 stream moves 16 instead of 28 bytes an element through each norm, forward and backward,
and rounds every residual sum to 8 bits.
"""

from typing import cast

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from assignment1_basics.reference.model.attention import MultiHeadSelfAttention
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.kv_cache import KVCache, require_room
from assignment1_basics.reference.model.layers import RMSNorm, SwiGLU
from assignment1_basics.reference.model.rope import Rotation
from assignment1_basics.reference.model.transformer import Transformer, TransformerBlock
from assignment2_systems.reference.flash_attention.operator import flash_attention
from assignment2_systems.reference.kernels.cross_entropy import IGNORE_INDEX
from assignment2_systems.reference.kernels.embedding import embedding
from assignment2_systems.reference.kernels.linear_cross_entropy import linear_cross_entropy
from assignment2_systems.reference.kernels.rms_norm import add_rms_norm, rms_norm
from assignment2_systems.reference.kernels.rope import rope
from assignment2_systems.reference.kernels.swiglu import swiglu
from course.errors import UserError


class FusedTransformer(Transformer):
    """A `Transformer` that computes with fused kernels; pre-norm and SwiGLU only."""

    residual_dtype: torch.dtype | None = None
    """of the residual stream; None: that of the embedding"""

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None):
        for name, right in (("norm", "pre"), ("feed_forward", "swiglu")):
            value = getattr(config, name)
            if value != right:
                raise UserError(f"{name} is {value!r}; the fused model is for {right!r} only")
        super().__init__(config, generator)

    def hidden_states(
        self, token_ids: Int[Tensor, "batch seq"], cache: KVCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return what the head turns into logits, in the dtype of the products.

        With a cache the model of assignment 1 computes: a step of decoding is short of launches,
        not of memory traffic.
        """
        if cache is not None:
            return super().hidden_states(token_ids, cache)
        seq = token_ids.shape[-1]
        require_room(0, seq, self.config.context_length, "the model's context")
        rotation = None if self.rope is None else self.rope.between(0, seq)
        weight = self.token_embeddings.weight
        dtype = weight.dtype
        if torch.is_autocast_enabled(weight.device.type):
            dtype = torch.get_autocast_dtype(weight.device.type)
        x = embedding(weight, token_ids, self.residual_dtype)
        layers = [cast(TransformerBlock, layer) for layer in self.layers]
        # The norm that follows a residual addition is the next sub-layer's: the loop is shifted.
        h = _norm(x, layers[0].ln1, dtype)
        for i, layer in enumerate(layers):
            update = _attend(layer.attn, h, rotation)
            h, x = _add_norm(x, update, layer.ln2, dtype)
            update = _feed_forward(cast(SwiGLU, layer.ffn), h)
            following = layers[i + 1].ln1 if i + 1 < len(layers) else self.ln_final
            h, x = _add_norm(x, update, following, dtype)
        return h

    def loss(
        self,
        token_ids: Int[Tensor, "batch seq"],
        targets: Int[Tensor, "batch seq"],
        ignore_index: int = IGNORE_INDEX,
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of the targets that count, without the logits."""
        hidden = self.hidden_states(token_ids)
        return linear_cross_entropy(hidden, self.lm_head.weight, targets, ignore_index)


def _norm(x: Tensor, norm: torch.nn.Module, dtype: torch.dtype) -> Tensor:
    norm = cast(RMSNorm, norm)
    return rms_norm(x, norm.weight, norm.eps, dtype)


def _add_norm(
    x: Tensor, update: Tensor, norm: torch.nn.Module, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    norm = cast(RMSNorm, norm)
    return add_rms_norm(x, update, norm.weight, norm.eps, dtype)


def _attend(attn: MultiHeadSelfAttention, x: Tensor, rotation: Rotation | None) -> Tensor:
    q, k, v = (
        rearrange(project(x), "batch seq (heads d) -> batch seq heads d", d=attn.d_head)
        for project in (attn.q_proj, attn.k_proj, attn.v_proj)
    )
    if rotation is not None:
        q, k = rope(q, k, *rotation)
    q, k, v = (rearrange(heads, "batch seq heads d -> batch heads seq d") for heads in (q, k, v))
    attended = flash_attention(q, k, v, causal=True)
    return attn.output_proj(rearrange(attended, "batch heads seq d -> batch seq (heads d)"))


def _feed_forward(ffn: SwiGLU, x: Tensor) -> Tensor:
    return ffn.w2(swiglu(ffn.w1(x), ffn.w3(x)))


def fused(model: Transformer, residual_dtype: torch.dtype | None = None) -> FusedTransformer:
    """Return a model that shares the parameters of `model` and computes with fused kernels.

    Args:
        model: on any device; later moves of one of the two to another device move both.
        residual_dtype: of the residual stream; None: that of the embedding.

    Raises:
        UserError: a norm or feed-forward network that has no fused kernels.
    """
    with torch.device("meta"):
        result = FusedTransformer(model.config)
    for name, module in model.named_children():
        setattr(result, name, module)
    result.residual_dtype = residual_dtype
    return result.train(model.training)
