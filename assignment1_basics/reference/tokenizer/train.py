"""BPE training on a file: count the words, lay them out as bytes, merge the best pair many times.

Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1,
on bytes as in GPT-2. The result is that of `naive.train_bpe` to the last merge, whatever the number
of threads.

On 100 MB of technical text and two cores counting (`words`) takes 0.3 s, and 10,000 merges
(`merging`, on one core) take as long; the first call in a process loads the kernels, 0.5 s. Memory
is proportional to the bytes of the distinct pre-tokens: 80 MB above what Python and numba take.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assignment1_basics.reference.tokenizer.merging import empty_side, initial_state, merge_pairs
from assignment1_basics.reference.tokenizer.segmentation import (
    FIRST_MERGED,
    Segmentation,
    Tokens,
    segment,
)
from assignment1_basics.reference.tokenizer.special_tokens import assign_ids
from assignment1_basics.reference.tokenizer.words import Progress, count_words
from course.errors import UserError


class BPE(NamedTuple):
    """A trained vocabulary: id to bytes, and the merges in the order in which they were made."""

    vocab: dict[int, bytes]
    merges: list[tuple[bytes, bytes]]


def train_bpe(
    path: Path | str | os.PathLike[str],
    vocab_size: int,
    special_tokens: Iterable[str] = (),
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> BPE:
    """Train a byte-level BPE tokenizer on a UTF-8 text file.

    Args:
        path: the corpus.
        vocab_size: special tokens + 256 bytes + merges. There are fewer merges if the corpus runs
            out of pairs.
        special_tokens: get the first ids; the text is cut at them, and they are not counted.
        n_threads: threads that count words; None for the cores of this process, at most 8.
        progress: called with a stage ("counting", then "merging"), what is done (bytes, merges),
            and the total.

    Raises:
        UserError: the corpus is missing, empty or not UTF-8; the vocabulary has no room for the
            bytes and special tokens; a special token is empty or not valid Unicode.
    """
    special_tokens = list(assign_ids(special_tokens, {}))  # distinct ones, checked
    n_merges = vocab_size - 256 - len(special_tokens)
    if n_merges < 0:
        raise UserError(
            f"vocab_size {vocab_size} is too small; 256 bytes and the special tokens need at "
            f"least {256 + len(special_tokens)}"
        )
    words = count_words(path, special_tokens, n_threads, progress)
    segmentation, symbols = segment(words, FIRST_MERGED + n_merges)
    del words  # copied
    merges = _merge(segmentation, symbols, n_merges, progress)
    tokens = [token.encode() for token in special_tokens]
    tokens += [bytes([byte]) for byte in range(256)]
    tokens += [left + right for left, right in merges]
    return BPE(dict(enumerate(tokens)), merges)


def _merge(
    segmentation: Segmentation, tokens: Tokens, n_merges: int, progress: Progress | None
) -> list[tuple[bytes, bytes]]:
    """Return the first `n_merges` merges, or all there are."""
    max_symbols = FIRST_MERGED + n_merges
    left, right = empty_side(max_symbols), empty_side(max_symbols)
    merges = np.zeros((n_merges, 2), dtype=np.int64)
    state = initial_state(segmentation)
    step = max(1, n_merges // 100)
    for stop in [*range(step, n_merges, step), n_merges]:
        state = merge_pairs(state, segmentation, tokens, left, right, merges, stop)
        if progress:
            progress("merging", state.n_merges, n_merges)
        if state.n_merges < stop:
            break
    spelling = _spell(tokens, state.n_symbols)
    return [(spelling[a], spelling[b]) for a, b in merges[: state.n_merges].tolist()]


def _spell(tokens: Tokens, n_symbols: int) -> list[bytes]:
    """Return the bytes of every symbol."""
    text = tokens.text.data
    places = zip(tokens.start[:n_symbols].tolist(), tokens.length.tolist(), strict=False)
    return [bytes(text[start : start + length]) for start, length in places]
