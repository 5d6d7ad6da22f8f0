"""From FLOPs to time: model FLOPs utilisation, tokens per second, time to train.

MFU is the share of the hardware's peak that goes into FLOPs the model needs (Chowdhery et al. 2022,
"PaLM", appendix B). It does not count recomputation, so a change that saves time always raises it.
With an MFU from experience (0.4 to 0.55 for a dense model on one GPU) the time to train follows
from arithmetic alone: tokens * FLOPs per token / (MFU * peak).
"""

CHINCHILLA_TOKENS_PER_PARAMETER = 20
"""The loss-optimal ratio at a given compute, about (Hoffmann et al. 2022, table 3)."""


def model_flops_utilization(
    tokens_per_second: float, flops_per_token: float, peak_flops_per_second: float
) -> float:
    """Return the share of the peak in use; `flops_per_token` are those of a forward pass alone.

    The backward pass needs twice as many, so training needs three times the forward pass.
    """
    return tokens_per_second * 3 * flops_per_token / peak_flops_per_second


def tokens_per_second(
    mfu: float, training_flops_per_token: float, peak_flops_per_second: float
) -> float:
    """Return the training rate at a given utilisation; the FLOPs are forward and backward."""
    return mfu * peak_flops_per_second / training_flops_per_token


def seconds_to_train(
    tokens: float, mfu: float, training_flops_per_token: float, peak_flops_per_second: float
) -> float:
    """Return how long training on `tokens` tokens takes at a given utilisation."""
    return tokens / tokens_per_second(mfu, training_flops_per_token, peak_flops_per_second)
