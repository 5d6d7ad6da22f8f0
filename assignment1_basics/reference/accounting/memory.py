"""Memory of one training step, by part: what stays, what autograd keeps, and the peak of both.

Weights, gradients and AdamW's two moments take 16 bytes a parameter in fp32 (Rajbhandari et al.
2020, "ZeRO", section 3.1). Activations grow with the tokens of a micro-batch: everything that the
backward pass will read is kept from the forward pass. Korthikanti et al. 2022 ("Reducing activation
recomputation in large transformer models", section 4.1) count 34 + 5 n_heads S / d bytes per token,
layer and unit of width for GPT-3's block with dropout in 16 bits, and 2 when each block keeps its
input only and runs again in the backward pass (checkpointing). The same count is made here for the
Transformer of this assignment, tensor by tensor, as our code leaves them behind:

- eager: each operation keeps its own inputs. Autocast keeps a bf16 copy of a norm's output for
  every projection that reads it, and of every matrix.
- compiled: the compiler fuses and keeps less: of a norm its input, its output in bf16 and one
  number a token; of SwiGLU gate, value and product. The fused query/key/value and gate/up products
  stay whole because a part of each is needed.
- attention "sdpa" keeps queries, keys, values, output and a log-sum-exp per head; "plain" keeps the
  exponentials and the probabilities, S per head and token each.

The gradients appear in the backward pass while the activations disappear, so the peak is not the
sum of all parts: it is the larger of two moments, the loss (all activations, no gradients yet) and
the end of the backward pass (all gradients). Modelled is one GPU, gradients set to None between
steps, fused AdamW. Not modelled: the CUDA context, the libraries' workspaces (cuBLAS: 32 MiB on
Hopper) and the allocator's fragmentation.
"""

from dataclasses import dataclass

from assignment1_basics.reference.accounting.formats import FP32, PRECISIONS, Precision
from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.model.config import TransformerConfig

ADAMW_MOMENTS = 2


@dataclass(frozen=True)
class TrainingSetup:
    """How a step is run: what decides its memory beyond the model's shape."""

    batch_size: int = 8
    """sequences in a micro-batch"""
    seq_len: int | None = None
    """tokens in a sequence; None: the model's context length"""
    precision: Precision = PRECISIONS["bf16-mixed"]
    compiled: bool = True
    """torch.compile over the model and the loss, or eager"""
    checkpointing: bool = False
    """keep the input of each block only and run the block again in the backward pass"""
    accumulation: bool = False
    """gradients of earlier micro-batches are already there in the forward pass"""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of one training step by part; `activations` are those kept at the end of forward."""

    weights: int
    gradients: int
    optimizer: int
    activations: dict[str, int]
    working_at_loss: int
    working_in_blocks: int

    @property
    def peak(self) -> int:
        """The most bytes that are allocated at any moment of a step."""
        return 0


def training_memory(config: TransformerConfig, setup: TrainingSetup) -> TrainingMemory:
    """Return the memory of a training step, by part."""
    return TrainingMemory(0, 0, 0, {}, 0, 0)


def training_memory_bytes(
    num_parameters: int, parameter_bytes: int = 4, gradient_bytes: int = 4, state_bytes: int = 4
) -> int:
    """Return the bytes of weights, gradients and AdamW's two moments."""
    return num_parameters * (parameter_bytes + gradient_bytes + ADAMW_MOMENTS * state_bytes)
