"""How long checkpointed segments should be, and how many blocks to checkpoint, by accounting.

L blocks in segments of k keep L / k segment inputs of I bytes; the backward pass of a segment has
all its activations at once, k times A. The sum k A + (L / k) I is least at k = sqrt(L I / A), the
square-root rule of Chen et al. 2016, section 4.1, where I = A. In a Transformer a block's
activations are 10 to 40 times its input, so the rule asks for one block up to a depth of about
2 A / I (equal sums for one and two), and for few blocks beyond. But the sum is not always the peak:
with a large vocabulary the peak is the loss, when no segment has been run again yet, and there only
the L / k inputs count. Then longer segments save memory until the two moments are level: GPT-2
small in bf16 under autocast does best with 4 (compiled) or 6 blocks (eager), by this accounting.

Recomputation is the same for every k (but for each segment's last product, which is not repeated),
so length is chosen for memory alone. What trades memory for time is how many blocks are
checkpointed at all: `cheapest_plan` finds the least recomputation that fits. Peaks are counted
block by block as in assignment 1's accounting (`accounting.memory`), whose two cases, no block
checkpointed or each by itself, are its ends.
"""

from dataclasses import dataclass

from assignment1_basics.reference.accounting.activations import (
    TrainingSetup,
    block_bytes_per_token,
    block_working_bytes_per_token,
    head_bytes_per_token,
    loss_working_bytes_per_token,
)
from assignment1_basics.reference.accounting.flops import forward_flops_by_part
from assignment1_basics.reference.accounting.memory import ADAMW_MOMENTS
from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.model.config import TransformerConfig


@dataclass(frozen=True)
class Plan:
    """Which blocks are checkpointed: the first `checkpointed`, in segments of `segment_length`."""

    segment_length: int
    checkpointed: int

    def segments(self) -> list[range]:
        """Return the blocks of every segment; the last may be shorter."""
        step, end = self.segment_length, self.checkpointed
        return [range(begin, min(begin + step, end)) for begin in range(0, end, step)]


@dataclass(frozen=True)
class _Sizes:
    """Bytes of what comes and goes in a step."""

    block: int
    """activations of a block, with the short copies of its weights that they refer to"""
    block_input: int
    working: int
    """what a block's backward pass needs beside"""
    block_gradients: int
    head: int
    head_gradients: int
    loss_working: int
    constant: int
    """weights, optimizer state, the head's copy, gradients that are there from the beginning"""


def peak_bytes(config: TransformerConfig, setup: TrainingSetup, plan: Plan) -> int:
    """Return the most bytes that a step with `plan` has allocated at once (`setup.checkpointing`
    is not looked at)."""
    sizes, layers = _sizes(config, setup), config.n_layers
    segments = plan.segments()
    # The compiler looks the first segment's input up again: token ids are cheaper to keep.
    free_inputs = 1 if setup.compiled else 0

    def inputs(count: int) -> int:
        return max(0, count - free_inputs) * sizes.block_input

    kept = layers - plan.checkpointed
    at_loss = inputs(len(segments)) + kept * sizes.block + sizes.head + sizes.loss_working
    moments = [sizes.constant + at_loss]
    for block in reversed(range(layers)):
        gradients = sizes.head_gradients + (layers - 1 - block) * sizes.block_gradients
        if block >= plan.checkpointed:
            alive = inputs(len(segments)) + (block + 1 - plan.checkpointed) * sizes.block
        else:
            number = block // plan.segment_length
            alive = inputs(number + 1) + (block + 1 - segments[number].start) * sizes.block
        moments.append(sizes.constant + gradients + alive + sizes.working)
    return max(moments)


def _sizes(config: TransformerConfig, setup: TrainingSetup) -> _Sizes:
    seq_len = setup.seq_len or config.context_length
    tokens, precision = setup.batch_size * seq_len, setup.precision
    parameters = parameters_by_part(config)
    total = sum(parameters.values())
    in_head = config.vocab_size * config.d_model
    in_block = (parameters["attention"] + parameters["feed-forward"]) // config.n_layers
    copy_bytes = precision.matmul.bytes if setup.autocast else 0
    constant = total * (precision.weights.bytes + ADAMW_MOMENTS * precision.optimizer.bytes)
    gradient = 0 if setup.accumulation else precision.gradients.bytes
    if setup.accumulation:
        constant += total * precision.gradients.bytes
    loss_working = tokens * loss_working_bytes_per_token(config, setup)
    if setup.compiled:
        loss_working += in_head * copy_bytes
    block = tokens * sum(block_bytes_per_token(config, setup, seq_len).values())
    return _Sizes(
        block=block + in_block * copy_bytes,
        block_input=tokens * config.d_model * precision.residual.bytes,
        working=tokens * block_working_bytes_per_token(config, setup, seq_len),
        block_gradients=in_block * gradient,
        head=tokens * head_bytes_per_token(config, setup) + in_head * copy_bytes,
        head_gradients=in_head * gradient,
        loss_working=loss_working,
        constant=constant,
    )


def recomputed_flops(config: TransformerConfig, setup: TrainingSetup, plan: Plan) -> float:
    """Return the FLOPs that a step with `plan` computes a second time."""
    seq_len = setup.seq_len or config.context_length
    parts = forward_flops_by_part(config, setup.batch_size, seq_len, causal="half")
    block = sum(flops for part, flops in parts.items() if part != "head") / config.n_layers
    again = plan.checkpointed * block
    if config.norm != "post":  # a norm after it would read it
        matrices = 3 if config.feed_forward == "swiglu" else 2
        last_product = parts["feed-forward"] / config.n_layers / matrices
        again -= len(plan.segments()) * last_product
    return again


def best_segment_length(config: TransformerConfig, setup: TrainingSetup) -> int:
    """Return the segment length of the lowest peak, all blocks checkpointed; the shortest of
    equal ones, whose recomputation is least."""
    lengths = range(1, config.n_layers + 1)
    return min(lengths, key=lambda k: (peak_bytes(config, setup, Plan(k, config.n_layers)), k))


def square_root_rule(config: TransformerConfig, setup: TrainingSetup) -> float:
    """Return sqrt(L I / A), where the two terms of k A + (L / k) I are equal."""
    sizes = _sizes(config, setup)
    return (config.n_layers * sizes.block_input / sizes.block) ** 0.5


def cheapest_plan(config: TransformerConfig, setup: TrainingSetup, budget: int) -> Plan | None:
    """Return the plan of least recomputation whose peak fits into `budget` bytes, if any does."""
    layers = config.n_layers
    plans = [Plan(1, 0), *(Plan(k, m) for m in range(1, layers + 1) for k in range(1, m + 1))]
    fitting = [plan for plan in plans if peak_bytes(config, setup, plan) <= budget]
    return min(
        fitting,
        key=lambda plan: (
            recomputed_flops(config, setup, plan),
            peak_bytes(config, setup, plan),
        ),
        default=None,
    )
