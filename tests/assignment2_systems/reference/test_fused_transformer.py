"""FusedTransformer against the Transformer that it was made from, and its training step."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from assignment1_basics.reference.loss import cross_entropy
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.train_config import OptimizerConfig
from assignment1_basics.reference.train_step import TrainStep
from assignment2_systems.reference import fused_transformer
from assignment2_systems.reference.fused_train_step import FusedTrainStep
from assignment2_systems.reference.fused_transformer import FusedTransformer, fused
from course.errors import UserError
from tests.assignment2_systems.reference.kernel_oracle import (
    DEVICE,
    assert_near,
    ignore_numpy,
    unchecked_shapes,
)

pytestmark = ignore_numpy
CONFIG = TransformerConfig(37, 12, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48)


SMALL = replace(CONFIG, d_model=16, n_layers=1, n_heads=2, n_kv_heads=1)


def make(config=CONFIG) -> Transformer:
    return Transformer(config, torch.Generator().manual_seed(0)).to(DEVICE)


def batch(seq=9) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(37, (2, seq + 1), generator=torch.Generator().manual_seed(1))
    return tokens[:, :-1].to(DEVICE), tokens[:, 1:].to(DEVICE)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, tie_embeddings=True),
        replace(CONFIG, position="none", n_kv_heads=None),
        replace(CONFIG, d_model=20, n_heads=2, n_kv_heads=1, n_layers=1, d_ff=7),
    ],
    ids=["gqa", "tied", "no positions", "odd sizes"],
)
def test_same_logits_and_gradients(config):
    model = make(config)
    same = fused(copy.deepcopy(model))
    inputs, targets = batch()
    truth = copy.deepcopy(model).double()
    logits = same(inputs)
    assert_near(logits.detach(), truth(inputs).detach(), ulps=64)
    loss = same.loss(inputs, targets)
    true_loss = F.cross_entropy(truth(inputs).flatten(0, 1), targets.flatten())
    assert_near(loss.detach(), true_loss.detach(), ulps=16)
    true_loss.backward()
    loss.backward()
    for (name, actual), (true_name, true) in zip(
        same.named_parameters(), truth.named_parameters(), strict=True
    ):
        assert name == true_name
        assert_near(actual.grad, true.grad, ulps=200)


def test_the_loss_from_logits_has_the_same_gradients():
    """A tied matrix gets gradients from the lookup and from the head: they add up."""
    model = fused(make(replace(CONFIG, tie_embeddings=True)))
    inputs, targets = batch()
    weight = model.token_embeddings.weight
    assert weight is model.lm_head.weight
    (chunked,) = torch.autograd.grad(model.loss(inputs, targets), [weight])
    (whole,) = torch.autograd.grad(cross_entropy(model(inputs), targets), [weight])
    assert_near(chunked, whole.double(), ulps=64)


def test_parameters_are_shared_and_state_dicts_fit_both_ways():
    model = make()
    same = fused(model)
    assert [*same.state_dict()] == [*model.state_dict()]
    for a, b in zip(same.parameters(), model.parameters(), strict=True):
        assert a is b
    other = make(CONFIG)
    other.load_state_dict(same.state_dict())
    rebuilt = FusedTransformer.from_weights(CONFIG, model.state_dict()).to(DEVICE)
    rebuilt.load_state_dict(model.state_dict())
    inputs, _ = batch()
    assert torch.equal(rebuilt(inputs), same(inputs))
    assert not fused(model.eval()).training


def test_decoding_with_a_cache_continues_the_sequence():
    model = fused(make())
    inputs, _ = batch()
    with torch.no_grad():
        cache = model.new_cache(batch_size=2)
        parts = [model(part, cache) for part in inputs.split([5, 1, 3], dim=1)]
        assert_near(torch.cat(parts, dim=1), model(inputs).double(), ulps=64)


def test_a_sequence_beyond_the_context_is_refused():
    with pytest.raises(UserError, match="13 tokens do not fit"):
        fused(make())(torch.zeros(1, 13, dtype=torch.int64, device=DEVICE))


@pytest.mark.parametrize("change", [{"norm": "post"}, {"norm": "none"}, {"feed_forward": "silu"}])
def test_models_without_fused_kernels_are_refused(change):
    with pytest.raises(UserError, match="the fused model is for"):
        fused(make(replace(CONFIG, **change)))


def dtypes_of_residual_stream(model, monkeypatch) -> set[tuple[torch.dtype, torch.dtype]]:
    """Note the dtypes of both outputs of every fused norm."""
    seen, original = set(), fused_transformer.add_rms_norm

    def noting(*arguments):
        y, total = original(*arguments)
        seen.add((y.dtype, total.dtype))
        return y, total

    monkeypatch.setattr(fused_transformer, "add_rms_norm", noting)
    model.loss(*batch()).backward()
    return seen


BF16, FP32 = torch.bfloat16, torch.float32


@pytest.mark.parametrize(
    ("weights", "autocast", "residual", "expected"),
    [
        (FP32, True, None, (BF16, FP32)),
        (FP32, True, BF16, (BF16, BF16)),
        (BF16, False, None, (BF16, BF16)),
        (BF16, False, FP32, (BF16, FP32)),
        (FP32, False, None, (FP32, FP32)),
    ],
)
def test_dtypes_of_the_residual_stream(weights, autocast, residual, expected, monkeypatch):
    model = fused(make().to(weights), residual)
    with torch.autocast(DEVICE, BF16, enabled=autocast):
        assert dtypes_of_residual_stream(model, monkeypatch) == {expected}
    for parameter in model.parameters():
        assert parameter.grad.dtype == weights
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_is_as_exact_as_the_model_of_assignment_1(autocast):
    model = make()
    inputs, _ = batch()
    truth = copy.deepcopy(model).double()(inputs).detach()
    weights = model if autocast else model.to(BF16)
    with torch.autocast(DEVICE, BF16, enabled=autocast), torch.no_grad():
        errors = [(m(inputs).double() - truth).abs().mean() for m in (weights, fused(weights))]
    assert errors[1] < 1.5 * errors[0] + 0.01 * (DEVICE == "cpu")  # the interpreter cuts bits off


@pytest.mark.parametrize("autocast", [False, True])
def test_compiles_as_one_graph(autocast):
    model = fused(make(SMALL))
    inputs, targets = batch()

    def loss(inputs, targets):
        with torch.autocast(DEVICE, BF16, enabled=autocast):
            return model.loss(inputs, targets)

    expected = torch.autograd.grad(loss(inputs, targets), [*model.parameters()])
    with unchecked_shapes():  # beartype is what Dynamo cannot trace
        compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)(inputs, targets)
    actual = torch.autograd.grad(compiled, [*model.parameters()])
    for gradient, same in zip(actual, expected, strict=True):
        assert_near(gradient, same.double(), ulps=2**16 if autocast else 64)


def test_gradients_are_the_same_bits_twice():
    model = fused(make(SMALL))
    inputs, targets = batch()
    first, second = (
        torch.autograd.grad(model.loss(inputs, targets), [*model.parameters()]) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


RECIPE = OptimizerConfig(learning_rate=1e-2, max_gradient_norm=0.5, fused=False)


def test_train_step_follows_that_of_assignment_1():
    model = make(SMALL)
    step = FusedTrainStep(copy.deepcopy(model), RECIPE, micro_batch_size=1)
    truth = TrainStep(copy.deepcopy(model), RECIPE)
    for _ in range(3):
        actual, expected = step(*batch(5), 1e-2), truth(*batch(5), 1e-2)
        for a, b in zip(actual, expected, strict=True):
            assert a.item() == pytest.approx(b.item(), rel=1e-4)
    for a, b in zip(step.model.parameters(), truth.model.parameters(), strict=True):
        assert_near(a.detach(), b.detach().double(), ulps=2**12)  # Adam divides by tiny gradients


def test_train_step_in_pure_bfloat16_learns():
    model = make(SMALL).to(BF16)
    step = FusedTrainStep(model, RECIPE, moment_dtype=BF16, residual_dtype=FP32)
    losses = [step(*batch(4), 3e-2)[0].item() for _ in range(4)]
    assert losses[-1] < losses[0] - 0.5
