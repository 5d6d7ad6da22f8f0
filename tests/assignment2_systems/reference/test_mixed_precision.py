"""Sums in short formats, and what autocast leaves in float32."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from assignment1_basics.reference.loss import cross_entropy
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.mixed_precision import (
    accumulation_experiment,
    in_float32,
    module_dtypes,
    operation_dtypes,
    running_sums,
    saved_bytes,
    stalls_at,
    underflow_share,
)

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


def test_what_the_accumulator_costs():
    by_formats = {(a.accumulator, a.addends): a for a in accumulation_experiment(0.01, 1000)}
    errors = {formats: a.relative_error for formats, a in by_formats.items()}
    assert errors[FP32, FP32] < 1e-4
    # 0.01 itself is rounded, by at most half a unit in the last place, and then added exactly.
    assert errors[FP32, FP16] <= 2**-11 + 1e-4
    assert errors[FP32, BF16] <= 2**-8 + 1e-4
    assert by_formats[BF16, BF16].running[-1] == 4
    assert by_formats[BF16, BF16].stalled_after < 500
    assert by_formats[FP16, FP16].stalled_after is None
    assert errors[FP16, FP16] > 10 * errors[FP32, FP16]


@given(addend=st.floats(1e-3, 10), dtype=st.sampled_from([BF16, torch.float8_e5m2]))
def test_where_a_sum_stalls(addend, dtype):
    """Additions in float64, rounded each time; float8 too, for which no addition exists."""
    addend, total = torch.tensor(addend).to(dtype).double(), torch.zeros((), dtype=torch.float64)
    for _ in range(3000):
        total = (total + addend).to(dtype).double()
    assert total == stalls_at(float(addend), dtype)


def test_running_sums_in_float32_are_the_cumulative_sum():
    values = torch.rand(50)
    torch.testing.assert_close(running_sums(values, FP32), values.cumsum(0))
    assert running_sums(values, BF16).dtype == BF16


def test_small_gradients_vanish_in_float16_unless_scaled():
    gradients = torch.tensor([0.0, 1e-9, -1e-9, 1e-3, 1e-2])
    assert underflow_share(gradients, FP16) == 0.5
    assert underflow_share(gradients, FP16, scale=1024.0) == 0
    assert underflow_share(gradients, BF16) == 0
    assert underflow_share(torch.zeros(3), FP16) == 0


class Toy(nn.Module):
    """Two products with a norm between: enough to meet every rule of autocast."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.second(self.norm(torch.relu(self.first(x))))


def test_modules_under_autocast():
    model, x = Toy(), torch.randn(3, 8)
    model.first.weight.grad = torch.ones_like(model.first.weight)

    def loss():
        with torch.autocast("cpu", BF16):
            logits = model(x)
            return nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2]))

    found = {types.module: types for types in module_dtypes(model, loss)}
    assert list(found) == ["first", "norm", "second", "(model)"]
    first = found["first"]
    assert (first.kind, first.inputs, first.outputs) == ("Linear", (FP32,), (BF16,))
    # Weights and their gradients stay float32; only what flows between modules is short.
    assert all(set(types.weights) <= {FP32} for types in found.values())
    assert all(set(types.weight_gradients) <= {FP32} for types in found.values())
    assert first.output_gradients == (BF16,)
    assert found["norm"].inputs == (BF16,)
    assert found["second"].outputs == (BF16,)
    assert loss().dtype == FP32
    assert torch.equal(model.first.weight.grad, torch.ones_like(model.first.weight))
    assert not model.first._forward_hooks


def test_without_autocast_all_is_float32():
    model, x = Toy(), torch.randn(3, 8)
    for types in module_dtypes(model, lambda: model(x).sum()):
        assert {*types.inputs, *types.outputs, *types.output_gradients} == {FP32}


def transformer_step():
    config = TransformerConfig(40, 16, d_model=32, n_layers=2, n_heads=4)
    model = Transformer(config)
    tokens = torch.randint(40, (2, 16))

    def loss(autocast):
        with torch.autocast("cpu", BF16, enabled=autocast):
            logits = model(tokens)
        return cross_entropy(logits, tokens)

    return model, loss


def test_operations_of_our_transformer_under_autocast():
    _, loss = transformer_step()
    counts = operation_dtypes(lambda: loss(autocast=True).backward())
    products = [signature for signature in counts if signature[0] == "mm"]
    assert products
    assert all(set(read + returned) == {BF16} for _, read, returned in products)
    float32 = in_float32(counts)
    assert {"logsumexp", "rsqrt", "mean"} <= set(float32)  # the loss, and the norms
    assert "mm" not in float32
    assert "mm" in in_float32(operation_dtypes(lambda: loss(autocast=False)))


def test_what_is_saved_is_shorter_under_autocast():
    model, loss = transformer_step()
    parameters = list(model.parameters())
    full = saved_bytes(lambda: loss(autocast=False), parameters)
    mixed = saved_bytes(lambda: loss(autocast=True), parameters)
    assert BF16 not in full
    assert mixed[BF16] > 0
    assert sum(mixed.values()) < sum(full.values())


def test_a_tensor_saved_twice_counts_once():
    x = torch.randn(10, requires_grad=True)
    sizes = saved_bytes(lambda: (y := x.exp()) * y.sin(), [x])
    # exp keeps its result, sin its input, the product both factors: two tensors.
    assert sizes == {FP32: 2 * 40}


@pytest.mark.parametrize("dtype", [FP16, BF16])
def test_stalling_is_a_power_of_two(dtype):
    assert stalls_at(0.01, dtype) == {FP16: 32, BF16: 4}[dtype]
