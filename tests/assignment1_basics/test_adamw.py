"""AdamW against torch.optim.AdamW in float64, and against the paper's own order of operations."""

import copy
import itertools

import pytest
import torch

from course.grading import check

STEPS = 12


def parameters(seed: int, shapes=((7, 5), (11,), (2, 3, 4))) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def gradients(step: int, params: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    return [
        torch.randn(p.shape, generator=generator, dtype=p.dtype) * 3 ** (step % 3) for p in params
    ]


def run(optimizer, params, steps=range(STEPS), learning_rates=None) -> list[torch.Tensor]:
    for step in steps:
        for p, gradient in zip(params, gradients(step, params), strict=True):
            p.grad = gradient
        if learning_rates is not None:
            for group in optimizer.param_groups:
                group["lr"] = learning_rates[step]
        optimizer.step()
        optimizer.zero_grad()
    return [p.detach().clone() for p in params]


def adamw_by_hand(params, steps, lr, betas, eps, weight_decay, *, eps_inside, decay_first):
    """Loshchilov & Hutter 2019, algorithm 2, in the forms in which it is found in textbooks.

    `eps_inside`: epsilon is added to sqrt(v) before the bias correction is applied to the step
    size; `decay_first`: the decay multiplies the weights before the step rather than after.
    The forms differ by O(eps) and O(lr^2 * weight_decay); each of them is right.
    """
    values = [p.detach().clone() for p in params]
    first = [torch.zeros_like(v) for v in values]
    second = [torch.zeros_like(v) for v in values]
    for t, step in enumerate(steps, start=1):
        for i, gradient in enumerate(gradients(step, params)):
            first[i] = betas[0] * first[i] + (1 - betas[0]) * gradient
            second[i] = betas[1] * second[i] + (1 - betas[1]) * gradient**2
            correction1, correction2 = 1 - betas[0] ** t, 1 - betas[1] ** t
            if eps_inside:
                size = lr * correction2**0.5 / correction1
                update = size * first[i] / (second[i].sqrt() + eps)
            else:
                update = lr * (first[i] / correction1) / ((second[i] / correction2).sqrt() + eps)
            decay = 1 - lr * weight_decay
            values[i] = values[i] * decay - update if decay_first else (values[i] - update) * decay
    return values


@pytest.mark.problem("adamw", points=2)
@pytest.mark.parametrize(
    ("lr", "betas", "eps", "weight_decay"),
    [
        (1e-2, (0.9, 0.999), 1e-8, 0.01),
        (3e-3, (0.8, 0.95), 1e-8, 0.0),
        (5e-2, (0.95, 0.9), 1e-8, 0.5),
        (1e-2, (0.9, 0.99), 0.5, 0.1),
    ],
    ids=["defaults", "no decay", "strong decay", "large eps"],
)
def test_weights_after_steps(adapters, lr, betas, eps, weight_decay):
    params = parameters(0)
    # Every right form of the algorithm; the received weights must be those of one of them.
    truths = [
        adamw_by_hand(
            params, range(STEPS), lr, betas, eps, weight_decay, eps_inside=inside, decay_first=first
        )
        for inside, first in itertools.product([False, True], repeat=2)
    ]
    peer = copy.deepcopy(params)
    torch_optimizer = torch.optim.AdamW(
        peer, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay
    )
    torch.testing.assert_close(run(torch_optimizer, peer), truths[1])

    optimizer = adapters.get_adamw_cls()(
        params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay
    )
    received = run(optimizer, params)
    nearest = min(
        truths,
        key=lambda truth: sum(float((r - t).norm()) for r, t in zip(received, truth, strict=True)),
    )
    for number, (got, want) in enumerate(zip(received, nearest, strict=True)):
        check.close(
            got,
            want,
            rtol=1e-9,
            atol=1e-12,  # float64; the forms themselves differ by far more
            what=f"parameter {number} after {STEPS} steps with lr={lr}, betas={betas}, eps={eps}, "
            f"weight_decay={weight_decay}",
            hint="check the moments, both bias corrections, epsilon, and the decoupled decay",
        )


@pytest.mark.problem("adamw", points=1)
def test_groups_and_schedules(adapters):
    """Options live in `param_groups`: per group, and changed between steps by a schedule."""
    params = parameters(1)
    peer = copy.deepcopy(params)
    rates = [1e-3 * (1 + step % 4) for step in range(STEPS)]

    def groups(ps):
        return [
            {"params": ps[:1], "weight_decay": 0.0, "betas": (0.5, 0.9)},
            {"params": ps[1:], "weight_decay": 0.0},
        ]

    optimizer = adapters.get_adamw_cls()(groups(params), lr=1.0, betas=(0.9, 0.99), eps=1e-12)
    torch_optimizer = torch.optim.AdamW(groups(peer), lr=1.0, betas=(0.9, 0.99), eps=1e-12)
    expected = run(torch_optimizer, peer, learning_rates=rates)
    for got, want in zip(run(optimizer, params, learning_rates=rates), expected, strict=True):
        check.close(
            got,
            want,
            rtol=1e-6,
            atol=1e-9,  # epsilon of 1e-12 keeps all right forms within this
            what="weights when groups have options of their own and lr changes at every step",
            hint="read lr, betas, eps and weight_decay from the group inside step()",
        )


@pytest.mark.problem("adamw", points=1)
def test_parameters_without_gradient_or_with_zeros(adapters):
    frozen, zero, normal = parameters(2, ((3,), (4,), (5,)))
    before = frozen.detach().clone(), zero.detach().clone(), normal.detach().clone()
    optimizer = adapters.get_adamw_cls()([frozen, zero, normal], lr=0.1, weight_decay=0.0)
    for _ in range(3):
        zero.grad, normal.grad = torch.zeros_like(zero), torch.ones_like(normal)
        optimizer.step()
    check.close(
        frozen.detach(), before[0], what="a parameter whose gradient is None", hint="skip it"
    )
    check.close(
        zero.detach(),
        before[1],
        what="a parameter whose gradients are all zero, without decay",
        hint="0 / (0 + eps) is 0: epsilon keeps the division finite",
    )
    check.equal(
        normal.grad,
        torch.ones_like(normal),
        what="the gradient after step()",
        hint="step() reads gradients; optimizer.zero_grad() clears them when the caller says so",
    )
    check.true(
        not torch.equal(normal.detach(), before[2]),
        "a parameter with a gradient did not move: update parameters in place",
    )


@pytest.mark.problem("adamw", points=1)
def test_state_dict_resumes(adapters):
    cls = adapters.get_adamw_cls()
    options = {"lr": 0.02, "betas": (0.9, 0.97), "eps": 1e-8, "weight_decay": 0.1}
    params = parameters(3)
    uninterrupted = copy.deepcopy(params)
    expected = run(cls(uninterrupted, **options), uninterrupted)

    first = cls(params, **options)
    run(first, params, range(5))
    state = copy.deepcopy(first.state_dict())
    second = cls(params, lr=1.0)
    second.load_state_dict(state)
    for got, want in zip(run(second, params, range(5, STEPS)), expected, strict=True):
        check.close(
            got,
            want,
            rtol=1e-12,
            atol=1e-14,
            what="weights after the optimizer was saved at step 5 and loaded into a new one",
            hint="keep both moments and the step count in self.state[p]",
        )
