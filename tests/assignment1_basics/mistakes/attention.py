"""Mistakes in rope and scaled_dot_product_attention."""

from functools import partial

import torch

from tests.assignment1_basics.parts import (
    angles_of,
    attention,
    halves,
    join_halves,
    rope,
    softmax,
    wrong,
)


def bad_rope(title: str, says: str, **part):
    return wrong("rope", title, says, run_rope=partial(rope, **part))


def bad_attention(title: str, says: str, **part):
    run = partial(attention, **part)
    return wrong("scaled_dot_product_attention", title, says, run_scaled_dot_product_attention=run)


ROPE = [
    bad_rope(
        "halves are paired instead of neighbours",
        "pair (2i, 2i+1); pairing i with i + d_k/2 is Hugging Face's convention",
        take=halves,
        join=join_halves,
    ),
    bad_rope(
        "the rotated pairs are not put back in their places",
        "neighbours stay neighbours: stack on a new last dimension and flatten, do not concatenate",
        join=join_halves,
    ),
    bad_rope(
        "token_positions are ignored",
        "the angle comes from token_positions, not from the place in the tensor",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, torch.arange(p.shape[-1])),
    ),
    bad_rope(
        "positions of the first row are used for all",
        "every row of the batch has its own token_positions",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, p.reshape(-1, p.shape[-1])[0]),
    ),
    bad_rope(
        "positions count from 1",
        "the first position is 0, where nothing is rotated",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, p + 1),
    ),
    bad_rope(
        "positions are cut at half of max_seq_len",
        "positions reach max_seq_len - 1: build the whole table",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, p.clamp(max=n // 2)),
    ),
    bad_rope(
        "positions are scaled by max_seq_len",
        "the angle is position * frequency; max_seq_len only sizes a table",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, p / n),
    ),
    bad_rope(
        "theta is always 10000",
        "use the argument theta",
        angles=lambda d, theta, n, p: angles_of(d, 10_000.0, n, p),
    ),
    bad_rope(
        "the exponent is i/d_k instead of 2i/d_k",
        "pair i = 0, 1, ... turns by theta^(-2i/d_k)",
        angles=lambda d, theta, n, p: p[..., None] * theta ** (-torch.arange(d // 2) / d),
    ),
    bad_rope(
        "the exponent is 4i/d_k instead of 2i/d_k",
        "pair i turns by theta^(-2i/d_k): do not double an arange that steps by 2",
        angles=lambda d, theta, n, p: p[..., None] * theta ** (-2 * torch.arange(0, d, 2) / d),
    ),
    bad_rope(
        "the exponent is rounded to an integer",
        "2i/d_k is a fraction: divide with /, not with //",
        angles=lambda d, theta, n, p: (
            p[..., None] * theta ** (-(torch.arange(0, d, 2) // d).float())
        ),
    ),
    bad_rope(
        "the exponent has the wrong sign",
        "theta^(-2i/d_k): later pairs turn more slowly",
        angles=lambda d, theta, n, p: p[..., None] * theta ** (torch.arange(0, d, 2) / d),
    ),
    bad_rope(
        "the frequencies are in reverse order",
        "pair 0 turns fastest, by one radian a position",
        angles=lambda d, theta, n, p: angles_of(d, theta, n, p).flip(-1),
    ),
    bad_rope(
        "the rotation goes backwards",
        "(a cos - b sin, a sin + b cos): the sign belongs to the first element's sine",
        turn=lambda a, b, cos, sin: (a * cos + b * sin, b * cos - a * sin),
    ),
    bad_rope(
        "this is a reflection",
        "the second element is a sin + b cos",
        turn=lambda a, b, cos, sin: (a * cos - b * sin, a * sin - b * cos),
    ),
    bad_rope(
        "sine and cosine are exchanged",
        "position 0 has cos = 1 and sin = 0: nothing is rotated there",
        turn=lambda a, b, cos, sin: (a * sin - b * cos, a * cos + b * sin),
    ),
    bad_rope(
        "the second element uses the first one's new value",
        "compute both from the old pair before writing either",
        turn=lambda a, b, cos, sin: ((c := a * cos - b * sin), c * sin + b * cos),
    ),
    bad_rope(
        "the angles are added to the input",
        "RoPE multiplies by a rotation, it adds nothing",
        turn=lambda a, b, cos, sin: (a + cos, b + sin),
    ),
    wrong(
        "rope",
        "the angles have the dtype of the input",
        "in bfloat16 position 257 is 256: compute angles, cos and sin in float32",
        run_rope=lambda d, theta, n, x, p: rope(
            d,
            theta,
            n,
            x,
            p,
            angles=lambda d, theta, n, p: angles_of(d, theta, n, p.to(x.dtype)).to(x.dtype),
        ),
    ),
    wrong(
        "rope",
        "the table is bfloat16",
        "keep cos and sin in float32, or 8 bits of each are all that is left",
        run_rope=partial(
            rope,
            turn=lambda a, b, cos, sin: (
                a * cos.bfloat16() - b * sin.bfloat16(),
                a * sin.bfloat16() + b * cos.bfloat16(),
            ),
        ),
    ),
    wrong(
        "rope",
        "the result has no gradient",
        "only the table is constant; do not detach the rotated input",
        run_rope=lambda d, theta, n, x, p: rope(d, theta, n, x.detach(), p),
    ),
    wrong(
        "rope",
        "the input is rotated in place",
        "write into a new tensor: the caller's must stay as it is",
        run_rope=lambda d, theta, n, x, p: (
            rope(d, theta, n, x, p) if x.requires_grad else x.copy_(rope(d, theta, n, x, p))
        ),
    ),
]

ATTENTION = [
    wrong(
        "scaled_dot_product_attention",
        "the result is float64",
        "a result has the dtype of its input: no .double(), or .to(Q.dtype) at the end",
        run_scaled_dot_product_attention=lambda Q, K, V, mask=None: attention(
            Q.double(), K.double(), V.double(), mask
        ),
    ),
    bad_attention(
        "the scores are not scaled", "divide the scores by sqrt(d_k)", scale=lambda q, k, v: 1.0
    ),
    bad_attention(
        "the scores are divided by d_k",
        "divide by the square root of d_k",
        scale=lambda q, k, v: 1 / q.shape[-1],
    ),
    bad_attention(
        "the scores are multiplied by sqrt(d_k)",
        "divide by sqrt(d_k)",
        scale=lambda q, k, v: q.shape[-1] ** 0.5,
    ),
    bad_attention(
        "the scale comes from V",
        "d_k is the last dimension of Q and K; V may have another",
        scale=lambda q, k, v: v.shape[-1] ** -0.5,
    ),
    bad_attention(
        "the scale comes from the number of keys",
        "d_k is the length of a key, the last dimension, not how many there are",
        scale=lambda q, k, v: k.shape[-2] ** -0.5,
    ),
    bad_attention(
        "the scale is always 1/8",
        "1/8 is right for d_k = 64 only: compute it from the shape of Q",
        scale=lambda q, k, v: 1 / 8,
    ),
    bad_attention(
        "the mask is inverted",
        "True means: this query may see this key",
        hide=lambda s, m: s.masked_fill(m, -torch.inf),
    ),
    bad_attention(
        "the mask is ignored", "hide the keys where the mask is False", hide=lambda s, m: s
    ),
    bad_attention(
        "the mask is added to the scores",
        "True and False are 1 and 0: hidden scores must become -inf",
        hide=lambda s, m: s + m,
    ),
    bad_attention(
        "hidden scores become 0",
        "exp(0) = 1 is no weight of zero: hidden scores become -inf",
        hide=lambda s, m: s * m,
    ),
    bad_attention(
        "hidden scores are only lowered a little",
        "a score may be larger than any small penalty: set hidden ones to -inf",
        hide=lambda s, m: s - 20.0 * ~m,
    ),
    bad_attention(
        "the mask comes after the softmax",
        "then the rows no longer sum to 1: hide the scores before the softmax",
        hide=lambda s, m: s,
        after=lambda p, m: p if m is None else p * m,
    ),
    bad_attention(
        "the mask comes after the softmax, and rows are normalised again",
        "a large hidden score leaves 0 / 0: hide the scores before the softmax",
        hide=lambda s, m: s,
        after=lambda p, m: p if m is None else p * m / (p * m).sum(-1, keepdim=True),
    ),
    bad_attention(
        "the mask of the first batch element is used for all",
        "the mask has leading dimensions of its own",
        hide=lambda s, m: s.masked_fill(~m.reshape(-1, *m.shape[-2:])[0], -torch.inf),
    ),
    bad_attention(
        "the mask is transposed",
        "the mask is [queries keys], like the scores",
        hide=lambda s, m: s.masked_fill(~m.mT.reshape(m.shape), -torch.inf),
    ),
    wrong(
        "scaled_dot_product_attention",
        "a causal mask is always applied",
        "only `mask` says what may be seen; without one every query sees every key",
        run_scaled_dot_product_attention=lambda q, k, v, mask=None: attention(
            q, k, v, torch.ones(q.shape[-2], k.shape[-2]).tril().bool() if mask is None else mask
        ),
    ),
    bad_attention(
        "the softmax runs over the queries",
        "every query's weights sum to 1: softmax over the last dimension, the keys",
        probabilities=partial(softmax, dim=-2),
    ),
    bad_attention(
        "the softmax overflows",
        "use your softmax, which subtracts the maximum",
        probabilities=lambda s: s.exp() / s.exp().sum(-1, keepdim=True),
    ),
    bad_attention(
        "the softmax subtracts one maximum for all rows",
        "a row far below the overall maximum becomes 0 / 0",
        probabilities=lambda s: (s - s.max()).exp() / (s - s.max()).exp().sum(-1, keepdim=True),
    ),
    bad_attention(
        "there is no softmax",
        "the weights are softmax(scores)",
        probabilities=lambda s: s.nan_to_num(neginf=0.0),
    ),
    wrong(
        "scaled_dot_product_attention",
        "K is reshaped instead of transposed",
        "K^T exchanges the last two axes: K.transpose(-1, -2), not a view",
        run_scaled_dot_product_attention=lambda q, k, v, mask=None: attention(
            q, k.reshape(*k.shape[:-2], *reversed(k.shape[-2:])).transpose(-1, -2), v, mask
        ),
    ),
    wrong(
        "scaled_dot_product_attention",
        "queries and keys are exchanged",
        "rows of the scores are queries: Q K^T",
        run_scaled_dot_product_attention=lambda q, k, v, mask=None: (
            attention(k, q, v, mask) if q.shape == k.shape else attention(q, k, v, mask)
        ),
    ),
    wrong(
        "scaled_dot_product_attention",
        "the weights are detached",
        "the gradient reaches Q and K through the attention weights",
        run_scaled_dot_product_attention=lambda q, k, v, mask=None: (
            attention(q.detach(), k.detach(), v, mask) + 0 * (q.sum() + k.sum())
        ),
    ),
]
