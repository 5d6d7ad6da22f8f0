"""Gradient clipping by the global norm (Pascanu et al., 2013, algorithm 1).

One factor for all gradients keeps the direction of the step. The factor is computed as a tensor:
asking on the host whether the norm exceeds the limit would make the CPU wait for the GPU each step.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

EPS = 1e-6


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Float[Tensor, ""]:
    """Scale all gradients in place so that their joint L2 norm is at most `max_norm`.

    Gradients within the limit keep their bits. Returns the norm before clipping, on the device of
    the gradients, without waiting for it.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = global_norm(gradients)
    factor = torch.where(norm > max_norm, max_norm / (norm + EPS), torch.ones_like(norm))
    torch._foreach_mul_(gradients, factor)
    return norm


def global_norm(tensors: list[Tensor]) -> Float[Tensor, ""]:
    """Return the L2 norm of all elements of all tensors together, accumulated in float32."""
    norms = torch._foreach_norm(tensors)
    return torch.stack([norm.float() for norm in norms]).norm()
