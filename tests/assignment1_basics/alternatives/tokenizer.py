"""Encoders that are right and unlike the reference's."""

import functools
import heapq
import re
from itertools import pairwise

import regex

from course.grading.catalogue import alternative
from tests.assignment1_basics.bpe_oracle import GPT2_PATTERN, merge_pair, pre_tokens


class _Base:
    """What the three have in common: cutting at special tokens, ids, decoding, streams."""

    def __init__(self, vocab, merges, special_tokens=None):
        self.vocab, self.merges = dict(vocab), merges
        self.special = list(special_tokens or [])
        for token in self.special:
            if token.encode() not in self.vocab.values():
                self.vocab[max(self.vocab) + 1] = token.encode()
        self.rank = {pair: number for number, pair in enumerate(merges)}
        self.ids = {token: number for number, token in self.vocab.items()}

    def encode(self, text):
        ids = []
        for piece in pre_tokens(text, self.special):
            if piece in self.special:
                ids.append(self.ids[piece.encode()])
            else:
                ids += [self.ids[token] for token in self.pieces(piece.encode())]
        return ids

    def decode(self, ids):
        return b"".join(map(self.vocab.__getitem__, ids)).decode("utf-8", "replace")

    def encode_iterable(self, texts):
        """Keep 4 KiB in hand and cut where a letter is followed by a space and a letter."""
        held = ""
        for text in texts:
            held += text
            while len(held) > 4096:
                cut = max(m.start() for m in re.finditer(r"(?<=[a-z]) (?=[a-z])", held[:4000]))
                yield from self.encode(held[:cut])
                held = held[cut:]
        yield from self.encode(held)


@alternative("tokenizer", "ranks in a dict, the lowest-ranked pair merged everywhere")
def ranks_in_a_dict():
    class Tokenizer(_Base):
        @functools.lru_cache(10_000)  # noqa: B019 - lives as long as the test
        def pieces(self, word):
            tokens = tuple(bytes([byte]) for byte in word)
            while len(tokens) > 1:
                best = min(pairwise(tokens), key=lambda pair: self.rank.get(pair, 1 << 60))
                if best not in self.rank:
                    break
                tokens = merge_pair(tokens, best)
            return tokens

    return {"get_tokenizer": Tokenizer}


@alternative("tokenizer", "a heap of pairs over a linked list")
def heap_over_linked_list():
    class Tokenizer(_Base):
        def pieces(self, word):
            tokens = [bytes([byte]) for byte in word]
            following = [*range(1, len(tokens)), None] if tokens else []
            previous = [None, *range(len(tokens) - 1)]
            heap: list = []

            def push(left):
                right = following[left]
                if right is not None and (tokens[left], tokens[right]) in self.rank:
                    pair = (tokens[left], tokens[right])
                    heapq.heappush(heap, (self.rank[pair], left, right, pair))

            for position in range(len(tokens)):
                push(position)
            while heap:
                _, left, right, pair = heapq.heappop(heap)
                if following[left] != right or (tokens[left], tokens[right]) != pair:
                    continue
                tokens[left] += tokens[right]
                following[left], tokens[right] = following[right], None
                if following[right] is not None:
                    previous[following[right]] = left
                push(left)
                if previous[left] is not None:
                    push(previous[left])
            return [token for token in tokens if token is not None]

    return {"get_tokenizer": Tokenizer}


@alternative("tokenizer", "one regular expression for special tokens and text; merges replayed")
def one_pattern():
    class Tokenizer(_Base):
        def encode(self, text):
            special = "|".join(
                regex.escape(token) for token in sorted(self.special, key=len, reverse=True)
            )
            parts = regex.split(f"({special})", text) if special else [text]
            ids = []
            for number, part in enumerate(parts):
                if number % 2:
                    ids.append(self.ids[part.encode()])
                    continue
                for match in regex.finditer(GPT2_PATTERN, part):
                    tokens = tuple(bytes([byte]) for byte in match.group().encode())
                    for pair in self.merges:
                        if len(tokens) == 1:
                            break
                        tokens = merge_pair(tokens, pair)
                    ids += map(self.ids.__getitem__, tokens)
            return ids

    return {"get_tokenizer": Tokenizer}
