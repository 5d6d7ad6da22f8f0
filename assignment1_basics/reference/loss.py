"""The training loss and the two numbers that compare language models: perplexity, bits per byte.

Cross-entropy of one prediction is -log softmax(o)[t] = logsumexp(o) - o[t]. Written this way no
probability is ever formed, so none underflows to log 0; `logsumexp` subtracts the maximum itself.
It is computed in float32 at least: bfloat16 keeps 8 bits of a sum over a whole vocabulary.

Perplexity exp(loss) depends on the tokenizer: longer tokens are harder to guess. Bits per byte
divides the same information by the bytes of the text, so any two models compare, and a compressor
such as gzip compares with both (Gao et al., "The Pile", 2020, section 3.1).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def token_losses(
    logits: Float[Tensor, "... vocab"], targets: Int[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Return the negative log-likelihood in nats of every target, in float32 (float64 stays)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    of_target = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return logits.logsumexp(-1) - of_target


def cross_entropy(
    logits: Float[Tensor, "... vocab"], targets: Int[Tensor, "..."]
) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood in nats over all leading dimensions."""
    return token_losses(logits, targets).mean()


def perplexity(loss: float) -> float:
    """Turn a mean loss in nats per token into a perplexity (infinite where exp overflows)."""
    return math.exp(loss) if loss < 709 else math.inf


def bits_per_byte(total_nats: float, num_bytes: int) -> float:
    """Turn the summed loss of a text into bits per byte of it; `num_bytes` is its UTF-8 length."""
    return total_nats / math.log(2) / num_bytes
