"""The loss of a held-out text, whole and exact, and from it the bits per byte.

Every token but the first is predicted once from the tokens before it in its window. The first has
no context; it is charged ln(vocabulary), a uniform guess, so that the total is the length of a code
for the whole text, and compares with the size of a gzip file.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy.typing as npt
import torch
from torch import Tensor

from assignment1_basics.reference.data import evaluation_batches
from assignment1_basics.reference.loss import bits_per_byte, perplexity


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts `num_tokens` tokens; `whole` if that is the text to its end."""

    nats: float
    num_tokens: int
    whole: bool

    @property
    def loss(self) -> float:
        """Mean nats per predicted token."""
        return self.nats / self.num_tokens

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return perplexity(self.loss)

    def bits_per_byte(self, num_bytes: int, vocab_size: int) -> float:
        """Return the bits per byte of the whole text, which has `num_bytes` bytes."""
        if not self.whole:
            raise ValueError("bits per byte need an evaluation of the whole text")
        return bits_per_byte(self.nats + math.log(vocab_size), num_bytes)


@torch.no_grad()
def evaluate(
    token_losses: Callable[[Tensor, Tensor], Tensor],
    tokens: npt.NDArray,
    batch_size: int,
    context_length: int,
    device: torch.device | str = "cpu",
    *,
    max_batches: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Sum the losses of `tokens` in order.

    Args:
        token_losses: inputs and targets [batch seq] to losses in nats [batch seq].
        tokens: the held-out text.
        batch_size: windows in one call of `token_losses`.
        context_length: tokens in a window.
        device: where the batches go.
        max_batches: stop after so many batches; 0: never.
        should_stop: asked after each batch.
    """
    nats = torch.zeros((), dtype=torch.float64, device=device)
    count = torch.zeros((), dtype=torch.long, device=device)
    batches = evaluation_batches(tokens, batch_size, context_length, device)
    for done, (inputs, targets, counts) in enumerate(batches, start=1):
        losses = token_losses(inputs, targets)
        nats += losses.double().masked_fill(~counts, 0.0).sum()
        count += counts.sum()
        if done == max_batches or should_stop():
            break
    predicted = int(count)
    return Evaluation(float(nats), predicted, whole=predicted == len(tokens) - 1)
