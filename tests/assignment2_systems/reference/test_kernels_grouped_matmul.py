"""The product of experts against a loop over them in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment2_systems.reference.kernels.grouped_matmul import grouped_matmul
from assignment2_systems.reference.kernels.launch import Product, using
from course.errors import UserError
from tests.assignment2_systems.reference.kernel_oracle import (
    DEVICE,
    assert_gradients_near,
    assert_near,
    draw,
    unchecked_shapes,
    wide,
)

KERNELS = ("grouped_matmul small", "grouped_matmul large", "grouped_matmul weights")


def loop(x, weights, sizes):
    parts = x[: sum(sizes)].split(sizes)
    products = [part @ weight.mT for part, weight in zip(parts, weights, strict=True)]
    left_over = x.new_zeros(len(x) - sum(sizes), weights.shape[1])
    return torch.cat([*products, left_over])


@settings(max_examples=6)
@given(
    sizes=st.lists(st.sampled_from([0, 0, 1, 2, 15, 16, 17, 40]), min_size=1, max_size=5),
    d_out=st.sampled_from([1, 16, 37]),
    d_in=st.sampled_from([1, 16, 50]),
    left_over=st.sampled_from([0, 3]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_grouped_matmul(sizes, d_out, d_in, left_over, dtype):
    x = draw(sum(sizes) + left_over, d_in, dtype=dtype)
    weights = draw(len(sizes), d_out, d_in, dtype=dtype, seed=1)
    true_x, true_weights = wide(x, weights)
    tile = Product(16, 16, 16, 4, 2)
    with using(KERNELS[0], tile), using(KERNELS[1], tile), using(KERNELS[2], tile):
        y = grouped_matmul(x, weights, torch.tensor(sizes, device=DEVICE))
        truth = loop(true_x, true_weights, sizes)
        assert_gradients_near(y, [x, weights], truth, [true_x, true_weights], ulps=16)


@pytest.mark.parametrize("rows", [200, 20])
def test_default_tiles_and_whole_ones(rows):
    """`large` and `small`; a d_in of whole tiles takes no mask."""
    x, weights = draw(rows, 128), draw(2, 256, 128, seed=1)
    true_x, true_weights = wide(x, weights)
    sizes = [rows - 7, 7]
    y = grouped_matmul(x, weights, torch.tensor(sizes, device=DEVICE))
    truth = loop(true_x, true_weights, sizes)
    assert_gradients_near(y, [x, weights], truth, [true_x, true_weights], ulps=64)


def test_a_group_does_not_see_its_neighbours():
    """Tiles hang over the end of a group: what lies there must not leak, not even NaN."""
    x, weights = draw(6, 4), draw(2, 4, 4, seed=1)
    with torch.no_grad():
        x[3:] = torch.nan
        weights[1] = torch.nan
    y = grouped_matmul(x, weights, torch.tensor([3, 3], device=DEVICE))
    dx, dw = torch.autograd.grad(y[:3].sum(), [x, weights])
    assert_near(y[:3].detach(), (x[:3].double() @ weights[0].double().mT).detach())
    assert dx[:3].isfinite().all()
    assert dw[0].isfinite().all()
    assert y[3:].isnan().all()


def test_under_autocast_and_only_the_gradients_that_are_wanted():
    x, weights, sizes = draw(6, 4), draw(2, 3, 4, seed=1), torch.tensor([2, 4], device=DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        y = grouped_matmul(x, weights.detach(), sizes)
    assert y.dtype == torch.bfloat16
    (dx,) = torch.autograd.grad(y.float().sum(), [x])
    assert dx.dtype == torch.float32


def test_compiles_without_a_graph_break():
    x, weights, sizes = draw(6, 4), draw(2, 3, 4, seed=1), torch.tensor([2, 4], device=DEVICE)
    with unchecked_shapes():  # beartype is what Dynamo cannot trace
        compiled = torch.compile(grouped_matmul, backend="aot_eager", fullgraph=True)
        y = compiled(x, weights, sizes)
    assert torch.equal(y, grouped_matmul(x, weights, sizes))


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3]])
def test_errors_say_what_would_be_right(sizes):
    with unchecked_shapes(), pytest.raises(UserError, match="they must be"):
        grouped_matmul(draw(6, 4), draw(2, 3, 4), torch.tensor(sizes, device=DEVICE))
