r"""Tokenizers in the formats of others: Hugging Face's `tokenizer.json`, tiktoken, GPT-2's files.

`tokenizer.json` is also the format in which ours are saved: ids, merges and special tokens survive
the round trip exactly, and every library of the field reads it. A token there is a string in which
each byte stands as one printable character (`bytes_to_unicode` of openai/gpt-2's `encoder.py`): the
188 printable bytes of Latin-1 as themselves, the other 68 in order as U+0100 and up. So a space is
"Ġ" and a line feed "Ċ".
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from assignment1_basics.reference.tokenizer.naive import PATTERN
from course.errors import UserError
from course.files import atomic_write, existing_file

if TYPE_CHECKING:
    import tiktoken

    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer


class TokenizerParts(NamedTuple):
    """The arguments of `Tokenizer`."""

    vocab: dict[int, bytes]
    merges: list[tuple[bytes, bytes]]
    special_tokens: list[str]


def _printable_bytes() -> dict[int, str]:
    """Return the printable character that stands for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + i) for i, byte in enumerate(others)
    }


_CHARACTER_OF = _printable_bytes()
_BYTE_OF = {character: byte for byte, character in _CHARACTER_OF.items()}


def printable(token: bytes) -> str:
    """Return the string that stands for a token in GPT-2's and Hugging Face's files."""
    return "".join(_CHARACTER_OF[byte] for byte in token)


def from_printable(text: str) -> bytes:
    """Invert `printable`; raises `KeyError` for a character that stands for no byte."""
    return bytes([_BYTE_OF[character] for character in text])


def to_hugging_face(tokenizer: "Tokenizer", path: Path) -> None:
    """Write a `tokenizer.json` that `tokenizers.Tokenizer.from_file` loads, with the same ids."""
    ordinary = {
        number: token
        for number, token in tokenizer.vocab.items()
        if number not in tokenizer.special_tokens.values()
    }
    vocab: dict[str, int] = {}
    # In added_tokens the ids would be ignored: tokenizers takes them from the vocabulary.
    entries = [(text, number) for text, number in tokenizer.special_tokens.items()]
    entries += [(printable(token), number) for number, token in ordinary.items()]
    for text, number in sorted(entries, key=lambda entry: entry[1]):
        if vocab.setdefault(text, number) != number:
            raise UserError(
                f"token ids {vocab[text]} and {number} are both written {text!r}: tokenizer.json "
                "cannot hold this vocabulary; give each token bytes of its own"
            )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    byte_level["use_regex"] = True
    added = [
        {
            "id": number,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for text, number in sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    ]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": [f"{printable(left)} {printable(right)}" for left, right in tokenizer.merges],
    }
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }
    with atomic_write(path, "w") as file:
        json.dump(document, file, ensure_ascii=False, indent=1)


def read_hugging_face(path: Path) -> TokenizerParts:
    """Read a byte-level BPE `tokenizer.json` with GPT-2's pre-tokenization."""
    document = _read_json(path, "tokenizer")
    try:
        return _parse_hugging_face(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"tokenizer {str(path)!r} is not a byte-level BPE tokenizer.json: {error!r}"
        ) from None
    except UserError as error:
        raise UserError(f"tokenizer {str(path)!r}: {error}") from None


def _parse_hugging_face(document: dict[str, Any]) -> TokenizerParts:
    model = document["model"]
    pre_tokenizer = document.get("pre_tokenizer") or {}
    wanted = {
        "a model of type BPE": model.get("type", "BPE") == "BPE",
        "a ByteLevel pre-tokenizer with GPT-2's pattern": pre_tokenizer.get("type") == "ByteLevel"
        and pre_tokenizer.get("use_regex", True),
        "no add_prefix_space": not pre_tokenizer.get("add_prefix_space", False),
        "no normalizer": document.get("normalizer") is None,
        "no ignore_merges": not model.get("ignore_merges", False),
        "no dropout": not model.get("dropout"),
        "no prefix or suffix for subwords": not model.get("continuing_subword_prefix")
        and not model.get("end_of_word_suffix"),
    }
    for what, there in wanted.items():
        if not there:
            raise UserError(f"it needs {what}; other kinds of tokenizers cannot be loaded")
    special = {entry["content"]: entry["id"] for entry in document.get("added_tokens") or []}
    vocab = {
        number: text.encode() if text in special else from_printable(text)
        for text, number in model["vocab"].items()
    }
    vocab |= {number: text.encode() for text, number in special.items()}
    merges = []
    for entry in model["merges"]:
        left, right = entry.split(" ") if isinstance(entry, str) else entry
        merges.append((from_printable(left), from_printable(right)))
    return TokenizerParts(vocab, merges, list(special))


def read_gpt2_files(
    vocab_json: Path, merges_txt: Path
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Read `vocab.json` (or `encoder.json`) and `merges.txt` (or `vocab.bpe`) of GPT-2."""
    try:
        document = _read_json(vocab_json, "vocabulary")
        vocab = {int(number): from_printable(text) for text, number in document.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"vocabulary {str(vocab_json)!r} is not a vocab.json as GPT-2's: {error!r}"
        ) from None
    merges = []
    lines = existing_file(merges_txt, "merges").read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        try:
            left, right = line.split(" ")
            merges.append((from_printable(left), from_printable(right)))
        except (KeyError, ValueError):
            raise UserError(
                f"merges {str(merges_txt)!r}, line {number}: {line!r} is not two tokens with a "
                "space between"
            ) from None
    return vocab, merges


def _read_json(path: Path, what: str) -> Any:
    data = existing_file(path, what).read_bytes()
    try:
        return json.loads(data)
    except ValueError as error:
        raise UserError(f"{what} {str(path)!r} is not JSON: {error}") from None


def to_tiktoken(tokenizer: "Tokenizer", name: str = "ours") -> "tiktoken.Encoding":
    """Return a tiktoken encoding with the same ids.

    tiktoken has no list of merges: it merges any two neighbours whose bytes together are a token,
    the one with the lowest id first. That is the same if, as training makes them, ids ascend in
    the order of merges and the bytes of each token encode to just that token. Raises `UserError`
    otherwise.
    """
    import tiktoken

    special = tokenizer.special_tokens
    made = [left + right for left, right in tokenizer.merges]
    id_of = {
        token: number
        for number, token in sorted(tokenizer.vocab.items(), reverse=True)
        if number not in special.values()
    }
    single = [bytes([byte]) for byte in range(256)]
    ids = [id_of.get(token, -1) for token in single + made]
    if -1 in ids or len(set(ids)) < len(ids) or ids[256:] != sorted(ids[256:]):
        raise UserError(
            "tiktoken needs all 256 bytes as tokens, a token of its own for each merge, and ids "
            "in the order of merges; export to tokenizer.json instead"
        )
    for token in made:
        if tokenizer.encode_word(token) != [id_of[token]]:
            raise UserError(
                f"the merges never make the token {token!r} out of its bytes alone, but tiktoken "
                "would; export to tokenizer.json instead"
            )
    ranks = {token: id_of[token] for token in single + made}
    return tiktoken.Encoding(
        name, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=dict(special)
    )
