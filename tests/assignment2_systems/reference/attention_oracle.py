"""Attention in float64, written out: what every version of FlashAttention is compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where the kernels run: on the CPU in Triton's interpreter (tests/conftest.py)."""


@dataclass(frozen=True)
class Truth:
    """Of one attention and one gradient of its output, in float64."""

    output: Tensor
    log_sum_exp: Tensor
    gradients: tuple[Tensor, Tensor, Tensor]


def draw(
    *shapes: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32, size: float = 1.0
) -> list[Tensor]:
    """Return normal numbers of these shapes, rounded to `dtype`: the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * size).to(DEVICE, dtype)
        for shape in shapes
    ]


def visible_pairs(queries: int, keys: int, causal: bool, window: int | None = None) -> Tensor:
    """Return which key each query sees, pair by pair, from the definition."""

    def sees(i: int, j: int) -> bool:
        position = i + keys - queries
        return (not causal or j <= position) and (window is None or j > position - window)

    pairs = [[sees(i, j) for j in range(keys)] for i in range(queries)]
    return torch.tensor(pairs, dtype=torch.bool).reshape(queries, keys)


def truth(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    grad: Tensor,
    causal: bool,
    window: int | None = None,
    scale: float | None = None,
) -> Truth:
    """Return attention of [..., heads, seq, d_head] with the full matrix, and its gradients."""
    leaves = [x.detach().to("cpu", torch.float64).requires_grad_() for x in (q, k, v)]
    q, k, v = leaves
    group = q.shape[-3] // k.shape[-3]
    k, v = k.repeat_interleave(group, -3), v.repeat_interleave(group, -3)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    pairs = visible_pairs(q.shape[-2], k.shape[-2], causal, window)
    # -1e300 instead of -inf: rows that see nothing stay finite, and are set to zero below.
    scores = (q @ k.mT * scale).masked_fill(~pairs, -1e300)
    seen = pairs.any(-1)
    p = torch.softmax(scores, -1) * seen[:, None]
    output = p @ v
    gradients = torch.autograd.grad(output, leaves, grad.to("cpu", torch.float64))
    log_sum_exp = torch.logsumexp(scores, -1).masked_fill(~seen, float("-inf"))
    return Truth(output.detach(), log_sum_exp.detach(), gradients)


def distance(actual: Tensor, expected: Tensor) -> float:
    """Return the largest absolute difference."""
    assert actual.shape == expected.shape
    if actual.numel() == 0:
        return 0.0
    return float((actual.detach().to("cpu", torch.float64) - expected).abs().max())
