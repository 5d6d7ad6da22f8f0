"""The truth that graded tests compare with, compared with PyTorch's modules and `transformers`."""

import pytest
import torch

from tests.assignment1_basics import oracles
from tests.assignment1_basics.model_weights import (
    LLAMA_NAMES,
    language_model_weights,
    llama_weights,
    renamed_llama,
)
from tests.assignment1_basics.tensors import integers, normal, normals


def test_attention_is_that_of_pytorch():
    *weights, x = normals((6, 6), (6, 6), (6, 6), (6, 6), (2, 5, 6), seed=0)
    module = torch.nn.MultiheadAttention(6, 3, bias=False, batch_first=True, dtype=torch.float64)
    module.load_state_dict(
        {"in_proj_weight": torch.cat(weights[:3]), "out_proj.weight": weights[3]}
    )
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, _ = module(x.double(), x.double(), x.double(), attn_mask=future, need_weights=False)
    torch.testing.assert_close(oracles.self_attention(x, *weights, 3), expected)


def test_rope_is_a_rotation_in_each_plane():
    x, positions = normal(4, 6, seed=1), torch.tensor([0, 1, 5, 7])
    for row, position, turned in zip(x, positions, oracles.rope(x, positions, 50.0), strict=True):
        for pair in range(3):
            generator = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
            rotation = torch.matrix_exp(generator * float(position) * 50.0 ** (-2 * pair / 6))
            own = slice(2 * pair, 2 * pair + 2)
            torch.testing.assert_close(turned[own], rotation @ row[own].double())


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_model_is_hugging_faces_llama(kv_heads, tied):
    from transformers import LlamaConfig, LlamaForCausalLM

    weights = llama_weights(11, 4, kv_heads, 6, 10, num_layers=2, seed=2, tied=tied)
    config = LlamaConfig(
        vocab_size=11,
        hidden_size=24,
        intermediate_size=10,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        rms_norm_eps=oracles.EPS,
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        attn_implementation="eager",
    )
    llama = LlamaForCausalLM(config).double()
    missing = llama.load_state_dict(weights, strict=False).missing_keys
    assert missing == ["lm_head.weight"] * tied
    llama.tie_weights()
    ids = integers(11, (2, 7), seed=3)
    logits = oracles.language_model(
        ids,
        renamed_llama(weights),
        2,
        4,
        100.0,
        num_kv_heads=kv_heads,
        rotate=oracles.rope_of_halves,
    )
    # Hugging Face computes angles, norms and the softmax in float32 whatever the model's dtype.
    torch.testing.assert_close(logits, llama(ids).logits, rtol=1e-4, atol=1e-5)


def test_names_cover_all_weights():
    ours = language_model_weights(11, 8, 12, 1, seed=4)
    assert {f"layers.0.{name}.weight" for name in LLAMA_NAMES.values()} == {
        name for name in ours if name.startswith("layers.")
    }


def test_next_token_distribution_by_hand():
    # Probabilities 8/15, 4/15, 2/15, 1/15.
    logits = [0.0, 3.0, 1.0, 2.0]
    logits = [z * 0.6931471805599453 for z in logits]

    def approx(*weights):
        return pytest.approx([w / sum(weights) for w in weights])

    distribution = oracles.next_token_distribution
    assert distribution(logits) == approx(1, 8, 2, 4)
    assert distribution(logits, temperature=0.5) == approx(1, 64, 4, 16)
    assert distribution(logits, temperature=0) == [0, 1, 0, 0]
    assert distribution(logits, top_k=2) == approx(0, 8, 0, 4)
    assert distribution(logits, top_p=0.5) == approx(0, 1, 0, 0)
    assert distribution(logits, top_p=0.6) == approx(0, 8, 0, 4)
    assert distribution(logits, top_p=0.81) == approx(0, 8, 2, 4)
    assert distribution(logits, top_k=2, top_p=0.6) == approx(0, 8, 0, 0)
    assert distribution(logits, min_p=0.2) == approx(0, 8, 2, 4)
