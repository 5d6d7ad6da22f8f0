"""The stubs of assignment 1: fill in each body with a call to your own code beside this file.

`uv run pytest assignment1_basics` grades what you have. The handout (README.md here) has a section
for every function below. Shapes are jaxtyping annotations; `...` stands for any leading dimensions.
"""

import os
from collections.abc import Callable, Iterable
from typing import IO, Any, BinaryIO

import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# ---------------------------------------------------------------------------------------------
# Tokenizer


def run_train_bpe(
    input_path: str | os.PathLike,
    vocab_size: int,
    special_tokens: list[str],
    **kwargs: Any,
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Train a byte-level BPE tokenizer on a UTF-8 text file.

    Args:
        input_path: the corpus.
        vocab_size: the final size: special tokens + 256 bytes + merges.
        special_tokens: strings that become tokens of their own. Text is cut at them before
            pre-tokenization, so no merge ever crosses or contains one; they are not counted.

    Returns:
        `vocab`, token id to the token's bytes, and `merges` in the order in which they were made.
        The most frequent pair is merged first; of equally frequent ones the lexicographically
        greatest pair of byte strings.
    """
    raise NotImplementedError


def get_tokenizer(
    vocab: dict[int, bytes],
    merges: list[tuple[bytes, bytes]],
    special_tokens: list[str] | None = None,
) -> Any:
    """Return a tokenizer object for a trained vocabulary.

    The object has `encode(text: str) -> list[int]`, `decode(ids: list[int]) -> str` and
    `encode_iterable(texts: Iterable[str]) -> Iterator[int]`. Where special tokens overlap, the
    longest one wins; those that `vocab` lacks get the next free ids. `decode` replaces malformed
    UTF-8 with U+FFFD. `encode_iterable` is lazy: it holds a bounded part of its input, and its ids
    are those of the concatenated text.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Layers


def run_linear(
    d_in: int,
    d_out: int,
    weights: Float[Tensor, "d_out d_in"],
    in_features: Float[Tensor, "... d_in"],
) -> Float[Tensor, "... d_out"]:
    """Apply a linear layer without bias."""
    raise NotImplementedError


def run_embedding(
    vocab_size: int,
    d_model: int,
    weights: Float[Tensor, "vocab_size d_model"],
    token_ids: Int[Tensor, "..."],
) -> Float[Tensor, "... d_model"]:
    """Look up the embedding vector of every token id."""
    raise NotImplementedError


def run_rmsnorm(
    d_model: int,
    eps: float,
    weights: Float[Tensor, "d_model"],
    in_features: Float[Tensor, "... d_model"],
) -> Float[Tensor, "... d_model"]:
    """Normalise by the root mean square over the last dimension, computed in float32, then scale.

    The result has the dtype of `in_features`.
    """
    raise NotImplementedError


def run_silu(in_features: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Apply SiLU, x * sigmoid(x), to every element."""
    raise NotImplementedError


def run_swiglu(
    d_model: int,
    d_ff: int,
    w1_weight: Float[Tensor, "d_ff d_model"],
    w2_weight: Float[Tensor, "d_model d_ff"],
    w3_weight: Float[Tensor, "d_ff d_model"],
    in_features: Float[Tensor, "... d_model"],
) -> Float[Tensor, "... d_model"]:
    """Apply the gated feed-forward network W2 (SiLU(W1 x) * W3 x)."""
    raise NotImplementedError


def run_softmax(in_features: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Apply softmax along `dim`; inputs of any size must not overflow."""
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Attention


def run_rope(
    d_k: int,
    theta: float,
    max_seq_len: int,
    in_query_or_key: Float[Tensor, "... seq d_k"],
    token_positions: Int[Tensor, "... seq"],
) -> Float[Tensor, "... seq d_k"]:
    """Rotate every neighbouring pair (2i, 2i+1) by position * theta^(-2i / d_k)."""
    raise NotImplementedError


def run_scaled_dot_product_attention(
    Q: Float[Tensor, "... queries d_k"],
    K: Float[Tensor, "... keys d_k"],
    V: Float[Tensor, "... keys d_v"],
    mask: Bool[Tensor, "... queries keys"] | None = None,
) -> Float[Tensor, "... queries d_v"]:
    """Attend with softmax(Q K^T / sqrt(d_k)) V; where `mask` is True a query may see a key."""
    raise NotImplementedError


def run_multihead_self_attention(
    d_model: int,
    num_heads: int,
    q_proj_weight: Float[Tensor, "d_model d_model"],
    k_proj_weight: Float[Tensor, "d_model d_model"],
    v_proj_weight: Float[Tensor, "d_model d_model"],
    o_proj_weight: Float[Tensor, "d_model d_model"],
    in_features: Float[Tensor, "... seq d_model"],
) -> Float[Tensor, "... seq d_model"]:
    """Apply causal multi-head self-attention without position encoding.

    The rows of the projections are ordered by head: head h owns rows h * d_head to (h+1) * d_head.
    """
    raise NotImplementedError


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
    """Apply causal multi-head self-attention with RoPE on the queries and keys of every head.

    Without `token_positions` the positions are 0, 1, ..., seq - 1.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Transformer


def run_transformer_block(
    d_model: int,
    num_heads: int,
    d_ff: int,
    max_seq_len: int,
    theta: float,
    weights: dict[str, Tensor],
    in_features: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    """Apply one pre-norm block: x + attention(norm(x)), then x + feed-forward(norm(x)).

    `weights` has the keys `attn.q_proj.weight`, `attn.k_proj.weight`, `attn.v_proj.weight`,
    `attn.output_proj.weight`, `ln1.weight`, `ffn.w1.weight`, `ffn.w2.weight`, `ffn.w3.weight`,
    `ln2.weight`. RMSNorm's epsilon is 1e-5.
    """
    raise NotImplementedError


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
    """Return the logits of a Transformer language model; `seq` is at most `context_length`.

    `weights` has `token_embeddings.weight`, for every layer i the block's keys under
    `layers.{i}.`, `ln_final.weight` and `lm_head.weight`.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Loss and optimizer


def run_cross_entropy(
    inputs: Float[Tensor, "batch vocab"], targets: Int[Tensor, "batch"]
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood (nats) of `targets` under the logits `inputs`."""
    raise NotImplementedError


def run_bits_per_byte(
    inputs: Float[Tensor, "batch vocab"], targets: Int[Tensor, "batch"], num_bytes: int
) -> float:
    """Return how many bits the model needs for each byte of the text that `targets` encodes.

    `num_bytes` is the UTF-8 length of the decoded targets, so the number is comparable between
    tokenizers.
    """
    raise NotImplementedError


def run_gradient_clipping(parameters: Iterable[torch.nn.Parameter], max_l2_norm: float) -> None:
    """Scale all gradients in place so that their joint L2 norm is at most `max_l2_norm`.

    Gradients already within the limit stay as they are; otherwise the factor is
    max_l2_norm / (norm + 1e-6). Parameters without a gradient are skipped.
    """
    raise NotImplementedError


def get_adamw_cls() -> type[torch.optim.Optimizer]:
    """Return your AdamW class: `AdamW(params, lr, betas, eps, weight_decay)`, a torch Optimizer."""
    raise NotImplementedError


def run_get_weight_decay_groups(
    model: torch.nn.Module, weight_decay: float
) -> list[dict[str, Any]]:
    """Split a model's trainable parameters into optimizer groups with and without weight decay.

    Matrices of two or more dimensions decay; vectors (norm gains, biases) and the weight of any
    parameter whose name contains "embedding" do not. A parameter shared by two modules (tied
    weights) appears once, under its first name. Returns
    `[{"params": [...], "weight_decay": weight_decay}, {"params": [...], "weight_decay": 0.0}]`.
    """
    raise NotImplementedError


def run_get_lr_cosine_schedule(
    it: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_iters: int,
    cosine_cycle_iters: int,
) -> float:
    """Return the learning rate at step `it`: linear warm-up, cosine decay, then the minimum."""
    raise NotImplementedError


def run_get_lr_wsd_schedule(
    it: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_iters: int,
    decay_start: int,
    total_iters: int,
) -> float:
    """Return the learning rate at step `it` of warmup-stable-decay.

    Linear from 0 to the maximum over `warmup_iters`, constant until `decay_start`, linear down to
    the minimum at `total_iters`, the minimum after.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Training


def run_get_batch(
    dataset: npt.NDArray, batch_size: int, context_length: int, device: str
) -> tuple[Int[Tensor, "batch context_length"], Int[Tensor, "batch context_length"]]:
    """Sample windows of a token array: inputs, and targets one position later, int64 on `device`.

    Every start position that leaves room for the last target is equally likely.
    """
    raise NotImplementedError


def run_save_checkpoint(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    iteration: int,
    out: str | os.PathLike | BinaryIO | IO[bytes],
) -> None:
    """Write the model's and the optimizer's state and the iteration to a path or a binary file."""
    raise NotImplementedError


def run_load_checkpoint(
    src: str | os.PathLike | BinaryIO | IO[bytes],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Restore a checkpoint into `model` and `optimizer`; return its iteration."""
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Decoding


def run_next_token_distribution(
    logits: Float[Tensor, "... vocab"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "... vocab"]:
    """Return the probabilities from which the next token is drawn.

    In this order: divide by the temperature (0 means all probability on the first largest logit),
    keep the `top_k` most probable tokens, keep the smallest set of most probable tokens whose
    probability (after the temperature and top-k, renormalised) reaches `top_p`, keep those with at
    least `min_p` times the largest probability; renormalise.
    """
    raise NotImplementedError


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
    """Apply causal self-attention with RoPE to a sequence that arrives in chunks (prefill, decode).

    The first chunk is the prompt; each later one (often a single token) attends to all before it
    through cached keys and values, which are never computed again. The outputs, concatenated,
    equal those of the whole sequence at once.
    """
    raise NotImplementedError


def run_generate(
    next_token_logits: Callable[[list[int]], Float[Tensor, "vocab"]],
    prompt_ids: list[int],
    max_new_tokens: int,
    temperature: float,
    stop_token_ids: set[int],
    generator: torch.Generator,
) -> list[int]:
    """Draw tokens one by one until a stop token or `max_new_tokens`; return only the new tokens.

    `next_token_logits(ids)` gives the logits after `ids` (prompt and new tokens so far). A stop
    token that was drawn is the last element of the result. `generator` is the only source of
    randomness; a temperature of 0 takes the most likely token.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Resource accounting


def run_count_parameters(
    vocab_size: int, d_model: int, num_layers: int, d_ff: int, tie_embeddings: bool = False
) -> int:
    """Return the number of trainable parameters of the Transformer LM of this assignment."""
    raise NotImplementedError


def run_count_forward_flops(
    vocab_size: int,
    d_model: int,
    num_layers: int,
    d_ff: int,
    batch_size: int,
    seq_len: int,
) -> int:
    """Return the FLOPs of all matrix products of one forward pass.

    A product of an m x k and a k x n matrix counts 2 m k n. Attention counts the full seq x seq
    scores, as a plain implementation computes them.
    """
    raise NotImplementedError


def run_training_memory_bytes(
    num_parameters: int, parameter_bytes: int = 4, gradient_bytes: int = 4, state_bytes: int = 4
) -> int:
    """Return the bytes of weights, gradients and AdamW state (activations not counted)."""
    raise NotImplementedError


def run_model_flops_utilization(
    tokens_per_second: float, flops_per_token: float, peak_flops_per_second: float
) -> float:
    """Return the share of the hardware's peak that training uses, from 0 to 1.

    `flops_per_token` are those of one forward pass; the backward pass costs twice as much.
    """
    raise NotImplementedError


# ---------------------------------------------------------------------------------------------
# Interchange


def run_import_hugging_face_llama(
    state_dict: dict[str, Tensor], num_heads: int, num_kv_heads: int
) -> dict[str, Tensor]:
    """Turn the state dict of a Hugging Face Llama into the keys and row order of ours.

    Hugging Face's RoPE pairs element i of a head with i + d_head / 2, ours with its neighbour, so
    the rows of the query and key projections are permuted within each head. With tied embeddings
    (`lm_head.weight` absent) the result has `lm_head.weight` all the same. Buffers such as
    `rotary_emb.inv_freq` are dropped.
    """
    raise NotImplementedError
