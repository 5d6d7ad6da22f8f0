"""Everything that decides what a training run computes, and how: the schema of its config.yaml.

Fields are split by what a resumed run may change. `TRAJECTORY` ones decide the numbers: bit for bit
the same weights need the same values. The rest (where it runs, how often it looks) is free.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.optimizer.schedules import cosine_schedule, wsd_schedule
from course.config import differences
from course.errors import UserError, require


@dataclass(frozen=True)
class DataConfig:
    """Token files written by `course tokenizer encode`."""

    train: Path
    """token file to train on"""
    valid: Path | None = None
    """token file of held-out text"""
    tokenizer: Path | None = None
    """tokenizer that wrote them; it is checked, and copied into the run for `course generate`"""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, with decay on matrices but not on gains and embeddings."""

    learning_rate: float = 1e-3
    """the highest of the schedule"""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    max_gradient_norm: float = 1.0
    """clip the global gradient norm to this"""
    fused: bool | None = None
    """PyTorch's fused kernel instead of our own AdamW; None: on a GPU"""

    def __post_init__(self) -> None:
        rate = self.learning_rate
        require(0 < rate < 1e30, "optimizer.learning_rate", rate, "positive and below 1e30")
        in_range = all(0 <= beta < 1 for beta in self.betas)
        require(in_range, "optimizer.betas", self.betas, "from 0 to below 1")
        require(self.eps > 0, "optimizer.eps", self.eps, "positive")
        decay = self.weight_decay
        in_range = 0 <= decay < float("inf")
        require(in_range, "optimizer.weight_decay", decay, "at least 0, and finite")
        require(
            self.max_gradient_norm > 0,
            "optimizer.max_gradient_norm",
            self.max_gradient_norm,
            "positive",
        )


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over the steps."""

    kind: Literal["cosine", "wsd", "constant"] = "cosine"
    """after a linear warm-up: half a cosine; constant, then a linear decay; constant"""
    warmup_steps: int | None = None
    """None: a twentieth of all steps, at most 1000"""
    decay_share: float = 0.2
    """wsd: the share of all steps that decays"""
    min_ratio: float = 0.1
    """the last learning rate as a share of the highest"""

    def __post_init__(self) -> None:
        warmup = self.warmup_steps
        require((warmup or 0) >= 0, "schedule.warmup_steps", warmup, "at least 0")
        for name in ("decay_share", "min_ratio"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"schedule.{name}", share, "from 0 to 1")


@dataclass(frozen=True)
class TrainConfig:
    """A training run of a Transformer language model."""

    data: DataConfig
    model: TransformerConfig = field(default_factory=TransformerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    steps: int = 1000
    """optimizer steps"""
    batch_size: int = 32
    """sequences of model.context_length tokens in a step"""
    micro_batch_size: int | None = None
    """sequences in one forward pass; smaller needs less memory and sums gradients; None: all"""
    seed: int = 0
    """decides the initial weights and every batch"""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16: autocast over float32 weights; auto: that on a GPU, fp32 on a CPU"""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU if there is one"""
    compile: bool | None = None
    """torch.compile; None: on a GPU"""
    eval_interval: int = 100
    """steps between evaluations on data.valid; the last one takes the whole file"""
    eval_batches: int = 16
    """micro-batches of the held-out file that an evaluation on the way takes; 0: all"""
    checkpoint_interval: int = 500
    """steps between checkpoints; the last step always gets one"""
    keep_checkpoints: int = 2
    """how many are kept; 2 or more survive a damaged file"""
    log_interval: int = 10
    """steps between looks at the loss (a GPU runs ahead meanwhile); every step is logged"""
    wandb: bool = True
    """mirror metrics to Weights & Biases, as WANDB_MODE says (offline, if it is not set)"""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_interval", "checkpoint_interval",
                     "keep_checkpoints", "log_interval"):  # fmt: skip
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.eval_batches >= 0, "eval_batches", self.eval_batches, "at least 0")
        require(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to 2^32 - 1")
        micro = self.micro_batch_size
        require(
            micro is None or (micro >= 1 and self.batch_size % micro == 0),
            "micro_batch_size",
            micro,
            f"a divisor of batch_size = {self.batch_size}",
        )

    @property
    def micro_batch(self) -> int:
        """Sequences in one forward pass."""
        return self.micro_batch_size or self.batch_size

    @property
    def tokens_per_step(self) -> int:
        """Tokens whose loss one optimizer step averages."""
        return self.batch_size * self.model.context_length

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of step `step`, counted from 1: the last one has the minimum."""
        highest = self.optimizer.learning_rate
        lowest = highest * self.schedule.min_ratio
        warmup = self.schedule.warmup_steps
        if warmup is None:
            warmup = min(1000, self.steps // 20)
        if self.schedule.kind == "cosine":
            return cosine_schedule(step, highest, lowest, warmup, self.steps)
        if self.schedule.kind == "wsd":
            decay_start = self.steps - round(self.schedule.decay_share * self.steps)
            return wsd_schedule(step, highest, lowest, warmup, decay_start, self.steps)
        return wsd_schedule(step, highest, highest, warmup, self.steps, self.steps)

    def with_vocabulary(self, vocab_size: int) -> "TrainConfig":
        """Fit the model to the token file: its vocabulary, unless a larger one was asked for."""
        asked = self.model.vocab_size
        if asked == TransformerConfig.vocab_size:
            return replace(self, model=replace(self.model, vocab_size=vocab_size))
        require(
            asked >= vocab_size,
            "model.vocab_size",
            asked,
            f"at least {vocab_size}, the vocabulary of the token file",
        )
        return self


FREE = {
    "device", "compile", "eval_interval", "eval_batches", "checkpoint_interval",
    "keep_checkpoints", "log_interval", "wandb", "data.train", "data.valid", "data.tokenizer",
}  # fmt: skip
"""Fields that do not touch the weights; the training tokens are compared by their number and
tokenizer, so that a file may move."""


def require_same_trajectory(old: TrainConfig, new: TrainConfig, step: int) -> None:
    """Raise a `UserError` that names the fields in which `new` would not continue `old`.

    The length and the shape of the schedule may change as long as every step up to `step` had the
    same learning rate: so a WSD or constant run can be made longer before its decay begins.
    """
    changed = {name: pair for name, pair in differences(old, new).items() if name not in FREE}
    scheduled = {n for n in changed if n == "steps" or n.startswith("schedule.")}
    if scheduled and all(old.learning_rate(i) == new.learning_rate(i) for i in range(1, step + 1)):
        changed = {name: pair for name, pair in changed.items() if name not in scheduled}
    if changed:
        listed = ", ".join(f"{name}: {a!s} -> {b!s}" for name, (a, b) in changed.items())
        raise UserError(
            f"the run to resume had another config ({listed}); "
            "leave these options out, or start a run of another --name"
        )
