"""One optimizer step with every kernel of this assignment: fused model, head with loss, AdamW.

The step of assignment 1, except for three things: the loss comes without logits, the gradients are
clipped inside the optimizer's kernel (which saves 8 bytes of traffic a weight), and weights in 16
bits have float32 masters in the optimizer, so that a model in pure bfloat16 loses no small update.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.optimizer.clipping import EPS, global_norm
from assignment1_basics.reference.optimizer.weight_decay import weight_decay_groups
from assignment1_basics.reference.train_config import OptimizerConfig
from assignment1_basics.reference.train_step import TrainStep
from assignment2_systems.reference.fused_transformer import FusedTransformer, fused
from assignment2_systems.reference.kernels.adamw import FusedAdamW


class FusedTrainStep(TrainStep):
    """A model and its optimizer; calling it with a batch takes one step.

    Args:
        model: on its device and in the dtype of its weights already; its parameters are shared.
        optimizer: the recipe.
        micro_batch_size: sequences in one forward pass; None: the whole batch.
        bf16: autocast products to bfloat16.
        compile: torch.compile the forward and the backward pass.
        residual_dtype: of the residual stream; None: that of the embedding.
        moment_dtype: of AdamW's moments, float32 or bfloat16.
    """

    model: FusedTransformer
    optimizer: FusedAdamW

    def __init__(
        self,
        model: Transformer,
        optimizer: OptimizerConfig,
        *,
        micro_batch_size: int | None = None,
        bf16: bool = False,
        compile: bool = False,
        residual_dtype: torch.dtype | None = None,
        moment_dtype: torch.dtype = torch.float32,
    ):
        model = fused(model, residual_dtype)
        super().__init__(
            model, optimizer, micro_batch_size=micro_batch_size, bf16=bf16, compile=compile
        )
        self.optimizer = FusedAdamW(
            weight_decay_groups(model, optimizer.weight_decay),
            optimizer.learning_rate,
            optimizer.betas,
            optimizer.eps,
            moment_dtype=moment_dtype,
        )

    def update(self, learning_rate: float) -> Float[Tensor, ""]:
        """Clip the gradients and step in one go; return their norm before clipping."""
        norm = global_norm([p.grad for p in self.parameters if p.grad is not None])
        limit = self.max_gradient_norm
        factor = torch.where(norm > limit, limit / (norm + EPS), torch.ones_like(norm))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step(gradient_scale=factor)
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _forward_mean(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model.loss(inputs, targets)
