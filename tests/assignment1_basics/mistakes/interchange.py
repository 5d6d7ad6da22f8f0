"""Mistakes in hugging_face_import."""

from functools import partial

from torch import Tensor

from tests.assignment1_basics.decoding_parts import import_llama, neighbours
from tests.assignment1_basics.model_weights import LLAMA_NAMES
from tests.assignment1_basics.parts import wrong


def bad_import(title: str, says: str, **part):
    run = partial(import_llama, **part)
    return wrong("hugging_face_import", title, says, run_import_hugging_face_llama=run)


def exchanged(a: str, b: str) -> dict[str, str]:
    return LLAMA_NAMES | {a: LLAMA_NAMES[b], b: LLAMA_NAMES[a]}


def backwards(weight: Tensor, heads: int) -> Tensor:
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(weight.shape)


def also_buffers(state_dict, num_heads, num_kv_heads):
    ours = import_llama(state_dict, num_heads, num_kv_heads)
    buffers = {k.removeprefix("model."): w for k, w in state_dict.items() if "rotary" in k}
    return ours | buffers


def popped(state_dict, num_heads, num_kv_heads):
    ours = import_llama(dict(state_dict), num_heads, num_kv_heads)
    state_dict.clear()
    return ours


INTERCHANGE = [
    bad_import(
        "the rows are not permuted",
        "Hugging Face pairs rows i and i + d_head/2: make them neighbours in q_proj and k_proj",
        permute=lambda weight, heads: weight,
    ),
    bad_import(
        "the rows are permuted backwards",
        "row i goes to 2i, and row i + d_head/2 to 2i + 1 (the way back separates neighbours)",
        permute=backwards,
    ),
    bad_import(
        "the rows are permuted across heads",
        "rows change places within their own head",
        permute=lambda weight, heads: neighbours(weight, 1),
    ),
    bad_import(
        "the keys are permuted as if there were num_heads heads",
        "k_proj has num_kv_heads heads",
        heads_of=lambda name, heads, kv: heads if name in ("q_proj", "k_proj") else None,
    ),
    bad_import(
        "only the queries are permuted",
        "permute q_proj and k_proj alike",
        heads_of=lambda name, heads, kv: heads if name == "q_proj" else None,
    ),
    bad_import(
        "the values are permuted too",
        "values are not rotated: leave v_proj as it is",
        heads_of=lambda name, heads, kv: {"q_proj": heads, "k_proj": kv, "v_proj": kv}.get(name),
    ),
    bad_import(
        "gate and up are exchanged",
        "gate_proj goes through SiLU: it is w1; up_proj is w3",
        names=exchanged("mlp.gate_proj", "mlp.up_proj"),
    ),
    bad_import(
        "down and up are exchanged",
        "down_proj [d_model d_ff] is w2, up_proj is w3",
        names=exchanged("mlp.down_proj", "mlp.up_proj"),
    ),
    bad_import(
        "the norms are exchanged",
        "input_layernorm is ln1; post_attention_layernorm comes before the feed-forward: ln2",
        names=exchanged("input_layernorm", "post_attention_layernorm"),
    ),
    bad_import(
        "queries and keys are exchanged",
        "q_proj is q_proj, k_proj is k_proj",
        names=exchanged("self_attn.q_proj", "self_attn.k_proj"),
    ),
    bad_import(
        "tied embeddings leave lm_head.weight out",
        "without lm_head.weight the output matrix is model.embed_tokens.weight",
        output="",
    ),
    wrong(
        "hugging_face_import",
        "buffers are kept",
        "drop rotary_emb.inv_freq: the frequencies follow from theta",
        run_import_hugging_face_llama=also_buffers,
    ),
    wrong(
        "hugging_face_import",
        "the given state dict is emptied",
        "the state dict belongs to the caller: build a new one in place of pop()",
        run_import_hugging_face_llama=popped,
    ),
    wrong(
        "hugging_face_import",
        "the matrices are transposed",
        "Hugging Face's linear layers are [d_out d_in] as ours are",
        run_import_hugging_face_llama=lambda state, heads, kv: {
            name: w.mT.contiguous() if "proj" in name or "ffn" in name else w
            for name, w in import_llama(state, heads, kv).items()
        },
    ),
]
