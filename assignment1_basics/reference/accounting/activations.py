"""What a forward pass leaves behind for the backward pass, in bytes per token, tensor by tensor.

Written down from our code (`model/`, `loss.py`); each line below is one group of tensors.

- Eager, each operation keeps its own inputs. A norm keeps its input and the normalised input in
  fp32. Autocast casts a norm's output anew for every projection that reads it: five copies a block.
- Compiled, the graph is cut where least is kept (PyTorch's min-cut partitioner): of a norm only its
  input and one number a token; of the gated network the gate, the value and their product.
- With "sdpa" attention keeps queries, keys, values, output and a log-sum-exp per head. "plain" also
  keeps the exponentials (fp32) and the probabilities: n_heads * S numbers of each for every token.
  PyTorch has no fused kernel for grouped keys in fp32 on a GPU, and holds probabilities there too.
- The logits stay in the format of the products. Beside them, eager, the loss needs them in fp32 and
  as large a temporary of `logsumexp`. Compiled, their gradient overwrites them, unless the
  vocabulary is no multiple of 8: then the compiler pads the product and so makes a copy.
"""

from dataclasses import dataclass

from assignment1_basics.reference.accounting.formats import FP32, PRECISIONS, Precision
from assignment1_basics.reference.model.config import TransformerConfig

FP32_BYTES = 4


@dataclass(frozen=True)
class TrainingSetup:
    """How a step is run: what decides its memory beyond the model's shape."""

    batch_size: int = 8
    """sequences in a micro-batch"""
    seq_len: int | None = None
    """tokens in a sequence; None: the model's context length"""
    precision: Precision = PRECISIONS["bf16-mixed"]
    compiled: bool = True
    """torch.compile over model and loss; otherwise eager"""
    checkpointing: bool = False
    """keep the input of each block only and run the block again in the backward pass"""
    accumulation: bool = False
    """gradients of earlier micro-batches are there already in the forward pass"""

    @property
    def autocast(self) -> bool:
        """Whether products run in a shorter format than the weights have."""
        return self.precision.matmul.bytes < self.precision.weights.bytes


def block_bytes_per_token(
    config: TransformerConfig, setup: TrainingSetup, seq_len: int
) -> dict[str, int]:
    """Return what one block keeps for each token, by part."""
    return {
        "norms": 0 if config.norm == "none" else 2 * _norm(config, setup),
        "attention": _attention(config, setup, seq_len),
        "feed-forward": _feed_forward(config, setup),
    }


def _norm(config: TransformerConfig, setup: TrainingSetup) -> int:
    """Input, and eager the normalised input, and one over the root mean square."""
    if setup.compiled:
        return config.d_model * setup.precision.residual.bytes + FP32_BYTES
    return 2 * config.d_model * FP32_BYTES + FP32_BYTES


def _operand_copies(setup: TrainingSetup, projections: int) -> int:
    """How often the input of some parallel projections is kept."""
    return projections if setup.autocast and not setup.compiled else 1


def _attention(config: TransformerConfig, setup: TrainingSetup, seq_len: int) -> int:
    d_model, d_kv = config.d_model, config.kv_heads * config.d_head
    number, operand = setup.precision.activations.bytes, setup.precision.matmul.bytes
    scores = config.n_heads * seq_len
    kept = _operand_copies(setup, 3) * d_model * operand
    if config.attention == "plain":
        kept += number * (d_model + 2 * d_kv)  # queries, keys, values
        kept += operand * d_model  # input of the output projection
        exponentials = number if setup.compiled else FP32_BYTES
        return kept + scores * (exponentials + number)
    kept += number * (2 * d_model + 2 * d_kv) + FP32_BYTES * config.n_heads
    if _holds_scores(config, setup):  # no fused kernel: keys and values are repeated
        return kept + scores * number + number * 2 * (d_model - d_kv)
    return kept


def _feed_forward(config: TransformerConfig, setup: TrainingSetup) -> int:
    number, operand = setup.precision.activations.bytes, setup.precision.matmul.bytes
    gated = config.feed_forward == "swiglu"
    kept = _operand_copies(setup, 2 if gated else 1) * config.d_model * operand
    hidden = 2 if gated else 1  # gate and value, or what SiLU reads
    if not setup.compiled:
        hidden += hidden  # the sigmoid too, and of a gate what SiLU gives
    return kept + config.ff_width * (hidden * number + operand)


def head_bytes_per_token(config: TransformerConfig, setup: TrainingSetup) -> int:
    """Return what the final norm, the head and the loss keep for each token."""
    norm = 0 if config.norm == "none" else _norm(config, setup)
    operand = config.d_model * setup.precision.matmul.bytes
    logits = config.vocab_size * setup.precision.activations.bytes + FP32_BYTES
    return norm + operand + logits


def loss_working_bytes_per_token(config: TransformerConfig, setup: TrainingSetup) -> int:
    """Return what the loss needs beside what it keeps, at its worst moment."""
    number = setup.precision.activations.bytes
    if setup.compiled:
        return 0 if config.vocab_size % 8 == 0 else config.vocab_size * number
    return config.vocab_size * (number if number == FP32_BYTES else 2 * FP32_BYTES)


def block_working_bytes_per_token(
    config: TransformerConfig, setup: TrainingSetup, seq_len: int
) -> int:
    """Return what the backward pass of a block needs beside what the block kept.

    First come the gradients of two of the feed-forward network's hidden tensors. Where scores are
    held, fp32 tensors of their size follow, when what the feed-forward network kept is gone
    already: four for our softmax, whose gradient is taken step by step, three for PyTorch's.
    """
    number = setup.precision.activations.bytes
    in_feed_forward = 2 * config.ff_width * number
    if setup.compiled:  # ordered for speed: one more, and queries, keys, values, output still there
        in_feed_forward += (config.ff_width + 4 * config.d_model) * number
    in_attention = 0
    if _holds_scores(config, setup):
        gone = _feed_forward(config, setup) + _norm(config, setup)
        held = 4 if config.attention == "plain" else 3
        in_attention = held * config.n_heads * seq_len * FP32_BYTES - gone
    return config.d_model * setup.precision.residual.bytes + max(in_feed_forward, in_attention)


def _holds_scores(config: TransformerConfig, setup: TrainingSetup) -> bool:
    grouped_fp32 = config.kv_heads < config.n_heads and setup.precision.activations is FP32
    return config.attention == "plain" or grouped_fp32
