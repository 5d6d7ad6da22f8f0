"""Other right ways to transformer_block and transformer_lm."""

import torch
from einops import einsum
from torch import nn

from course.grading.catalogue import alternative
from tests.assignment1_basics.alternatives.attention import (
    complex_rope,
    einsum_multihead,
    fused_module,
    loop_over_heads,
    matrix_rope,
    swapped_rope,
    with_rope,
)

fused = with_rope(fused_module, complex_rope)
looped = with_rope(loop_over_heads, swapped_rope)
summed = with_rope(einsum_multihead, matrix_rope)


def rms(x, gain):
    return gain * x * torch.rsqrt(torch.mean(x**2, -1, keepdim=True) + 1e-5)


def feed_forward(x, w1, w2, w3):
    gate = x @ w1.T
    return (gate * torch.sigmoid(gate) * (x @ w3.T)) @ w2.T


class Weight(nn.Module):
    """A module whose only content is `weight`, so that nested modules give the course's keys."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))


class Block(nn.Module):
    """What most students write: modules named like the keys, filled by load_state_dict."""

    def __init__(self, d_model, num_heads, d_ff, max_seq_len, theta):
        super().__init__()
        self.sizes = (d_model, num_heads, max_seq_len, theta)
        self.ln1, self.ln2 = Weight(d_model), Weight(d_model)
        self.attn, self.ffn = nn.Module(), nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "output_proj"):
            self.attn.add_module(name, Weight(d_model, d_model))
        for name, shape in {
            "w1": (d_ff, d_model),
            "w2": (d_model, d_ff),
            "w3": (d_ff, d_model),
        }.items():
            self.ffn.add_module(name, Weight(*shape))

    def forward(self, x):
        a, f = self.attn, self.ffn
        projections = (a.q_proj.weight, a.k_proj.weight, a.v_proj.weight, a.output_proj.weight)
        x = x + fused(*self.sizes, *projections, rms(x, self.ln1.weight))
        return x + feed_forward(rms(x, self.ln2.weight), f.w1.weight, f.w2.weight, f.w3.weight)


def module_block(d_model, num_heads, d_ff, max_seq_len, theta, weights, in_features):
    block = Block(d_model, num_heads, d_ff, max_seq_len, theta)
    block.load_state_dict(weights)
    return block(in_features)


def functional_block(d_model, num_heads, d_ff, max_seq_len, theta, weights, in_features):
    """No modules; each row of the batch by itself."""
    names = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.output_proj")
    projections = [weights[f"{name}.weight"] for name in names]
    rows = []
    for row in in_features:
        normed = rms(row, weights["ln1.weight"])
        row = row + looped(d_model, num_heads, max_seq_len, theta, *projections, normed)
        matrices = [weights[f"ffn.{name}.weight"] for name in ("w1", "w2", "w3")]
        rows.append(row + feed_forward(rms(row, weights["ln2.weight"]), *matrices))
    return torch.stack(rows)


def folded_block(d_model, num_heads, d_ff, max_seq_len, theta, weights, in_features):
    """The gains of the norms are folded into the matrices that follow them."""
    w = {name.removesuffix(".weight"): value for name, value in weights.items()}
    one = torch.ones(d_model)
    q, k, v = (w[f"attn.{name}_proj"] * w["ln1"] for name in ("q", "k", "v"))
    sizes = (d_model, num_heads, max_seq_len, theta)
    attended = summed(*sizes, q, k, v, w["attn.output_proj"], rms(in_features, one))
    middle = attended + in_features
    normed = rms(middle, one)
    gate = einsum(normed, w["ffn.w1"] * w["ln2"], "b s d, f d -> b s f")
    value = einsum(normed, w["ffn.w3"] * w["ln2"], "b s d, f d -> b s f")
    return middle + einsum(torch.sigmoid(gate) * gate * value, w["ffn.w2"], "b s f, d f -> b s d")


BLOCKS = {
    "modules and load_state_dict": module_block,
    "functions, one row of the batch at a time": functional_block,
    "the norms' gains folded into the matrices": folded_block,
}

BLOCK = [
    alternative("transformer_block", title)(lambda block=block: {"run_transformer_block": block})
    for title, block in BLOCKS.items()
]


class LanguageModel(nn.Module):
    def __init__(self, vocab_size, context_length, d_model, num_layers, num_heads, d_ff, theta):
        super().__init__()
        self.token_embeddings = Weight(vocab_size, d_model)
        self.layers = nn.ModuleList(
            Block(d_model, num_heads, d_ff, context_length, theta) for _ in range(num_layers)
        )
        self.ln_final = Weight(d_model)
        self.lm_head = Weight(vocab_size, d_model)

    def forward(self, ids):
        x = self.token_embeddings.weight[ids]
        for layer in self.layers:
            x = layer(x)
        return rms(x, self.ln_final.weight) @ self.lm_head.weight.T


@alternative("transformer_lm", "modules and load_state_dict")
def module_lm():
    def run_transformer_lm(
        vocab_size, context_length, d_model, num_layers, num_heads, d_ff, rope_theta, weights, ids
    ):
        sizes = (vocab_size, context_length, d_model, num_layers, num_heads, d_ff, rope_theta)
        model = LanguageModel(*sizes)
        model.load_state_dict(weights)
        return model(ids)

    return {"run_transformer_lm": run_transformer_lm}


def with_blocks(block):
    def run_transformer_lm(
        vocab_size, context_length, d_model, num_layers, num_heads, d_ff, rope_theta, weights, ids
    ):
        x = weights["token_embeddings.weight"].index_select(0, ids.flatten())
        x = x.unflatten(0, ids.shape)
        for i in range(num_layers):
            start = f"layers.{i}."
            own = {k[len(start) :]: w for k, w in weights.items() if k.startswith(start)}
            x = block(d_model, num_heads, d_ff, context_length, rope_theta, own, x)
        return einsum(
            rms(x, weights["ln_final.weight"]), weights["lm_head.weight"], "b s d, v d -> b s v"
        )

    return run_transformer_lm


@alternative("transformer_lm", "functions on the weights' dict")
def functional_lm():
    return {"run_transformer_lm": with_blocks(functional_block)}


@alternative("transformer_lm", "one prefix after the other, the last token of each")
def prefix_lm():
    whole = with_blocks(folded_block)

    def run_transformer_lm(*arguments):
        *sizes, ids = arguments
        prefixes = [whole(*sizes, ids[:, : n + 1])[:, -1] for n in range(ids.shape[1])]
        return torch.stack(prefixes, 1)

    return {"run_transformer_lm": run_transformer_lm}
