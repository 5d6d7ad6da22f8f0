"""Mistakes in transformer_block and transformer_lm."""

from functools import partial

import torch
from torch import Tensor

from tests.assignment1_basics.parts import (
    block,
    causal,
    language_model,
    linear,
    multihead_rope,
    rmsnorm,
    rope,
    softmax,
    swiglu,
    wrong,
)


def bad_block(title: str, says: str, **part):
    run = partial(block, **part)
    return wrong("transformer_block", title, says, run_transformer_block=run)


def bad_lm(title: str, says: str, **part):
    run = partial(language_model, **part)
    return wrong("transformer_lm", title, says, run_transformer_lm=run)


def post_norm(x, ln1, attend, ln2, feed):
    x = ln1(x + attend(x))
    return ln2(x + feed(x))


def norm_on_the_residual(x, ln1, attend, ln2, feed):
    x = ln1(x)
    x = x + attend(x)
    x = ln2(x)
    return x + feed(x)


def norm_of_the_sublayer(x, ln1, attend, ln2, feed):
    x = x + ln1(attend(x))
    return x + ln2(feed(x))


def feed_forward_first(x, ln1, attend, ln2, feed):
    x = x + feed(ln2(x))
    return x + attend(ln1(x))


def weights_taken_out(d_model, num_heads, d_ff, max_seq_len, theta, weights, in_features):
    taken = {name: weights.pop(name) for name in list(weights)}
    return block(d_model, num_heads, d_ff, max_seq_len, theta, taken, in_features)


BLOCK = [
    wrong(
        "transformer_block",
        "the caller's weights are popped from their dict",
        "the dict belongs to the caller, who may use it for the next call",
        run_transformer_block=weights_taken_out,
    ),
    bad_block(
        "the norms come after the residual sums",
        "this block is pre-norm: x + sublayer(norm(x))",
        compose=post_norm,
    ),
    bad_block(
        "the norms are applied to the sub-layers' outputs",
        "normalise what goes into a sub-layer: x + sublayer(norm(x))",
        compose=norm_of_the_sublayer,
    ),
    bad_block(
        "the residual carries the normalised input",
        "add the input itself, not ln(x): x + sublayer(ln(x))",
        compose=norm_on_the_residual,
    ),
    bad_block(
        "ln1 is missing",
        "attention sees ln1(x)",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(x)) + f(ln2(x)),
    ),
    bad_block(
        "ln2 is missing",
        "the feed-forward network sees ln2(y)",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(ln1(x))) + f(x),
    ),
    bad_block(
        "ln1 is used twice",
        "each sub-layer has a norm with weights of its own",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(ln1(x))) + f(ln1(x)),
    ),
    bad_block(
        "ln2 is used twice",
        "each sub-layer has a norm with weights of its own",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(ln2(x))) + f(ln2(x)),
    ),
    bad_block(
        "ln1 and ln2 are exchanged",
        "ln1 comes before attention, ln2 before the feed-forward network",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(ln2(x))) + f(ln1(x)),
    ),
    bad_block(
        "the residual around attention is missing",
        "y = x + attention(ln1(x))",
        compose=lambda x, ln1, a, ln2, f: (x := a(ln1(x))) + f(ln2(x)),
    ),
    bad_block(
        "the residual around the feed-forward network is missing",
        "z = y + feed_forward(ln2(y))",
        compose=lambda x, ln1, a, ln2, f: f(ln2(x + a(ln1(x)))),
    ),
    bad_block(
        "the second residual adds the block's input",
        "the second residual adds y, the sum after attention, not x",
        compose=lambda x, ln1, a, ln2, f: x + f(ln2(x + a(ln1(x)))),
    ),
    bad_block(
        "the sub-layers run in parallel",
        "the feed-forward network sees the sum after attention, not the block's input",
        compose=lambda x, ln1, a, ln2, f: x + a(ln1(x)) + f(ln2(x)),
    ),
    bad_block(
        "the feed-forward network comes first",
        "attention first, then the feed-forward network",
        compose=feed_forward_first,
    ),
    bad_block(
        "attention has no RoPE",
        "rotate queries and keys",
        attend=partial(multihead_rope, turned=""),
    ),
    bad_block(
        "theta is always 10000",
        "pass the argument theta on to RoPE",
        attend=partial(multihead_rope, rotate=lambda d, theta, n, x, p: rope(d, 10_000.0, n, x, p)),
    ),
    bad_block(
        "attention is not causal",
        "a token sees itself and earlier ones only",
        attend=partial(multihead_rope, mask=lambda q, k: causal(q, k) | True),
    ),
    bad_block(
        "w1 and w3 are exchanged",
        "SiLU goes on ffn.w1, the product on ffn.w3",
        feed=lambda d, f, w1, w2, w3, x: swiglu(d, f, w3, w2, w1, x),
    ),
    bad_block(
        "the feed-forward network is not gated",
        "W2 (SiLU(W1 x) * W3 x)",
        feed=partial(swiglu, gate=lambda a, b: a * torch.sigmoid(a)),
    ),
    bad_block(
        "the norms are LayerNorms",
        "RMSNorm subtracts no mean",
        norm=lambda d, eps, w, x: rmsnorm(d, eps, w, x - x.mean(-1, keepdim=True)),
    ),
    bad_block(
        "RMSNorm's epsilon is not 1e-5",
        "the epsilon of both norms is 1e-5 (another usual value is 1e-6)",
        norm=lambda d, eps, w, x: rmsnorm(d, 1e-6, w, x),
    ),
    bad_block(
        "the norms ignore their weights",
        "load ln1.weight and ln2.weight as gains",
        norm=lambda d, eps, w, x: rmsnorm(d, eps, torch.ones(d), x),
    ),
    bad_block(
        "attention is detached",
        "the gradient flows through both sub-layers",
        compose=lambda x, ln1, a, ln2, f: (x := x + a(ln1(x)).detach()) + f(ln2(x)),
    ),
]


def head_of_last_token(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    return x[:, -1:] @ weights["lm_head.weight"].T


LM = [
    bad_lm(
        "the final norm is missing",
        "normalise with ln_final before lm_head",
        norm=lambda d, eps, w, x: x,
    ),
    bad_lm(
        "ln_final's weights are not used",
        "load ln_final.weight as the gain of the final norm",
        norm=lambda d, eps, w, x: rmsnorm(d, eps, torch.ones(d), x),
    ),
    bad_lm(
        "the result are probabilities",
        "return the logits: no softmax at the end",
        head=lambda w, x: softmax(x @ w["lm_head.weight"].T),
    ),
    bad_lm(
        "the result are log-probabilities",
        "return the logits: no log-softmax at the end",
        head=lambda w, x: softmax(x @ w["lm_head.weight"].T).log(),
    ),
    bad_lm(
        "the embedding is used as the output matrix",
        "lm_head.weight is a matrix of its own here: weights are not tied",
        head=lambda w, x: x @ w["token_embeddings.weight"].T,
    ),
    bad_lm(
        "the output matrix is used as the embedding",
        "look ids up in token_embeddings.weight",
        embed=lambda w, ids: w["lm_head.weight"][ids],
    ),
    bad_lm(
        "the embeddings are scaled by sqrt(d_model)",
        "this model does not scale its embeddings",
        embed=lambda w, ids: (e := w["token_embeddings.weight"])[ids] * e.shape[1] ** 0.5,
    ),
    bad_lm(
        "the logits are divided by sqrt(d_model)",
        "the logits are lm_head(x), unscaled",
        head=lambda w, x: x @ w["lm_head.weight"].T / x.shape[-1] ** 0.5,
    ),
    bad_lm(
        "all layers have the first one's weights",
        "layer i uses the keys under layers.{i}.; `[block] * n` is one block n times",
        order=lambda n: [0] * n,
    ),
    bad_lm("the last layer is skipped", "run all num_layers blocks", order=lambda n: range(n - 1)),
    bad_lm(
        "the layers run in reverse order",
        "layer 0 comes first",
        order=lambda n: reversed(range(n)),
    ),
    bad_lm(
        "the layers are sorted as strings",
        "as strings 10 comes before 2: count the layers instead of sorting the keys",
        order=lambda n: sorted(range(n), key=str),
    ),
    bad_lm(
        "the final norm follows every layer",
        "ln_final is applied once, after the last layer",
        layer=lambda d, h, f, n, theta, w, x: rmsnorm(
            d, 1e-5, torch.ones(d), block(d, h, f, n, theta, w, x)
        ),
    ),
    bad_lm(
        "every layer starts from the embeddings' positions added",
        "RoPE is the only position encoding: add nothing to the embeddings",
        embed=lambda w, ids: (
            (e := w["token_embeddings.weight"])[ids]
            + torch.sin(torch.arange(ids.shape[1], dtype=e.dtype))[:, None]
        ),
    ),
    bad_lm(
        "RoPE's theta is always 10000",
        "pass rope_theta on to every layer",
        layer=lambda d, h, f, n, theta, w, x: block(d, h, f, n, 10_000.0, w, x),
    ),
    bad_lm(
        "only the last token's logits are returned",
        "every position predicts its next token: [batch seq vocab_size]",
        head=head_of_last_token,
    ),
    bad_lm(
        "the text is padded to context_length",
        "shorter texts give shorter logits: [batch seq vocab_size]",
        embed=lambda w, ids: w["token_embeddings.weight"][
            torch.cat((ids, ids.new_zeros(len(ids), 9 - ids.shape[1])), 1)
        ],
    ),
    wrong(
        "transformer_lm",
        "positions are counted from the end of the context",
        "positions start at 0 with the first token, however long the text is",
        run_transformer_lm=lambda v, c, d, n, h, f, theta, w, ids: language_model(
            v, c, d, n, h, f, theta, w, ids.flip(1)
        ).flip(1),
    ),
    bad_lm(
        "the rows of the batch are joined",
        "attention stays within a row of the batch",
        layer=lambda d, h, f, n, theta, w, x: block(
            d, h, f, n, theta, w, x.reshape(1, -1, d)
        ).reshape(x.shape),
    ),
    bad_lm(
        "the output matrix is multiplied from the wrong side",
        "lm_head is a linear layer like the others: x W^T",
        head=lambda w, x: x @ w["lm_head.weight"].reshape(x.shape[-1], -1),
    ),
    bad_lm(
        "the embeddings are detached",
        "the embeddings are trained: index the parameter, not .data",
        embed=lambda w, ids: (
            w["token_embeddings.weight"].detach()[ids] + 0 * w["token_embeddings.weight"].sum()
        ),
    ),
    bad_lm(
        "the model runs without gradients",
        "no torch.no_grad in forward (generation may use it)",
        head=lambda w, x: linear(0, 0, w["lm_head.weight"], x).detach(),
    ),
]
