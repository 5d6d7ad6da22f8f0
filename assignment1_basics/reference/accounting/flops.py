"""FLOPs of one training step, by part: the matrix products, which are all but a percent or two.

A product of an m x k and a k x n matrix is m k n multiplications and as many additions: 2 m k n
FLOPs. So each parameter of a matrix costs 2 FLOPs per token forward; its backward pass has two
products of the same size (one for the gradient of the input, one for that of the weight) and costs
twice as much: 6 N D in all for N parameters and D tokens (Kaplan et al. 2020, section 2.1). The
scores of attention have no parameters and come on top: 4 S d per token and layer (Hoffmann et al.
2022, "Chinchilla", appendix F, whose totals are higher by the softmax and by the embedding counted
as a product with one-hot vectors).

Three conventions differ between papers, so they are arguments here:
- `causal`: a plain implementation computes all S x S scores and throws half away ("full"); a
  causal kernel computes the lower triangle ("half").
- `recompute_scores`: FlashAttention's backward pass computes Q K^T again: five products, not four.
- `checkpointing`: the blocks run forward a second time during the backward pass, up to their last
  product, whose output the backward pass does not read.
The last two are work that the hardware does and the model does not need: they count for HFU, not
for MFU (Chowdhery et al. 2022, "PaLM", appendix B).
"""

from typing import Literal

from assignment1_basics.reference.model.config import TransformerConfig

Causal = Literal["full", "half"]


def forward_flops_by_part(
    config: TransformerConfig, batch_size: int, seq_len: int, causal: Causal = "full"
) -> dict[str, int]:
    """Return the FLOPs of one forward pass over `batch_size` sequences of `seq_len` tokens."""
    tokens, d_model = batch_size * seq_len, config.d_model
    d_kv = config.kv_heads * config.d_head
    scores = 2 * (2 * tokens * seq_len * d_model)  # Q K^T, and the weighted sum of V
    hidden = _matrices(config) * 2 * tokens * d_model * config.ff_width
    return {
        "attention projections": config.n_layers * 2 * tokens * d_model * (2 * d_model + 2 * d_kv),
        "attention scores": config.n_layers * (scores if causal == "full" else scores // 2),
        "feed-forward": config.n_layers * hidden,
        "head": 2 * tokens * d_model * config.vocab_size,
    }


def _matrices(config: TransformerConfig) -> int:
    return 3 if config.feed_forward == "swiglu" else 2


def backward_flops_by_part(
    config: TransformerConfig,
    batch_size: int,
    seq_len: int,
    causal: Causal = "full",
    recompute_scores: bool = False,
    checkpointing: bool = False,
) -> dict[str, int]:
    """Return the FLOPs of the backward pass that follows, by part."""
    forward = forward_flops_by_part(config, batch_size, seq_len, causal)
    backward = {part: 2 * flops for part, flops in forward.items()}
    if recompute_scores:
        backward["attention scores"] += forward["attention scores"] // 2
    if checkpointing:
        for part in ("attention projections", "attention scores", "feed-forward"):
            backward[part] += forward[part]
        if config.norm != "post":  # a norm after it would read it
            backward["feed-forward"] -= forward["feed-forward"] // _matrices(config)
    return backward


def training_flops_per_token(
    config: TransformerConfig, seq_len: int | None = None, causal: Causal = "half"
) -> float:
    """Return the FLOPs that one training token needs, forward and backward: what MFU counts.

    This is 6 N + 12 L d S (halved where `causal` is "half"), N being the parameters in matrices
    that multiply: not the input embedding, which is a look-up. `seq_len` is the context length
    unless given.
    """
    seq_len = config.context_length if seq_len is None else seq_len
    return 3 * sum(forward_flops_by_part(config, 1, seq_len, causal).values()) / seq_len


def count_forward_flops(
    vocab_size: int, d_model: int, num_layers: int, d_ff: int, batch_size: int, seq_len: int
) -> int:
    """Return the FLOPs of all matrix products of a forward pass that computes every score."""
    config = TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=num_layers,
        n_heads=1,  # any: the heads' widths add up to d_model
        d_ff=d_ff,
        position="none",
    )
    return sum(forward_flops_by_part(config, batch_size, seq_len).values())
