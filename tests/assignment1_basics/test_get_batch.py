"""Sampling of training windows."""

import tracemalloc

import numpy as np
import pytest
import torch

from course.grading import check


@pytest.mark.problem("get_batch", points=0.5)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
@pytest.mark.parametrize(("batch_size", "context_length"), [(5, 7), (32, 1), (3, 40)])
def test_windows(adapters, tmp_path, dtype, batch_size, context_length):
    # Every token occurs once, in random order: a token says where it stands.
    tokens = np.random.default_rng(0).permutation(60).astype(dtype)
    (tmp_path / "tokens.bin").write_bytes(tokens.tobytes())
    mapped = np.memmap(tmp_path / "tokens.bin", dtype=dtype, mode="r")
    position = {int(token): index for index, token in enumerate(tokens)}

    inputs, targets = adapters.run_get_batch(mapped, batch_size, context_length, "cpu")
    for name, tensor in [("inputs", inputs), ("targets", targets)]:
        check.equal(tuple(tensor.shape), (batch_size, context_length), what=f"shape of {name}")
        check.equal(tensor.dtype, torch.int64, what=f"dtype of {name}")
    for row in range(batch_size):
        start = position[int(inputs[row, 0])]
        window = tokens[start : start + context_length + 1].tolist()
        check.equal(
            inputs[row].tolist(),
            window[:-1],
            what=f"inputs of row {row}, which starts at token {start}",
            hint="a row is a contiguous piece of the dataset",
        )
        check.equal(
            targets[row].tolist(),
            window[1:],
            what=f"targets of row {row}, which starts at token {start}",
            hint="the target of a position is the token that follows it in the dataset",
        )


@pytest.mark.problem("get_batch", points=0.5)
@pytest.mark.parametrize(("size", "context_length"), [(17, 7), (9, 8), (30, 3)])
def test_starts_are_uniform(adapters, size, context_length):
    starts = size - context_length  # the last one leaves room for the last target
    draws = 400 * starts
    inputs, _ = adapters.run_get_batch(np.arange(size), draws, context_length, "cpu")
    counts = np.bincount(inputs[:, 0].numpy(), minlength=size)
    check.true(
        bool((counts[:starts] > 0).all()),
        f"of the starts 0 to {starts - 1}, these never came up in {draws:,} draws: "
        f"{np.flatnonzero(counts[:starts] == 0).tolist()}",
        hint="the last possible start is len(dataset) - context_length - 1",
    )
    # Pearson's statistic is about starts - 1 with a deviation of sqrt(2 (starts - 1)); a right
    # sampler exceeds 8 deviations practically never, and seeds are fixed besides.
    statistic = float(((counts[:starts] - 400) ** 2 / 400).sum())
    limit = starts - 1 + 8 * (2 * (starts - 1)) ** 0.5 + 8
    check.true(
        statistic < limit,
        f"start positions are not equally likely: counts {counts[:starts].tolist()[:12]} "
        f"where 400 each are expected",
    )
    if draws > 400:
        row_starts = inputs[:, 0].numpy()
        correlation = np.corrcoef(row_starts[:-1], row_starts[1:])[0, 1]
        check.true(
            abs(correlation) < 0.2,
            "the start of a row depends on the row before it: draw each independently",
        )


@pytest.mark.problem("get_batch", points=0.25)
def test_batches_differ(adapters):
    first, second = (adapters.run_get_batch(np.arange(5000), 16, 8, "cpu")[0] for _ in range(2))
    check.true(
        not torch.equal(first, second),
        "two calls in a row give the same batch",
        hint="a seed belongs to the start of the program, not into get_batch",
    )


@pytest.mark.problem("get_batch", points=0.25)
def test_memory_map_is_not_read_whole(adapters, tmp_path):
    size = 4_000_000  # tokens, 8 MB; a training set may be larger than the memory
    np.lib.format.open_memmap(tmp_path / "tokens.npy", "w+", np.uint16, (size,)).flush()
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    tracemalloc.start()
    adapters.run_get_batch(mapped, 8, 32, "cpu")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    check.true(
        peak < size,
        f"for 8 windows of 32 tokens get_batch copies {peak / 1e6:.0f} MB of a memory map",
        hint="slice the windows first, and convert only those",
        observed=peak // 1_000_000,
    )


@pytest.mark.problem("get_batch", points=0.5)
def test_device(adapters):
    inputs, targets = adapters.run_get_batch(np.arange(50), 4, 8, "meta")
    check.equal(
        (inputs.device.type, targets.device.type),
        ("meta", "meta"),
        what="device of inputs and targets when device='meta' is asked for",
        hint="put both tensors on `device`",
    )
