"""Models from and to Hugging Face: the same Llama, other names and another order of two matrices.

    model = import_folder("Llama-folder")           # config.json and *.safetensors
    export_folder(model, "exported", tokenizer)     # AutoModelForCausalLM.from_pretrained loads it

The only difference in content is RoPE. Our pairs are neighbours, (2i, 2i+1), as in the paper;
Hugging Face pairs i with i + d_head / 2. Rotating after a permutation of a head's elements is the
same as permuting the rows of the query and key projections once, here at the boundary. Scores are
products of queries and keys that are permuted alike, so nothing else changes (transformers,
models/llama/convert_llama_weights_to_hf.py, `permute`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError
from course.files import atomic_write, existing_file

if TYPE_CHECKING:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"

# Theirs: ours. Names within a layer stand after "model.layers.{i}." and "layers.{i}.".
_NAMES = {
    "model.embed_tokens": "token_embeddings",
    "model.norm": "ln_final",
    "lm_head": "lm_head",
}
_LAYER_NAMES = {
    "self_attn.q_proj": "attn.q_proj",
    "self_attn.k_proj": "attn.k_proj",
    "self_attn.v_proj": "attn.v_proj",
    "self_attn.o_proj": "attn.output_proj",
    "mlp.gate_proj": "ffn.w1",
    "mlp.down_proj": "ffn.w2",
    "mlp.up_proj": "ffn.w3",
    "input_layernorm": "ln1",
    "post_attention_layernorm": "ln2",
}
_OUR_NAMES = {ours: theirs for theirs, ours in _NAMES.items()}
_OUR_LAYER_NAMES = {ours: theirs for theirs, ours in _LAYER_NAMES.items()}

# What a config may say about a feature that our model lacks: only that it is off.
_REQUIRED = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "pretraining_tp": 1,
}


def weights_from_hugging_face(
    state_dict: Mapping[str, Tensor], n_heads: int, n_kv_heads: int
) -> dict[str, Tensor]:
    """Return the weights of a Hugging Face Llama under our names and in our order of rows.

    Without an `lm_head.weight` (tied) the embedding takes its place. Tensors that need no
    permutation are shared with `state_dict`. Raises `UserError` for a name no Llama has.
    """
    heads = {"attn.q_proj": n_heads, "attn.k_proj": n_kv_heads}
    weights = {}
    for name, tensor in state_dict.items():
        if name.endswith("rotary_emb.inv_freq"):  # a buffer that old versions saved
            continue
        prefix, part = _rename(name, "model.layers.", "layers.", _NAMES, _LAYER_NAMES)
        if part in heads:
            tensor = neighbours_from_halves(tensor, heads[part])
        weights[f"{prefix}{part}.weight"] = tensor
    if "token_embeddings.weight" in weights:
        weights.setdefault("lm_head.weight", weights["token_embeddings.weight"])
    return weights


def weights_to_hugging_face(
    state_dict: Mapping[str, Tensor], n_heads: int, n_kv_heads: int
) -> dict[str, Tensor]:
    """Invert `weights_from_hugging_face`."""
    heads = {"self_attn.q_proj": n_heads, "self_attn.k_proj": n_kv_heads}
    weights = {}
    for name, tensor in state_dict.items():
        prefix, part = _rename(name, "layers.", "model.layers.", _OUR_NAMES, _OUR_LAYER_NAMES)
        if part in heads:
            tensor = halves_from_neighbours(tensor, heads[part])
        weights[f"{prefix}{part}.weight"] = tensor
    return weights


def neighbours_from_halves(
    weight: Float[Tensor, "d_out d_in"], n_heads: int
) -> Float[Tensor, "d_out d_in"]:
    """Move row i of each head to 2i, and row i + d_head / 2 to 2i + 1."""
    _require_even_heads(weight, n_heads)
    return rearrange(weight, "(heads two half) d -> (heads half two) d", heads=n_heads, two=2)


def halves_from_neighbours(
    weight: Float[Tensor, "d_out d_in"], n_heads: int
) -> Float[Tensor, "d_out d_in"]:
    """Invert `neighbours_from_halves`."""
    _require_even_heads(weight, n_heads)
    return rearrange(weight, "(heads half two) d -> (heads two half) d", heads=n_heads, two=2)


def _require_even_heads(weight: Tensor, n_heads: int) -> None:
    if weight.dim() != 2 or weight.shape[0] % (2 * n_heads):
        raise UserError(
            f"a projection of shape {list(weight.shape)} does not split into {n_heads} heads of "
            "even width; check the numbers of heads in the config"
        )


def _rename(
    name: str, layers: str, new_layers: str, names: dict[str, str], layer_names: dict[str, str]
) -> tuple[str, str]:
    """Return the new prefix ("layers.3." or "") and name of a parameter, without ".weight"."""
    part = name.removesuffix(".weight")
    if part != name and part in names:
        return "", names[part]
    match = re.fullmatch(re.escape(layers) + r"(\d+)\.(.+)\.weight", name)
    if match and match[2] in layer_names:
        return f"{new_layers}{match[1]}.", layer_names[match[2]]
    raise UserError(f"parameter {name!r} has no place in a Llama without biases")


def config_from_hugging_face(values: Mapping[str, Any]) -> TransformerConfig:
    """Translate a `config.json`; raises `UserError` for what our model cannot do.

    Reads the RoPE of transformers 5 (`rope_parameters`) and 4 (`rope_theta`, `rope_scaling`).
    Values that a file leaves out are those of `LlamaConfig`.
    """
    for name, right in _REQUIRED.items():
        value = values.get(name, None if name == "model_type" else right)
        if value != right:
            raise UserError(f"{name} is {value!r}; only {right!r} can be imported")
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if rope_type != "default":
        raise UserError(f"RoPE scaling is {rope_type!r}; only unscaled RoPE can be imported")
    try:
        d_model, n_heads = values["hidden_size"], values["num_attention_heads"]
        config = TransformerConfig(
            vocab_size=values["vocab_size"],
            context_length=values.get("max_position_embeddings", 2048),
            d_model=d_model,
            n_layers=values["num_hidden_layers"],
            n_heads=n_heads,
            n_kv_heads=values.get("num_key_value_heads"),
            d_ff=values["intermediate_size"],
            rope_theta=rope.get("rope_theta", values.get("rope_theta", 10_000.0)),
            rms_norm_eps=values.get("rms_norm_eps", 1e-6),
            tie_embeddings=values.get("tie_word_embeddings", False),
        )
    except KeyError as error:
        raise UserError(f"{error.args[0]} is missing") from None
    if (values.get("head_dim") or config.d_head) != config.d_head:
        raise UserError(
            f"head_dim is {values['head_dim']}; it must be hidden_size / num_attention_heads = "
            f"{config.d_head}"
        )
    return config


def config_to_hugging_face(config: TransformerConfig) -> dict[str, Any]:
    """Return the `config.json` of a model, for transformers 4 and 5.

    Raises `UserError` for an ablation: Llama has pre-norm, RoPE and SwiGLU.
    """
    for name, right in {"norm": "pre", "position": "rope", "feed_forward": "swiglu"}.items():
        if getattr(config, name) != right:
            raise UserError(
                f"{name} is {getattr(config, name)!r}; a Llama, the only architecture to export "
                f"to, has {right!r}"
            )
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.d_model,
        "intermediate_size": config.ff_width,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.d_head,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": config.tie_embeddings,
        "dtype": "float32",
        # The defaults of LlamaConfig, 1 and 2, would be ordinary tokens of ours.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def import_folder(folder: Path | str) -> Transformer:
    """Build a model from a folder with `config.json` and `model.safetensors` (or its shards).

    Its weights are float32, whatever the file has.
    """
    folder = Path(folder)
    try:
        config = config_from_hugging_face(_read_json(folder / "config.json", "model config"))
        tensors = {name: tensor.float() for name, tensor in _read_tensors(folder).items()}
        weights = weights_from_hugging_face(tensors, config.n_heads, config.kv_heads)
        return Transformer.from_weights(config, weights)
    except UserError as error:
        raise UserError(f"model {str(folder)!r}: {error}") from None


def export_folder(
    model: Transformer, folder: Path | str, tokenizer: "Tokenizer | None" = None
) -> None:
    """Write `config.json`, `model.safetensors` and, given a tokenizer, `tokenizer.json`.

    `transformers.AutoModelForCausalLM.from_pretrained(folder)` then gives the same logits, and
    `AutoTokenizer` the same ids. Weights are written in float32.
    """
    from safetensors.torch import save

    folder = Path(folder)
    config = config_to_hugging_face(model.config)
    weights = weights_to_hugging_face(
        model.state_dict(), model.config.n_heads, model.config.kv_heads
    )
    if model.config.tie_embeddings:
        del weights["lm_head.weight"]
    if tokenizer is not None:
        config["eos_token_id"] = tokenizer.special_tokens.get(END_OF_TEXT)
        config["bos_token_id"] = config["eos_token_id"]
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_write(folder / "model.safetensors") as file:
        file.write(save(tensors, metadata={"format": "pt"}))
    if tokenizer is not None:
        tokenizer.save(folder)
        _write_json(folder / "tokenizer_config.json", _tokenizer_config(model.config, tokenizer))
    _write_json(folder / "config.json", config)


def _tokenizer_config(config: TransformerConfig, tokenizer: "Tokenizer") -> dict[str, Any]:
    end = END_OF_TEXT if END_OF_TEXT in tokenizer.special_tokens else None
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.context_length,
        "clean_up_tokenization_spaces": False,
        "bos_token": end,
        "eos_token": end,
    }


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read the one file of weights, or all shards that an index lists."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists() or not index.exists():
        files = [existing_file(single, "weights")]
    else:
        shards = sorted(set(_read_json(index, "index of weights").get("weight_map", {}).values()))
        files = [existing_file(folder / shard, "shard of weights") for shard in shards]
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(file)
        except SafetensorError as error:
            raise UserError(f"{str(file)!r} is not a whole safetensors file: {error}") from None
    return tensors


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        values = json.loads(existing_file(path, what).read_bytes())
    except ValueError as error:
        raise UserError(f"{what} {str(path)!r} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{what} {str(path)!r} holds no JSON object")
    return values


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path, "w") as file:
        json.dump(values, file, indent=2)
        file.write("\n")
