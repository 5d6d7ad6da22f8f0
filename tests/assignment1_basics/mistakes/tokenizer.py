"""Classic mistakes in encoding and decoding: one plain tokenizer, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

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


def _decode(tokens):
    return b"".join(tokens).decode("utf-8", errors="replace")


def _encode_iterable(tokenizer, texts):
    """Hold back the text after the last space that begins a word: it may go on."""
    held = ""
    for text in texts:
        held += text
        while (cut := _safe_cut(held)) > 0:
            yield from tokenizer.encode(held[:cut])
            held = held[cut:]
    yield from tokenizer.encode(held)


def _safe_cut(text: str) -> int:
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
    stream: Callable = _encode_iterable
    known: dict[str, list[int]] = field(default_factory=dict)

    def encode(self, text):
        encoded = []
        for piece in self.pre_tokens(self.prepare(text), self.special or ()):
            if piece not in self.known:
                self.known[piece] = self._ids_of(piece)
            encoded += self.known[piece]
        return encoded

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


def wrong(title: str, says: str, problem: str = "tokenizer", **step) -> None:
    """Register the tokenizer with one step replaced."""
    MISTAKES.append(
        mistake(problem, title, says=says)(
            lambda: {
                "get_tokenizer": lambda vocab, merges, special_tokens=None: replace(
                    Tokenizer(vocab, merges, special_tokens), **step
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


def _in_stream(title: str, says: str, stream: Callable) -> None:
    wrong(title, says, problem="encode_iterable", stream=stream)


_in_stream(
    "the whole stream is joined first",
    "encode_iterable is for texts larger than memory: yield the ids of a piece, then read on",
    lambda tokenizer, texts: iter(tokenizer.encode("".join(texts))),
)


def _collect(tokenizer, texts):
    ids = []
    for number in _encode_iterable(tokenizer, texts):
        ids.append(number)  # noqa: PERF402 - the mistake itself
    return iter(ids)


_in_stream(
    "the ids are collected in a list",
    "use `yield from`, not a list that is returned at the end",
    _collect,
)


def _each_chunk_alone(tokenizer, texts):
    for text in texts:
        yield from tokenizer.encode(text)


_in_stream(
    "each chunk is encoded by itself",
    "a pre-token may continue in the next chunk: hold the last ones back",
    _each_chunk_alone,
)


def _strip_lines(tokenizer, texts):
    return _encode_iterable(tokenizer, (text.rstrip("\n") for text in texts))


_in_stream(
    "line ends are stripped",
    "the newline at the end of a line is text too",
    _strip_lines,
)


def _never_flushed(tokenizer, texts):
    held = ""
    for text in texts:
        if held:
            yield from tokenizer.encode(held)
        held = text


_in_stream(
    "the last piece is never encoded",
    "when the stream ends, what you held back is still to be encoded",
    _never_flushed,
)


def _history(tokenizer, texts):
    held, done = "", 0
    for text in texts:
        held += text
        if (cut := _safe_cut(held[done:])) > 0:
            yield from tokenizer.encode(held[done : done + cut])
            done += cut
    yield from tokenizer.encode(held[done:])


_in_stream(
    "what was encoded is never let go",
    "memory must not grow with the stream: drop the text whose ids were yielded",
    _history,
)


def _special_forgotten(tokenizer, texts):
    plain = replace(tokenizer, special=None, known={})
    return _encode_iterable(plain, texts)


_in_stream(
    "special tokens are forgotten in streams",
    "encode_iterable knows the same special tokens as encode",
    _special_forgotten,
)
