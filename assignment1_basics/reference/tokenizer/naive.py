"""Byte-pair encoding in its simplest right form: the oracle that the fast modules are tested with.

Training (Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword Units",
algorithm 1; over bytes as in GPT-2): start from the 256 bytes; again and again, count all adjacent
pairs of tokens and merge the most frequent one everywhere. Encoding replays the merges in order.

Every round counts everything anew, so training takes time proportional to merges x distinct
pre-tokens: minutes for the smallest useful vocabulary. `train` and `encode` are the same functions
with the counting done incrementally.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import regex

Pair = tuple[bytes, bytes]

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
"""GPT-2's pre-tokens: contractions, words, numbers and the rest, each with a space before it."""


def train_bpe(
    text: str, vocab_size: int, special_tokens: Iterable[str] = ()
) -> tuple[dict[int, bytes], list[Pair]]:
    """Return the vocabulary (special tokens, 256 bytes, merges) and the merges in order."""
    special_tokens = list(special_tokens)
    words = Counter(
        word
        for part in split_at_special_tokens(text, special_tokens)
        if part not in special_tokens
        for word in pretokens(part)
    )
    tokens = {word: [bytes([byte]) for byte in word] for word in words}
    merges: list[Pair] = []
    while len(special_tokens) + 256 + len(merges) < vocab_size:
        pairs: Counter[Pair] = Counter()
        for word, count in words.items():
            for pair in pairwise(tokens[word]):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))  # ties: the greater byte strings
        merges.append(best)
        tokens = {word: merge(parts, best) for word, parts in tokens.items()}

    entries = [token.encode() for token in special_tokens]
    entries += [bytes([byte]) for byte in range(256)]
    entries += [left + right for left, right in merges]
    return dict(enumerate(entries)), merges


def encode(
    text: str,
    vocab: dict[int, bytes],
    merges: list[Pair],
    special_tokens: Iterable[str] = (),
) -> list[int]:
    """Return the token ids of `text`."""
    special_tokens = list(special_tokens)
    id_of = {token: token_id for token_id, token in vocab.items()}
    ids = []
    for part in split_at_special_tokens(text, special_tokens):
        if part in special_tokens:
            ids.append(id_of[part.encode()])
            continue
        for word in pretokens(part):
            parts = [bytes([byte]) for byte in word]
            for pair in merges:
                parts = merge(parts, pair)
            ids += [id_of[token] for token in parts]
    return ids


def pretokens(text: str) -> list[bytes]:
    """Split a text without special tokens by GPT-2's pattern."""
    return [match.encode() for match in regex.findall(PATTERN, text)]


def split_at_special_tokens(text: str, special_tokens: Iterable[str]) -> list[str]:
    """Cut out the special tokens, the leftmost first, of those that start there the longest."""
    longest_first = sorted((token for token in special_tokens if token), key=len, reverse=True)
    if not longest_first:
        return [text] if text else []
    alternatives = "|".join(map(regex.escape, longest_first))
    return [part for part in regex.split(f"({alternatives})", text) if part]


def merge(parts: list[bytes], pair: Pair) -> list[bytes]:
    """Join every occurrence of `pair`, from left to right."""
    merged: list[bytes] = []
    i = 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return merged
