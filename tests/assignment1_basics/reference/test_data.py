import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.data import TokenBatches, evaluation_batches, get_batch
from assignment1_basics.reference.evaluation import Evaluation, evaluate
from course.errors import UserError


def tokens(n, seed=0):
    return np.random.default_rng(seed).integers(0, 60_000, n).astype(np.uint16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_targets_are_the_next_tokens_not_the_next_numbers(dtype):
    data = tokens(200).astype(dtype)
    inputs, targets = get_batch(data, 50, 7)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (50, 7)
    windows = {tuple(data[i : i + 8].tolist()) for i in range(193)}
    for row in torch.cat((inputs, targets[:, -1:]), dim=1).tolist():
        assert tuple(row) in windows
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_every_start_is_equally_likely_the_first_and_the_last_too():
    data = np.arange(25)
    inputs, _ = get_batch(data, 20_000, 5)
    counts = torch.bincount(inputs[:, 0], minlength=20)
    assert len(counts) == 20
    expected = 1000
    chi_square = ((counts - expected).double().square() / expected).sum()
    assert chi_square < 43.8  # the 99.9% quantile of 19 degrees of freedom


def test_a_mapped_file_gives_what_memory_gives(tmp_path):
    data = tokens(1000)
    data.tofile(tmp_path / "tokens")
    mapped = np.memmap(tmp_path / "tokens", np.uint16, "r")
    a = TokenBatches(data, 4, 16, seed=3)[7]
    b = TokenBatches(mapped, 4, 16, seed=3)[7]
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


def test_torchs_seed_decides_a_batch_without_a_generator():
    data = tokens(1000)
    torch.manual_seed(5)
    first = get_batch(data, 4, 16)[0]
    second = get_batch(data, 4, 16)[0]
    torch.manual_seed(5)
    assert torch.equal(first, get_batch(data, 4, 16)[0])
    assert not torch.equal(first, second)


def test_a_batch_depends_on_seed_and_step_only():
    data = tokens(10_000)
    batches = TokenBatches(data, 4, 16, seed=1)
    in_order = [batches[step][0] for step in range(20)]
    backwards = [TokenBatches(data, 4, 16, seed=1)[step][0] for step in reversed(range(20))]
    for a, b in zip(in_order, reversed(backwards), strict=True):
        assert torch.equal(a, b)
    seen = {tuple(batch.flatten().tolist()) for batch in in_order}
    assert len(seen) == 20
    assert not torch.equal(TokenBatches(data, 4, 16, seed=2)[0][0], in_order[0])


def test_data_of_exactly_one_window_and_less():
    data = tokens(9)
    inputs, targets = TokenBatches(data, 2, 8)[0]
    assert inputs.tolist() == [data[:8].tolist()] * 2
    assert targets.tolist() == [data[1:].tolist()] * 2
    with pytest.raises(UserError, match="context_length 9 is longer than the data: 9 tokens"):
        TokenBatches(data, 2, 9)


@given(n=st.integers(2, 120), batch_size=st.integers(1, 7), context=st.integers(1, 20))
def test_evaluation_counts_every_token_but_the_first_once(n, batch_size, context):
    context = min(context, n - 1)
    data = np.arange(n)
    counted = []
    for inputs, targets, counts in evaluation_batches(data, batch_size, context):
        assert inputs.shape == targets.shape == counts.shape == (batch_size, context)
        assert torch.equal(targets, inputs + 1)
        counted += targets[counts].tolist()
    assert counted == list(range(1, n))


def test_an_evaluation_of_many_tokens_loses_none_of_them():
    """In float32 a sum of 2^24 no longer grows by 1."""
    losses = [torch.tensor([[2.0**24, 1.0, 1.0, 1.0]]), torch.ones(1, 4)]
    result = evaluate(lambda *_: losses.pop(0), tokens(9), 1, 4)
    assert result == Evaluation(2.0**24 + 7, 8, whole=True)


def test_an_evaluation_can_be_stopped():
    asked = iter([False, True])
    result = evaluate(lambda x, _: x * 1.0, tokens(100), 1, 4, should_stop=lambda: next(asked))
    assert (result.num_tokens, result.whole) == (8, False)


def test_evaluation_refuses_what_cannot_be():
    with pytest.raises(UserError, match="longer than the held-out text: 5 tokens"):
        list(evaluation_batches(tokens(5), 2, 5))
