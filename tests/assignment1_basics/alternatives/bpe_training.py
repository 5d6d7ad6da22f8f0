"""BPE trainers that are right and unlike the reference's."""

import heapq
from collections import Counter, defaultdict
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from course.grading.catalogue import alternative
from tests.assignment1_basics import bpe_oracle
from tests.assignment1_basics.bpe_oracle import merge_pair


def _word_counts(text: str, special_tokens: list[str]) -> Counter[tuple[bytes, ...]]:
    special = set(special_tokens)
    pieces = Counter(p for p in bpe_oracle.pre_tokens(text, special) if p not in special)
    return Counter(
        {tuple(bytes([byte]) for byte in piece.encode()): n for piece, n in pieces.items()}
    )


@alternative("train_bpe", "every pair recounted at every merge; bytes before special tokens")
def recount():
    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        text = Path(input_path).read_bytes().decode()
        merges = bpe_oracle.train(text, vocab_size - 256 - len(special_tokens), special_tokens)
        tokens = [bytes([byte]) for byte in range(256)]
        tokens += [left + right for left, right in merges]
        tokens += [token.encode() for token in special_tokens]
        return dict(enumerate(tokens)), merges

    return {"run_train_bpe": run_train_bpe}


@alternative("train_bpe", "words listed by pair, counts updated word by word")
def words_by_pair():
    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        counted = _word_counts(Path(input_path).read_bytes().decode(), special_tokens)
        words, frequency = list(counted), list(counted.values())
        counts: Counter = Counter()
        holders: defaultdict = defaultdict(set)
        for number, word in enumerate(words):
            for pair in pairwise(word):
                counts[pair] += frequency[number]
                holders[pair].add(number)
        merges = []
        while len(merges) < vocab_size - 256 - len(special_tokens):
            best = max(counts, key=lambda pair: (counts[pair], pair), default=None)
            if best is None or counts[best] == 0:
                break
            merges.append(best)
            for number in list(holders[best]):
                for pair in pairwise(words[number]):
                    counts[pair] -= frequency[number]
                    holders[pair].discard(number)
                words[number] = merge_pair(words[number], best)
                for pair in pairwise(words[number]):
                    counts[pair] += frequency[number]
                    holders[pair].add(number)
            del counts[best]
        return bpe_oracle.vocabulary(merges, special_tokens), merges

    return {"run_train_bpe": run_train_bpe}


class _Descending:
    """A pair whose order is turned round, because heapq knows only the smallest."""

    def __init__(self, pair):
        self.pair = pair

    def __lt__(self, other):
        return self.pair > other.pair


@alternative("train_bpe", "a heap of pairs with stale entries skipped; token ids for bytes")
def lazy_heap():
    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        counted = _word_counts(Path(input_path).read_bytes().decode(), special_tokens)
        tokens = [bytes([byte]) for byte in range(256)]
        words = [[token[0] for token in word] for word in counted]
        frequency = list(counted.values())
        counts: Counter = Counter()
        for word, n in zip(words, frequency, strict=True):
            for pair in pairwise(word):
                counts[pair] += n

        def entry(pair):
            return (-counts[pair], _Descending((tokens[pair[0]], tokens[pair[1]])), pair)

        heap = [entry(pair) for pair in counts]
        heapq.heapify(heap)
        merges = []
        while heap and len(merges) < vocab_size - 256 - len(special_tokens):
            negative, _, pair = heapq.heappop(heap)
            if counts[pair] != -negative or not negative:
                continue
            merges.append((tokens[pair[0]], tokens[pair[1]]))
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            changed = set()
            for word, n in zip(words, frequency, strict=True):
                if pair not in set(pairwise(word)):
                    continue
                for old in pairwise(word):
                    counts[old] -= n
                    changed.add(old)
                position = 0
                while position < len(word) - 1:
                    if (word[position], word[position + 1]) == pair:
                        word[position : position + 2] = [len(tokens) - 1]
                    position += 1
                for new in pairwise(word):
                    counts[new] += n
                    changed.add(new)
            for other in changed:
                heapq.heappush(heap, entry(other))
        return dict(enumerate([*(t.encode() for t in special_tokens), *tokens])), merges

    return {"run_train_bpe": run_train_bpe}


@alternative("train_bpe", "documents counted in a pool of processes")
def process_pool():
    def run_train_bpe(input_path, vocab_size, special_tokens, **kwargs):
        text = Path(input_path).read_bytes().decode()
        documents = bpe_oracle.split_special(text, special_tokens)
        work = [(document, special_tokens) for document in documents]
        with get_context("fork").Pool(2) as pool:
            words = sum(pool.starmap(_word_counts, work, chunksize=8), Counter())
        merges = []
        while len(merges) < vocab_size - 256 - len(special_tokens):
            counts: Counter = Counter()
            for word, n in words.items():
                for pair in pairwise(word):
                    counts[pair] += n
            if not counts:
                break
            merges.append(max(counts, key=lambda pair: (counts[pair], pair)))
            words = Counter(
                {
                    merged: sum(n for _, n in group)
                    for merged, group in _grouped(words, merges[-1]).items()
                }
            )
        return bpe_oracle.vocabulary(merges, special_tokens), merges

    return {"run_train_bpe": run_train_bpe}


def _grouped(words, pair):
    groups: defaultdict = defaultdict(list)
    for word, n in words.items():
        groups[merge_pair(word, pair)].append((word, n))
    return groups
