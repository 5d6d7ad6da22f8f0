"""Mistakes in kv_cache."""

from functools import partial

import torch

from tests.assignment1_basics.decoding_parts import cached_attention
from tests.assignment1_basics.parts import (
    attention,
    causal,
    merge_heads,
    multihead_rope,
    rope,
    split_heads,
    wrong,
)


def bad_cache(title: str, says: str, **part):
    run = partial(cached_attention, **part)
    return wrong("kv_cache", title, says, run_attention_with_kv_cache=run)


def whole_prefix_each_time(d, n, max_seq_len, theta, q, k, v, o, chunks):
    """No cache: right, and quadratic in projections."""
    seen, outputs = [], []
    for chunk in chunks:
        seen.append(chunk)
        x = torch.cat(seen, 1)
        outputs.append(
            multihead_rope(d, n, max_seq_len, theta, q, k, v, o, x)[:, -chunk.shape[1] :]
        )
    return outputs


def keys_of_the_prefix_each_time(d, n, max_seq_len, theta, q, k, v, o, chunks):
    """Inputs are cached instead of keys and values, which are projected again."""
    outputs, seen = [], None
    for chunk in chunks:
        seen = chunk if seen is None else torch.cat((seen, chunk), 1)
        place = torch.arange(seen.shape[1])
        query = split_heads(chunk @ q.T, n)
        query = rope(d // n, theta, max_seq_len, query, place[-chunk.shape[1] :])
        key = rope(d // n, theta, max_seq_len, split_heads(seen @ k.T, n), place)
        mask = causal(query.shape[-2], len(place))
        heads = attention(query, key, split_heads(seen @ v.T, n), mask)
        outputs.append(merge_heads(heads) @ o.T)
    return outputs


def all_chunks_at_once(d, n, max_seq_len, theta, q, k, v, o, chunks):
    chunks = list(chunks)
    x = multihead_rope(d, n, max_seq_len, theta, q, k, v, o, torch.cat(chunks, 1))
    return list(x.split([chunk.shape[1] for chunk in chunks], 1))


CACHE = [
    bad_cache(
        "positions restart at 0 in every chunk",
        "a new token's position is the number of tokens before it",
        start=lambda seen, number: 0,
    ),
    bad_cache(
        "positions count chunks instead of tokens",
        "after a prompt of p tokens the next position is p",
        start=lambda seen, number: number,
    ),
    bad_cache(
        "positions are one too far after the prompt",
        "after p tokens (0 to p - 1) the next position is p",
        start=lambda seen, number: seen + (number > 0),
    ),
    bad_cache(
        "the cache is overwritten",
        "append to the cache; a chunk also sees all earlier chunks",
        keep=lambda old, new: new,
    ),
    bad_cache(
        "new tokens do not see themselves",
        "append the new keys and values first, then attend",
        mask=lambda q, k: causal(q, k) if q == k else torch.ones(q, k).tril(k - q - 1).bool(),
    ),
    bad_cache(
        "later chunks have no causal mask",
        "within a chunk of several tokens the mask is causal",
        mask=lambda q, k: causal(q, k) if q == k else torch.ones(q, k, dtype=torch.bool),
    ),
    bad_cache(
        "the prompt has no causal mask",
        "the prompt is attended to causally",
        mask=lambda q, k: torch.ones(q, k, dtype=torch.bool) if q == k else causal(q, k),
    ),
    bad_cache(
        "the causal mask starts at the first key",
        "query i of a chunk is token (tokens before) + i: shift the triangle by the cache's length",
        mask=lambda q, k: torch.ones(q, k).tril().bool(),
    ),
    bad_cache(
        "cached keys are rotated again",
        "cache the keys after RoPE, and do not rotate them a second time",
        rotate_cached=True,
    ),
    bad_cache(
        "new keys are put in front of the cache",
        "keys and values stay in the order of the tokens",
        keep=lambda old, new: torch.cat((new, old), -2),
    ),
    bad_cache(
        "only the prompt is kept",
        "every new token's key and value go into the cache as well",
        keep=lambda old, new: torch.cat((old[..., :3, :], new), -2),
    ),
    wrong(
        "kv_cache",
        "everything is computed again for every chunk",
        "project the new chunk only; earlier keys and values come from the cache",
        run_attention_with_kv_cache=whole_prefix_each_time,
    ),
    wrong(
        "kv_cache",
        "keys and values of the past are projected again",
        "cache the keys and values themselves, not the inputs",
        run_attention_with_kv_cache=keys_of_the_prefix_each_time,
    ),
    wrong(
        "kv_cache",
        "all chunks are computed at once",
        "in generation the next chunk does not exist yet: compute each when it arrives",
        run_attention_with_kv_cache=all_chunks_at_once,
    ),
    wrong(
        "kv_cache",
        "all chunks are collected first",
        "list(chunks) waits for chunks that depend on outputs: compute each when it arrives",
        run_attention_with_kv_cache=lambda *args: cached_attention(*args[:-1], list(args[-1])),
    ),
    wrong(
        "kv_cache",
        "one output for all chunks",
        "return a list with one output for every chunk",
        run_attention_with_kv_cache=lambda *args: [torch.cat(cached_attention(*args), 1)],
    ),
    wrong(
        "kv_cache",
        "only the last token of a chunk is returned",
        "every token of a chunk has an output: [batch chunk d_model]",
        run_attention_with_kv_cache=lambda *args: [x[:, -1:] for x in cached_attention(*args)],
    ),
]
