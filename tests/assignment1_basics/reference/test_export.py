"""Saved tokenizers come back unchanged, and give the same ids in the libraries of others."""

import json

import pytest
import tokenizers
from hypothesis import given, settings

from assignment1_basics.reference.tokenizer.export import (
    printable,
    read_gpt2_files,
    to_tiktoken,
)
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course.errors import UserError
from tests.assignment1_basics.reference.tokenizer_samples import (
    ENGLISH,
    EOT,
    texts,
    tiktoken_twin,
    tokenizer,
    trained,
)

SPECIAL = [EOT, "[pad]", "[pad]]", "two words", "日本", "<|endoftext|><|endoftext|>"]


@pytest.fixture(scope="module")
def special():
    return Tokenizer(*trained(), SPECIAL)


@pytest.fixture(scope="module")
def hugging_face(special, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    return tokenizers.Tokenizer.from_file(str(special.save(path)))


def scattered() -> Tokenizer:
    """Ids with gaps, special tokens among them, bytes out of order."""
    vocab, merges = trained()
    return Tokenizer({9 * (4255 - i) + 5: t for i, t in vocab.items()} | {8: b"two words"}, merges,
                     ["two words", "é!"])  # fmt: skip


def same(ours: Tokenizer, other: Tokenizer) -> bool:
    return (ours.vocab, ours.merges, ours.special_tokens, ours.hash) == (
        (other.vocab, other.merges, other.special_tokens, other.hash)
    )


@pytest.mark.parametrize("make", [tokenizer, lambda: Tokenizer(*trained(), SPECIAL), scattered])
def test_save_and_load(make, tmp_path):
    ours = make()
    assert ours.save(tmp_path / "folder") == tmp_path / "folder" / "tokenizer.json"
    assert ours.save(tmp_path / "file.json") == tmp_path / "file.json"
    assert same(Tokenizer.load(tmp_path / "folder"), ours)
    assert same(Tokenizer.load(tmp_path / "folder" / "tokenizer.json"), ours)
    assert same(Tokenizer.load(tmp_path / "file.json"), ours)


@given(text=texts)
@settings(max_examples=300)
def test_tokenizers_gives_the_same_ids(special, hugging_face, text):
    assert hugging_face.encode(text).ids == special.encode(text)
    assert hugging_face.decode(special.encode(text), skip_special_tokens=False) == text


def test_tokenizers_gives_the_same_ids_of_scattered_tokens(tmp_path):
    theirs = tokenizers.Tokenizer.from_file(str(scattered().save(tmp_path)))
    text = ENGLISH[:20_000] + "é! two words"
    assert theirs.encode(text).ids == scattered().encode(text)


@given(text=texts)
@settings(max_examples=300)
def test_tiktoken_gives_the_same_ids(text):
    exported = _exported_to_tiktoken()
    assert exported.encode(text, allowed_special="all") == tokenizer().encode(text)
    assert exported.n_vocab == tokenizer().vocab_size


def _exported_to_tiktoken(cache=[]):  # noqa: B006
    if not cache:
        cache.append(to_tiktoken(tokenizer()))
    return cache[0]


def test_tiktoken_refuses_what_it_would_encode_otherwise():
    single = {i: bytes([i]) for i in range(256)}
    merges = [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")]
    vocab = single | {256: b"ab", 257: b"bc", 258: b"abc"}
    with pytest.raises(UserError, match="never make the token b'abc'"):  # "abc" is ab, c
        to_tiktoken(Tokenizer(vocab, merges))
    backwards = single | {257: b"ab", 256: b"bc"}
    with pytest.raises(UserError, match="ids in the order of merges"):
        to_tiktoken(Tokenizer(backwards, merges[:2]))
    with pytest.raises(UserError, match="all 256 bytes"):
        to_tiktoken(Tokenizer({i: single[i] for i in range(255)}, []))


def test_two_ids_with_the_same_bytes_cannot_be_saved(tmp_path):
    vocab, merges = trained()
    with pytest.raises(UserError, match="token ids 97 and 5000 are both written 'a'"):
        Tokenizer({**vocab, 5000: b"a"}, merges).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------
# Files of others


def gpt2_files(folder):
    """Write our vocabulary as OpenAI published GPT-2's: bytes in the order of `printable`."""
    vocab, merges = trained()
    bytes_first = sorted(vocab.values(), key=lambda token: (len(token) > 1, printable(token)))
    in_order = bytes_first[:256] + [vocab[i] for i in range(256, len(vocab))] + [EOT.encode()]
    names = {printable(token): number for number, token in enumerate(in_order)}
    (folder / "vocab.json").write_text(json.dumps(names))
    lines = [f"{printable(left)} {printable(right)}" for left, right in merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8")
    return folder / "vocab.json", folder / "merges.txt", in_order


def test_gpt2_files(tmp_path):
    vocab_json, merges_txt, in_order = gpt2_files(tmp_path)
    ours = Tokenizer.from_gpt2_files(vocab_json, merges_txt)
    assert ours.vocab == dict(enumerate(in_order))
    assert ours.merges == trained().merges
    assert ours.special_tokens == {EOT: 4256}
    text = ENGLISH[:30_000] + EOT
    theirs = tokenizers.ByteLevelBPETokenizer(str(vocab_json), str(merges_txt))
    theirs.add_special_tokens([EOT])
    assert ours.encode(text) == theirs.encode(text).ids
    assert to_tiktoken(ours).encode(text, allowed_special="all") == ours.encode(text)
    assert [ours.vocab[i] for i in ours.encode("naïve")] == [
        trained().vocab[i] for i in tiktoken_twin().encode("naïve")
    ]


def test_only_the_first_line_of_gpt2s_merges_is_a_version(tmp_path):
    (tmp_path / "v.json").write_text("{}")
    (tmp_path / "m.txt").write_text("#version: 0.2\n#version s\n\na b\n")
    _, merges = read_gpt2_files(tmp_path / "v.json", tmp_path / "m.txt")
    assert merges == [(b"#version", b"s"), (b"a", b"b")]


def test_a_special_token_is_saved_under_one_name(tmp_path):
    """Other tokens are written byte by byte, with "Ġ" for a space."""
    saved = Tokenizer(*trained(), ["<an end>"]).save(tmp_path)
    vocab = json.loads(saved.read_text(encoding="utf-8"))["model"]["vocab"]
    assert len(set(vocab.values())) == len(vocab)


def test_the_first_bytes_are_those_of_gpt2():
    """In GPT-2's vocabulary "!" is 0, "a" is 64, the space 220 and the line feed 198."""
    by_name = sorted(range(256), key=lambda byte: printable(bytes([byte])))
    assert [by_name.index(byte) for byte in b"!a \n"] == [0, 64, 220, 198]
    assert printable(b" a\n") == "ĠaĊ"


def test_a_tokenizer_of_tokenizers(tmp_path):
    """Trained and saved by Hugging Face's library, with merges as pairs."""
    theirs = tokenizers.ByteLevelBPETokenizer()
    theirs.train_from_iterator([ENGLISH[:100_000]], vocab_size=700, special_tokens=["<s>", EOT])
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = Tokenizer.load(tmp_path)
    assert ours.special_tokens == {"<s>": 0, EOT: 1}
    assert ours.encode(f"<s>{ENGLISH}{EOT}") == theirs.encode(f"<s>{ENGLISH}{EOT}").ids


def document(tmp_path) -> dict:
    return json.loads(tokenizer().save(tmp_path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "needs no normalizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "needs a ByteLevel pre-tokenizer"),
        ({"pre_tokenizer": None}, "needs a ByteLevel pre-tokenizer"),
        ({"model": {"type": "WordPiece", "vocab": {}}}, "needs a model of type BPE"),
        ({"model": {"type": "BPE", "vocab": {"中": 1}, "merges": []}}, "is not a byte-level BPE"),
        ({"model": {"type": "BPE", "vocab": {"a": 1}}}, "is not a byte-level BPE"),
        ({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": ["a b c"]}}, "is not a byte-level"),
        ({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": ["a a"]}}, "needs the token b'aa'"),
        ({"model": 5}, "is not a byte-level BPE"),
    ],
)
def test_other_kinds_of_tokenizers_are_refused(tmp_path, change, message):
    changed = document(tmp_path) | change
    (tmp_path / "tokenizer.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match=message):
        Tokenizer.load(tmp_path)


def test_damaged_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer '.*tokenizer.json' does not exist"):
        Tokenizer.load(tmp_path)
    file = tokenizer().save(tmp_path)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="is not JSON"):
        Tokenizer.load(tmp_path)
    file.write_text("[1, 2]")
    with pytest.raises(UserError, match="is not a byte-level BPE"):
        Tokenizer.load(tmp_path)
    vocab_json, merges_txt, _ = gpt2_files(tmp_path)
    with pytest.raises(UserError, match=r"line 1: '\{.*' is not two tokens"):
        Tokenizer.from_gpt2_files(vocab_json, vocab_json)
    with pytest.raises(UserError, match="is not JSON"):
        Tokenizer.from_gpt2_files(merges_txt, merges_txt)
    vocab_json.write_text('{"中": 1}')
    with pytest.raises(UserError, match=r"is not a vocab.json"):
        Tokenizer.from_gpt2_files(vocab_json, merges_txt)
