"""FusedAdamW against `torch.optim.AdamW` in float64, over many steps, and its 16-bit states."""

import copy

import pytest
import torch

from assignment2_systems.reference.kernels.adamw import CHUNK, FusedAdamW
from course.errors import UserError
from tests.assignment2_systems.reference.kernel_oracle import DEVICE, draw

SHAPES = [(3, 5), (), (1,), (CHUNK + 7,), (0,), (2048,)]


def make(dtype=torch.float32, shapes=SHAPES) -> list[torch.Tensor]:
    return [draw(*shape, seed=i, dtype=dtype) for i, shape in enumerate(shapes)]


def groups(parameters) -> list[dict]:
    return [
        {"params": parameters[:2], "weight_decay": 0.1, "lr": 1e-2},
        {"params": parameters[2:], "weight_decay": 0.0, "betas": (0.8, 0.95), "eps": 1e-4},
    ]


def step_together(steps, optimizers, all_parameters, scale=1.0, first=0):
    """Take the same steps: the gradients of the first are rounded to bfloat16 for all."""
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for i, same in enumerate(zip(*all_parameters, strict=True)):
            gradient = torch.randn(same[0].shape, generator=generator).bfloat16().to(DEVICE)
            for parameter in same:
                # One tensor goes without a gradient at times: its bias correction lags behind.
                skip = i == 1 and step % 3 == 0
                parameter.grad = None if skip else gradient.to(parameter.dtype)
        for optimizer, parameters in zip(optimizers, all_parameters, strict=True):
            if isinstance(optimizer, FusedAdamW):
                optimizer.step(gradient_scale=torch.tensor(scale, device=DEVICE))
            else:
                for parameter in parameters:
                    if parameter.grad is not None:
                        parameter.grad *= scale
                optimizer.step()


def double(parameters):
    return [parameter.detach().double().requires_grad_() for parameter in parameters]


def difference(parameters, others) -> float:
    pairs = zip(parameters, others, strict=True)
    return max((a.double() - b).abs().max().item() for a, b in pairs if a.numel())


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_follows_pytorch_over_many_steps(scale):
    parameters = make()
    truth = double(parameters)
    optimizers = FusedAdamW(groups(parameters)), torch.optim.AdamW(groups(truth))
    step_together(25, optimizers, (parameters, truth), scale)
    # A step is at most about the learning rate; each rounds by 2^-24 of weights of up to 4.
    assert difference(parameters, truth) < 25 * 4 * 2**-24
    moments = optimizers[0].state[parameters[3]]["exp_avg_sq"]
    assert torch.allclose(moments.double(), optimizers[1].state[truth[3]]["exp_avg_sq"], rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_masters_of_short_weights(dtype):
    parameters = make(dtype)
    truth = double(parameters)
    optimizers = FusedAdamW(groups(parameters)), torch.optim.AdamW(groups(truth))
    step_together(20, optimizers, (parameters, truth))
    masters = [optimizers[0].state[parameter]["master"] for parameter in parameters]
    assert all(master.dtype == torch.float32 for master in masters)
    assert difference(masters, truth) < 20 * 4 * 2**-24
    for parameter, master in zip(parameters, masters, strict=True):
        # The interpreter cuts bfloat16 off where a GPU rounds to nearest.
        near = torch.finfo(dtype).eps * (1 if DEVICE == "cpu" else 0.5)
        assert torch.allclose(parameter.float(), master, rtol=near, atol=1e-7)


def test_small_updates_are_lost_without_a_master_and_kept_with_one():
    moved = {}
    for master in (False, True):
        weight = torch.ones(64, dtype=torch.bfloat16, device=DEVICE, requires_grad=True)
        optimizer = FusedAdamW([weight], lr=1e-4, weight_decay=0.0, master_weights=master)
        for _ in range(60):
            weight.grad = torch.ones_like(weight)
            optimizer.step()
        moved[master] = 1 - weight.float().mean().item()
    if DEVICE == "cuda":  # the interpreter cuts off instead of rounding to nearest
        assert moved[False] == 0
    assert moved[True] == pytest.approx(60 * 1e-4, abs=2**-8)


def test_stochastic_rounding_keeps_the_mean_of_moments():
    """v of a constant gradient after n steps is 1 - beta2^n: nearest rounding stays far below."""
    weight = torch.zeros(20_000, device=DEVICE, requires_grad=True)
    optimizer = FusedAdamW([weight], betas=(0.9, 0.999), moment_dtype=torch.bfloat16)
    for _ in range(40):
        weight.grad = torch.full_like(weight, 1.0)
        optimizer.step()
    state = optimizer.state[weight]
    assert state["exp_avg"].dtype == state["exp_avg_sq"].dtype == torch.bfloat16
    for name, beta in (("exp_avg", 0.9), ("exp_avg_sq", 0.999)):
        values, truth = state[name].float(), 1 - beta**40
        # Each rounding is off by up to 2^-8 of the value; 40 of them add up like a random walk.
        deviation = 2**-8 * truth * 40**0.5 / 20_000**0.5
        assert abs(values.mean().item() - truth) < 6 * deviation
        assert values.unique().numel() > 1, "all elements were rounded alike"


def test_the_same_bits_in_every_run():
    results = []
    for _ in range(2):
        parameters = make(torch.bfloat16)
        optimizer = FusedAdamW(groups(parameters), moment_dtype=torch.bfloat16)
        step_together(3, [optimizer], [parameters])
        results.append([optimizer.state[p]["exp_avg_sq"] for p in parameters] + parameters)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_checkpoint_continues_with_the_same_bits():
    parameters = make(torch.bfloat16)
    optimizer = FusedAdamW(groups(parameters), moment_dtype=torch.bfloat16)
    step_together(3, [optimizer], [parameters])
    resumed = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    other = FusedAdamW(groups(resumed), moment_dtype=torch.bfloat16)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.state[resumed[0]]["master"].dtype == torch.float32
    step_together(3, [optimizer, other], [parameters, resumed], first=3)
    for a, b in zip(parameters, resumed, strict=True):
        assert torch.equal(optimizer.state[a]["master"], other.state[b]["master"])


@pytest.mark.parametrize("there", [True, False])
def test_checkpoints_of_pytorch_fit_and_ours_fit_pytorch(there):
    parameters = make()
    others = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    pair = [FusedAdamW(groups(parameters)), torch.optim.AdamW(groups(others))]
    step_together(4, pair, (parameters, others))
    resumed = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    kind = torch.optim.AdamW if there else FusedAdamW
    successor = kind(groups(resumed))
    successor.load_state_dict(copy.deepcopy(pair[0 if there else 1].state_dict()))
    step_together(4, [*pair, successor], (parameters, others, resumed), first=4)
    assert difference(resumed, double(parameters)) < 1e-5


def test_misaligned_and_strided_tensors():
    memory = torch.zeros(101, device=DEVICE)
    weight = memory[1:].requires_grad_()  # 4 bytes beyond a boundary
    truth = weight.detach().double().clone().requires_grad_()
    weight.grad = draw(200).detach()[::2]
    truth.grad = weight.grad.double()
    FusedAdamW([weight]).step()
    torch.optim.AdamW([truth]).step()
    assert difference([weight], [truth]) < 1e-6


def test_closure_and_nothing_to_do():
    weight = draw(3)
    optimizer = FusedAdamW([weight])
    assert optimizer.step() is None
    assert optimizer.step(lambda: 2.5) == 2.5


def test_errors_say_what_would_be_right():
    with pytest.raises(UserError, match="must be float32 or bfloat16"):
        FusedAdamW([draw(3)], moment_dtype=torch.float16)
    with pytest.raises(UserError, match="must be contiguous"):
        FusedAdamW([draw(3, 4).mT.detach().requires_grad_()])
    with pytest.raises(UserError, match="in float32, float16 or bfloat16"):
        FusedAdamW([draw(3, dtype=torch.float64)])
