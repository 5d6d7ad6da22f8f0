"""Batches, clipping and checkpoints written in other ways."""

import os
import pickle

import numpy as np
import torch

from course.grading.catalogue import alternative


@alternative("get_batch", "slices stacked in a loop, NumPy's global generator")
def loop_of_slices():
    def run_get_batch(dataset, batch_size, context_length, device):
        starts = [np.random.randint(len(dataset) - context_length) for _ in range(batch_size)]  # noqa: NPY002
        rows = [dataset[start : start + context_length + 1].astype(np.int64) for start in starts]
        batch = torch.tensor(np.stack(rows))
        return batch[:, :-1].to(device), batch[:, 1:].to(device)

    return {"run_get_batch": run_get_batch}


@alternative("get_batch", "all indices at once, gathered")
def gathered():
    def run_get_batch(dataset, batch_size, context_length, device):
        starts = torch.randint(len(dataset) - context_length, (batch_size, 1))
        index = (starts + torch.arange(context_length)).numpy()
        inputs, targets = dataset[index], dataset[index + 1]
        return tuple(
            torch.from_numpy(array.astype(np.int64)).to(device) for array in (inputs, targets)
        )

    return {"run_get_batch": run_get_batch}


@alternative("get_batch", "a view of all windows, Python's random")
def sliding_windows():
    def run_get_batch(dataset, batch_size, context_length, device):
        windows = np.lib.stride_tricks.sliding_window_view(dataset, context_length + 1)
        rows = torch.multinomial(torch.ones(len(windows)), batch_size, replacement=True).numpy()
        batch = torch.as_tensor(windows[rows].astype(np.int64))
        return (
            batch[:, :-1].contiguous().to(device=device),
            batch[:, 1:].contiguous().to(device=device),
        )

    return {"run_get_batch": run_get_batch}


@alternative("gradient_clipping", "norms stacked, the factor clamped to one")
def clamped_factor():
    def run_gradient_clipping(parameters, max_l2_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
        if norm > max_l2_norm:
            for grad in grads:
                grad *= max_l2_norm / (norm + 1e-6)

    return {"run_gradient_clipping": run_gradient_clipping}


@alternative("gradient_clipping", "one flat vector")
def flat_vector():
    def run_gradient_clipping(parameters, max_l2_norm):
        params = [p for p in parameters if p.grad is not None]
        norm = torch.cat([p.grad.flatten() for p in params]).square().sum().sqrt().item()
        for p in params:
            p.grad.data.mul_(min(1.0, max_l2_norm / (norm + 1e-6)) if norm > max_l2_norm else 1.0)

    return {"run_gradient_clipping": run_gradient_clipping}


@alternative("gradient_clipping", "foreach operations")
def foreach_clipping():
    def run_gradient_clipping(parameters, max_l2_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = sum(n**2 for n in torch._foreach_norm(grads)) ** 0.5
        if norm >= max_l2_norm:
            torch._foreach_mul_(grads, float(max_l2_norm / (norm + 1e-6)))

    return {"run_gradient_clipping": run_gradient_clipping}


@alternative("checkpointing", "pickled NumPy arrays and the optimizer's own dict")
def pickled_arrays():
    def run_save_checkpoint(model, optimizer, iteration, out):
        weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        data = pickle.dumps((weights, optimizer.state_dict(), iteration))
        if isinstance(out, str | os.PathLike):
            with open(out, "wb") as file:
                file.write(data)
        else:
            out.write(data)

    def run_load_checkpoint(src, model, optimizer):
        if isinstance(src, str | os.PathLike):
            with open(src, "rb") as file:
                return run_load_checkpoint(file, model, optimizer)
        weights, state, iteration = pickle.load(src)
        model.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
        optimizer.load_state_dict(state)
        return iteration

    return {"run_save_checkpoint": run_save_checkpoint, "run_load_checkpoint": run_load_checkpoint}
