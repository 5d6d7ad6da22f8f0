"""Random Llamas of `transformers`: the same logits here, and back again through a folder."""

import dataclasses
import json

import pytest
import torch

from assignment1_basics.reference.hugging_face import (
    config_from_hugging_face,
    config_to_hugging_face,
    export_folder,
    halves_from_neighbours,
    import_folder,
    neighbours_from_halves,
    weights_from_hugging_face,
    weights_to_hugging_face,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError

transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 24,
}


def random_llama(**changes):
    """A Llama with weights large enough that a wrong order of heads or rows shows in the logits."""
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**(SMALL | changes)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def some_ids(batch: int = 2, seq: int = 24) -> torch.Tensor:
    return torch.randint(50, (batch, seq), generator=torch.Generator().manual_seed(1))


def assert_same_logits(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.std() > 0.3  # or 1e-4 would say little
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 1},
        {"num_key_value_heads": 2, "tie_word_embeddings": True},
        {"rms_norm_eps": 0.1},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 30.0}},
        {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 3},
    ],
)
@pytest.mark.parametrize("shards", [False, True])
def test_import_gives_the_logits_of_transformers(tmp_path, changes, shards):
    theirs = random_llama(**changes)
    theirs.save_pretrained(tmp_path, max_shard_size="10KB" if shards else "1GB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 or not shards
    ours = import_folder(tmp_path)
    assert_same_logits(ours(some_ids()), theirs(some_ids()).logits)
    tied = ours.lm_head.weight is ours.token_embeddings.weight
    assert tied == changes.get("tie_word_embeddings", False)


@pytest.mark.parametrize(
    "changes",
    [{}, {"n_kv_heads": 2}, {"tie_embeddings": True}, {"rope_theta": 77.0, "rms_norm_eps": 0.05}],
)
def test_an_exported_folder_gives_our_logits(tmp_path, changes):
    config = TransformerConfig(50, 24, d_model=32, n_layers=2, n_heads=4, d_ff=48)
    ours = Transformer(dataclasses.replace(config, **changes), torch.Generator().manual_seed(0))
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    export_folder(ours, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert_same_logits(theirs(some_ids()).logits, ours(some_ids()))
    back = import_folder(tmp_path)
    assert back.config == dataclasses.replace(ours.config, n_kv_heads=ours.config.kv_heads)
    for name, weight in ours.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight)


def test_an_exported_tokenizer_gives_the_same_ids_and_ends_generation(tmp_path):
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    vocab = {byte: bytes([byte]) for byte in range(256)} | {256: b"ab"}
    tokenizer = Tokenizer(vocab, [(b"a", b"b")], ["<|endoftext|>"])
    config = TransformerConfig(258, 24, d_model=32, n_layers=1, n_heads=4)
    export_folder(Transformer(config), tmp_path, tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "cab é<|endoftext|>ab"
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.eos_token == "<|endoftext|>"
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == 257
    assert Tokenizer.load(tmp_path).hash == tokenizer.hash


def test_the_permutations_pair_what_each_convention_pairs():
    rows = torch.arange(12).unsqueeze(1).float()  # two heads of six
    neighbours = neighbours_from_halves(rows, 2)
    assert neighbours.flatten().tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert torch.equal(halves_from_neighbours(neighbours, 2), rows)


def test_weights_survive_the_way_there_and_back():
    theirs = random_llama(num_key_value_heads=2).state_dict()
    back = weights_to_hugging_face(weights_from_hugging_face(theirs, 4, 2), 4, 2)
    assert set(back) == set(theirs)
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_buffers_of_old_versions_are_dropped():
    theirs = dict(random_llama().state_dict())
    theirs["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    assert not any("inv_freq" in name for name in weights_from_hugging_face(theirs, 4, 4))


LLAMA = {**SMALL, "model_type": "llama"}


def test_configs_of_transformers_4_are_read():
    config = config_from_hugging_face({**LLAMA, "rope_theta": 5e5, "rope_scaling": None})
    assert config.rope_theta == 5e5
    config = config_from_hugging_face({**LLAMA, "rms_norm_eps": 1e-5})
    assert (config.rope_theta, config.rms_norm_eps) == (10_000.0, 1e-5)
    assert config_from_hugging_face(config_to_hugging_face(config)) == config


def test_what_a_config_leaves_out_is_as_in_transformers():
    sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 4}
    theirs = config_from_hugging_face(transformers.LlamaConfig(**sizes).to_dict())
    assert config_from_hugging_face({"model_type": "llama", **sizes}) == dataclasses.replace(
        theirs, n_kv_heads=None
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "model_type is 'mistral'; only 'llama' can be imported"),
        ({"model_type": None}, "model_type is None"),
        ({"attention_bias": True}, "attention_bias is True; only False can be imported"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "RoPE scaling is 'linear'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "scaling is 'llama3'"),
        ({"head_dim": 16}, "head_dim is 16; it must be hidden_size / num_attention_heads = 8"),
        ({"num_key_value_heads": 3}, "n_kv_heads is 3; it must be a divisor of n_heads = 4"),
    ],
)
def test_configs_that_our_model_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        config_from_hugging_face(LLAMA | changes)


def test_a_config_without_a_size_is_refused():
    with pytest.raises(UserError, match="hidden_size is missing"):
        config_from_hugging_face({"model_type": "llama"})


@pytest.mark.parametrize(
    "changes", [{"norm": "post"}, {"position": "none"}, {"feed_forward": "silu"}]
)
def test_ablations_cannot_be_exported(changes, tmp_path):
    config = TransformerConfig(50, 24, d_model=32, n_layers=1, n_heads=4, **changes)
    with pytest.raises(UserError, match=f"{next(iter(changes))} is .* the only architecture"):
        export_folder(Transformer(config), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


class TestBrokenFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        random_llama().save_pretrained(tmp_path, max_shard_size="10KB")
        return tmp_path

    def test_no_config(self, tmp_path):
        with pytest.raises(UserError, match=r"model config '.*config.json' does not exist"):
            import_folder(tmp_path)

    def test_config_is_not_json(self, folder):
        (folder / "config.json").write_text("{")
        with pytest.raises(UserError, match="is not JSON"):
            import_folder(folder)

    def test_no_weights(self, folder):
        (folder / "model.safetensors.index.json").unlink()
        with pytest.raises(UserError, match=r"weights '.*model.safetensors' does not exist"):
            import_folder(folder)

    def test_a_missing_shard(self, folder):
        next(folder.glob("model-*.safetensors")).unlink()
        with pytest.raises(UserError, match=r"shard of weights .* does not exist"):
            import_folder(folder)

    def test_a_truncated_shard(self, folder):
        shard = next(folder.glob("model-*.safetensors"))
        shard.write_bytes(shard.read_bytes()[:-1])
        with pytest.raises(UserError, match="is not a whole safetensors file"):
            import_folder(folder)

    def test_an_index_that_leaves_a_tensor_out(self, folder):
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        shard = index["weight_map"]["model.norm.weight"]
        kept = {name: file for name, file in index["weight_map"].items() if file != shard}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": kept}))
        with pytest.raises(UserError, match="is missing; the config wants"):
            import_folder(folder)

    def test_another_shape_than_the_config_says(self, folder):
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(values | {"vocab_size": 51}))
        message = "'token_embeddings.weight' is \\[50, 32\\]; the config wants \\[51, 32\\]"
        with pytest.raises(UserError, match=message):
            import_folder(folder)

    def test_a_parameter_that_no_llama_has(self, folder):
        from safetensors.torch import load_file, save_file

        shard = next(folder.glob("model-*.safetensors"))
        save_file({**load_file(shard), "model.layers.0.mlp.up_proj.bias": torch.ones(48)}, shard)
        with pytest.raises(UserError, match=r"up_proj.bias' has no place in a Llama"):
            import_folder(folder)
