"""How many parameters a Transformer LM has."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check


def state_dict(vocab_size, d_model, num_layers, d_ff, tied) -> dict[str, torch.Tensor]:
    """The weights of the handout's model by their names, on the meta device."""
    shapes: dict[str, tuple[int, ...]] = {"token_embeddings.weight": (vocab_size, d_model)}
    for layer in range(num_layers):
        for name in ("q_proj", "k_proj", "v_proj", "output_proj"):
            shapes[f"layers.{layer}.attn.{name}.weight"] = (d_model, d_model)
        shapes[f"layers.{layer}.ffn.w1.weight"] = (d_ff, d_model)
        shapes[f"layers.{layer}.ffn.w2.weight"] = (d_model, d_ff)
        shapes[f"layers.{layer}.ffn.w3.weight"] = (d_ff, d_model)
        shapes[f"layers.{layer}.ln1.weight"] = (d_model,)
        shapes[f"layers.{layer}.ln2.weight"] = (d_model,)
    shapes["ln_final.weight"] = (d_model,)
    if not tied:
        shapes["lm_head.weight"] = (vocab_size, d_model)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.problem("count_parameters", points=1)
@given(
    vocab_size=st.integers(257, 60_000),
    d_model=st.integers(1, 100).map(lambda n: 16 * n),
    num_layers=st.integers(1, 40),
    d_ff=st.integers(1, 200).map(lambda n: 32 * n),
    tied=st.booleans(),
)
@example(vocab_size=1000, d_model=64, num_layers=3, d_ff=192, tied=True)
@example(vocab_size=1000, d_model=64, num_layers=3, d_ff=192, tied=False)
def test_count(adapters, vocab_size, d_model, num_layers, d_ff, tied):
    weights = state_dict(vocab_size, d_model, num_layers, d_ff, tied)
    check.equal(
        adapters.run_count_parameters(vocab_size, d_model, num_layers, d_ff, tie_embeddings=tied),
        sum(weight.numel() for weight in weights.values()),
        what=f"parameters for vocab_size={vocab_size}, d_model={d_model}, num_layers={num_layers}, "
        f"d_ff={d_ff}, tie_embeddings={tied}",
        hint="embedding, per layer four attention and three feed-forward matrices and two norms, "
        "the final norm, and the head unless it is tied",
    )
