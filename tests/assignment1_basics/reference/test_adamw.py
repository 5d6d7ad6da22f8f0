import pytest
import torch
from torch import nn

from assignment1_basics.reference.optimizer.adamw import AdamW
from assignment1_basics.reference.optimizer.weight_decay import weight_decay_groups


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (5,), (), (2, 3, 2)]
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for s in shapes]


def groups(weights):
    return [
        {"params": weights[:2], "lr": 3e-2, "weight_decay": 0.3},
        {"params": weights[2:], "betas": (0.5, 0.9)},
    ]


def set_gradients(step, *lists):
    """The same gradients for every list; now and then a parameter has none."""
    generator = torch.Generator().manual_seed(step)
    for index, same in enumerate(zip(*lists, strict=True)):
        gradient = torch.randn(same[0].shape, generator=generator, dtype=torch.float64) * 10 ** (
            step % 5 - 2
        )
        for weight in same:
            missing = (step + index) % 7 == 0
            weight.grad = None if missing else gradient.to(weight.dtype).clone()


# The two differ in the order of operations: a few roundings a step, of weights near 1.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-4)])
def test_it_is_pytorchs_over_many_steps_with_groups_and_changing_rates(dtype, tolerance):
    ours, theirs = parameters(dtype), parameters(dtype)
    a = AdamW(groups(ours), lr=1e-2, eps=1e-6, weight_decay=0.1)
    b = torch.optim.AdamW(groups(theirs), lr=1e-2, eps=1e-6, weight_decay=0.1)
    for step in range(300):
        set_gradients(step, ours, theirs)
        for optimizer in (a, b):
            optimizer.param_groups[0]["lr"] = 3e-2 / (1 + step / 50)
            optimizer.step()
        for x, y in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("first", ["ours", "pytorch"])
@pytest.mark.parametrize("second", ["ours", "pytorch"])
def test_a_state_dict_goes_on_where_it_stopped_in_either_class(first, second):
    classes = {"ours": AdamW, "pytorch": torch.optim.AdamW}
    straight = parameters()
    optimizer = torch.optim.AdamW(groups(straight))
    stopped = parameters()
    before = classes[first](groups(stopped))
    for step in range(10):
        set_gradients(step, straight, stopped)
        optimizer.step()
        before.step()
    after = classes[second](groups(stopped))
    after.load_state_dict(before.state_dict())
    for step in range(10, 20):
        set_gradients(step, straight, stopped)
        optimizer.step()
        after.step()
    for x, y in zip(straight, stopped, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_decay_alone_shrinks_by_lr_times_decay():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    AdamW([weight], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(weight, torch.full((3,), 0.95), check_dtype=False)


def test_a_closure_is_evaluated_with_gradients():
    weight = nn.Parameter(torch.tensor(2.0))
    optimizer = AdamW([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert weight < 2.0


@pytest.mark.parametrize(
    "wrong", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"eps": -1e-8}, {"weight_decay": -0.1}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* is out of range"):
        AdamW([nn.Parameter(torch.zeros(1))], **wrong)


def test_decay_groups_of_a_tied_model_hold_every_trainable_parameter_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding = nn.Embedding(5, 3)
            self.norm = nn.LayerNorm(3)
            self.head = nn.Linear(3, 5)
            self.head.weight = self.token_embedding.weight
            self.hidden = nn.Linear(3, 3)
            self.frozen = nn.Linear(3, 3).requires_grad_(False)

    model = Tied()
    decaying, others = weight_decay_groups(model, 0.1)
    assert [id(p) for p in decaying["params"]] == [id(model.hidden.weight)]
    assert decaying["weight_decay"] == 0.1
    assert others["weight_decay"] == 0.0
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    assert {id(p) for g in (decaying, others) for p in g["params"]} == trainable
