"""The adapters of assignment 1, filled in with the reference; the stubs say what each must do.

Weights come from outside, as a test or a student's other code has them, so each layer is built and
then run with these tensors in place of its parameters: gradients reach them, and no copy is made.
What needs numba is imported where it is called, because importing numba takes longer than all else
here.
"""

# ruff: noqa: D103 - documented in assignment1_basics/adapters.py, where students read it

import os
from collections.abc import Callable, Iterable
from typing import IO, Any, BinaryIO

import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assignment1_basics.reference.accounting.flops import count_forward_flops
from assignment1_basics.reference.accounting.memory import training_memory_bytes
from assignment1_basics.reference.accounting.parameters import count_parameters
from assignment1_basics.reference.accounting.throughput import model_flops_utilization
from assignment1_basics.reference.checkpoint import load_checkpoint, save_checkpoint
from assignment1_basics.reference.data import get_batch
from assignment1_basics.reference.hugging_face import weights_from_hugging_face
from assignment1_basics.reference.loss import bits_per_byte, cross_entropy, token_losses
from assignment1_basics.reference.model import attention, layers
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.generate import generate_tokens
from assignment1_basics.reference.model.kv_cache import LayerCache
from assignment1_basics.reference.model.rope import RoPE, rotate
from assignment1_basics.reference.model.sampling import Sampling, next_token_distribution
from assignment1_basics.reference.model.transformer import Transformer, TransformerBlock
from assignment1_basics.reference.optimizer.adamw import AdamW
from assignment1_basics.reference.optimizer.clipping import clip_gradients
from assignment1_basics.reference.optimizer.schedules import cosine_schedule, wsd_schedule
from assignment1_basics.reference.optimizer.weight_decay import weight_decay_groups


def with_weights(module: torch.nn.Module, weights: dict[str, Tensor], *inputs: Any) -> Any:
    """Run a module on the device of its first input with `weights` in place of its own."""
    module = module.to(inputs[0].device)
    tensors = dict(module.named_buffers()) | weights
    return torch.func.functional_call(module, tensors, inputs, strict=True)


def attention_layer(d_model: int, num_heads: int) -> attention.MultiHeadSelfAttention:
    """Return a layer with our own attention; whether it uses RoPE is up to its caller."""
    config = TransformerConfig(
        d_model=d_model, n_heads=num_heads, position="none", attention="plain"
    )
    return attention.MultiHeadSelfAttention(config)


def attention_weights(
    q_proj: Tensor, k_proj: Tensor, v_proj: Tensor, output_proj: Tensor
) -> dict[str, Tensor]:
    """Return the state dict of an attention layer."""
    projections = {"q_proj": q_proj, "k_proj": k_proj, "v_proj": v_proj, "output_proj": output_proj}
    return {f"{name}.weight": weight for name, weight in projections.items()}


def run_train_bpe(
    input_path: str | os.PathLike,
    vocab_size: int,
    special_tokens: list[str],
    **kwargs: Any,
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    from assignment1_basics.reference.tokenizer.train import train_bpe

    trained = train_bpe(input_path, vocab_size, special_tokens)
    return trained.vocab, trained.merges


def get_tokenizer(
    vocab: dict[int, bytes],
    merges: list[tuple[bytes, bytes]],
    special_tokens: list[str] | None = None,
) -> Any:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    return Tokenizer(vocab, merges, special_tokens)


def run_linear(
    d_in: int,
    d_out: int,
    weights: Float[Tensor, "d_out d_in"],
    in_features: Float[Tensor, "... d_in"],
) -> Float[Tensor, "... d_out"]:
    return with_weights(layers.Linear(d_in, d_out), {"weight": weights}, in_features)


def run_embedding(
    vocab_size: int,
    d_model: int,
    weights: Float[Tensor, "vocab_size d_model"],
    token_ids: Int[Tensor, "..."],
) -> Float[Tensor, "... d_model"]:
    return with_weights(layers.Embedding(vocab_size, d_model), {"weight": weights}, token_ids)


def run_rmsnorm(
    d_model: int,
    eps: float,
    weights: Float[Tensor, "d_model"],
    in_features: Float[Tensor, "... d_model"],
) -> Float[Tensor, "... d_model"]:
    return with_weights(layers.RMSNorm(d_model, eps), {"weight": weights}, in_features)


def run_silu(in_features: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    return layers.silu(in_features)


def run_swiglu(
    d_model: int,
    d_ff: int,
    w1_weight: Float[Tensor, "d_ff d_model"],
    w2_weight: Float[Tensor, "d_model d_ff"],
    w3_weight: Float[Tensor, "d_ff d_model"],
    in_features: Float[Tensor, "... d_model"],
) -> Float[Tensor, "... d_model"]:
    weights = {"w1.weight": w1_weight, "w2.weight": w2_weight, "w3.weight": w3_weight}
    return with_weights(layers.SwiGLU(d_model, d_ff), weights, in_features)


def run_softmax(in_features: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    return layers.softmax(in_features, dim)


def run_rope(
    d_k: int,
    theta: float,
    max_seq_len: int,
    in_query_or_key: Float[Tensor, "... seq d_k"],
    token_positions: Int[Tensor, "... seq"],
) -> Float[Tensor, "... seq d_k"]:
    rope = RoPE(d_k, theta, max_seq_len).to(in_query_or_key.device)
    return rotate(in_query_or_key, rope(token_positions))


def run_scaled_dot_product_attention(
    Q: Float[Tensor, "... queries d_k"],
    K: Float[Tensor, "... keys d_k"],
    V: Float[Tensor, "... keys d_v"],
    mask: Bool[Tensor, "... queries keys"] | None = None,
) -> Float[Tensor, "... queries d_v"]:
    return attention.scaled_dot_product_attention(Q, K, V, mask)


def run_multihead_self_attention(
    d_model: int,
    num_heads: int,
    q_proj_weight: Float[Tensor, "d_model d_model"],
    k_proj_weight: Float[Tensor, "d_model d_model"],
    v_proj_weight: Float[Tensor, "d_model d_model"],
    o_proj_weight: Float[Tensor, "d_model d_model"],
    in_features: Float[Tensor, "... seq d_model"],
) -> Float[Tensor, "... seq d_model"]:
    weights = attention_weights(q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight)
    return with_weights(attention_layer(d_model, num_heads), weights, in_features)


def run_multihead_self_attention_with_rope(
    d_model: int,
    num_heads: int,
    max_seq_len: int,
    theta: float,
    q_proj_weight: Float[Tensor, "d_model d_model"],
    k_proj_weight: Float[Tensor, "d_model d_model"],
    v_proj_weight: Float[Tensor, "d_model d_model"],
    o_proj_weight: Float[Tensor, "d_model d_model"],
    in_features: Float[Tensor, "... seq d_model"],
    token_positions: Int[Tensor, "... seq"] | None = None,
) -> Float[Tensor, "... seq d_model"]:
    rope = RoPE(d_model // num_heads, theta, max_seq_len).to(in_features.device)
    if token_positions is None:
        token_positions = torch.arange(in_features.shape[-2], device=in_features.device)
    weights = attention_weights(q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight)
    layer = attention_layer(d_model, num_heads)
    return with_weights(layer, weights, in_features, rope(token_positions))


def run_transformer_block(
    d_model: int,
    num_heads: int,
    d_ff: int,
    max_seq_len: int,
    theta: float,
    weights: dict[str, Tensor],
    in_features: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    config = TransformerConfig(d_model=d_model, n_heads=num_heads, d_ff=d_ff, attention="plain")
    rope = RoPE(config.d_head, theta, max_seq_len).to(in_features.device)
    rotation = rope.between(0, in_features.shape[-2])
    return with_weights(TransformerBlock(config), weights, in_features, rotation)


def run_transformer_lm(
    vocab_size: int,
    context_length: int,
    d_model: int,
    num_layers: int,
    num_heads: int,
    d_ff: int,
    rope_theta: float,
    weights: dict[str, Tensor],
    in_indices: Int[Tensor, "batch seq"],
) -> Float[Tensor, "batch seq vocab_size"]:
    config = TransformerConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        d_model=d_model,
        n_layers=num_layers,
        n_heads=num_heads,
        d_ff=d_ff,
        rope_theta=rope_theta,
        attention="plain",
    )
    return with_weights(Transformer(config), weights, in_indices)


def run_cross_entropy(
    inputs: Float[Tensor, "batch vocab"], targets: Int[Tensor, "batch"]
) -> Float[Tensor, ""]:
    return cross_entropy(inputs, targets)


def run_bits_per_byte(
    inputs: Float[Tensor, "batch vocab"], targets: Int[Tensor, "batch"], num_bytes: int
) -> float:
    total_nats = token_losses(inputs, targets).sum()
    return bits_per_byte(total_nats.item(), num_bytes)


def run_gradient_clipping(parameters: Iterable[torch.nn.Parameter], max_l2_norm: float) -> None:
    clip_gradients(parameters, max_l2_norm)


def get_adamw_cls() -> type[torch.optim.Optimizer]:
    return AdamW


def run_get_weight_decay_groups(
    model: torch.nn.Module, weight_decay: float
) -> list[dict[str, Any]]:
    return weight_decay_groups(model, weight_decay)


def run_get_lr_cosine_schedule(
    it: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_iters: int,
    cosine_cycle_iters: int,
) -> float:
    return cosine_schedule(
        it, max_learning_rate, min_learning_rate, warmup_iters, cosine_cycle_iters
    )


def run_get_lr_wsd_schedule(
    it: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_iters: int,
    decay_start: int,
    total_iters: int,
) -> float:
    return wsd_schedule(
        it, max_learning_rate, min_learning_rate, warmup_iters, decay_start, total_iters
    )


def run_get_batch(
    dataset: npt.NDArray, batch_size: int, context_length: int, device: str
) -> tuple[Int[Tensor, "batch context_length"], Int[Tensor, "batch context_length"]]:
    return get_batch(dataset, batch_size, context_length, device)


def run_save_checkpoint(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    iteration: int,
    out: str | os.PathLike | BinaryIO | IO[bytes],
) -> None:
    save_checkpoint(model, optimizer, iteration, out)


def run_load_checkpoint(
    src: str | os.PathLike | BinaryIO | IO[bytes],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    return load_checkpoint(src, model, optimizer)


def run_next_token_distribution(
    logits: Float[Tensor, "... vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "... vocab"]:
    return next_token_distribution(logits, Sampling(temperature, top_k, top_p, min_p))


def run_attention_with_kv_cache(
    d_model: int,
    num_heads: int,
    max_seq_len: int,
    theta: float,
    q_proj_weight: Float[Tensor, "d_model d_model"],
    k_proj_weight: Float[Tensor, "d_model d_model"],
    v_proj_weight: Float[Tensor, "d_model d_model"],
    o_proj_weight: Float[Tensor, "d_model d_model"],
    chunks: Iterable[Float[Tensor, "batch chunk d_model"]],
) -> list[Float[Tensor, "batch chunk d_model"]]:
    d_head, device, dtype = d_model // num_heads, q_proj_weight.device, q_proj_weight.dtype
    weights = attention_weights(q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight)
    layer, rope = attention_layer(d_model, num_heads), RoPE(d_head, theta, max_seq_len).to(device)
    cache: LayerCache | None = None
    outputs = []
    with torch.no_grad():
        for chunk in chunks:
            if cache is None:
                cache = LayerCache(len(chunk), num_heads, max_seq_len, d_head, device, dtype)
            rotation = rope.between(cache.length, cache.length + chunk.shape[-2])
            outputs.append(with_weights(layer, weights, chunk, rotation, cache))
    return outputs


def run_generate(
    next_token_logits: Callable[[list[int]], Float[Tensor, "vocab"]],
    prompt_ids: list[int],
    max_new_tokens: int,
    temperature: float,
    stop_token_ids: set[int],
    generator: torch.Generator,
) -> list[int]:
    sampling = Sampling(temperature)
    tokens = generate_tokens(
        next_token_logits, prompt_ids, max_new_tokens, sampling, stop_token_ids, generator
    )
    return list(tokens)


def run_count_parameters(
    vocab_size: int, d_model: int, num_layers: int, d_ff: int, tie_embeddings: bool = False
) -> int:
    return count_parameters(vocab_size, d_model, num_layers, d_ff, tie_embeddings)


def run_count_forward_flops(
    vocab_size: int,
    d_model: int,
    num_layers: int,
    d_ff: int,
    batch_size: int,
    seq_len: int,
) -> int:
    return count_forward_flops(vocab_size, d_model, num_layers, d_ff, batch_size, seq_len)


def run_training_memory_bytes(
    num_parameters: int, parameter_bytes: int = 4, gradient_bytes: int = 4, state_bytes: int = 4
) -> int:
    return training_memory_bytes(num_parameters, parameter_bytes, gradient_bytes, state_bytes)


def run_model_flops_utilization(
    tokens_per_second: float, flops_per_token: float, peak_flops_per_second: float
) -> float:
    return model_flops_utilization(tokens_per_second, flops_per_token, peak_flops_per_second)


def run_import_hugging_face_llama(
    state_dict: dict[str, Tensor], num_heads: int, num_kv_heads: int
) -> dict[str, Tensor]:
    return weights_from_hugging_face(state_dict, num_heads, num_kv_heads)
