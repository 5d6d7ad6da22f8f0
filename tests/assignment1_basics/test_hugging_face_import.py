"""Weights of a Hugging Face Llama in our model give the Llama's logits.

The oracle runs the original weights with RoPE over halves, as Hugging Face does, and the imported
weights with RoPE over neighbours; `reference/test_oracles.py` compares it with `transformers`.
"""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.model_weights import llama_weights, renamed_llama
from tests.assignment1_basics.tensors import few_examples, integers, seeds

PROBLEM = "hugging_face_import"


def import_and_compare(adapters, theirs, num_layers, num_heads, num_kv_heads, seed):
    shapes = {name: tuple(w.shape) for name, w in renamed_llama(theirs).items()}
    given_weights = dict(theirs)
    ours = adapters.run_import_hugging_face_llama(given_weights, num_heads, num_kv_heads)
    check.equal(
        sorted(given_weights),
        sorted(theirs),
        what="hugging_face_import: the given state dict was changed",
        hint="build a new dict",
    )
    check.equal(
        sorted(ours),
        sorted(shapes),
        what="hugging_face_import: wrong keys",
        hint="the keys of transformer_lm, lm_head.weight always among them, and nothing else",
    )
    check.equal(
        {name: tuple(ours[name].shape) for name in sorted(shapes)},
        {name: shapes[name] for name in sorted(shapes)},
        what="hugging_face_import: wrong shapes",
        hint="rows change places within a head; no matrix is transposed",
    )
    ids = integers(len(theirs["model.embed_tokens.weight"]), (2, 6), seed)
    heads = {"num_layers": num_layers, "num_heads": num_heads, "num_kv_heads": num_kv_heads}
    check.close(
        oracles.language_model(ids, ours, theta=100.0, **heads),
        oracles.language_model(
            ids, renamed_llama(theirs), theta=100.0, rotate=oracles.rope_of_halves, **heads
        ),
        what=f"hugging_face_import: other logits, {num_heads} heads, {num_kv_heads} key heads",
        hint="within each head, row i of q_proj and k_proj goes to 2i and row i + d_head/2 to "
        "2i + 1; gate, down, up are w1, w2, w3",
        # Rows are only moved, and the oracle is float64.
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.problem(PROBLEM, points=0.5)
@few_examples
@given(kv_heads=st.integers(1, 3), group=st.integers(1, 3), half=st.integers(1, 4), seed=seeds)
@example(kv_heads=2, group=1, half=3, seed=0)
@example(kv_heads=2, group=2, half=4, seed=1)
def test_import(adapters, kv_heads, group, half, seed):
    theirs = llama_weights(11, kv_heads * group, kv_heads, 2 * half, 10, 2, seed)
    import_and_compare(adapters, theirs, 2, kv_heads * group, kv_heads, seed)


# Checkpoints of older versions hold the RoPE frequencies; those with tied embeddings no lm_head.
@pytest.mark.problem(PROBLEM, points=0.5)
def test_import_of_tied_embeddings(adapters):
    num_layers = 11
    theirs = llama_weights(11, 4, 2, 6, 10, num_layers, seed=2, tied=True)
    theirs["model.rotary_emb.inv_freq"] = torch.ones(3)
    for layer in range(num_layers):
        theirs[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(3)
    clean = {name: w for name, w in theirs.items() if "inv_freq" not in name}
    ours = adapters.run_import_hugging_face_llama(dict(theirs), 4, 2)
    check.true(
        not any("rotary" in name for name in ours),
        "hugging_face_import: rotary_emb.inv_freq is kept",
        hint="it is a buffer, and our model computes its own: drop it",
    )
    import_and_compare(adapters, clean, num_layers, 4, 2, seed=2)
