"""Classic mistakes in sampling batches and in checkpoints."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from course.grading.catalogue import Mistake, mistake

MISTAKES: list[Mistake] = []


# ---------------------------------------------------------------------------------------------
# get_batch


def randint(low: int, high: int, count: int) -> np.ndarray:
    return torch.randint(low, high, (count,)).numpy()


def wrong_batch(
    title: str,
    says: str,
    *,
    starts: Callable = lambda size, batch, context: randint(0, size - context, batch),
    targets: Callable = lambda data, start, context: data[start + 1 : start + context + 1],
    dtype: torch.dtype = torch.int64,
    place: Callable = lambda tensor, device: tensor.to(device),
    open_dataset: Callable = lambda dataset: dataset,
) -> None:
    """Register a sampler with one step replaced."""

    def run_get_batch(dataset, batch_size, context_length, device):
        dataset = open_dataset(dataset)
        first = starts(len(dataset), batch_size, context_length)
        inputs = np.stack([dataset[i : i + context_length] for i in first]).astype(np.int64)
        following = np.stack([targets(dataset, i, context_length) for i in first])
        pair = (inputs, following.astype(np.int64))
        return tuple(place(torch.from_numpy(array).to(dtype), device) for array in pair)

    MISTAKES.append(
        mistake("get_batch", title, says=says)(lambda: {"run_get_batch": run_get_batch})
    )


wrong_batch(
    "targets are the inputs plus one",
    "the target is the next token of the dataset, not the token id plus 1",
    targets=lambda data, start, context: data[start : start + context] + 1,
)
wrong_batch(
    "targets equal the inputs",
    "shift the targets by one position",
    targets=lambda data, start, context: data[start : start + context],
)
wrong_batch(
    "targets are the previous tokens",
    "the target of position i is token i + 1, not i - 1",
    targets=lambda data, start, context: np.roll(data, 1)[start : start + context],
)
wrong_batch(
    "the last start never comes up",
    "randint excludes its upper end: use len(dataset) - context_length",
    starts=lambda size, batch, context: randint(0, size - context - 1, batch),
)
wrong_batch(
    "the first start never comes up",
    "a window may begin at token 0",
    starts=lambda size, batch, context: randint(1, size - context, batch),
)
wrong_batch(
    "windows run over the end",
    "the last start leaves room for the last target: len(dataset) - context_length - 1",
    starts=lambda size, batch, context: randint(0, size - context + 1, batch),
)
wrong_batch(
    "windows do not overlap",
    "every start is equally likely, not only multiples of context_length",
    starts=lambda size, batch, context: randint(0, (size - 1) // context, batch) * context,
)
wrong_batch(
    "rows follow one another",
    "draw the start of each row independently",
    starts=lambda size, batch, context: (
        (randint(0, size - context, 1) + np.arange(batch)) % (size - context)
    ),
)
wrong_batch(
    "one start for the whole batch",
    "draw a start for each row",
    starts=lambda size, batch, context: np.full(batch, randint(0, size - context, 1)),
)
wrong_batch(
    "tokens are 32-bit",
    "embedding and loss take int64 ids: convert to torch.long",
    dtype=torch.int32,
)
wrong_batch(
    "the same batch every time",
    "do not set a seed inside get_batch",
    starts=lambda size, batch, context: np.random.default_rng(0).integers(0, size - context, batch),
)
wrong_batch(
    "the dataset is copied whole",
    "a memory map may be larger than the memory: slice first, then convert",
    open_dataset=lambda dataset: np.array(dataset, dtype=np.int64),
)
wrong_batch(
    "the device is ignored",
    "put both tensors on `device`",
    place=lambda tensor, device: tensor,
)

# ---------------------------------------------------------------------------------------------
# Checkpoints


def wrong_checkpoint(
    title: str, says: str, *, save: Callable | None = None, load: Callable | None = None
) -> None:
    MISTAKES.append(
        mistake("checkpointing", title, says=says)(
            lambda: {"run_save_checkpoint": save or _save, "run_load_checkpoint": load or _load}
        )
    )


def _save(model, optimizer, iteration, out, /, **changes):
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "iteration": iteration,
    }
    torch.save(state | changes, out)


def _load(src, model, optimizer, *, model_too=True, optimizer_too=True):
    state = torch.load(src)
    if model_too:
        model.load_state_dict(state["model"])
    if optimizer_too:
        optimizer.load_state_dict(state["optimizer"])
    return state["iteration"]


wrong_checkpoint(
    "the optimizer's state is not restored",
    "load the optimizer's state_dict too: without its moments the losses differ",
    load=lambda src, model, optimizer: _load(src, model, optimizer, optimizer_too=False),
)
wrong_checkpoint(
    "the model's weights are not restored",
    "model.load_state_dict(...) is missing",
    load=lambda src, model, optimizer: _load(src, model, optimizer, model_too=False),
)
wrong_checkpoint(
    "the iteration is not restored",
    "return the iteration that was saved",
    load=lambda src, model, optimizer: 0 * _load(src, model, optimizer),
)
wrong_checkpoint(
    "the iteration is one too large",
    "return the iteration as it was saved",
    load=lambda src, model, optimizer: 1 + _load(src, model, optimizer),
)
wrong_checkpoint(
    "nothing is returned",
    "run_load_checkpoint returns the iteration",
    load=lambda src, model, optimizer: _load(src, model, optimizer) and None,
)


def _parameters_only_save(model, optimizer, iteration, out):
    _save(model, optimizer, iteration, out, model=dict(model.named_parameters()))


def _parameters_only_load(src, model, optimizer):
    state = torch.load(src)
    model.load_state_dict(state["model"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    return state["iteration"]


wrong_checkpoint(
    "buffers are not saved",
    "state_dict() holds buffers (running statistics) too; parameters() does not",
    save=_parameters_only_save,
    load=_parameters_only_load,
)
wrong_checkpoint(
    "only paths are accepted",
    "`out` may be an open binary file as well as a path",
    save=lambda model, optimizer, iteration, out: _save(
        model,
        optimizer,
        iteration,
        open(out, "wb"),  # noqa: SIM115 - the mistake itself
    ),
)
wrong_checkpoint(
    "the learning rate is kept from the new optimizer",
    "load_state_dict restores param_groups (lr and all) besides the moments",
    load=lambda src, model, optimizer: _keep_rate(src, model, optimizer),
)


def _keep_rate(src, model, optimizer):
    rates = [group["lr"] for group in optimizer.param_groups]
    iteration = _load(src, model, optimizer)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    return iteration


def _own_path() -> Path:
    return Path(tempfile.gettempdir()) / f"checkpoint-{os.getpid()}.pt"


_IN_MEMORY: dict = {}


def _save_reference(model, optimizer, iteration, out):
    _save(model, optimizer, iteration, out)
    _IN_MEMORY["last"] = (model.state_dict(), optimizer.state_dict(), iteration)


def _load_reference(src, model, optimizer):
    weights, state, iteration = _IN_MEMORY["last"]
    model.load_state_dict(weights)
    optimizer.load_state_dict(state)
    return iteration


wrong_checkpoint(
    "the path is ignored",
    "write to `out` and read from `src`, not to a path of your own",
    save=lambda model, optimizer, iteration, out: _save(model, optimizer, iteration, _own_path()),
    load=lambda src, model, optimizer: _load(_own_path(), model, optimizer),
)
wrong_checkpoint(
    "the state is remembered, not saved",
    "state_dict() holds references that training goes on changing; write them to the file",
    save=_save_reference,
    load=_load_reference,
)


def _save_beside(model, optimizer, iteration, out):
    _save(model, optimizer, iteration, out)
    if not hasattr(out, "write"):
        with open(f"{out}.optimizer", "wb") as file:
            torch.save(optimizer.state_dict(), file)


wrong_checkpoint(
    "a second file is left beside the checkpoint",
    "one checkpoint is one file: whoever copies it must get all of it",
    save=_save_beside,
)
