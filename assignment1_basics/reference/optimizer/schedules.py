"""Learning rates as functions of the step: cosine and warmup-stable-decay (WSD).

Cosine (Loshchilov & Hutter, "SGDR", 2017, eq. 5, without restarts, after a linear warm-up) needs
the length of training in advance. WSD (Hu et al., "MiniCPM", 2024, section 4) is constant until a
short linear decay, so one run can be stopped, or continued, at any length; Hägele et al., "Scaling
laws and compute-optimal training beyond fixed training durations", 2024, find it equal in loss.
"""

import math


def cosine_schedule(
    step: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_steps: int,
    cosine_cycle_steps: int,
) -> float:
    """Return the rate at `step`: linear from 0 to the maximum at `warmup_steps`, half a cosine down
    to the minimum at `cosine_cycle_steps`, the minimum after.
    """
    if step < warmup_steps:
        return max_learning_rate * step / warmup_steps
    if step >= cosine_cycle_steps:
        return min_learning_rate
    progress = (step - warmup_steps) / (cosine_cycle_steps - warmup_steps)
    weight = 0.5 * (1 + math.cos(math.pi * progress))
    return min_learning_rate + weight * (max_learning_rate - min_learning_rate)


def wsd_schedule(
    step: int,
    max_learning_rate: float,
    min_learning_rate: float,
    warmup_steps: int,
    decay_start: int,
    total_steps: int,
) -> float:
    """Return the rate at `step`: linear from 0 to the maximum at `warmup_steps`, constant until
    `decay_start`, linear down to the minimum at `total_steps`, the minimum after.
    """
    if step < warmup_steps:
        return max_learning_rate * step / warmup_steps
    if step <= decay_start:
        return max_learning_rate
    if step >= total_steps:
        return min_learning_rate
    progress = (step - decay_start) / (total_steps - decay_start)
    return max_learning_rate + progress * (min_learning_rate - max_learning_rate)
