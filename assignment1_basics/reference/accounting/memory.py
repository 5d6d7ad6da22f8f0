"""Memory of one training step, by part: what stays, what autograd keeps, and the peak of both.

Weights, gradients and AdamW's two moments take 16 bytes a parameter in fp32 (Rajbhandari et al.
2020, "ZeRO", section 3.1). Activations grow with the tokens of a micro-batch: whatever the backward
pass reads is kept from the forward pass. Korthikanti et al. 2022 ("Reducing activation
recomputation in large transformer models", section 4.1) count 34 + 5 n_heads S / d bytes per token,
layer and unit of width for GPT-3's block with dropout in 16 bits, and 2 when each block keeps its
input only and runs again in the backward pass (checkpointing; Chen et al. 2016). Here is the same
count for the Transformer of this assignment, tensor by tensor, as `activations.py` lists them.

The peak is not the sum of all parts, because gradients appear while activations disappear. It is
the largest of four moments: the loss, the backward pass of the first block that it reaches and of
the last, and its end.

Modelled is one GPU, gradients set to None between steps, fused AdamW. Not modelled: the CUDA
context, the libraries' workspaces (cuBLAS takes 32 MiB on Hopper), the allocator's fragmentation.
Against the peak that PyTorch's allocator reports on an NVIDIA H200 the calculator is within 10%
(`benchmarks/memory_accounting.py`).
"""

from dataclasses import dataclass, replace

from assignment1_basics.reference.accounting.activations import (
    TrainingSetup,
    block_bytes_per_token,
    block_working_bytes_per_token,
    head_bytes_per_token,
    loss_working_bytes_per_token,
)
from assignment1_basics.reference.accounting.formats import NumberFormat
from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.model.config import TransformerConfig

ADAMW_MOMENTS = 2
USABLE_SHARE = 0.95
"""Of an accelerator's memory; the rest is left to the context, workspaces and fragmentation."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step."""

    static: dict[str, int]
    """weights, gradients, optimizer state, and copies of weights in the format of the products"""
    activations: dict[str, int]
    """what is kept from the forward pass, at its end, by part"""
    moments: dict[str, int]
    """what is allocated at the moments of which one is the peak"""

    @property
    def peak(self) -> int:
        """The most bytes that are allocated at any moment of the step."""
        return max(self.moments.values())


def training_memory(config: TransformerConfig, setup: TrainingSetup) -> TrainingMemory:
    """Return the memory of a training step, by part, and at the moments that can be its peak."""
    seq_len = setup.seq_len or config.context_length
    tokens = setup.batch_size * seq_len
    precision = setup.precision
    parameters = parameters_by_part(config)
    total = sum(parameters.values())
    in_head = config.vocab_size * config.d_model
    in_block = (parameters["attention"] + parameters["feed-forward"]) // config.n_layers
    copy_bytes = precision.matmul.bytes if setup.autocast else 0
    block_copies = in_block * copy_bytes

    weights = total * precision.weights.bytes
    optimizer = ADAMW_MOMENTS * total * precision.optimizer.bytes
    gradients = total * precision.gradients.bytes
    kept_copies = 0 if setup.checkpointing else config.n_layers * block_copies
    copies = kept_copies + in_head * copy_bytes

    block = block_bytes_per_token(config, setup, seq_len)
    head = tokens * head_bytes_per_token(config, setup)
    if setup.checkpointing:
        # The compiler looks the first block's input up again: token ids are cheaper to keep.
        inputs = config.n_layers - setup.compiled
        kept = {"block inputs": inputs * tokens * config.d_model * precision.residual.bytes}
        recomputed = tokens * sum(block.values()) + block_copies
    else:
        kept = {part: config.n_layers * tokens * size for part, size in block.items()}
        recomputed = 0
    in_blocks = sum(kept.values())

    working = tokens * block_working_bytes_per_token(config, setup, seq_len) + recomputed
    loss_working = tokens * loss_working_bytes_per_token(config, setup)
    if setup.compiled:
        loss_working += in_head * copy_bytes  # the head's gradient before it becomes fp32
    at_start = weights + optimizer + (gradients if setup.accumulation else 0)
    one_block = in_blocks // config.n_layers
    # Gradients that are there when the first block's turn comes: the head's; the last block's: all
    # but its own and the embedding's.
    first_gradients = 0 if setup.accumulation else in_head * precision.gradients.bytes
    last_gradients = gradients
    if not setup.accumulation:
        untied = 0 if config.tie_embeddings else in_head
        last_gradients -= (untied + in_block) * precision.gradients.bytes
    stream = tokens * config.d_model * precision.residual.bytes
    moments = {
        "loss": at_start + copies + in_blocks + head + loss_working,
        "backward pass, first block": (
            at_start + kept_copies + in_blocks + first_gradients + working
        ),
        "backward pass, last block": (
            weights
            + optimizer
            + last_gradients
            + kept_copies // config.n_layers
            + one_block
            + working
        ),
        "end of the backward pass": weights + optimizer + gradients + stream,
    }
    return TrainingMemory(
        static={
            "weights": weights,
            "gradients": gradients,
            "optimizer": optimizer,
            "copies of weights": copies,
        },
        activations={**kept, "head and loss": head},
        moments=moments,
    )


def largest_batch(config: TransformerConfig, setup: TrainingSetup, memory_bytes: int) -> int:
    """Return the most sequences in a micro-batch whose step fits, 0 if not even one does."""

    def fits(batch_size: int) -> bool:
        tried = replace(setup, batch_size=batch_size)
        return training_memory(config, tried).peak <= USABLE_SHARE * memory_bytes

    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def kv_cache_bytes(config: TransformerConfig, tokens: int, number: NumberFormat) -> int:
    """Return the bytes of the keys and values of `tokens` tokens in all layers."""
    return 2 * config.n_layers * config.kv_heads * config.d_head * tokens * number.bytes


def training_memory_bytes(
    num_parameters: int, parameter_bytes: int = 4, gradient_bytes: int = 4, state_bytes: int = 4
) -> int:
    """Return the bytes of weights, gradients and AdamW's two moments."""
    return num_parameters * (parameter_bytes + gradient_bytes + ADAMW_MOMENTS * state_bytes)
