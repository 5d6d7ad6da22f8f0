"""The model in float64, built on PyTorch's own operations: the truth that the tests compare with.

Nothing here is shared with the reference. `reference/test_oracles.py` compares these functions with
`torch.nn.MultiheadAttention` and with Hugging Face's Llama, so the truth itself is checked.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5  # of every RMSNorm in the block and in the language model


def rms_norm(x: Tensor, gain: Tensor, eps: float = EPS) -> Tensor:
    return F.rms_norm(x.double(), x.shape[-1:], gain.double(), eps)


def swiglu(x: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
    x = x.double()
    return F.linear(F.silu(F.linear(x, w1.double())) * F.linear(x, w3.double()), w2.double())


def rope(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Multiply the pair (2i, 2i+1), read as a complex number, by e^(j position theta^(-2i/d))."""
    width = x.shape[-1]
    frequency = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = positions.double()[..., None] * frequency
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


def rope_of_halves(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Hugging Face's convention: element i is paired with element i + d/2."""
    width = x.shape[-1]
    neighbours = x.unflatten(-1, (2, width // 2)).transpose(-1, -2).flatten(-2)
    turned = rope(neighbours, positions, theta)
    return turned.unflatten(-1, (width // 2, 2)).transpose(-1, -2).flatten(-2)


def self_attention(
    x: Tensor,
    wq: Tensor,
    wk: Tensor,
    wv: Tensor,
    wo: Tensor,
    num_heads: int,
    theta: float | None = None,
    positions: Tensor | None = None,
    num_kv_heads: int | None = None,
    rotate=rope,
) -> Tensor:
    """Causal self-attention; `theta=None` leaves out RoPE, `positions` are `seq` or `... seq`."""
    kv_heads = num_kv_heads or num_heads
    q, k, v = (
        F.linear(x.double(), w.double()).unflatten(-1, (heads, -1)).transpose(-2, -3)
        for w, heads in ((wq, num_heads), (wk, kv_heads), (wv, kv_heads))
    )
    if theta is not None:
        positions = torch.arange(x.shape[-2]) if positions is None else positions
        per_head = positions if positions.ndim == 1 else positions.unsqueeze(-2)
        q, k = rotate(q, per_head, theta), rotate(k, per_head, theta)
    k, v = (t.repeat_interleave(num_heads // kv_heads, dim=-3) for t in (k, v))
    heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(heads.transpose(-2, -3).flatten(-2), wo.double())


def block(x: Tensor, weights: dict[str, Tensor], num_heads: int, theta: float, **options) -> Tensor:
    """One pre-norm block; `options` go to `self_attention`."""
    attention = [weights[f"attn.{name}_proj.weight"] for name in ("q", "k", "v", "output")]
    feed_forward = [weights[f"ffn.{name}.weight"] for name in ("w1", "w2", "w3")]
    x = x.double()
    x = x + self_attention(
        rms_norm(x, weights["ln1.weight"]), *attention, num_heads, theta, **options
    )
    return x + swiglu(rms_norm(x, weights["ln2.weight"]), *feed_forward)


def language_model(
    ids: Tensor,
    weights: dict[str, Tensor],
    num_layers: int,
    num_heads: int,
    theta: float,
    **options,
) -> Tensor:
    """The logits of the whole model; `options` go to `self_attention`."""
    x = F.embedding(ids, weights["token_embeddings.weight"].double())
    for layer in range(num_layers):
        prefix = f"layers.{layer}."
        own = {name.removeprefix(prefix): w for name, w in weights.items() if prefix in name}
        x = block(x, own, num_heads, theta, **options)
    return F.linear(rms_norm(x, weights["ln_final.weight"]), weights["lm_head.weight"].double())


def next_token_distribution(
    logits: list[float],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> list[float]:
    """The rules of decoding for one row of logits, step by step in plain Python."""
    if temperature == 0:
        best = logits.index(max(logits))
        return [float(token == best) for token in range(len(logits))]
    largest = max(logits)
    weight = {token: math.exp((z - largest) / temperature) for token, z in enumerate(logits)}
    ranked = sorted(weight, key=lambda token: -weight[token])
    kept = ranked if top_k is None else ranked[:top_k]
    if top_p is not None:
        total = math.fsum(weight[token] for token in kept)
        sums = [math.fsum(weight[t] for t in kept[: n + 1]) / total for n in range(len(kept))]
        needed = 1 + sum(so_far < top_p for so_far in sums[:-1])
        kept = kept[:needed]
    if min_p is not None:
        kept = [token for token in kept if weight[token] >= min_p * weight[kept[0]]]
    total = math.fsum(weight[token] for token in kept)
    return [weight[token] / total if token in kept else 0.0 for token in range(len(logits))]
