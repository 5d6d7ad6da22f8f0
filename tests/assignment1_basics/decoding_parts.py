"""Decoding and interchange cut into parts that can be exchanged one by one (see `parts`)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from tests.assignment1_basics.model_weights import LLAMA_NAMES
from tests.assignment1_basics.parts import (
    attention,
    causal,
    merge_heads,
    rope,
    softmax,
    split_heads,
)


def cached_attention(
    d_model: int,
    num_heads: int,
    max_seq_len: int,
    theta: float,
    q_proj_weight: Tensor,
    k_proj_weight: Tensor,
    v_proj_weight: Tensor,
    o_proj_weight: Tensor,
    chunks: Iterable[Tensor],
    *,
    start: Callable = lambda seen, number: seen,
    keep: Callable = lambda old, new: torch.cat((old, new), -2),
    mask: Callable = causal,
    rotate_cached: bool = False,
) -> list[Tensor]:
    keys = values = None
    seen, outputs = 0, []
    for number, chunk in enumerate(chunks):
        q, k, v = (
            split_heads(chunk @ w.T, num_heads)
            for w in (q_proj_weight, k_proj_weight, v_proj_weight)
        )
        first, new = start(seen, number), chunk.shape[1]
        positions = torch.arange(first, first + new)
        q, k = (rope(x.shape[-1], theta, max_seq_len, x, positions) for x in (q, k))
        keys, values = (k, v) if keys is None else (keep(keys, k), keep(values, v))
        seen += new
        if rotate_cached and number:
            every = torch.arange(keys.shape[-2])
            keys = rope(k.shape[-1], theta, max_seq_len, keys, every)
        attended = attention(q, keys, values, mask(new, keys.shape[-2]))
        outputs.append(merge_heads(attended) @ o_proj_weight.T)
    return outputs


def ranked(p: Tensor) -> tuple[Tensor, Tensor]:
    return p.sort(-1, descending=True)


def normalised(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True)


def keep_top_k(p: Tensor, k: int) -> Tensor:
    return normalised(torch.zeros_like(p).scatter(-1, *reversed(p.topk(k, -1))))


def keep_top_p(
    p: Tensor, top_p: float, inside: Callable = lambda values, sums, top_p: sums - values < top_p
) -> Tensor:
    values, order = ranked(p)
    kept = values * inside(values, values.cumsum(-1), top_p)
    return normalised(torch.zeros_like(p).scatter(-1, order, kept))


def keep_min_p(p: Tensor, min_p: float) -> Tensor:
    return normalised(p * (p >= min_p * p.amax(-1, keepdim=True)))


def next_token_distribution(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    *,
    greedy: Callable = lambda x: torch.zeros_like(x).scatter(-1, x.argmax(-1, keepdim=True), 1.0),
    warm: Callable = lambda x, t: softmax(x / t),
    cut_k: Callable = keep_top_k,
    cut_p: Callable = keep_top_p,
    cut_min: Callable = keep_min_p,
    order: tuple[str, ...] = ("k", "p", "min"),
) -> Tensor:
    if temperature == 0:
        return greedy(logits)
    p = warm(logits, temperature)
    cuts = {"k": (cut_k, top_k), "p": (cut_p, top_p), "min": (cut_min, min_p)}
    for name in order:
        cut, limit = cuts[name]
        p = p if limit is None else cut(p, limit)
    return p


def generate(
    next_token_logits: Callable[[list[int]], Tensor],
    prompt_ids: list[int],
    max_new_tokens: int,
    temperature: float,
    stop_token_ids: set[int],
    generator: torch.Generator,
    *,
    see: Callable = lambda ids, prompt: list(ids),
    draw: Callable = lambda p, generator: torch.multinomial(p, 1, generator=generator),
    stops: Callable = lambda token, stop_token_ids: token in stop_token_ids,
    result: Callable = lambda ids, prompt, stopped: ids[len(prompt) :],
) -> list[int]:
    ids, stopped = list(prompt_ids), False
    while not stopped and len(ids) - len(prompt_ids) < max_new_tokens:
        logits = next_token_logits(see(ids, prompt_ids))
        ids.append(int(draw(next_token_distribution(logits, temperature), generator)))
        stopped = stops(ids[-1], stop_token_ids)
    return result(ids, prompt_ids, stopped)


def neighbours(weight: Tensor, heads: int) -> Tensor:
    """Rows i and i + d_head/2 of each head become neighbours."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)


def import_llama(
    state_dict: dict[str, Tensor],
    num_heads: int,
    num_kv_heads: int,
    *,
    permute: Callable = neighbours,
    heads_of: Callable = lambda name, heads, kv: {"q_proj": heads, "k_proj": kv}.get(name),
    names: dict[str, str] = LLAMA_NAMES,
    output: str = "model.embed_tokens.weight",
) -> dict[str, Tensor]:
    ours = {
        "token_embeddings.weight": state_dict["model.embed_tokens.weight"],
        "ln_final.weight": state_dict["model.norm.weight"],
    }
    if "lm_head.weight" in state_dict or output:
        ours["lm_head.weight"] = state_dict.get("lm_head.weight", state_dict.get(output))
    for key, weight in state_dict.items():
        if key.startswith("model.layers.") and "rotary" not in key:
            _, _, layer, name = key.removesuffix(".weight").split(".", 3)
            heads = heads_of(name.split(".")[-1], num_heads, num_kv_heads)
            ours[f"layers.{layer}.{names[name]}.weight"] = (
                permute(weight, heads) if heads else weight
            )
    return ours
