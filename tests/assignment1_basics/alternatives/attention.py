"""Other right ways to rope, scaled_dot_product_attention and multi-head self-attention."""

import torch
from einops import einsum, rearrange

from course.grading.catalogue import alternative


def angles(width, theta, positions):
    return positions[..., None] / theta ** (torch.arange(0, width, 2) / width)


def complex_rope(d_k, theta, max_seq_len, in_query_or_key, token_positions):
    """Pairs are complex numbers; as in Meta's Llama, a table is looked up."""
    table = torch.exp(1j * angles(d_k, theta, torch.arange(max_seq_len)))
    pairs = torch.view_as_complex(
        in_query_or_key.float().reshape(*in_query_or_key.shape[:-1], -1, 2)
    )
    return torch.view_as_real(pairs * table[token_positions]).flatten(-2).to(in_query_or_key.dtype)


def matrix_rope(d_k, theta, max_seq_len, in_query_or_key, token_positions):
    """A block-diagonal rotation matrix for each position, as in the paper's equation 15."""
    angle = angles(d_k, theta, token_positions.double())
    matrix = torch.zeros(*angle.shape[:-1], d_k, d_k, dtype=torch.float64)
    even, odd = torch.arange(0, d_k, 2), torch.arange(1, d_k, 2)
    matrix[..., even, even] = matrix[..., odd, odd] = angle.cos()
    matrix[..., odd, even], matrix[..., even, odd] = angle.sin(), -angle.sin()
    turned = einsum(matrix, in_query_or_key.double(), "... i j, ... j -> ... i")
    return turned.to(in_query_or_key.dtype)


def swapped_rope(d_k, theta, max_seq_len, in_query_or_key, token_positions):
    """x cos + (x with each pair swapped and negated) sin (the paper's equation 34)."""
    angle = angles(d_k, theta, token_positions).repeat_interleave(2, -1)
    x = in_query_or_key
    swapped = rearrange(
        torch.stack((-x[..., 1::2], x[..., 0::2])), "two ... half -> ... (half two)"
    )
    return x * angle.cos() + swapped * angle.sin()


ROPE = [
    alternative("rope", title)(lambda rope=rope: {"run_rope": rope})
    for title, rope in {
        "complex numbers and a table": complex_rope,
        "rotation matrices in float64": matrix_rope,
        "elementwise, each angle twice": swapped_rope,
    }.items()
]


def stable_softmax(x):
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def einsum_attention(Q, K, V, mask=None):
    scores = einsum(Q, K, "... q d, ... k d -> ... q k") * (Q.shape[-1] ** -0.5)
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    return einsum(stable_softmax(scores), V, "... q k, ... k v -> ... q v")


def additive_attention(Q, K, V, mask=None):
    """The mask as a bias of 0 and -inf, weights as exp(score - log-sum-exp)."""
    scores = torch.matmul(Q / Q.shape[-1] ** 0.25, K.mT / K.shape[-1] ** 0.25)
    if mask is not None:
        scores = scores + torch.zeros(mask.shape).masked_fill(mask.logical_not(), -torch.inf)
    return torch.exp(scores - scores.logsumexp(-1, keepdim=True)) @ V


def finite_attention(Q, K, V, mask=None):
    """Hidden scores are -1e9, far enough below any other for exp to give 0."""
    scores = torch.einsum("...qd,...kd->...qk", Q, K) / Q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    return stable_softmax(scores) @ V


def attention_by_query(Q, K, V, mask=None):
    """One query at a time, over the keys it sees only: a loop in place of every mask."""
    leading = Q.shape[:-2]
    if mask is None:
        mask = torch.ones(Q.shape[-2], K.shape[-2], dtype=torch.bool)
    mask = mask.expand(*leading, *mask.shape[-2:]).reshape(-1, *mask.shape[-2:])
    rows = []
    flat = (t.reshape(-1, *t.shape[-2:]) for t in (Q, K, V))
    for queries, keys, values, visible in zip(*flat, mask, strict=True):
        for query, seen in zip(queries, visible, strict=True):
            scores = (keys[seen] * query).sum(-1) / len(query) ** 0.5
            rows.append((stable_softmax(scores)[:, None] * values[seen]).sum(0))
    return torch.stack(rows).reshape(*leading, Q.shape[-2], V.shape[-1])


def online_attention(Q, K, V, mask=None):
    """Key by key with a running maximum and sum (as FlashAttention does, block by block)."""
    maximum = torch.full((*Q.shape[:-1], 1), -1e30)
    total, result = torch.zeros_like(maximum), torch.zeros(*Q.shape[:-1], V.shape[-1])
    for j in range(K.shape[-2]):
        score = (Q * K[..., j : j + 1, :]).sum(-1, keepdim=True) / Q.shape[-1] ** 0.5
        seen = mask[..., j : j + 1] if mask is not None else torch.tensor(True)
        new = torch.where(seen, torch.maximum(maximum, score), maximum).detach()
        weight = torch.where(seen, torch.exp(torch.where(seen, score, new) - new), 0.0)
        decay = torch.exp(maximum - new)
        value = V[..., j : j + 1, :]
        total = total * decay + weight
        result = result * decay + torch.where(seen, weight * value, 0.0)
        maximum = new
    return result / total


ATTENTION = [
    alternative("scaled_dot_product_attention", title)(
        lambda attend=attend: {"run_scaled_dot_product_attention": attend}
    )
    for title, attend in {
        "einsum": einsum_attention,
        "matmul, log-sum-exp, an additive mask of 0 and -inf": additive_attention,
        "hidden scores of -1e9": finite_attention,
        "a loop over queries and the keys each sees": attention_by_query,
        "a running softmax, key by key": online_attention,
    }.items()
]


class AttentionModule(torch.nn.Module):
    """One fused projection in a module; the mask is a buffer made for the longest sequence."""

    def __init__(self, d_model, num_heads, longest=256):
        super().__init__()
        self.num_heads = num_heads
        self.qkv_proj = torch.nn.Parameter(torch.empty(3 * d_model, d_model))
        self.output_proj = torch.nn.Parameter(torch.empty(d_model, d_model))
        self.register_buffer("mask", torch.ones(longest, longest).tril().bool(), persistent=False)

    def forward(self, x, rotate=lambda t: t):
        qkv = rearrange(
            x @ self.qkv_proj.T, "... s (three h d) -> three ... h s d", three=3, h=self.num_heads
        )
        q, k, v = qkv.unbind(0)
        seq = x.shape[-2]
        heads = einsum_attention(rotate(q), rotate(k), v, self.mask[:seq, :seq])
        return rearrange(heads, "... h s d -> ... s (h d)") @ self.output_proj.T


def fused_module(d_model, num_heads, q, k, v, o, x, rotate=lambda t: t):
    layer = AttentionModule(d_model, num_heads)
    layer.load_state_dict({"qkv_proj": torch.cat((q, k, v)), "output_proj": o})
    return layer(x, rotate)


def loop_over_heads(d_model, num_heads, q, k, v, o, x, rotate=lambda t: t):
    """Every head by itself, added into the output through its own columns of o."""
    width, seq = d_model // num_heads, x.shape[-2]
    future = torch.arange(seq)[None, :] > torch.arange(seq)[:, None]
    output = 0
    for head in range(num_heads):
        rows = slice(head * width, (head + 1) * width)
        query, key = (rotate((x @ w[rows].T).unsqueeze(-3)).squeeze(-3) for w in (q, k))
        attended = additive_attention(query, key, x @ v[rows].T, ~future)
        output = output + attended @ o[:, rows].T
    return output


def einsum_multihead(d_model, num_heads, q, k, v, o, x, rotate=lambda t: t):
    """Heads are an index of the weights; nothing is reshaped between the projections."""
    wq, wk, wv = (rearrange(w, "(h d) m -> h d m", h=num_heads) for w in (q, k, v))
    query, key = (rotate(einsum(x, w, "... s m, h d m -> ... h s d")) for w in (wq, wk))
    value = einsum(x, wv, "... s m, h d m -> ... h s d")
    heads = online_attention(query, key, value, torch.ones(x.shape[-2], x.shape[-2]).tril() > 0)
    return einsum(
        heads, rearrange(o, "m (h d) -> h d m", h=num_heads), "... h s d, h d m -> ... s m"
    )


def token_by_token(d_model, num_heads, q, k, v, o, x, rotate=lambda t: t):
    """The last token's attention over a growing prefix: no mask anywhere."""
    query, key, value = (
        (x @ w.T).unflatten(-1, (num_heads, -1)).movedim(-2, -3) for w in (q, k, v)
    )
    query, key = rotate(query), rotate(key)
    tokens = [
        einsum_attention(query[..., t : t + 1, :], key[..., : t + 1, :], value[..., : t + 1, :])
        for t in range(x.shape[-2])
    ]
    return torch.cat(tokens, -2).movedim(-3, -2).flatten(-2) @ o.T


ROADS = {
    "one fused projection in a module": (fused_module, complex_rope),
    "a loop over heads": (loop_over_heads, swapped_rope),
    "einsum over heads": (einsum_multihead, matrix_rope),
    "token by token without a mask": (token_by_token, complex_rope),
}

MULTIHEAD = [
    alternative("multihead_self_attention", title)(
        lambda road=road: {"run_multihead_self_attention": road}
    )
    for title, (road, _) in ROADS.items()
]


def with_rope(road, rope):
    def run(d_model, num_heads, max_seq_len, theta, q, k, v, o, x, token_positions=None):
        positions = torch.arange(x.shape[-2]) if token_positions is None else token_positions
        positions = positions.expand(x.shape[:-1]).unsqueeze(-2)

        def rotate(t):
            return rope(t.shape[-1], theta, max_seq_len, t, positions.expand(t.shape[:-1]))

        return road(d_model, num_heads, q, k, v, o, x, rotate)

    return run


MULTIHEAD_WITH_ROPE = [
    alternative("multihead_self_attention_with_rope", title)(
        lambda road=road, rope=rope: {
            "run_multihead_self_attention_with_rope": with_rope(road, rope)
        }
    )
    for title, (road, rope) in ROADS.items()
]
