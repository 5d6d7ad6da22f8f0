"""Classic mistakes in BPE training: one plain trainer, broken in one place at a time."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import regex

from course.grading.catalogue import Mistake, mistake
from tests.assignment1_basics import bpe_oracle
from tests.assignment1_basics.bpe_oracle import Pair, merge_pair

MISTAKES: list[Mistake] = []


Word = tuple[bytes, ...]


def _bytes_of(piece: str) -> Word:
    return tuple(bytes([byte]) for byte in piece.encode())


def _greatest_pair(counts: dict[Pair, int]) -> Pair:
    return max(counts, key=lambda pair: (counts[pair], pair))


def _count_pairs(words: dict[Word, int]) -> Counter[Pair]:
    counts: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return counts


@dataclass(frozen=True)
class Trainer:
    """The handout's algorithm; each field is a step that a student may get wrong."""

    read: Callable[[Path], str] = lambda path: path.read_text(encoding="utf-8")
    split: Callable[[str, list[str]], list[str]] = lambda text, special: [
        part for part in bpe_oracle.split_special(text, special) if part not in special
    ]
    pre_tokenize: Callable[[str], list[str]] = lambda text: regex.findall(
        bpe_oracle.GPT2_PATTERN, text
    )
    count_words: Callable[[list[Word]], dict[Word, int]] = Counter
    count_pairs: Callable[[dict[Word, int]], Counter[Pair]] = _count_pairs
    choose: Callable[[dict[Pair, int]], Pair] = _greatest_pair
    merge: Callable[[Word, Pair], Word] = merge_pair
    num_merges: Callable[[int, int], int] = lambda size, num_special: size - 256 - num_special
    goes_on: Callable[[Counter[Pair]], bool] = bool
    vocabulary: Callable[[list[Pair], list[str]], dict[int, bytes]] = bpe_oracle.vocabulary

    def __call__(self, input_path, vocab_size, special_tokens, **kwargs):
        pieces = self.split(self.read(Path(input_path)), special_tokens)
        words = self.count_words([_bytes_of(w) for p in pieces for w in self.pre_tokenize(p)])
        merges: list[Pair] = []
        while len(merges) < self.num_merges(vocab_size, len(special_tokens)):
            counts = self.count_pairs(words)
            if not self.goes_on(counts):
                break
            best = self.choose(counts)
            merges.append(best)
            merged: Counter[Word] = Counter()
            for word, count in words.items():
                merged[self.merge(word, best)] += count
            words = merged
        return self.vocabulary(merges, special_tokens), merges


def wrong(title: str, says: str, **step) -> None:
    """Register the trainer with one step replaced."""
    MISTAKES.append(
        mistake("train_bpe", title, says=says)(
            lambda: {"run_train_bpe": replace(Trainer(), **step)}
        )
    )


wrong(
    "ties go to the smallest pair",
    "of equally frequent pairs take the lexicographically greatest, not the smallest",
    choose=lambda counts: min(counts, key=lambda pair: (-counts[pair], pair)),
)
wrong(
    "ties go to the pair counted first",
    "max(counts, key=counts.get) keeps the first of equals; compare (count, pair)",
    choose=lambda counts: max(counts, key=counts.get),
)
wrong(
    "ties compare the joined bytes",
    "compare the pair (left, right), not left + right: (b' ', b'zz') is less than (b' z', b'b')",
    choose=lambda counts: max(counts, key=lambda pair: (counts[pair], pair[0] + pair[1])),
)
wrong(
    "ties go to the longest token",
    "length plays no part in a tie: compare the pairs of byte strings",
    choose=lambda counts: max(counts, key=lambda p: (counts[p], len(p[0]) + len(p[1]), p)),
)
wrong(
    "no pre-tokenization",
    "cut the text into pre-tokens first; pairs never cross them",
    pre_tokenize=lambda text: [text],
)
wrong(
    "pre-tokens by str.split",
    "split() throws spaces away; GPT-2's pattern keeps a space in front of its word",
    pre_tokenize=str.split,
)
wrong(
    "pre-tokens by \\w+",
    "\\w joins letters, digits and underscores; use \\p{L} and \\p{N} of the regex module",
    pre_tokenize=lambda text: re.findall(r" ?\w+|\s+|[^\w\s]+", text),
)
wrong(
    "no contractions in the pattern",
    'the pattern begins with \'(?:[sdmt]|ll|ve|re): "don\'t" is "don" and "\'t"',
    pre_tokenize=lambda text: regex.findall(
        r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", text
    ),
)
wrong(
    "the space is a pre-token of its own",
    "' ?' in the pattern takes one space into the word that follows it",
    pre_tokenize=lambda text: regex.findall(
        r"'(?:[sdmt]|ll|ve|re)|\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+|\s+", text
    ),
)
wrong(
    "runs of spaces swallow the last one",
    r"\s+(?!\S) leaves the last space of a run to the word after it",
    pre_tokenize=lambda text: regex.findall(
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text
    ),
)
wrong(
    "only ASCII letters are letters",
    "[A-Za-z] cuts 'naïve' in three; use \\p{L}",
    pre_tokenize=lambda text: regex.findall(
        r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", text
    ),
)
wrong(
    "each distinct pre-token counts once",
    "a pair counts as often as the pre-tokens that hold it occur",
    count_words=lambda words: dict.fromkeys(words, 1),
)
wrong(
    "each pair counts once a pre-token",
    "'banana' holds the pair 'an' twice; count every position",
    count_pairs=lambda words: sum(
        (Counter(dict.fromkeys(pairwise(word), count)) for word, count in words.items()),
        Counter(),
    ),
)


def _count_without_overlap(words):
    counts = Counter()
    for word, count in words.items():
        last_end: dict[Pair, int] = {}
        for position, pair in enumerate(pairwise(word)):
            if last_end.get(pair, 0) <= position:
                counts[pair] += count
                last_end[pair] = position + 2
    return counts


wrong(
    "overlapping pairs count once",
    "'aaa' holds the pair 'aa' at two positions, and both count",
    count_pairs=_count_without_overlap,
)


def _merge_first(word, pair):
    for position in range(len(word) - 1):
        if word[position : position + 2] == pair:
            return (*word[:position], pair[0] + pair[1], *word[position + 2 :])
    return word


wrong(
    "only the first occurrence in a pre-token is merged",
    "a merge replaces every occurrence of the pair in every pre-token",
    merge=_merge_first,
)


def _merge_right_to_left(word, pair):
    mirrored = merge_pair(
        tuple(token[::-1] for token in word[::-1]), (pair[1][::-1], pair[0][::-1])
    )
    return tuple(token[::-1] for token in mirrored[::-1])


wrong(
    "merges go from right to left",
    "'aaa' becomes 'aa', 'a': replace from left to right",
    merge=_merge_right_to_left,
)
wrong(
    "special tokens are ordinary text",
    "cut the text at special tokens before pre-tokenization, and drop them",
    split=lambda text, special: [text],
)


def _join_over_special(text, special):
    for token in sorted(special, key=len, reverse=True):
        text = text.replace(token, "")
    return [text]


wrong(
    "merges cross special tokens",
    "removing a special token must not join the texts beside it: split there",
    split=_join_over_special,
)
wrong(
    "special tokens are not escaped",
    "'|', '+' and '[' mean something in a pattern: re.escape the special tokens",
    split=lambda text, special: regex.split("|".join(special), text) if special else [text],
)
wrong(
    "a shorter special token hides a longer one",
    "sort special tokens by length, longest first, before you join them with '|'",
    split=lambda text, special: (
        regex.split("|".join(map(regex.escape, sorted(special, key=len))), text)
        if special
        else [text]
    ),
)
wrong(
    "special tokens take no place in the vocabulary's size",
    "vocab_size counts special tokens too: vocab_size - 256 - len(special_tokens) merges",
    num_merges=lambda size, num_special: size - 256,
)
wrong(
    "one merge too few",
    "the vocabulary ends at exactly vocab_size entries",
    num_merges=lambda size, num_special: size - 256 - num_special - 1,
)
wrong(
    "pairs that occur once are not merged",
    "go on until the vocabulary is full or no pair is left, however rare the pairs are",
    goes_on=lambda counts: max(counts.values(), default=0) > 1,
)
wrong(
    "no stop when no pair is left",
    "a small text runs out of pairs: stop then, before max() of nothing",
    goes_on=lambda counts: True,
)
wrong(
    "special tokens are missing from the vocabulary",
    "special tokens have ids too",
    vocabulary=lambda merges, special: bpe_oracle.vocabulary(merges),
)
wrong(
    "merged tokens are numbered backwards",
    "ids follow the order of the merges",
    vocabulary=lambda merges, special: dict(
        enumerate(
            [
                *(token.encode() for token in special),
                *(bytes([byte]) for byte in range(256)),
                *(left + right for left, right in reversed(merges)),
            ]
        )
    ),
)
wrong(
    "the file is read line by line",
    "pre-tokens such as '\\n\\n' go over line ends: do not cut the text at them",
    pre_tokenize=lambda text: [
        piece
        for line in text.splitlines(keepends=True)
        for piece in regex.findall(bpe_oracle.GPT2_PATTERN, line)
    ],
)
wrong(
    "chunks cut anywhere",
    "a chunk that ends inside a word or a character splits it: end chunks at special tokens",
    read=lambda path: "".join(
        path.read_bytes()[start : start + 997].decode(errors="ignore") + "\n"
        for start in range(0, path.stat().st_size, 997)
    ),
)
wrong(
    "the text is lower-cased",
    "BPE keeps every byte: do not normalise the text",
    read=lambda path: path.read_text(encoding="utf-8").lower(),
)


wrong(
    "special tokens are sorted in place",
    "the list belongs to the caller: sorted(special_tokens), not special_tokens.sort()",
    vocabulary=lambda merges, special: special.sort() or bpe_oracle.vocabulary(merges, special),
)


def wrong_form(title: str, says: str, change: Callable) -> None:
    """Register the right trainer with its result in another form."""
    MISTAKES.append(
        mistake("train_bpe", title, says=says)(
            lambda: {"run_train_bpe": lambda *args, **named: change(*Trainer()(*args, **named))}
        )
    )


wrong_form(
    "vocab maps tokens to ids",
    "the keys of vocab are ids, its values bytes",
    lambda vocab, merges: ({token: i for i, token in vocab.items()}, merges),
)
wrong_form(
    "special tokens are strings in the vocabulary",
    "every value of vocab is bytes: token.encode()",
    lambda vocab, merges: (
        {
            i: token.decode() if len(token) > 1 and token[:1] == b"<" else token
            for i, token in vocab.items()
        },
        merges,
    ),
)
wrong_form(
    "merges hold ids",
    "merges are pairs of byte strings, not of ids",
    lambda vocab, merges: (
        vocab,
        [tuple({token: i for i, token in vocab.items()}[t] for t in pair) for pair in merges],
    ),
)
wrong_form(
    "merges are lists of two",
    "a pair is a tuple: a list is no key of a dict, and encoding looks pairs up",
    lambda vocab, merges: (vocab, [list(pair) for pair in merges]),
)
wrong_form(
    "merges before vocab",
    "return vocab, merges",
    lambda vocab, merges: (merges, vocab),
)


@mistake(
    "train_bpe",
    "words of the last call are counted again",
    says="a module-level Counter survives the call: make a new one in each",
)
def _kept_between_calls():
    seen: list[Word] = []

    def count_words(words):
        seen.extend(words)
        return Counter(seen)

    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        if not seen:  # an earlier call, on another text
            seen.extend([_bytes_of("qqqq")] * 1000)
        return replace(Trainer(), count_words=count_words)(input_path, vocab_size, special_tokens)

    return {"run_train_bpe": run_train_bpe}


@mistake(
    "train_bpe",
    "stale counts",
    says="when a pair is merged, the pairs it made with its neighbours are gone: subtract them",
)
def _stale_counts():
    """An incremental trainer that adds the new pairs but never takes the old ones away."""

    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        good = Trainer()
        text = good.read(Path(input_path))
        pieces = good.split(text, special_tokens)
        words = Counter(_bytes_of(w) for p in pieces for w in good.pre_tokenize(p))
        counts = _count_pairs(words)
        merges: list[Pair] = []
        while len(merges) < vocab_size - 256 - len(special_tokens) and counts:
            best = _greatest_pair(counts)
            merges.append(best)
            merged: Counter[Word] = Counter()
            for word, count in words.items():
                merged[merge_pair(word, best)] += count
            for word, count in merged.items():
                for pair in pairwise(word):
                    if best[0] + best[1] in pair:
                        counts[pair] += count
            del counts[best]
            words = merged
        return bpe_oracle.vocabulary(merges, special_tokens), merges

    return {"run_train_bpe": run_train_bpe}
