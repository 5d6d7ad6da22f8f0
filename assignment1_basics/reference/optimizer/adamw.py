"""AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, 2019, algorithm 2).

    m <- beta1 m + (1 - beta1) g             first moment
    v <- beta2 v + (1 - beta2) g^2           second moment
    w <- w - lr * weight_decay * w           decay, outside the adaptive scaling
    w <- w - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

State is two float tensors per parameter: 8 bytes per weight in float32 (Rajbhandari et al., "ZeRO",
2020, section 3.1). The state's keys are those of `torch.optim.AdamW`, so a checkpoint of one
continues with the other.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


class AdamW(torch.optim.Optimizer):
    """AdamW over float parameters, with parameter groups.

    Args:
        params: parameters, or groups of them that override the values below.
        lr: learning rate.
        betas: decay of the running mean of the gradient and of its square.
        eps: added to the denominator, so that a weight without gradients does not blow up.
        weight_decay: share of the weight that `lr` = 1 would take away in one step.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        for name, value, good in (
            ("lr", lr, lr >= 0),
            ("betas", betas, all(0 <= beta < 1 for beta in betas)),
            ("eps", eps, eps >= 0),
            ("weight_decay", weight_decay, weight_decay >= 0),
        ):
            if not good:
                raise ValueError(f"{name}={value} is out of range")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; return the closure's loss if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _update(parameter, self.state[parameter], group)
        return loss


def _update(weight: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Apply the four lines above in place to one weight."""
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(weight)
        state["exp_avg_sq"] = torch.zeros_like(weight)
    state["step"] += 1
    step, (beta1, beta2) = state["step"].item(), group["betas"]
    gradient, mean, square = weight.grad, state["exp_avg"], state["exp_avg_sq"]

    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    denominator = square.sqrt().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    weight.addcdiv_(mean, denominator, value=-group["lr"] / (1 - beta1**step))
