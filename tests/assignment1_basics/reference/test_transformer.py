"""The whole model against PyTorch's operations in float64, with every switch."""

import dataclasses
import itertools

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError

SMALL = TransformerConfig(
    vocab_size=37, context_length=16, d_model=24, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=40
)
SWITCHES = {
    "norm": ["pre", "post", "none"],
    "position": ["rope", "none"],
    "feed_forward": ["swiglu", "silu"],
    "tie_embeddings": [False, True],
}


def model_of(seed: int = 0, **changes) -> Transformer:
    config = dataclasses.replace(SMALL, **changes)
    return Transformer(config, torch.Generator().manual_seed(seed))


def some_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(37, shape, generator=torch.Generator().manual_seed(seed))


def oracle(config: TransformerConfig, weights: dict[str, torch.Tensor], ids: torch.Tensor):
    """The model as one function, in PyTorch's own operations."""

    def norm(name, x):
        if config.norm == "none":
            return x
        return F.rms_norm(x, (config.d_model,), weights[f"{name}.weight"], config.rms_norm_eps)

    def turn(x):  # [batch heads seq d_head]; neighbours are a complex number
        if config.position == "none":
            return x
        half, positions = config.d_head // 2, torch.arange(x.shape[-2], dtype=torch.float64)
        frequencies = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        turned = torch.view_as_complex(x.unflatten(-1, (half, 2)).contiguous())
        turned = turned * torch.exp(1j * torch.outer(positions, frequencies))
        return torch.view_as_real(turned).flatten(-2)

    def attention(name, x):
        q, k, v = (
            F.linear(x, weights[f"{name}.{part}_proj.weight"])
            .unflatten(-1, (-1, config.d_head))
            .transpose(1, 2)
            for part in "qkv"
        )
        group = config.n_heads // config.kv_heads
        k, v = turn(k).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = F.scaled_dot_product_attention(turn(q), k, v, is_causal=True)
        return F.linear(y.transpose(1, 2).flatten(2), weights[f"{name}.output_proj.weight"])

    def feed_forward(name, x):
        hidden = F.silu(F.linear(x, weights[f"{name}.w1.weight"]))
        if config.feed_forward == "swiglu":
            hidden = hidden * F.linear(x, weights[f"{name}.w3.weight"])
        return F.linear(hidden, weights[f"{name}.w2.weight"])

    x = F.embedding(ids, weights["token_embeddings.weight"])
    for i in range(config.n_layers):
        for sub_layer, part, name in (attention, "attn", "ln1"), (feed_forward, "ffn", "ln2"):
            part, name = f"layers.{i}.{part}", f"layers.{i}.{name}"
            if config.norm == "post":
                x = norm(name, x + sub_layer(part, x))
            else:
                x = x + sub_layer(part, norm(name, x))
    return F.linear(norm("ln_final", x), weights["lm_head.weight"])


@pytest.mark.parametrize("backend", ["sdpa", "plain"])
@pytest.mark.parametrize("values", list(itertools.product(*SWITCHES.values())))
def test_every_combination_of_switches_equals_the_oracle(values, backend):
    switches = dict(zip(SWITCHES, values, strict=True))
    model = model_of(attention=backend, rope_theta=500.0, rms_norm_eps=1e-2, **switches)
    for parameter in model.parameters():  # so that gains of 1 hide nothing
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    ids = some_ids(2, 16)
    weights = {name: weight.double() for name, weight in model.state_dict().items()}
    expected = oracle(model.config, weights, ids).float()
    # Some 200 roundings in a row in float32, relative to the largest logit.
    tolerance = 200 * 2**-24 * expected.abs().max().item()
    torch.testing.assert_close(model(ids), expected, rtol=0, atol=tolerance)


def test_keys_of_the_state_dict():
    layer = ["attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.output_proj"]
    layer += ["ln1", "ln2", "ffn.w1", "ffn.w2", "ffn.w3"]
    expected = {f"layers.{i}.{name}.weight" for i in range(2) for name in layer}
    expected |= {"token_embeddings.weight", "ln_final.weight", "lm_head.weight"}
    assert set(model_of().state_dict()) == expected
    assert set(model_of(tie_embeddings=True).state_dict()) == expected
    no_norms = {name for name in expected if ".ln" not in name and "ln_" not in name}
    assert set(model_of(norm="none").state_dict()) == no_norms


@pytest.mark.parametrize("backend", ["sdpa", "plain"])
def test_no_logit_sees_a_later_token(backend):
    model, ids = model_of(attention=backend), some_ids(1, 16)
    changed = ids.clone()
    changed[0, 9] = (ids[0, 9] + 1) % 37
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert (before[:, 9:] != after[:, 9:]).any(dim=-1).all()


# The "eager" backend traces the graph as any other would, and skips generating code for it.
@pytest.mark.parametrize("autocast", [False, True])
def test_compiles_without_a_graph_break_to_the_same_loss_and_gradients(autocast, monkeypatch):
    # While Dynamo traces, tensors are no tensors to a type checker.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    model, ids = model_of(), some_ids(2, 16)
    grads = []
    for forward in (model, torch.compile(model, backend="eager", fullgraph=True)):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = forward(ids)
        assert logits.dtype == (torch.bfloat16 if autocast else torch.float32)
        loss = F.cross_entropy(logits.float().flatten(0, 1), ids.flatten())
        loss.backward()
        grads.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    # One wide product rounds like three narrow ones, but a CPU may cut its sums elsewhere.
    difference = (grads[0] - grads[1]).norm() / grads[0].norm()
    assert difference < (2e-2 if autocast else 1e-5)


def test_tied_embeddings_are_one_parameter_and_start_with_logits_near_one():
    model, ids = model_of(tie_embeddings=True, vocab_size=500, d_model=256), some_ids(2, 16)
    assert model.lm_head.weight is model.token_embeddings.weight
    names = [name for name, _ in model.named_parameters()]
    assert "lm_head.weight" not in names
    assert 0.5 < model(ids).std() < 2


def test_bfloat16_weights_stay_close_to_float32():
    model, ids = model_of(), some_ids(2, 16)
    exact = model(ids)
    short = model.to(torch.bfloat16)(ids)
    assert short.dtype == torch.bfloat16
    # bfloat16 rounds to 2^-8; errors of some 40 roundings add up like a random walk.
    assert (short - exact).std() < 40**0.5 * 2**-8 * exact.std()


def test_a_generator_decides_all_initial_weights():
    first, second, other = model_of(seed=5), model_of(seed=5), model_of(seed=6)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])
        assert "ln" in name or not torch.equal(weight, other.state_dict()[name])


def test_from_weights_shares_the_tensors_it_is_given():
    weights = model_of(tie_embeddings=True).state_dict()
    model = Transformer.from_weights(dataclasses.replace(SMALL, tie_embeddings=True), weights)
    assert model.lm_head.weight is model.token_embeddings.weight
    for name, weight in model.state_dict().items():
        assert weight.data_ptr() == weights[name].data_ptr()
    ids = some_ids(1, 4)
    assert torch.equal(model(ids), model_of(tie_embeddings=True)(ids))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ln_final.weight": None}, "'ln_final.weight' is missing; the config wants \\[24\\]"),
        ({"ln_final.weight": torch.ones(23)}, "is \\[23\\]; the config wants \\[24\\]"),
        ({"layers.2.ln1.weight": torch.ones(24)}, "'layers.2.ln1.weight' is \\[24\\]; .* none"),
    ],
)
def test_from_weights_names_what_does_not_fit(change, message):
    weights = dict(model_of().state_dict()) | change
    weights = {name: weight for name, weight in weights.items() if weight is not None}
    with pytest.raises(UserError, match=message):
        Transformer.from_weights(SMALL, weights)


def test_a_sequence_longer_than_the_context_is_refused():
    assert model_of()(some_ids(1, 16)).shape == (1, 16, 37)
    with pytest.raises(
        UserError, match="0 \\+ 17 tokens do not fit into the model's context of 16"
    ):
        model_of()(some_ids(1, 17))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 25}, "d_model is 25; it must be a multiple of n_heads = 4"),
        ({"n_kv_heads": 3}, "n_kv_heads is 3; it must be a divisor of n_heads = 4"),
        ({"d_model": 12}, "d_model / n_heads is 3; it must be even"),
        ({"vocab_size": 0}, "vocab_size is 0; it must be at least 1"),
        ({"d_ff": 0}, "d_ff is 0; it must be at least 1, or None"),
        ({"rope_theta": 0.0}, "rope_theta is 0.0; it must be positive"),
        ({"norm": "layer"}, "norm is 'layer'; it must be one of \\('pre', 'post', 'none'\\)"),
    ],
)
def test_a_config_that_cannot_work_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_defaults_of_a_config():
    assert SMALL.d_head == 6
    assert TransformerConfig(n_heads=8).kv_heads == 8
    assert TransformerConfig(d_model=768, n_heads=12).ff_width == 2048
    assert TransformerConfig(d_model=512, n_heads=8).ff_width == 1408
    assert TransformerConfig(d_model=512, n_heads=8, feed_forward="silu").ff_width == 2048
