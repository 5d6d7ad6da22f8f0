"""The training step that is measured: which model, which numbers, which phases.

It is the step of `course train` (`TrainStep`), cut where it can be cut: forward pass with the loss,
backward pass, and the update (clipping, AdamW, gradients dropped). A `Variant` says what the
products are computed in and whether the two passes are compiled:

    fp32   float32 throughout
    tf32   float32 in memory, 10 bits of mantissa in the products of an NVIDIA GPU
    bf16   autocast: bfloat16 products over float32 weights
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from assignment1_basics.reference.accounting.flops import (
    forward_flops_by_part,
    training_flops_per_token,
)
from assignment1_basics.reference.accounting.formats import BF16, FP32, TF32, NumberFormat
from assignment1_basics.reference.accounting.hardware import ACCELERATORS
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.train_config import OptimizerConfig
from assignment1_basics.reference.train_step import TrainStep
from course.errors import UserError

PrecisionName = Literal["fp32", "tf32", "bf16"]
ModeName = Literal["eager", "compiled"]
PRECISION_NAMES: tuple[PrecisionName, ...] = get_args(PrecisionName)
PHASES = ("forward", "backward", "update")
FORMATS: dict[PrecisionName, NumberFormat] = {"fp32": FP32, "tf32": TF32, "bf16": BF16}

OPTIMIZER = OptimizerConfig(learning_rate=3e-4)


@dataclass(frozen=True)
class Variant:
    """How a step is computed."""

    precision: PrecisionName = "fp32"
    mode: ModeName = "eager"

    def __str__(self) -> str:
        return f"{self.precision} {self.mode}"

    @contextmanager
    def matmul_precision(self) -> Iterator[None]:
        """Set how float32 products are computed, a switch of the whole process, for a while."""
        before = torch.get_float32_matmul_precision()
        # Under autocast the few products in float32 that are left may be TF32 too.
        torch.set_float32_matmul_precision("highest" if self.precision == "fp32" else "high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def require_on(self, device: torch.device) -> None:
        """Raise a `UserError` where `device` cannot compute so."""
        if self.precision == "tf32" and device.type != "cuda":
            raise UserError(
                f"precision tf32 needs an NVIDIA GPU's matrix units; on {device.type} use "
                "fp32 or bf16"
            )


@dataclass(frozen=True)
class Workload:
    """A model and the shape of its batches."""

    model: TransformerConfig
    batch_size: int
    seq_len: int

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size is {self.batch_size}; it must be at least 1")
        if not 1 <= self.seq_len <= self.model.context_length:
            raise UserError(
                f"seq_len is {self.seq_len}; it must be from 1 to the model's context, "
                f"{self.model.context_length}"
            )

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch_size * self.seq_len

    def flops(self) -> dict[str, float]:
        """Return what the matrix products of each phase need, scores above the diagonal left out.

        The update has none; "step" is what MFU counts.
        """
        parts = forward_flops_by_part(self.model, self.batch_size, self.seq_len, causal="half")
        forward = float(sum(parts.values()))
        step = training_flops_per_token(self.model, self.seq_len) * self.tokens
        return {"forward": forward, "backward": step - forward, "update": 0.0, "step": step}


class MeasuredStep:
    """A model on its device with its optimizer and one random batch, ready to be run by phases.

    Call it for a whole step, or its `phases` in their order. `build` makes the model from its
    config and a generator; give another one to measure another implementation.
    """

    def __init__(
        self,
        workload: Workload,
        variant: Variant,
        device: torch.device,
        seed: int = 0,
        build: Callable[[TransformerConfig, torch.Generator], Transformer] = Transformer,
    ):
        variant.require_on(device)
        generator = torch.Generator().manual_seed(seed)
        self.workload, self.variant, self.device = workload, variant, device
        self.model = build(workload.model, generator).to(device)
        self.train_step = TrainStep(
            self.model,
            OPTIMIZER,
            bf16=variant.precision == "bf16",
            compile=variant.mode == "compiled",
        )
        shape = (workload.batch_size, workload.seq_len + 1)
        tokens = torch.randint(workload.model.vocab_size, shape, generator=generator).to(device)
        self.inputs, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        self._loss: torch.Tensor | None = None

    def __call__(self) -> None:
        """Take one whole step."""
        self.train_step(self.inputs, self.targets, OPTIMIZER.learning_rate)

    @property
    def phases(self) -> dict[str, Callable[[], None]]:
        """The three parts of a step, to be called in this order."""
        return dict(zip(PHASES, (self.forward, self.backward, self.update), strict=True))

    def forward(self) -> None:
        """Compute the mean loss, and keep what the backward pass needs."""
        self._loss = self.train_step.mean_loss(self.inputs, self.targets)

    def backward(self) -> None:
        """Compute the gradients of the loss of `forward`."""
        if self._loss is None:
            raise RuntimeError("backward comes after forward")
        self._loss.backward()
        self._loss = None

    def update(self) -> None:
        """Clip, step, drop the gradients."""
        self.train_step.update(OPTIMIZER.learning_rate)


def datasheet_flops(device: torch.device, variant: Variant) -> float | None:
    """Return the dense peak rate of a known GPU in a variant's format; None for others."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower().replace(" ", "")
    known = [accelerator for key, accelerator in ACCELERATORS.items() if key in name]
    return known[0].peak_flops_per_second(FORMATS[variant.precision]) if known else None
