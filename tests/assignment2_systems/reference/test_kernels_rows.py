"""Softmax, RMSNorm, SwiGLU and RoPE against float64, forward and backward."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.model.rope import RoPE, rotate
from assignment2_systems.reference.kernels.embedding import embedding
from assignment2_systems.reference.kernels.launch import CANDIDATES, Launch, using
from assignment2_systems.reference.kernels.rms_norm import MAX_WIDTH, add_rms_norm, rms_norm
from assignment2_systems.reference.kernels.rope import rope, rope_
from assignment2_systems.reference.kernels.softmax import softmax
from assignment2_systems.reference.kernels.swiglu import swiglu
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

DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])
few = settings(max_examples=8)
pytestmark = ignore_numpy


@few
@given(
    rows=st.integers(1, 9), width=st.integers(1, 70), dtype=DTYPES, size=st.sampled_from([1, 50])
)
def test_softmax(rows, width, dtype, size):
    x = draw(rows, width, dtype=dtype, size=size)
    (true_x,) = wide(x)
    with using("softmax", Launch(128, 4)):
        # y is kept as rounded, and dy of size one cancels against its mean.
        truth = torch.softmax(true_x, -1)
        assert_gradients_near(softmax(x), [x], truth, [true_x], floor=1.0)


@pytest.mark.parametrize("width", [8193, 9000])
def test_softmax_of_a_row_in_pieces(width):
    x = draw(2, width, size=5)
    with torch.no_grad():
        x[0, :5000] = -torch.inf  # a first piece without any weight
        x[1, 7000] = 80.0  # a maximum that comes late
    (true_x,) = wide(x)
    assert_gradients_near(softmax(x), [x], torch.softmax(true_x, -1), [true_x])


def test_softmax_along_another_dimension_and_of_nothing_but_minus_infinity():
    x = draw(3, 4, 5)
    (true_x,) = wide(x)
    assert_gradients_near(softmax(x, dim=1), [x], torch.softmax(true_x, 1), [true_x])
    assert softmax(torch.full((2, 3), -torch.inf, device=DEVICE)).isnan().all()


def true_add_norm(residual, update, gain, eps, stored):
    """Both outputs in float64, with the sum rounded as it is stored."""
    total = residual + update
    total = total + (stored.double() - total).detach()
    return total * (total.square().mean(-1, keepdim=True) + eps).rsqrt() * gain, total


@few
@given(
    rows=st.integers(1, 20),
    width=st.integers(1, 70),
    dtypes=st.sampled_from(
        [
            (torch.float32, torch.float32),
            (torch.float32, torch.bfloat16),
            (torch.bfloat16, torch.bfloat16),
        ]
    ),
    tile=st.sampled_from([16, 256]),
)
def test_add_rms_norm(rows, width, dtypes, tile):
    stream, product = dtypes
    residual = draw(rows, width, dtype=stream, seed=1)
    update = draw(rows, width, dtype=product, seed=2)
    gain = draw(width, seed=3)
    inputs = [residual, update, gain]
    with using("rms_norm forward", Launch(tile, 4)), using("rms_norm backward", Launch(tile, 4, 1)):
        outputs = add_rms_norm(*inputs, eps=1e-3, dtype=product)
        assert [output.dtype for output in outputs] == [product, stream]
        true_inputs = wide(*inputs)
        truth = true_add_norm(*true_inputs, 1e-3, outputs[1].detach())
        assert_gradients_near(outputs, inputs, truth, true_inputs, ulps=16)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3, 40), (5, 1025)])
def test_rms_norm(shape):
    x, gain = draw(*shape, size=3), draw(shape[-1], seed=1)
    true_x, true_gain = wide(x, gain)
    truth = F.rms_norm(true_x, shape[-1:], true_gain, 1e-5)
    assert_gradients_near(rms_norm(x, gain), [x, gain], truth, [true_x, true_gain], ulps=16)


@pytest.mark.parametrize("used", [0, 1])
def test_one_output_of_add_rms_norm_alone_has_a_gradient(used):
    inputs = [draw(4, 8, seed=1), draw(4, 8, seed=2, dtype=torch.bfloat16), draw(8, seed=3)]
    outputs = add_rms_norm(*inputs, eps=1e-3)
    true_inputs = wide(*inputs)
    truth = true_add_norm(*true_inputs, 1e-3, outputs[1].detach())
    upstream = torch.randn_like(outputs[used])
    actual = torch.autograd.grad(outputs[used], inputs, upstream, allow_unused=True)
    expected = torch.autograd.grad(
        truth[used], true_inputs, upstream.double(), materialize_grads=True
    )
    for gradient, x, true in zip(actual, inputs, expected, strict=True):
        assert_near(torch.zeros_like(x) if gradient is None else gradient, true, ulps=16)


def test_rms_norm_gives_the_same_bits_twice():
    x, gain = draw(50, 64), draw(64, seed=1)
    first, second = (
        torch.autograd.grad(rms_norm(x, gain).square().sum(), [x, gain]) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@few
@given(shape=st.sampled_from([(1,), (7, 3), (2, 3, 50), (0, 4)]), dtype=DTYPES)
def test_swiglu(shape, dtype):
    gate, up = draw(*shape, dtype=dtype, size=4), draw(*shape, dtype=dtype, seed=1)
    true_gate, true_up = wide(gate, up)
    with using("swiglu", Launch(64, 4)):
        outputs = swiglu(gate, up)
        truth = F.silu(true_gate) * true_up
        assert_gradients_near(outputs, [gate, up], truth, [true_gate, true_up])


def test_swiglu_of_huge_gates_is_finite():
    gate = torch.tensor([-1e4, -100.0, 100.0, 1e4], device=DEVICE, requires_grad=True)
    up = torch.ones(4, device=DEVICE)
    swiglu(gate, up).sum().backward()
    assert_near(gate.grad, torch.tensor([0.0, 0.0, 1.0, 1.0], device=DEVICE).double())


@few
@given(
    batch=st.integers(1, 3),
    seq=st.integers(1, 9),
    heads=st.sampled_from([(1, 1), (3, 3), (4, 2)]),
    d_head=st.sampled_from([2, 6, 16, 40]),
    transposed=st.booleans(),
    in_place=st.booleans(),
)
def test_rope(batch, seq, heads, d_head, transposed, in_place):
    cos, sin = RoPE(d_head, 100.0, 20).to(DEVICE).between(5, 5 + seq)
    q, k = (draw(batch, seq, n, d_head, seed=n + i) for i, n in enumerate(heads))
    inputs = [q, k]
    if transposed:  # memory in another order than the shape says
        inputs = [x.detach().transpose(1, 2).contiguous().requires_grad_() for x in inputs]
    true_inputs = wide(*inputs)
    q, k = (x.transpose(1, 2) if transposed else x for x in inputs)
    if in_place:  # what a projection returned, not a leaf
        q, k = q * 1, k * 1
    tables = cos.double()[:, None], sin.double()[:, None]
    truth = tuple(rotate(x.transpose(1, 2) if transposed else x, tables) for x in true_inputs)
    outputs = (rope_ if in_place else rope)(q, k, cos, sin)
    if in_place:
        assert outputs[0].data_ptr() == q.data_ptr()
    assert_gradients_near(outputs, inputs, truth, true_inputs)


def test_embedding_sums_the_places_of_a_token():
    weight = draw(6, 3)
    ids = torch.tensor([[1, 5, 1], [1, 0, 5]], device=DEVICE)
    (true_weight,) = wide(weight)
    assert_gradients_near(embedding(weight, ids), [weight], true_weight[ids], [true_weight])
    assert embedding(weight, ids, torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("kernel", ["rms_norm forward", "rope", "swiglu", "softmax"])
def test_every_candidate_of_the_tuner_computes_the_same(kernel):
    """Only their first and last: the interpreter is slow, and the sizes are what differs."""
    x, gain = draw(3, 48), draw(48, seed=1)
    tables = RoPE(48, 10.0, 3).to(DEVICE).between(0, 3)
    call = {
        "rms_norm forward": lambda: rms_norm(x, gain),
        "rope": lambda: rope(x[None, :, None], x[None, :, None], *tables)[0],
        "swiglu": lambda: swiglu(x, x),
        "softmax": lambda: softmax(x),
    }[kernel]
    expected = call()
    for launch in CANDIDATES[kernel][:: len(CANDIDATES[kernel]) - 1]:
        with using(kernel, launch):
            assert_near(call().detach(), expected.detach().double(), ulps=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: rms_norm(x, x[0, :3]), r"gain has shape \[3\]; it must be \[4\]"),
        (lambda x: add_rms_norm(x, x[:1], x[0]), r"update has shape \[1, 4\]"),
        (lambda x: rms_norm(x.expand(2, 4)[:, :0], x[0, :0]), "0 elements; it must be 1 to"),
        (lambda x: swiglu(x, x[:1]), "must be alike"),
        (lambda x: swiglu(x, x.bfloat16()), "float32"),
        (lambda x: rope(x, x, x, x), r"must be \[batch seq heads d_head\]"),
        (lambda x: rope(*[x[None, :, :3].unsqueeze(2)] * 2, x, x), "d_head is 3; it must be even"),
        (lambda x: rope(*[x[None].unsqueeze(2)] * 2, x, x), r"they must be \[2, 2\]"),
        (lambda x: rope_(*[x.mT[None].unsqueeze(2)] * 2, *[x.mT[:, :1]] * 2), "stride"),
        (lambda x: softmax(x.double()), "float64"),
    ],
)
def test_errors_say_what_would_be_right(call, message):
    with unchecked_shapes(), pytest.raises(UserError, match=message):
        call(torch.zeros(2, 4, device=DEVICE))


def test_too_wide_a_row_is_refused():
    x = torch.zeros(1, MAX_WIDTH + 1, device=DEVICE)
    with pytest.raises(UserError, match="it must be 1 to 32768"):
        rms_norm(x, x[0])
