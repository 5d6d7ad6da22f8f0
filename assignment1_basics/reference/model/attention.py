"""Causal multi-head self-attention: every token takes a weighted mean of values at earlier tokens.

Vaswani et al. 2017, "Attention is all you need", sections 3.2.1 and 3.2.2; heads that share keys
and values: Ainslie et al. 2023, "GQA". Two backends compute the same numbers. `plain` is our own
function and holds the matrix of scores, 4 * n_heads * seq^2 bytes a sequence in float32. `sdpa` is
PyTorch's fused kernel, which never holds it (assignment 2 builds such a kernel).
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.kv_cache import LayerCache
from assignment1_basics.reference.model.layers import Linear, softmax
from assignment1_basics.reference.model.rope import Rotation, rotate


def scaled_dot_product_attention(
    q: Float[Tensor, "... queries d_k"],
    k: Float[Tensor, "... keys d_k"],
    v: Float[Tensor, "... keys d_v"],
    mask: Bool[Tensor, "... queries keys"] | None = None,
) -> Float[Tensor, "... queries d_v"]:
    """Return softmax(q k^T / sqrt(d_k)) v; a query sees the keys where `mask` is True.

    A query that may see no key gets NaN: there is nothing to take a mean of.
    """
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return softmax(scores, dim=-1) @ v


def causal_mask(
    queries: int, keys: int, device: torch.device | str | None = None
) -> Bool[Tensor, "queries keys"]:
    """Let the last query see every key, the one before it all but the last, and so on.

    The queries are the newest tokens. With fewer queries than keys (the rest are cached) the
    triangle therefore leans on the lower right corner; `is_causal` of PyTorch would lean it on the
    upper left and hide the past.
    """
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def plain_attention(
    q: Float[Tensor, "... n_heads queries d_head"],
    k: Float[Tensor, "... n_kv_heads keys d_head"],
    v: Float[Tensor, "... n_kv_heads keys d_head"],
) -> Float[Tensor, "... n_heads queries d_head"]:
    """Attend causally with `scaled_dot_product_attention`.

    The heads of a group that share keys and values are stacked as further queries to the same
    keys, so nothing is repeated in memory.
    """
    group = q.shape[-3] // k.shape[-3]
    mask = causal_mask(q.shape[-2], k.shape[-2], q.device).repeat(group, 1)
    q = rearrange(q, "... (kv group) queries d -> ... kv (group queries) d", group=group)
    attended = scaled_dot_product_attention(q, k, v, mask)
    return rearrange(attended, "... kv (group queries) d -> ... (kv group) queries d", group=group)


def sdpa_attention(
    q: Float[Tensor, "... n_heads queries d_head"],
    k: Float[Tensor, "... n_kv_heads keys d_head"],
    v: Float[Tensor, "... n_kv_heads keys d_head"],
) -> Float[Tensor, "... n_heads queries d_head"]:
    """Attend causally with PyTorch's kernel."""
    queries, keys = q.shape[-2], k.shape[-2]
    # A whole sequence needs no mask in memory, and a single query sees every key.
    mask = causal_mask(queries, keys, q.device) if 1 < queries < keys else None
    return nn.functional.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        is_causal=1 < queries == keys,
        enable_gqa=q.shape[-3] != k.shape[-3],
    )


ATTENTION = {"plain": plain_attention, "sdpa": sdpa_attention}


class MultiHeadSelfAttention(nn.Module):
    """Project to queries, keys and values, attend in every head, project back.

    Rows of the projections are ordered by head: head h owns rows h * d_head to (h+1) * d_head.
    """

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None):
        super().__init__()
        d_model, d_kv = config.d_model, config.kv_heads * config.d_head
        self.d_head = config.d_head
        self.attend = ATTENTION[config.attention]
        self.q_proj = Linear(d_model, d_model, generator)
        self.k_proj = Linear(d_model, d_kv, generator)
        self.v_proj = Linear(d_model, d_kv, generator)
        self.output_proj = Linear(d_model, d_model, generator)

    def forward(
        self,
        x: Float[Tensor, "... seq d_model"],
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "... seq d_model"]:
        """Attend within `x`, or, given a cache, to what it holds and then to `x`.

        `rotation` (from `RoPE`) is that of the positions of `x`; None encodes no positions.
        """
        q, k, v = (
            rearrange(project(x), "... seq (heads d) -> ... seq heads d", d=self.d_head)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if rotation is not None:
            cos, sin = rotation
            for_heads = cos.unsqueeze(-2), sin.unsqueeze(-2)
            q, k = rotate(q, for_heads), rotate(k, for_heads)
        # Transposed only now, and so only as views: in memory the heads of a token stay side by
        # side, where the kernel leaves its output and the next product reads it.
        q, k, v = (rearrange(heads, "... seq heads d -> ... heads seq d") for heads in (q, k, v))
        if cache is not None:
            k, v = cache.append(k, v)
        attended = self.attend(q, k, v)
        return self.output_proj(rearrange(attended, "... heads seq d -> ... seq (heads d)"))
