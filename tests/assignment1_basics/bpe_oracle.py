"""Byte-level BPE as slowly and plainly as it can be written: the truth that the tests compare with.

Every merge recounts every pair of the whole corpus (Sennrich et al. 2016, algorithm 1), over
pre-tokens cut by GPT-2's pattern (Radford et al. 2019). Encoding applies the merges one after the
other, in the order in which they were made. Nothing is incremental, so nothing can be stale.
"""

import itertools
from collections import Counter
from collections.abc import Iterable

import regex

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

Pair = tuple[bytes, bytes]
Word = tuple[bytes, ...]


def split_special(text: str, special_tokens: Iterable[str]) -> list[str]:
    """Cut a text at special tokens (the longest first) and keep them as pieces of their own."""
    longest_first = sorted(special_tokens, key=len, reverse=True)
    if not longest_first:
        return [text]
    return regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text)


def pre_tokens(text: str, special_tokens: Iterable[str] = ()) -> list[str]:
    """Return the pre-tokens of a text; a special token is one of them."""
    special = set(special_tokens)
    pieces: list[str] = []
    for part in split_special(text, special):
        pieces += [part] if part in special else regex.findall(GPT2_PATTERN, part)
    return pieces


def merge_pair(word: Word, pair: Pair) -> Word:
    """Replace every occurrence of `pair` in a word, from left to right."""
    merged: list[bytes] = []
    position = 0
    while position < len(word):
        if word[position : position + 2] == pair:
            merged.append(pair[0] + pair[1])
            position += 2
        else:
            merged.append(word[position])
            position += 1
    return tuple(merged)


def words_of(text: str, special_tokens: Iterable[str] = ()) -> Counter[Word]:
    """Return how often each distinct pre-token occurs, as single bytes; without special tokens."""
    special = set(special_tokens)
    return Counter(
        tuple(bytes([byte]) for byte in piece.encode())
        for piece in pre_tokens(text, special)
        if piece not in special
    )


def count_pairs(words: Counter[Word]) -> Counter[Pair]:
    """Return how often each pair of neighbours occurs in all words."""
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            counts[pair] += count
    return counts


def merge_everywhere(words: Counter[Word], pair: Pair) -> Counter[Word]:
    """Return the words after one merge."""
    merged: Counter[Word] = Counter()
    for word, count in words.items():
        merged[merge_pair(word, pair)] += count
    return merged


def train(text: str, num_merges: int, special_tokens: Iterable[str] = ()) -> list[Pair]:
    """Return at most `num_merges` merges of a text, fewer when no pair is left."""
    words = words_of(text, special_tokens)
    merges: list[Pair] = []
    while len(merges) < num_merges:
        counts = count_pairs(words)
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        words = merge_everywhere(words, best)
    return merges


def first_wrong_merge(
    text: str, received: list[Pair], expected: list[Pair], special_tokens: Iterable[str] = ()
) -> str:
    """Say what is wrong about the first merge that differs: how often its pair occurs by then."""
    number = next(
        (i for i, (a, b) in enumerate(zip(received, expected, strict=False)) if a != b),
        min(len(received), len(expected)),
    )
    words = words_of(text, special_tokens)
    for pair in expected[:number]:
        words = merge_everywhere(words, pair)
    counts = count_pairs(words)
    if number == len(expected):
        left = f"the vocabulary is full after {number}" if counts else "no pair is left"
        return f"merge {number} is {received[number]}, but {left}"
    right = f"{expected[number]} occurs {_times(counts[expected[number]])}"
    if number == len(received):
        return f"there is no merge {number}, but {right}"
    wrong, count = received[number], counts[received[number]]
    if count == 0:
        return f"merge {number} is {wrong}, which no pre-token holds at that point; {right}"
    if count == counts[expected[number]]:
        return f"merge {number} is {wrong}, in a tie with {expected[number]}, which is greater"
    return f"merge {number} is {wrong}, which occurs {_times(count)}; {right}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def vocabulary(merges: list[Pair], special_tokens: Iterable[str] = ()) -> dict[int, bytes]:
    """Return token id to bytes: special tokens, then the 256 bytes, then the merges."""
    tokens = [token.encode() for token in special_tokens]
    tokens += [bytes([byte]) for byte in range(256)]
    tokens += [left + right for left, right in merges]
    return dict(enumerate(tokens))


def encode(
    text: str, vocab: dict[int, bytes], merges: list[Pair], special_tokens: Iterable[str] = ()
) -> list[int]:
    """Return the ids of a text: in every pre-token, each merge in the order of training."""
    special = set(special_tokens)
    ids = {token: number for number, token in vocab.items()}
    encoded: list[int] = []
    for piece in pre_tokens(text, special):
        if piece in special:
            encoded.append(ids[piece.encode()])
            continue
        word = tuple(bytes([byte]) for byte in piece.encode())
        for pair in merges:
            word = merge_pair(word, pair)
        encoded += [ids[token] for token in word]
    return encoded
