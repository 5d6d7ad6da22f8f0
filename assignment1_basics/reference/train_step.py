"""One optimizer step: forward, backward, clip, update. The host never waits for the GPU.

Weights stay in float32; with `bf16` the products run in bfloat16 (autocast), which needs no loss
scaling: bfloat16 has float32's exponent range (Kalamkar et al., 2019). The loss is inside the
compiled graph, so that the softmax over the vocabulary fuses with the casts around it.

A batch may be split into micro-batches whose gradients add up: the same step in less memory, one
after the other.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from assignment1_basics.reference.loss import token_losses
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.optimizer.adamw import AdamW
from assignment1_basics.reference.optimizer.clipping import clip_gradients
from assignment1_basics.reference.optimizer.weight_decay import weight_decay_groups
from assignment1_basics.reference.train_config import OptimizerConfig

Losses = Callable[[Tensor, Tensor], Tensor]


class TrainStep:
    """A model and its optimizer; calling it with a batch takes one step.

    Args:
        model: on its device already.
        optimizer: the recipe; `fused` None means PyTorch's kernel on a GPU, our AdamW elsewhere.
        micro_batch_size: sequences in one forward pass; None: the whole batch.
        bf16: autocast products to bfloat16.
        compile: torch.compile the forward and the backward pass.
    """

    def __init__(
        self,
        model: Transformer,
        optimizer: OptimizerConfig,
        *,
        micro_batch_size: int | None = None,
        bf16: bool = False,
        compile: bool = False,
    ):
        self.model = model
        self.optimizer = make_optimizer(model, optimizer)
        self.micro_batch_size = micro_batch_size
        self.max_gradient_norm = optimizer.max_gradient_norm
        self.bf16, self.compiled = bf16, compile
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.mean_loss: Losses = self._forward_mean
        self.token_losses: Losses = self._forward
        if compile:
            self.mean_loss = torch.compile(self._forward_mean, dynamic=False)
            self.token_losses = torch.compile(self._forward, dynamic=False)

    def __call__(
        self,
        inputs: Int[Tensor, "batch seq"],
        targets: Int[Tensor, "batch seq"],
        learning_rate: float,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Take one step; return the loss and the gradient norm before clipping, on the device."""
        size = self.micro_batch_size or len(inputs)
        parts = list(zip(inputs.split(size), targets.split(size), strict=True))
        total = torch.zeros((), device=inputs.device)
        for part in parts:
            loss = self.mean_loss(*part) / len(parts)
            loss.backward()
            total += loss.detach()
        return total, self.update(learning_rate)

    def update(self, learning_rate: float) -> Float[Tensor, ""]:
        """Clip the gradients, step, drop the gradients; return their norm before clipping."""
        norm = clip_gradients(self.parameters, self.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(inputs)
        return token_losses(logits, targets)

    def _forward_mean(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self._forward(inputs, targets).mean()


def make_optimizer(model: Transformer, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build AdamW over the model's decaying and not decaying parameters."""
    groups = weight_decay_groups(model, config.weight_decay)
    values = {"lr": config.learning_rate, "betas": config.betas, "eps": config.eps}
    fused = model.device.type == "cuda" if config.fused is None else config.fused
    if fused:
        return torch.optim.AdamW(groups, fused=True, **values)  # type: ignore[arg-type]
    return AdamW(groups, **values)  # type: ignore[arg-type]
