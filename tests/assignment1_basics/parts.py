"""The model cut into parts that can be exchanged one by one: what mistakes are built from.

Each function has its adapter's signature and is right as it stands; keyword arguments replace one
part, so that a mistake is wrong in that part only. It is no oracle, and shares nothing with the
reference.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course.grading.catalogue import Mistake, mistake


def wrong(problem: str, title: str, says: str, **adapters: Callable) -> Mistake:
    """A mistake of `problem`, made in the given adapters."""
    return mistake(problem, title, says=says)(lambda: adapters)


def linear(d_in: int, d_out: int, weights: Tensor, in_features: Tensor) -> Tensor:
    return in_features @ weights.T


def rmsnorm(
    d_model: int,
    eps: float,
    weights: Tensor,
    in_features: Tensor,
    *,
    size: Callable = lambda x, eps: (x.square().mean(-1, keepdim=True) + eps).sqrt(),
    gain: Callable = lambda x, w: x * w,
    compute_dtype: torch.dtype | None = torch.float32,
) -> Tensor:
    x = in_features.to(compute_dtype or in_features.dtype)
    return gain(x / size(x, eps), weights).to(in_features.dtype)


def swiglu(
    d_model: int,
    d_ff: int,
    w1_weight: Tensor,
    w2_weight: Tensor,
    w3_weight: Tensor,
    in_features: Tensor,
    *,
    gate: Callable = lambda a, b: a * torch.sigmoid(a) * b,
) -> Tensor:
    return gate(in_features @ w1_weight.T, in_features @ w3_weight.T) @ w2_weight.T


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def angles_of(d_k: int, theta: float, max_seq_len: int, positions: Tensor) -> Tensor:
    return positions[..., None] * theta ** (-torch.arange(0, d_k, 2) / d_k)


def rope(
    d_k: int,
    theta: float,
    max_seq_len: int,
    in_query_or_key: Tensor,
    token_positions: Tensor,
    *,
    angles: Callable = angles_of,
    turn: Callable = lambda a, b, cos, sin: (a * cos - b * sin, a * sin + b * cos),
    take: Callable = lambda x: (x[..., 0::2], x[..., 1::2]),
    join: Callable = lambda a, b: torch.stack((a, b), -1).flatten(-2),
) -> Tensor:
    angle = angles(d_k, theta, max_seq_len, token_positions)
    return join(*turn(*take(in_query_or_key), angle.cos(), angle.sin()))


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.chunk(2, -1)


def join_halves(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat((a, b), -1)


def causal(queries: int, keys: int) -> Tensor:
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def attention(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    mask: Tensor | None = None,
    *,
    scale: Callable = lambda q, k, v: q.shape[-1] ** -0.5,
    hide: Callable = lambda scores, mask: scores.masked_fill(~mask, -torch.inf),
    probabilities: Callable = softmax,
    after: Callable = lambda p, mask: p,
) -> Tensor:
    scores = Q @ K.transpose(-1, -2) * scale(Q, K, V)
    if mask is not None:
        scores = hide(scores, mask)
    return after(probabilities(scores), mask) @ V


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).transpose(-2, -3)


def merge_heads(x: Tensor) -> Tensor:
    return x.transpose(-2, -3).flatten(-2)


def multihead(
    d_model: int,
    num_heads: int,
    q_proj_weight: Tensor,
    k_proj_weight: Tensor,
    v_proj_weight: Tensor,
    o_proj_weight: Tensor,
    in_features: Tensor,
    *,
    split: Callable = split_heads,
    merge: Callable = merge_heads,
    mask: Callable = causal,
    attend: Callable = attention,
    turn: Callable = lambda q, k, v: (q, k, v),
    project_out: Callable = lambda x, w: x @ w.T,
) -> Tensor:
    q, k, v = (
        split(in_features @ w.T, num_heads) for w in (q_proj_weight, k_proj_weight, v_proj_weight)
    )
    q, k, v = turn(q, k, v)
    heads = attend(q, k, v, mask(q.shape[-2], k.shape[-2]))
    return project_out(merge(heads), o_proj_weight)


def per_head(positions: Tensor) -> Tensor:
    return positions if positions.ndim == 1 else positions.unsqueeze(-2)


def multihead_rope(
    d_model: int,
    num_heads: int,
    max_seq_len: int,
    theta: float,
    q_proj_weight: Tensor,
    k_proj_weight: Tensor,
    v_proj_weight: Tensor,
    o_proj_weight: Tensor,
    in_features: Tensor,
    token_positions: Tensor | None = None,
    *,
    broadcast: Callable = per_head,
    turned: str = "qk",
    rotate: Callable = rope,
    **parts: Callable,
) -> Tensor:
    if token_positions is None:
        token_positions = torch.arange(in_features.shape[-2])

    def turn(*qkv: Tensor) -> list[Tensor]:
        positions = broadcast(token_positions)
        return [
            rotate(x.shape[-1], theta, max_seq_len, x, positions) if name in turned else x
            for name, x in zip("qkv", qkv, strict=True)
        ]

    matrices = (q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight)
    return multihead(d_model, num_heads, *matrices, in_features, **{"turn": turn} | parts)


def pre_norm(x: Tensor, ln1: Callable, attend: Callable, ln2: Callable, feed: Callable) -> Tensor:
    x = x + attend(ln1(x))
    return x + feed(ln2(x))


def block(
    d_model: int,
    num_heads: int,
    d_ff: int,
    max_seq_len: int,
    theta: float,
    weights: dict[str, Tensor],
    in_features: Tensor,
    *,
    compose: Callable = pre_norm,
    attend: Callable = multihead_rope,
    feed: Callable = swiglu,
    norm: Callable = rmsnorm,
    eps: float = 1e-5,
) -> Tensor:
    projections = [weights[f"attn.{name}_proj.weight"] for name in ("q", "k", "v", "output")]
    matrices = [weights[f"ffn.{name}.weight"] for name in ("w1", "w2", "w3")]
    return compose(
        in_features,
        lambda x: norm(d_model, eps, weights["ln1.weight"], x),
        lambda x: attend(d_model, num_heads, max_seq_len, theta, *projections, x),
        lambda x: norm(d_model, eps, weights["ln2.weight"], x),
        lambda x: feed(d_model, d_ff, *matrices, x),
    )


def language_model(
    vocab_size: int,
    context_length: int,
    d_model: int,
    num_layers: int,
    num_heads: int,
    d_ff: int,
    rope_theta: float,
    weights: dict[str, Tensor],
    in_indices: Tensor,
    *,
    embed: Callable = lambda weights, ids: weights["token_embeddings.weight"][ids],
    order: Callable = range,
    layer: Callable = block,
    norm: Callable = rmsnorm,
    head: Callable = lambda weights, x: x @ weights["lm_head.weight"].T,
) -> Tensor:
    x = embed(weights, in_indices)
    for number in order(num_layers):
        prefix = f"layers.{number}."
        own = {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
        x = layer(d_model, num_heads, d_ff, context_length, rope_theta, own, x)
    return head(weights, norm(d_model, 1e-5, weights["ln_final.weight"], x))
