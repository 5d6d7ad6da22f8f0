"""Mistakes in multi-head self-attention, without and with RoPE."""

from functools import partial

import torch

from tests.assignment1_basics.parts import (
    angles_of,
    attention,
    halves,
    join_halves,
    merge_heads,
    multihead,
    multihead_rope,
    rope,
    split_heads,
    wrong,
)


def bad_multihead(title: str, says: str, **part):
    run = partial(multihead, **part)
    return wrong("multihead_self_attention", title, says, run_multihead_self_attention=run)


def bad_multihead_rope(title: str, says: str, **part):
    run = partial(multihead_rope, **part)
    problem = "multihead_self_attention_with_rope"
    return wrong(problem, title, says, run_multihead_self_attention_with_rope=run)


def rope_before_split(d_model, n, max_seq_len, theta, q, k, v, o, x, token_positions=None):
    p = torch.arange(x.shape[-2]) if token_positions is None else token_positions

    def turn(*qkv):
        q, k = (rope(d_model, theta, max_seq_len, merge_heads(t), p) for t in qkv[:2])
        return split_heads(q, n), split_heads(k, n), qkv[2]

    return multihead(d_model, n, q, k, v, o, x, turn=turn)


def rope_before_projection(d_model, n, max_seq_len, theta, q, k, v, o, x, token_positions=None):
    p = torch.arange(x.shape[-2]) if token_positions is None else token_positions
    return multihead(d_model, n, q, k, v, o, rope(d_model, theta, max_seq_len, x, p))


MULTIHEAD = [
    bad_multihead(
        "there is no causal mask",
        "token t sees tokens 0 to t only",
        mask=lambda q, k: torch.ones(q, k, dtype=torch.bool),
    ),
    bad_multihead(
        "the causal mask hides the token itself",
        "the diagonal is visible: torch.tril, which includes it",
        mask=lambda q, k: torch.ones(q, k).tril(-1).bool() | (torch.arange(q * k).view(q, k) == 0),
    ),
    bad_multihead(
        "the causal mask shows one token of the future",
        "the diagonal is the last visible key: triu(diagonal=1) is what is hidden",
        mask=lambda q, k: torch.ones(q, k).tril(1).bool(),
    ),
    bad_multihead(
        "the causal mask is upside down",
        "rows are queries: True on and BELOW the diagonal (tril)",
        mask=lambda q, k: torch.ones(q, k).triu().bool(),
    ),
    bad_multihead(
        "there is only one head",
        "split d_model into num_heads heads, each with its own softmax",
        split=lambda x, n: split_heads(x, 1),
    ),
    bad_multihead(
        "heads take every num_heads-th row",
        "head h owns the rows h * d_head to (h+1) * d_head, a block: '(h d) -> h d'",
        split=lambda x, n: x.unflatten(-1, (-1, n)).movedim(-1, -3),
        merge=lambda x: x.movedim(-3, -1).flatten(-2),
    ),
    bad_multihead(
        "heads are split without a transpose",
        "view as [seq heads d_head] and then transpose; viewing as [heads seq d_head] mixes tokens",
        split=lambda x, n: x.reshape(*x.shape[:-2], n, x.shape[-2], -1),
        merge=lambda x: x.reshape(*x.shape[:-3], x.shape[-2], -1),
    ),
    bad_multihead(
        "heads are joined without a transpose",
        "transpose [heads seq d_head] back to [seq heads d_head] before joining",
        merge=lambda x: x.reshape(*x.shape[:-3], x.shape[-2], -1),
    ),
    bad_multihead(
        "heads attend to each other instead of tokens",
        "the tokens stand before d_head: transpose to [heads seq d_head] first",
        split=lambda x, n: x.unflatten(-1, (n, -1)),
        merge=lambda x: x.flatten(-2),
    ),
    bad_multihead(
        "the heads are averaged",
        "heads are put side by side, not averaged",
        merge=lambda x: x.mean(-3).repeat_interleave(x.shape[-3], -1),
    ),
    bad_multihead(
        "the output projection is missing",
        "multiply the joined heads by o_proj_weight^T",
        project_out=lambda x, w: x,
    ),
    bad_multihead(
        "the output projection is not transposed",
        "rows are outputs in o_proj_weight too: x W^T",
        project_out=lambda x, w: x @ w,
    ),
    bad_multihead(
        "the scale is that of d_model",
        "scores are divided by sqrt(d_head), d_head = d_model / num_heads",
        turn=lambda q, k, v: (q / q.shape[-3] ** 0.5, k, v),
    ),
    bad_multihead(
        "the scores are not scaled",
        "divide the scores by sqrt(d_head)",
        attend=partial(attention, scale=lambda q, k, v: 1.0),
    ),
    bad_multihead(
        "the scores are scaled twice",
        "scaled_dot_product_attention scales already",
        turn=lambda q, k, v: (q / q.shape[-1] ** 0.5, k, v),
    ),
    bad_multihead(
        "queries and keys are exchanged",
        "queries come from q_proj_weight, keys from k_proj_weight",
        turn=lambda q, k, v: (k, q, v),
    ),
    bad_multihead(
        "the keys are used as values",
        "values come from v_proj_weight",
        turn=lambda q, k, v: (q, k, k),
    ),
    bad_multihead(
        "all heads use the keys of the first",
        "every head has its own rows of k_proj_weight",
        turn=lambda q, k, v: (q, k[..., :1, :, :].expand_as(k), v),
    ),
    wrong(
        "multihead_self_attention",
        "the projections are not transposed",
        "rows are outputs: x W^T",
        run_multihead_self_attention=lambda d, n, q, k, v, o, x: multihead(
            d, n, q.T, k.T, v.T, o, x
        ),
    ),
    wrong(
        "multihead_self_attention",
        "several leading dimensions become one",
        "in_features is [... seq d_model] with any leading dimensions",
        run_multihead_self_attention=lambda d, n, q, k, v, o, x: multihead(
            d, n, q, k, v, o, x.reshape(-1, *x.shape[-2:])
        ),
    ),
    wrong(
        "multihead_self_attention",
        "the rows of the batch see each other",
        "attention stays within a row of the batch",
        run_multihead_self_attention=lambda d, n, q, k, v, o, x: multihead(
            d, n, q, k, v, o, x.reshape(-1, d)
        ).reshape(x.shape),
    ),
    bad_multihead(
        "keys and values are detached",
        "queries, keys and values are all trained",
        turn=lambda q, k, v: (q, k.detach(), v.detach()),
    ),
]
MULTIHEAD_ROPE = [
    bad_multihead_rope("the values are rotated too", "rotate queries and keys only", turned="qkv"),
    bad_multihead_rope("the keys are not rotated", "rotate the keys as well", turned="q"),
    bad_multihead_rope(
        "queries and keys are not rotated along the sequence",
        "apply RoPE to queries and keys as [... heads seq d_head] (seq before d_head, not heads)",
        turned="",
    ),
    bad_multihead_rope(
        "token_positions are ignored",
        "use token_positions where they are given",
        broadcast=lambda p: torch.arange(p.shape[-1]),
    ),
    bad_multihead_rope(
        "positions of the first row are used for all",
        "row b of token_positions belongs to row b of the batch",
        broadcast=lambda p: p.reshape(-1, p.shape[-1])[0],
    ),
    bad_multihead_rope(
        "positions of a row go to a head",
        "[batch seq] meets [batch heads seq d_head]: give the positions a dimension for the heads",
        broadcast=lambda p: p,
    ),
    bad_multihead_rope(
        "theta is always 10000",
        "pass the argument theta on to RoPE",
        rotate=lambda d, theta, n, x, p: rope(d, 10_000.0, n, x, p),
    ),
    bad_multihead_rope(
        "the frequencies are those of d_model",
        "RoPE works within a head: its d_k is d_head",
        rotate=lambda d, theta, n, x, p: rope(
            d * x.shape[-3], theta, n, x, p, angles=lambda *a: angles_of(*a)[..., : d // 2]
        ),
    ),
    wrong(
        "multihead_self_attention_with_rope",
        "RoPE comes before the split into heads",
        "split into heads first: otherwise later heads get only the slow angles",
        run_multihead_self_attention_with_rope=rope_before_split,
    ),
    wrong(
        "multihead_self_attention_with_rope",
        "the input is rotated instead of queries and keys",
        "project first, then rotate q and k of each head",
        run_multihead_self_attention_with_rope=rope_before_projection,
    ),
    bad_multihead_rope(
        "halves are paired instead of neighbours",
        "neighbours (2i, 2i+1) form a pair",
        rotate=partial(rope, take=halves, join=join_halves),
    ),
    bad_multihead_rope(
        "there is no causal mask",
        "the mask stays causal with RoPE",
        mask=lambda q, k: torch.ones(q, k, dtype=torch.bool),
    ),
]
