"""Random weights of the block and the model: under the course's keys, and as a Llama."""

import torch
from torch import Tensor

from tests.assignment1_basics.tensors import normal


def block_weights(d_model: int, d_ff: int, seed: int) -> dict[str, Tensor]:
    """Weights at which attention is far from uniform and no two gains are alike."""
    shapes = {f"attn.{name}_proj.weight": (d_model, d_model) for name in ("q", "k", "v", "output")}
    shapes |= {"ffn.w1.weight": (d_ff, d_model), "ffn.w3.weight": (d_ff, d_model)}
    shapes |= {"ffn.w2.weight": (d_model, d_ff)}
    weights = {
        name: normal(*shape, seed=1000 * seed + number, scale=1.5 / shape[1] ** 0.5)
        for number, (name, shape) in enumerate(shapes.items())
    }
    for number, name in enumerate(("ln1.weight", "ln2.weight")):
        weights[name] = 1 + normal(d_model, seed=1000 * seed + 500 + number, scale=0.5)
    return weights


def language_model_weights(
    vocab_size: int, d_model: int, d_ff: int, num_layers: int, seed: int
) -> dict[str, Tensor]:
    """Weights of the whole model; the embedding and the output matrix differ."""
    weights = {"token_embeddings.weight": normal(vocab_size, d_model, seed=seed)}
    for layer in range(num_layers):
        own = block_weights(d_model, d_ff, seed=10 * seed + layer + 1)
        weights |= {f"layers.{layer}.{name}": w for name, w in own.items()}
    weights["ln_final.weight"] = 1 + normal(d_model, seed=seed + 1, scale=0.5)
    weights["lm_head.weight"] = normal(vocab_size, d_model, seed=seed + 2, scale=d_model**-0.5)
    return weights


LLAMA_NAMES = {
    "self_attn.q_proj": "attn.q_proj",
    "self_attn.k_proj": "attn.k_proj",
    "self_attn.v_proj": "attn.v_proj",
    "self_attn.o_proj": "attn.output_proj",
    "mlp.gate_proj": "ffn.w1",
    "mlp.down_proj": "ffn.w2",
    "mlp.up_proj": "ffn.w3",
    "input_layernorm": "ln1",
    "post_attention_layernorm": "ln2",
}


def llama_weights(
    vocab_size: int,
    num_heads: int,
    num_kv_heads: int,
    d_head: int,
    d_ff: int,
    num_layers: int,
    seed: int,
    tied: bool = False,
) -> dict[str, Tensor]:
    """Random weights under the names and shapes of Hugging Face's Llama."""
    d_model = num_heads * d_head
    own = language_model_weights(vocab_size, d_model, d_ff, num_layers, seed)
    weights = {
        "model.embed_tokens.weight": own["token_embeddings.weight"],
        "model.norm.weight": own["ln_final.weight"],
    }
    for layer in range(num_layers):
        for theirs, ours in LLAMA_NAMES.items():
            weight = own[f"layers.{layer}.{ours}.weight"]
            if theirs.endswith(("k_proj", "v_proj")):
                weight = weight[: num_kv_heads * d_head]
            weights[f"model.layers.{layer}.{theirs}.weight"] = weight.clone()
    if not tied:
        weights["lm_head.weight"] = own["lm_head.weight"]
    return weights


def renamed_llama(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under our names, rows untouched: for the oracle that rotates halves."""
    renamed = {
        "token_embeddings.weight": weights["model.embed_tokens.weight"],
        "ln_final.weight": weights["model.norm.weight"],
        "lm_head.weight": weights.get("lm_head.weight", weights["model.embed_tokens.weight"]),
    }
    for name, weight in weights.items():
        if name.startswith("model.layers."):
            _, _, layer, part = name.removesuffix(".weight").split(".", 3)
            renamed[f"layers.{layer}.{LLAMA_NAMES[part]}.weight"] = weight
    return renamed


def doubled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float64 leaves that collect gradients."""
    return {name: w.detach().double().requires_grad_() for name, w in weights.items()}


def leafed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float32 leaves that collect gradients."""
    return {name: torch.nn.Parameter(w.detach().clone()) for name, w in weights.items()}
