"""Batches of windows from one long token array, in memory or memory-mapped from disk.

Training draws windows at random. `TokenBatches` derives the draw from (seed, step) alone, not from
a generator that has a history: batch k is the same whether the steps before it ran in this process
or in one that was killed. Resuming at step k costs nothing and is exact.

Evaluation covers the held-out text once, in order, so that its loss belongs to the whole text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from course.errors import UserError

Batch = tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]


def get_batch(
    tokens: npt.NDArray,
    batch_size: int,
    context_length: int,
    device: torch.device | str = "cpu",
    generator: np.random.Generator | None = None,
) -> Batch:
    """Sample `batch_size` windows: inputs, and targets one position later, int64 on `device`.

    Every start from 0 to len(tokens) - context_length - 1 is equally likely. `tokens` may be a
    memory-mapped file: only the windows are read. Without a generator one is seeded from torch's,
    so that `torch.manual_seed` decides the batch.
    """
    if generator is None:
        generator = np.random.default_rng(int(torch.randint(2**63 - 1, ())))
    starts = generator.integers(len(tokens) - context_length, size=batch_size)
    return _to_device(_windows(tokens, starts, context_length), device)


@dataclass(frozen=True)
class TokenBatches:
    """The training batches of a run: `batches[step]` is a function of the seed and the step."""

    tokens: npt.NDArray
    batch_size: int
    context_length: int
    seed: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        require_window(self.tokens, self.context_length, "the data")

    def __getitem__(self, step: int) -> Batch:
        """Return inputs and targets of step `step`, counted from 0."""
        generator = np.random.default_rng((self.seed, step))
        return get_batch(self.tokens, self.batch_size, self.context_length, self.device, generator)


def evaluation_batches(
    tokens: npt.NDArray,
    batch_size: int,
    context_length: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]]:
    """Yield inputs, targets and which targets count: each token but the first counts exactly once.

    All batches have the same shape, so that a compiled graph serves for all: the last window is
    moved back to fit, the last batch filled with repeats, and the mask leaves out what has counted
    before.
    """
    require_window(tokens, context_length, "the held-out text")
    last = len(tokens) - 1 - context_length  # where the last window starts
    starts = np.append(np.arange(0, last, context_length), last)
    # A window counts the targets behind those of the window before it.
    counted_from = np.append(0, starts[:-1] + context_length - starts[1:])
    position = torch.arange(context_length)
    for first in range(0, len(starts), batch_size):
        rows = np.arange(first, min(first + batch_size, len(starts)))
        filled = np.append(rows, np.repeat(rows[-1:], batch_size - len(rows)))
        counts = position >= torch.from_numpy(counted_from[filled]).unsqueeze(1)
        counts[len(rows) :] = False
        inputs, targets = _to_device(_windows(tokens, starts[filled], context_length), device)
        yield inputs, targets, counts.to(device, non_blocking=True)


def require_window(tokens: npt.NDArray, context_length: int, what: str) -> None:
    """Raise a `UserError` if not a single window with its last target fits into the tokens."""
    if len(tokens) <= context_length:
        raise UserError(
            f"context_length {context_length} is longer than {what}: {len(tokens)} tokens give "
            f"windows of {max(0, len(tokens) - 1)} at most"
        )


def _windows(
    tokens: npt.NDArray, starts: npt.NDArray, context_length: int
) -> npt.NDArray[np.int64]:
    """Copy windows of context_length + 1 tokens out of the array as int64."""
    windows = np.empty((len(starts), context_length + 1), dtype=np.int64)
    for row, start in zip(windows, starts, strict=True):
        row[:] = tokens[start : start + context_length + 1]
    return windows


def _to_device(windows: npt.NDArray[np.int64], device: torch.device | str) -> Batch:
    """Split windows into inputs and targets; to a GPU from pinned memory, without waiting."""
    both = torch.from_numpy(windows)
    if torch.device(device).type == "cuda":
        both = both.pin_memory().to(device, non_blocking=True)
    elif torch.device(device).type != "cpu":
        both = both.to(device)
    return both[:, :-1], both[:, 1:]
