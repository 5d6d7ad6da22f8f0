"""Classic mistakes in encoding and decoding: one plain tokenizer, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import regex

from course.grading.catalogue import Mistake, mistake
from tests.assignment1_basics import bpe_oracle
from tests.assignment1_basics.bpe_oracle import merge_pair

MISTAKES: list[Mistake] = []


def _merge_in_order(word, merges):
    for pair in merges:
        word = merge_pair(word, pair)
    return word


def _ids_of_vocabulary(vocab, merges):
    return {token: number for number, token in vocab.items()}


def _complete(vocab, special):
    """Return the vocabulary with the special tokens that it lacks, and all special tokens."""
    lacking = [token.encode() for token in special if token.encode() not in vocab.values()]
    return vocab | {len(vocab) + i: token for i, token in enumerate(lacking)}, special


def _decode(tokens):
    return b"".join(tokens).decode("utf-8", errors="replace")


def encode_iterable(tokenizer, texts):
    """Hold back the text after the last space that begins a word: it may go on."""
    held = ""
    for text in texts:
        held += text
        while (cut := safe_cut(held)) > 0:
            yield from tokenizer.encode(held[:cut])
            held = held[cut:]
    yield from tokenizer.encode(held)


def safe_cut(text: str) -> int:
    """Return a position between two pre-tokens far enough from the end, or 0."""
    if len(text) < 200:
        return 0
    for match in regex.finditer(r"(?<=\p{L}) (?=\p{L})", text[:-100]):
        if match.start() > 50:
            return match.start()
    return 0


@dataclass
class Tokenizer:
    """The handout's tokenizer; each field is a step that a student may get wrong."""

    vocab: dict[int, bytes]
    merges: list[tuple[bytes, bytes]]
    special: list[str] | None
    pre_tokens: Callable = bpe_oracle.pre_tokens
    to_bytes: Callable[[str], bytes] = str.encode
    merge: Callable = _merge_in_order
    to_ids: Callable = _ids_of_vocabulary
    join: Callable = _decode
    prepare: Callable[[str], str] = str
    stream: Callable = encode_iterable
    complete: Callable = _complete
    returned: Callable = list
    known: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self):
        self.vocab, self.special = self.complete(self.vocab, self.special or [])

    def encode(self, text):
        encoded = []
        for piece in self.pre_tokens(self.prepare(text), self.special or ()):
            if piece not in self.known:
                self.known[piece] = self._ids_of(piece)
            encoded += self.known[piece]
        return self.returned(encoded)

    def _ids_of(self, piece):
        ids = self.to_ids(self.vocab, self.merges)
        if piece in (self.special or ()):
            return [ids[piece.encode()]]
        word = tuple(bytes([byte]) for byte in self.to_bytes(piece))
        return [ids[token] for token in self.merge(word, self.merges)]

    def decode(self, ids):
        return self.join([self.vocab[number] for number in ids])

    def encode_iterable(self, texts):
        return self.stream(self, texts)


def wrong(title: str, says: str, **step) -> None:
    """Register the tokenizer with one step replaced."""
    MISTAKES.append(
        mistake("tokenizer", title, says=says)(
            lambda: {
                "get_tokenizer": lambda vocab, merges, special_tokens=None: Tokenizer(
                    vocab, merges, special_tokens, **step
                )
            }
        )
    )


def _longest_match(word, merges):
    tokens = {bytes([byte]) for byte in range(256)} | {left + right for left, right in merges}
    text, pieces, start = b"".join(word), [], 0
    while start < len(text):
        end = len(text)
        while text[start:end] not in tokens:
            end -= 1
        pieces.append(text[start:end])
        start = end
    return pieces


wrong(
    "greedy longest match",
    "BPE replays the merges in the order of training; it does not look for the longest token",
    merge=_longest_match,
)


def _leftmost_first(word, merges):
    known, word = set(merges), list(word)
    while True:
        for position, pair in enumerate(pairwise(word)):
            if pair in known:
                word[position : position + 2] = [pair[0] + pair[1]]
                break
        else:
            return word


wrong(
    "the leftmost known pair goes first",
    "of all pairs in the piece the one that was merged earliest in training goes first",
    merge=_leftmost_first,
)


def _latest_first(word, merges):
    rank, word = {pair: number for number, pair in enumerate(merges)}, list(word)
    while True:
        pairs = [pair for pair in pairwise(word) if pair in rank]
        if not pairs:
            return word
        word = list(merge_pair(tuple(word), max(pairs, key=rank.__getitem__)))


wrong(
    "the latest merge goes first",
    "the merge with the lowest rank (earliest in training) goes first, not the highest",
    merge=_latest_first,
)


def _each_merge_once(word, merges):
    word = list(word)
    for pair in merges:
        if pair in (pairs := list(pairwise(word))):
            position = pairs.index(pair)
            word[position : position + 2] = [pair[0] + pair[1]]
    return word


wrong(
    "each merge replaces one occurrence",
    "a merge applies to every occurrence of its pair in the piece",
    merge=_each_merge_once,
)


def _keep_special(cut: Callable[[str], list[str]]):
    def pre_tokens(text, special):
        pieces = []
        for part in bpe_oracle.split_special(text, special):
            pieces += [part] if part in special else cut(part)
        return pieces

    return pre_tokens


wrong(
    "no pre-tokenization",
    "merges never cross pre-tokens: cut the text by GPT-2's pattern first",
    pre_tokens=_keep_special(lambda text: [text] if text else []),
)
wrong(
    "pre-tokens by str.split",
    "split() throws spaces away, so decode(encode(text)) is another text",
    pre_tokens=_keep_special(str.split),
)
wrong(
    "no contractions in the pattern",
    "the pattern begins with '(?:[sdmt]|ll|ve|re)",
    pre_tokens=_keep_special(
        lambda text: regex.findall(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text)
    ),
)
wrong(
    "special tokens are ordinary text",
    "cut the text at special tokens before pre-tokenization; each is one id",
    pre_tokens=lambda text, special: bpe_oracle.pre_tokens(text),
)
wrong(
    "a shorter special token hides a longer one",
    "where several special tokens match at one place the longest wins: sort by length",
    pre_tokens=lambda text, special: [
        piece
        for part in (
            regex.split("(" + "|".join(map(regex.escape, sorted(special, key=len))) + ")", text)
            if special
            else [text]
        )
        for piece in ([part] if part in special else bpe_oracle.pre_tokens(part))
    ],
)
wrong(
    "special tokens are always special",
    "only the strings in `special_tokens` are special; without them the same text is ordinary",
    pre_tokens=lambda text, special: bpe_oracle.pre_tokens(
        text, [*special, "<|endoftext|>"] if "<|endoftext|>" not in special else special
    ),
    # With the token always cut out, its bytes are looked up whole, as a special id would be.
    merge=lambda word, merges: (
        [b"".join(word)] if b"".join(word) == b"<|endoftext|>" else _merge_in_order(word, merges)
    ),
    to_ids=lambda vocab, merges: (
        {b"<|endoftext|>": 0} | {token: number for number, token in vocab.items()}
    ),
)
wrong(
    "spaces beside special tokens are stripped",
    "a special token leaves the text beside it as it is",
    pre_tokens=lambda text, special: [
        piece
        for part in bpe_oracle.split_special(text, special)
        for piece in (
            [part] if part in special else bpe_oracle.pre_tokens(part.strip() if special else part)
        )
    ],
)
wrong(
    "ids counted from the merges",
    "look every token up in `vocab`: its ids need not be bytes first, then merges",
    to_ids=lambda vocab, merges: (
        {bytes([byte]): byte for byte in range(256)}
        | {left + right: 256 + rank for rank, (left, right) in enumerate(merges)}
        | {
            token: number
            for number, token in vocab.items()
            if len(token) > 1 and token not in {left + right for left, right in merges}
        }
    ),
)
wrong(
    "each token decoded by itself",
    "a character may lie in several tokens: join all bytes, then decode once",
    join=lambda tokens: "".join(token.decode("utf-8", errors="replace") for token in tokens),
)
wrong(
    "malformed bytes raise",
    "a model may emit any bytes: decode with errors='replace'",
    join=lambda tokens: b"".join(tokens).decode("utf-8"),
)
wrong(
    "malformed bytes are dropped",
    "decode with errors='replace', which shows U+FFFD, not errors='ignore'",
    join=lambda tokens: b"".join(tokens).decode("utf-8", errors="ignore"),
)
wrong(
    "characters beyond ASCII are dropped",
    "encode the text as UTF-8 and work on its bytes",
    to_bytes=lambda text: text.encode("ascii", errors="ignore"),
)
wrong(
    "text is normalised",
    "the tokenizer keeps the text as it is: decode(encode(text)) == text",
    prepare=lambda text: " ".join(text.split(" ")).replace("\t", " "),
)


wrong(
    "encode is a generator",
    "encode returns a list; encode_iterable is the one that yields",
    returned=iter,
)
wrong(
    "encode returns a NumPy array",
    "encode returns a list of Python's ints: decode and JSON take those",
    returned=np.array,
)


def _lacking_left_out(vocab, special):
    known = set(vocab.values())
    return vocab, [token for token in special if token.encode() in known]


wrong(
    "special tokens that the vocabulary lacks are left out",
    "give them the next free ids",
    complete=_lacking_left_out,
)
wrong(
    "all special tokens get new ids",
    "those that `vocab` has keep their ids; only the others get the next free ones",
    complete=lambda vocab, special: (
        vocab | {len(vocab) + i: token.encode() for i, token in enumerate(special)},
        special,
    ),
)


def _in_place(vocab, special):
    for token in special:
        if token.encode() not in vocab.values():
            vocab[len(vocab)] = token.encode()
    return vocab, special


wrong(
    "the caller's vocabulary is changed",
    "add the special tokens that it lacks to a copy: dict(vocab)",
    complete=_in_place,
)


def _one_place_at_a_time(word, merges):
    rank, word = {pair: number for number, pair in enumerate(merges)}, list(word)
    while True:
        ranks = [rank.get(pair, len(merges)) for pair in pairwise(word)]
        if min(ranks, default=len(merges)) == len(merges):
            return word
        position = ranks.index(min(ranks))
        word[position : position + 2] = [word[position] + word[position + 1]]


wrong(
    "every single merge goes over the whole pre-token",
    "a line of 100,000 dashes takes hours: merge all places of a pair in one sweep, or use a heap",
    merge=_one_place_at_a_time,
)
