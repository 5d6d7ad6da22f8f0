"""Cross-entropy and the head with loss against float64; what memory the second one takes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from assignment2_systems.reference.kernels.cross_entropy import cross_entropy, token_losses
from assignment2_systems.reference.kernels.launch import Launch, using
from assignment2_systems.reference.kernels.linear_cross_entropy import (
    chunk_rows,
    linear_cross_entropy,
    loss_and_gradients,
)
from course.errors import UserError
from tests.assignment2_systems.reference.kernel_oracle import (
    DEVICE,
    assert_gradients_near,
    assert_near,
    draw,
    ignore_numpy,
    unchecked_shapes,
    wide,
)

pytestmark = ignore_numpy
few = settings(max_examples=8)
DTYPES = st.sampled_from([torch.float32, torch.bfloat16])


def draw_targets(rows: int, vocab: int, ignored: int = 0) -> torch.Tensor:
    targets = torch.randint(vocab, (rows,), generator=torch.Generator().manual_seed(rows + vocab))
    targets[:ignored] = -100
    return targets.to(DEVICE)


@few
@given(
    rows=st.integers(1, 6),
    vocab=st.integers(1, 150),
    dtype=DTYPES,
    size=st.sampled_from([1, 100]),
    tile=st.sampled_from([16, 64, 8192]),
    way=st.sampled_from(["mean", "in place", "tokens"]),
    data=st.data(),
)
def test_cross_entropy(rows, vocab, dtype, size, tile, way, data):
    logits = draw(rows, vocab, dtype=dtype, size=size)
    targets = draw_targets(rows, vocab, ignored=data.draw(st.integers(0, rows - 1)))
    (true_logits,) = wide(logits)
    truth = F.cross_entropy(true_logits, targets, reduction="none" if way == "tokens" else "mean")
    with using("cross_entropy", Launch(tile, 4)):
        if way == "tokens":
            loss = token_losses(logits, targets)
        else:
            loss = cross_entropy(logits * 1, targets, in_place=way == "in place")
        assert_gradients_near(loss, [logits], truth, [true_logits])


def test_logits_of_minus_infinity():
    logits = draw(3, 40, size=3)
    with torch.no_grad():
        logits[0, :33] = -torch.inf  # two whole tiles without weight, then some
        logits[1, 3:] = -torch.inf  # weight in the first tile only
        logits[2, 7] = 1e4
    targets = torch.tensor([35, 1, 8], device=DEVICE)
    (true_logits,) = wide(logits)
    with using("cross_entropy", Launch(16, 4)):
        for loss in (token_losses(logits, targets).mean(), cross_entropy(logits, targets)):
            truth = F.cross_entropy(true_logits, targets)
            assert_gradients_near(loss, [logits], truth, [true_logits])


def test_losses_that_are_no_number():
    logits = torch.zeros(4, 5, device=DEVICE)
    logits[0], logits[1, 2], logits[2, 0] = -torch.inf, -torch.inf, torch.inf
    targets = torch.tensor([1, 2, 3, 5], device=DEVICE)
    losses = token_losses(logits, targets)
    assert losses[0].isnan()
    assert losses[1] == torch.inf
    assert not losses[2].isfinite()
    assert losses[3].isnan(), "an id outside the vocabulary must not read another row"
    assert cross_entropy(logits[3:], targets[3:] * 0 - 100).isnan(), "a mean of nothing"


def test_leading_dimensions_integers_and_ignore_index():
    logits, targets = draw(2, 3, 7), draw_targets(6, 7).view(2, 3)
    assert token_losses(logits, targets).shape == (2, 3)
    (true_logits,) = wide(logits)
    truth = F.cross_entropy(true_logits.mT, targets, ignore_index=int(targets[0, 0]))
    for ids in (targets, targets.int()):
        loss = cross_entropy(logits, ids, ignore_index=int(targets[0, 0]))
        assert_gradients_near(loss, [logits], truth.clone(), [true_logits]) if ids is targets else (
            assert_near(loss.detach(), truth.detach())
        )


def test_the_gradient_is_written_over_the_logits():
    leaf, targets = draw(4, 9), draw_targets(4, 9)
    logits = leaf * 1
    loss = cross_entropy(logits, targets, in_place=True)
    address = logits.data_ptr()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.data_ptr() == address


def test_backward_twice_raises_instead_of_scaling_twice():
    logits = draw(4, 9)
    loss = cross_entropy(logits * 1, draw_targets(4, 9))
    loss.backward(torch.tensor(2.0, device=DEVICE), retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_who_keeps_the_logits_that_are_overwritten_is_told():
    logits = draw(4, 9).tanh()  # tanh keeps its output
    loss = cross_entropy(logits, draw_targets(4, 9), in_place=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@few
@given(
    rows=st.sampled_from([1, 7, 50, 150]),
    vocab=st.integers(1, 40),
    dtypes=st.sampled_from(
        [
            (torch.float32, torch.float32),
            (torch.bfloat16, torch.float32),
            (torch.bfloat16, torch.bfloat16),
        ]
    ),
    chunk_bytes=st.sampled_from([1, 10_000, 2**20]),
)
def test_linear_cross_entropy(rows, vocab, dtypes, chunk_bytes):
    x = draw(rows, 8, dtype=dtypes[0])
    weight = draw(vocab, 8, dtype=dtypes[1], seed=1)
    targets = draw_targets(rows, vocab, ignored=min(rows - 1, 3))
    true_x, true_weight = wide(x, weight.to(dtypes[0]))
    truth = F.cross_entropy(true_x @ true_weight.mT, targets)
    loss = linear_cross_entropy(x, weight, targets, chunk_bytes=chunk_bytes)
    upstream = torch.tensor(3.0, device=DEVICE)
    actual = torch.autograd.grad(loss, [x, weight], upstream)
    expected = torch.autograd.grad(truth, [true_x, true_weight], upstream.double())
    assert [gradient.dtype for gradient in actual] == [x.dtype, weight.dtype]
    # Logits and their gradients are rounded to the dtype of x, whatever the weight's.
    ulps = 8 * torch.finfo(x.dtype).eps
    for gradient, true in ((loss, truth), *zip(actual, expected, strict=True)):
        scale = max(true.abs().max().item(), 0.01)
        assert (gradient.double() - true).abs().max().item() <= ulps * scale


def test_only_the_gradients_that_are_wanted():
    x, weight, targets = draw(5, 4), draw(7, 4, seed=1), draw_targets(5, 7)
    both = torch.autograd.grad(linear_cross_entropy(x, weight, targets), [x, weight])
    for i in (0, 1):
        inputs = [x.detach(), weight.detach()]
        inputs[i].requires_grad_()
        (alone,) = torch.autograd.grad(linear_cross_entropy(*inputs, targets), [inputs[i]])
        assert torch.equal(alone, both[i])
    with torch.no_grad():
        assert not linear_cross_entropy(x, weight, targets).requires_grad


class Allocations(TorchDispatchMode):
    """Notes the bytes of every tensor that PyTorch's operators return."""

    def __init__(self):
        super().__init__()
        self.largest: dict[tuple[int, ...], int] = {}

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.largest[tuple(tensor.shape)] = tensor.untyped_storage().nbytes()
        return result


@pytest.mark.parametrize("vocab", [200, 800])
def test_memory_is_flat_in_the_vocabulary(vocab):
    """No storage of rows x vocab, ever: the largest is a chunk, or a gradient of the head."""
    rows, width, chunk_bytes = 300, 4, 2**16
    x, weight = draw(rows, width), draw(vocab, width, seed=1)
    targets = draw_targets(rows, vocab)
    with torch.no_grad(), Allocations() as allocations:  # which sees nothing inside an operator
        loss, *gradients = loss_and_gradients(x, weight, targets, -100, True, True, chunk_bytes)
    whole = linear_cross_entropy(x, weight, targets, chunk_bytes=chunk_bytes)
    for gradient, same in zip(gradients, torch.autograd.grad(whole, [x, weight]), strict=True):
        assert torch.equal(gradient, same)
    assert torch.equal(loss, whole)
    shapes = [shape for shape in allocations.largest if vocab in shape and len(shape) == 2]
    assert any(rows not in shape and width not in shape for shape in shapes), "no chunk was seen"
    assert not any(rows in shape for shape in shapes)
    rounding_up = 128 * vocab * 4  # a chunk has whole tiles of 128 rows
    assert max(allocations.largest.values()) <= chunk_bytes + rounding_up < rows * vocab * 4


@pytest.mark.parametrize("rows", [1, 127, 4096, 32_768])
@pytest.mark.parametrize("vocab", [1, 32_000, 50_257, 256_000])
def test_chunks_are_about_equal_and_fit(rows, vocab):
    size = chunk_rows(rows, vocab, 2, 2**28)
    assert 1 <= size <= rows
    assert size * vocab * 2 <= 2**28 + 128 * (vocab + 8) * 2
    assert size == rows or rows / -(-rows // size) > 0.8 * size or size <= 512


def test_head_under_autocast_gives_float32_gradients():
    x, weight, targets = draw(6, 8), draw(11, 8, seed=1), draw_targets(6, 11)
    with torch.autocast(DEVICE, torch.bfloat16):
        loss = linear_cross_entropy(x, weight, targets)
    loss.backward()
    assert loss.dtype == x.grad.dtype == weight.grad.dtype == torch.float32
    (true_x,) = wide(x.bfloat16())
    truth = F.cross_entropy(true_x @ weight.detach().bfloat16().double().mT, targets)
    assert abs(loss.item() - truth.item()) < 0.01


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_losses_compile_without_a_graph_break(backend):
    def losses(x, weight, targets):
        return linear_cross_entropy(x, weight, targets) + cross_entropy(x, targets % 8)

    x, weight, targets = draw(6, 8), draw(11, 8, seed=1), draw_targets(6, 11)
    expected = torch.autograd.grad(losses(x, weight, targets), [x, weight])
    with unchecked_shapes():  # beartype is what Dynamo cannot trace
        compiled = torch.compile(losses, backend=backend, fullgraph=True)(x, weight, targets)
    actual = torch.autograd.grad(compiled, [x, weight])
    for gradient, true in zip(actual, expected, strict=True):
        assert_near(gradient, true.double(), ulps=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, t: cross_entropy(x, t[:1]), r"must be \[... vocab\] and \[...\]"),
        (lambda x, t: cross_entropy(x, t.float()), "must be integers"),
        (lambda x, t: cross_entropy(x.requires_grad_(), t, in_place=True), "overwrite a leaf"),
        (
            lambda x, t: cross_entropy((x.requires_grad_() * 1).mT.contiguous().mT, t, -1, True),
            "needs them contiguous",
        ),
        (lambda x, t: linear_cross_entropy(x, x[:, :2], t), r"\[vocab d_model\]"),
    ],
)
def test_errors_say_what_would_be_right(call, message):
    with unchecked_shapes(), pytest.raises(UserError, match=message):
        call(torch.zeros(3, 4, device=DEVICE), torch.zeros(3, dtype=torch.int64, device=DEVICE))
