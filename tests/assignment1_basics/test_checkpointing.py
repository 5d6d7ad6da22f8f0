"""Checkpoints: what was saved is what training goes on from."""

import io

import pytest
import torch

from course.grading import check


def setup(seed: int, lr: float = 0.05):
    """A small network with an optimizer of PyTorch's own, which keeps moments and step counts."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2)
    )
    return network, torch.optim.AdamW(network.parameters(), lr=lr, amsgrad=True)


def train(network, optimizer, steps) -> list[float]:
    losses = []
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 5, generator=generator)
        loss = ((network(x) - x[:, :2].cos()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def outputs(network) -> torch.Tensor:
    """What the network gives in evaluation mode, where batch normalisation uses its buffers."""
    network.eval()
    with torch.no_grad():
        result = network(torch.linspace(-1, 1, 20).view(4, 5))
    network.train()
    return result


@pytest.mark.problem("checkpointing", points=2)
@pytest.mark.parametrize("kind", ["path", "str", "file"])
@pytest.mark.parametrize("iteration", [7, 40])
def test_training_goes_on(adapters, tmp_path, kind, iteration):
    network, optimizer = setup(0)
    train(network, optimizer, range(iteration))
    target = {
        "path": tmp_path / "a.pt",
        "str": str(tmp_path / "a.pt"),
        "file": io.BytesIO(),
    }[kind]
    saved_outputs = outputs(network)
    adapters.run_save_checkpoint(network, optimizer, iteration, target)
    written = target.tell() if kind == "file" else (tmp_path / "a.pt").is_file()
    check.true(written, "run_save_checkpoint writes nothing to `out`", observed=str(kind))
    expected = train(network, optimizer, range(iteration, iteration + 10))

    if kind == "file":
        target.seek(0)
    resumed, resumed_optimizer = setup(1, lr=0.5)
    returned = adapters.run_load_checkpoint(target, resumed, resumed_optimizer)
    check.equal(returned, iteration, what="iteration returned by run_load_checkpoint")
    check.close(
        outputs(resumed),
        saved_outputs,
        rtol=1e-6,
        atol=1e-7,
        what="outputs of the restored model in evaluation mode",
        hint="save and load the state_dict of the model: parameters and buffers",
    )
    check.close(
        torch.tensor(train(resumed, resumed_optimizer, range(iteration, iteration + 10))),
        torch.tensor(expected),
        rtol=1e-6,
        atol=1e-7,
        what=f"losses of ten steps after resuming from iteration {iteration}",
        hint="save and load the state_dict of the optimizer: moments, step counts, learning rate",
    )


@pytest.mark.problem("checkpointing", points=1)
def test_checkpoint_is_a_copy(adapters, tmp_path):
    """Saving changes nothing, and later training does not change what was saved."""
    network, optimizer = setup(2)
    train(network, optimizer, range(3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapters.run_save_checkpoint(network, optimizer, 3, tmp_path / "a.pt")
    train(network, optimizer, range(3, 6))
    adapters.run_save_checkpoint(network, optimizer, 6, tmp_path / "b.pt")

    iteration = adapters.run_load_checkpoint(tmp_path / "a.pt", network, optimizer)
    check.equal(iteration, 3, what="iteration of the first of two checkpoints")
    for name, value in network.state_dict().items():
        check.close(value, before[name], rtol=0, atol=0, what=f"{name} after loading")
    check.equal(
        sorted(path.name for path in tmp_path.iterdir()),
        ["a.pt", "b.pt"],
        what="files in the folder",
        hint="write to the path that is given, and to it alone",
    )
