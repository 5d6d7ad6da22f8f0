"""Classic mistakes in learning-rate schedules and gradient clipping."""

import math
from collections.abc import Callable, Iterable

import torch

from course.grading.catalogue import Mistake, mistake

MISTAKES: list[Mistake] = []


# ---------------------------------------------------------------------------------------------
# Schedules


def wrong_cosine(title: str, says: str, function: Callable[..., float]) -> None:
    MISTAKES.append(
        mistake("lr_cosine_schedule", title, says=says)(
            lambda: {"run_get_lr_cosine_schedule": function}
        )
    )


def _cosine(it, top, low, warm, cycle, *, up=None, end=None, length=None, phase=math.pi):
    """The schedule with one part replaced."""
    if it < warm:
        return top * it / warm if up is None else up(it)
    if it > cycle:
        return low if end is None else end
    fraction = (it - warm) / (cycle - warm if length is None else length)
    return low + (top - low) * (1 + math.cos(phase * fraction)) / 2


wrong_cosine(
    "the warm-up starts at step 1",
    "at step 0 the rate is 0: it / warmup_iters, not (it + 1) / warmup_iters",
    lambda it, top, low, warm, cycle: _cosine(
        it, top, low, warm, cycle, up=lambda i: top * (i + 1) / warm
    ),
)
wrong_cosine(
    "the warm-up starts at the minimum",
    "the warm-up is linear from 0, not from the minimum",
    lambda it, top, low, warm, cycle: _cosine(
        it, top, low, warm, cycle, up=lambda i: low + (top - low) * i / warm
    ),
)
wrong_cosine(
    "no warm-up",
    "in the first warmup_iters steps the rate rises linearly from 0",
    lambda it, top, low, warm, cycle: _cosine(it, top, low, warm, cycle, up=lambda i: top),
)
wrong_cosine(
    "the cosine runs over the whole cycle",
    "the decay lasts cosine_cycle_iters - warmup_iters steps",
    lambda it, top, low, warm, cycle: _cosine(it, top, low, warm, cycle, length=cycle),
)
wrong_cosine(
    "the cosine goes a quarter of the way",
    "cos runs from 0 to pi over the decay, not to pi / 2",
    lambda it, top, low, warm, cycle: _cosine(it, top, low, warm, cycle, phase=math.pi / 2),
)
wrong_cosine(
    "the minimum is ignored",
    "the cosine ends at min_learning_rate, not at 0",
    lambda it, top, low, warm, cycle: _cosine(it, top, 0.0, warm, cycle, end=0.0),
)
wrong_cosine(
    "the cosine goes on after the cycle",
    "after cosine_cycle_iters the rate stays at the minimum",
    lambda it, top, low, warm, cycle: (
        _cosine(it, top, low, warm, cycle)
        if it <= cycle
        else low + (top - low) * (1 + math.cos(math.pi * (it - warm) / (cycle - warm))) / 2
    ),
)
wrong_cosine(
    "zero after the cycle",
    "after cosine_cycle_iters the rate stays at the minimum; it does not fall to 0",
    lambda it, top, low, warm, cycle: _cosine(it, top, low, warm, cycle, end=0.0),
)
wrong_cosine(
    "the minimum is added on top",
    "low + (top - low) * (1 + cos) / 2: the amplitude is the difference",
    lambda it, top, low, warm, cycle: _cosine(
        it, top + low, low, warm, cycle, up=lambda i: top * i / warm
    ),
)
wrong_cosine(
    "linear decay",
    "the decay follows a cosine",
    lambda it, top, low, warm, cycle: (
        _cosine(it, top, low, warm, cycle)
        if it < warm or it > cycle
        else top + (low - top) * (it - warm) / (cycle - warm)
    ),
)


def wrong_wsd(title: str, says: str, function: Callable[..., float]) -> None:
    MISTAKES.append(
        mistake("lr_wsd_schedule", title, says=says)(lambda: {"run_get_lr_wsd_schedule": function})
    )


def _wsd(it, top, low, warm, start, total, *, up=None, shape=lambda x: x, clamp=True):
    if it < warm:
        return top * it / warm if up is None else up(it)
    if it < start:
        return top
    fraction = (it - start) / (total - start) if total > start else 1.0
    return top + (low - top) * shape(min(fraction, 1.0) if clamp else fraction)


wrong_wsd(
    "the decay ends at zero",
    "the decay ends at min_learning_rate",
    lambda it, top, low, warm, start, total: _wsd(it, top, 0.0, warm, start, total),
)
wrong_wsd(
    "the rate falls below the minimum",
    "after total_iters the rate stays at the minimum",
    lambda it, top, low, warm, start, total: _wsd(it, top, low, warm, start, total, clamp=False),
)
wrong_wsd(
    "no stable phase",
    "the rate stays at its maximum from the warm-up's end until decay_start",
    lambda it, top, low, warm, start, total: _wsd(it, top, low, warm, warm, total),
)
wrong_wsd(
    "cosine decay",
    "the decay of this schedule is linear",
    lambda it, top, low, warm, start, total: _wsd(
        it, top, low, warm, start, total, shape=lambda x: (1 - math.cos(math.pi * x)) / 2
    ),
)
wrong_wsd(
    "the warm-up starts at step 1",
    "at step 0 of a warm-up the rate is 0",
    lambda it, top, low, warm, start, total: _wsd(
        it, top, low, warm, start, total, up=lambda i: top * (i + 1) / warm
    ),
)
wrong_wsd(
    "division by a warm-up of zero",
    "with warmup_iters=0 the rate is the maximum from the first step",
    lambda it, top, low, warm, start, total: (
        top * it / warm if it <= warm else _wsd(it, top, low, warm, start, total)
    ),
)
wrong_wsd(
    "the decay takes total_iters steps",
    "the decay lasts total_iters - decay_start steps",
    lambda it, top, low, warm, start, total: _wsd(it, top, low, warm, start, start + total),
)


# ---------------------------------------------------------------------------------------------
# Gradient clipping


def wrong_clipping(
    title: str, says: str, function: Callable[[Iterable[torch.nn.Parameter], float], None]
) -> None:
    MISTAKES.append(
        mistake("gradient_clipping", title, says=says)(lambda: {"run_gradient_clipping": function})
    )


def _scale(parameters, factor: Callable[[float], float], norm=None) -> None:
    with_grad = [p for p in parameters if p.grad is not None]
    total = norm([p.grad for p in with_grad]) if norm else _joint_norm(with_grad)
    for p in with_grad:
        p.grad.mul_(factor(float(total)))


def _joint_norm(parameters) -> float:
    return math.sqrt(sum(float(p.grad.double().pow(2).sum()) for p in parameters))


def _right_factor(limit: float) -> Callable[[float], float]:
    return lambda norm: limit / (norm + 1e-6) if norm > limit else 1.0


def _each_alone(parameters, limit):
    for p in parameters:
        _scale([p], _right_factor(limit))


wrong_clipping(
    "each gradient is clipped by its own norm",
    "the norm is that of all gradients together, and one factor scales them all",
    _each_alone,
)


def _by_value(parameters, limit):
    for p in parameters:
        if p.grad is not None:
            p.grad.clamp_(-limit, limit)


wrong_clipping(
    "elements are clipped, not the norm",
    "scale the gradients so that their norm is within the limit; do not clamp elements",
    _by_value,
)
wrong_clipping(
    "small gradients are scaled up",
    "gradients whose norm is within the limit stay as they are",
    lambda parameters, limit: _scale(parameters, lambda norm: limit / (norm + 1e-6)),
)
wrong_clipping(
    "the norms are added",
    "the joint norm is the root of the sum of squares, not the sum of norms",
    lambda parameters, limit: _scale(
        parameters, _right_factor(limit), lambda grads: sum(float(g.norm()) for g in grads)
    ),
)
wrong_clipping(
    "the root is forgotten",
    "the norm is the square root of the sum of squares",
    lambda parameters, limit: _scale(
        parameters,
        _right_factor(limit),
        lambda grads: sum(float(g.pow(2).sum()) for g in grads),
    ),
)
wrong_clipping(
    "the mean square in place of the sum",
    "the L2 norm sums squares; it does not average them",
    lambda parameters, limit: _scale(
        parameters,
        _right_factor(limit),
        lambda grads: math.sqrt(
            sum(float(g.pow(2).sum()) for g in grads) / sum(g.numel() for g in grads)
        ),
    ),
)


def _crashing_on_none(parameters, limit):
    parameters = list(parameters)
    total = math.sqrt(sum(float(p.grad.pow(2).sum()) for p in parameters))
    for p in parameters:
        p.grad.mul_(_right_factor(limit)(total))


wrong_clipping(
    "parameters without a gradient crash",
    "skip parameters whose grad is None",
    _crashing_on_none,
)


def _twice_through(parameters, limit):
    total = _joint_norm(p for p in parameters if p.grad is not None)
    for p in parameters:
        if p.grad is not None:
            p.grad.mul_(_right_factor(limit)(total))


wrong_clipping(
    "the iterable is gone through twice",
    "`parameters` may be a generator, which is empty the second time: make a list first",
    _twice_through,
)


def _new_tensors(parameters, limit):
    with_grad = [p for p in parameters if p.grad is not None]
    factor = _right_factor(limit)(_joint_norm(with_grad))
    for p in with_grad:
        p.grad = p.grad * factor


wrong_clipping(
    "gradients are replaced by new tensors",
    "change p.grad in place (mul_): others may hold the same tensor",
    _new_tensors,
)
