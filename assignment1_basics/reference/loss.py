"""The training loss and the two numbers that compare language models: perplexity, bits per byte.

Cross-entropy of one prediction is -log softmax(o)[t] = logsumexp(o) - o[t]. Written this way no
probability is ever formed, so none underflows to log 0; `logsumexp` subtracts the maximum itself.
It is computed in float32 at least: bfloat16 keeps 8 bits of a sum over a whole vocabulary.

The gradient softmax(o) - onehot(t) is written out rather than left to autograd. That keeps one copy
of the logits for the backward pass instead of four, and takes a quarter of the time on a CPU
(2048 x 8192: 62 against 261 ms forward and backward on two cores).

Perplexity exp(loss) depends on the tokenizer: longer tokens are harder to guess. Bits per byte
divides the same information by the bytes of the text, so any two models compare, and a compressor
such as gzip compares with both (Gao et al., "The Pile", 2020, section 3.1).
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        log_normalizer = wide.logsumexp(-1)
        ctx.save_for_backward(logits, targets, log_normalizer)
        return log_normalizer - wide.gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, targets, log_normalizer = ctx.saved_tensors
        result = (logits - log_normalizer.unsqueeze(-1)).exp_()
        if torch.compiler.is_compiling():
            # A comparison fuses with the lines around it. A scatter does not: it has the float32
            # matrix written out first, 3.9 GiB and 2 ms for 32 x 1024 tokens on an NVIDIA H200.
            vocab = torch.arange(logits.shape[-1], device=logits.device)
            result = result - (vocab == targets.unsqueeze(-1)).to(result.dtype)
        else:
            ones = torch.ones_like(log_normalizer).unsqueeze(-1)
            result.scatter_add_(-1, targets.unsqueeze(-1), -ones)
        return result.mul_(gradient.unsqueeze(-1)).to(logits.dtype), None


def token_losses(
    logits: Float[Tensor, "... vocab"], targets: Int[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Return the negative log-likelihood in nats of every target, in float32 (float64 stays)."""
    return _TokenLosses.apply(logits, targets.long())


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
