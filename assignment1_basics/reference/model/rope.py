"""Rotary position embedding: a query or key at position p is rotated by angles that grow with p.

The product of a rotated query and a rotated key depends on their distance only, so attention sees
relative positions (Su et al. 2021, "RoFormer", section 3.4). Pairs are neighbours, (2i, 2i+1), as
in the paper and in Meta's Llama; Hugging Face pairs i with i + d_head / 2, which is the same map
after a permutation of rows (see `hugging_face.py`).

The angles p * theta^(-2i / d_head) are computed in float64: near p = 100,000 float32 rounds an
angle by up to 0.004, bfloat16 by up to 256. The table of their cosines and sines is float32 and
costs 4 d_head bytes a position.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# Cosines and sines of the angles of some positions, each Float[Tensor, "... seq d_head/2"].
Rotation = tuple[Tensor, Tensor]


class RoPE(nn.Module):
    """Cached cosines and sines for the positions 0, 1, ..., `max_positions` - 1."""

    cos: Tensor
    sin: Tensor

    def __init__(self, d_head: int, theta: float, max_positions: int):
        super().__init__()
        # On the CPU also within `torch.device("meta")`: the table is no weight to be loaded later.
        pair = torch.arange(0, d_head, 2, dtype=torch.float64, device="cpu")
        position = torch.arange(max_positions, dtype=torch.float64, device="cpu")
        angles = torch.outer(position, theta ** (-pair / d_head))
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, positions: Int[Tensor, "... seq"]) -> Rotation:
        """Look up the rotation of every position."""
        return self.cos[positions], self.sin[positions]

    def between(self, start: int, end: int) -> Rotation:
        """Return the rotation of the positions `start`, ..., `end` - 1; nothing is copied."""
        return self.cos[start:end], self.sin[start:end]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RoPE":
        """Follow the model to another device, but stay float32 when it becomes bfloat16."""
        device = fn(self.cos.new_empty(0)).device
        if device.type != "meta":
            self.cos, self.sin = self.cos.to(device), self.sin.to(device)
        return self


def rotate(x: Float[Tensor, "... d_head"], rotation: Rotation) -> Float[Tensor, "... d_head"]:
    """Rotate each neighbouring pair of `x` by angles that broadcast against the pairs.

    Computed in float32, returned in the dtype of `x`.
    """
    cos, sin = rotation
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return pairs.flatten(-2).to(x.dtype)
