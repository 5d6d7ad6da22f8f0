"""From logits to the next token: temperature, then top-k, top-p and min-p, then one draw.

Temperature sharpens (below 1) or flattens the distribution; the three filters cut its tail, which
holds many tokens that are wrong one by one and likely together. Top-k keeps a fixed number (Fan et
al. 2018, "Hierarchical neural story generation"); top-p as many as make up a mass (Holtzman et al.
2020, "The curious case of neural text degeneration", section 3.1); min-p those within a factor of
the best (Nguyen et al. 2024, "Turning up the heat: min-p sampling").
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from assignment1_basics.reference.model.layers import at_least_float32, softmax
from course.errors import require


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; None leaves a filter out."""

    temperature: float = 1.0
    """0 takes the most likely token"""
    top_k: int | None = None
    """keep so many of the most probable tokens"""
    top_p: float | None = None
    """keep the fewest most probable tokens that together have this probability"""
    min_p: float | None = None
    """keep the tokens with at least this share of the largest probability"""

    def __post_init__(self) -> None:
        temperature, top_k, top_p, min_p = self.temperature, self.top_k, self.top_p, self.min_p
        in_range = 0 <= temperature < float("inf")
        require(in_range, "temperature", temperature, "0 or more, and finite")
        require(top_k is None or top_k >= 1, "top-k", top_k, "at least 1")
        require(top_p is None or 0 < top_p <= 1, "top-p", top_p, "above 0 and at most 1")
        require(min_p is None or 0 <= min_p <= 1, "min-p", min_p, "from 0 to 1")


def next_token_distribution(
    logits: Float[Tensor, "... vocab"], sampling: Sampling
) -> Float[Tensor, "... vocab"]:
    """Return the probabilities from which the next token is drawn.

    Of equally likely tokens the one with the smaller id counts as the more probable, so exactly
    `top_k` are kept and temperature 0 takes the first largest logit.
    """
    logits = logits.to(at_least_float32(logits.dtype))
    if sampling.temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    # The maximum is subtracted first so that a temperature near 0 cannot overflow.
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / sampling.temperature
    probabilities = softmax(scaled, dim=-1)
    if sampling.top_k is sampling.top_p is sampling.min_p is None:
        return probabilities
    ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
    if sampling.top_k is not None:
        rank = torch.arange(ranked.shape[-1], device=ranked.device)
        ranked = normalise(ranked * (rank < sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1:
        mass_before = ranked.cumsum(dim=-1) - ranked
        ranked = ranked * (mass_before < sampling.top_p)
    if sampling.min_p is not None:
        ranked = ranked * (ranked >= sampling.min_p * ranked[..., :1])
    return torch.zeros_like(ranked).scatter(-1, order, normalise(ranked))


def normalise(weights: Float[Tensor, "... vocab"]) -> Float[Tensor, "... vocab"]:
    """Scale weights to sum to 1."""
    return weights / weights.sum(dim=-1, keepdim=True)


def sample(
    logits: Float[Tensor, "batch vocab"],
    sampling: Sampling,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """Draw the next token of every sequence; `generator` lives on the device of `logits`."""
    distribution = next_token_distribution(logits, sampling)
    return torch.multinomial(distribution, 1, generator=generator).squeeze(-1)
