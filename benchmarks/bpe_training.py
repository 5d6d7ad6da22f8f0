"""Training BPE: ours against rustbpe and Hugging Face tokenizers, on the same file and cores.

    python -m benchmarks.bpe_training            # 2 corpora of 100 MB, 10k and 32k, ~12 minutes
    python -m benchmarks.bpe_training --file my.txt --vocab 10000 --repeats 1 --no-save

The corpora are built from what every machine with this project has, and kept in the temporary
folder: `real` is technical English and source text (the prose and the Python files of the installed
packages), `easy` the same prose four times with its paragraphs shuffled. Each measurement is a
process of its own that has the text in the page cache. "s" is the first call in its process; ours
then loads its kernels from numba's cache, which "again s" leaves out. Peers are fed document by
document, as their own examples do; peak memory is that of the process.

Checked as well: ours makes the merges of the naive algorithm on a part of the text; where a peer's
merges first differ from ours, the two pairs were equally frequent (both peers prefer the pair with
the smaller ids where we prefer the greater bytes, as the handout asks).
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    Row,
    in_own_process,
    medians,
    parser,
    peak_memory_mib,
    report,
    seconds,
)

MODULE = "benchmarks.bpe_training"
SEPARATOR = "<|endoftext|>"
FOLDER = Path(tempfile.gettempdir(), "lm-course-benchmarks")
SYSTEMS = {
    "ours": "reference tokenizer",
    "rustbpe": "rustbpe",
    "hugging-face": "Hugging Face tokenizers",
}


def main() -> None:
    options = _options()
    if options.worker:
        print(json.dumps(_work(options)))
        return
    corpora = {"file": options.file} if options.file else build_corpora(options.megabytes)
    compile_s, load_s = _compile_times()
    rows: list[Row] = []
    notes = [
        f"A process that trains on one line, with Python's start and all imports, takes "
        f"{compile_s:.1f} s when numba compiles, once, and {load_s:.1f} s from numba's cache."
    ]
    for corpus, path in corpora.items():
        notes.append(_describe(corpus, path))
        notes.append(_compare_with_naive(path))
        for vocab_size in options.vocab:
            runs: dict[str, list[dict[str, Any]]] = {system: [] for system in options.systems}
            for repeat in range(options.repeats):
                for system in runs:  # in turn: a slow minute of the machine meets all of them
                    _say(f"{corpus}, {vocab_size}, run {repeat + 1}: {system}")
                    runs[system].append(_measure(system, path, vocab_size, options.threads))
            tokens = {system: of[0]["tokens"] for system, of in runs.items()}
            rows += _rows(corpus, vocab_size, {system: medians(of) for system, of in runs.items()})
            for peer in [system for system in runs if system != "ours" and "ours" in runs]:
                agreement = _compare(path, tokens["ours"], tokens[peer])
                notes.append(f"{corpus}, {vocab_size}, {SYSTEMS[peer]}: {agreement}")
    report(
        "bpe_training",
        f"BPE training, {options.threads} threads; ratios are peer / ours for time, ours / peer "
        "for memory",
        rows,
        command=" ".join(["python -m", MODULE, *sys.argv[1:]]),
        notes=notes,
        save=not options.no_save,
    )


def _options() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--megabytes", type=int, default=100, help="size of the built corpora")
    arguments.add_argument("--file", type=Path, help=f"a corpus instead, {SEPARATOR} between texts")
    arguments.add_argument("--vocab", type=int, nargs="+", default=[10_000, 32_000])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=3, help="medians of so many runs")
    arguments.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    arguments.add_argument("--worker", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    return arguments.parse_args()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


# Corpora


def build_corpora(megabytes: int) -> dict[str, Path]:
    """Return the files `real` and `easy`, made unless an earlier run left them."""
    from course import corpus

    paths = {name: FOLDER / f"{name}-{megabytes}MB.txt" for name in ("real", "easy")}
    size = megabytes * 1_000_000
    if not all(path.exists() for path in paths.values()):
        _say("building the corpora (once, ~1 min)")
        prose = list(corpus.prose(size))
        corpus.write(chain(prose, _source_files()), paths["real"], max_bytes=size)
        corpus.write(_shuffled_forever(prose), paths["easy"], max_bytes=size)
    return paths


def _source_files() -> Iterator[str]:
    """Yield the Python files of the installed packages, in an order that samples all of them."""
    import sysconfig

    roots = [Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib")]
    found = {path.relative_to(root): path for root in roots for path in root.rglob("*.py")}
    for _, path in sorted(
        (hashlib.md5(str(name).encode()).digest(), found[name]) for name in found
    ):
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue
        if 0 < len(text) < 400_000:  # longer ones are generated tables
            yield text


def _shuffled_forever(documents: list[str]) -> Iterator[str]:
    """Yield documents of twenty paragraphs drawn from all of them."""
    paragraphs = [paragraph for document in documents for paragraph in document.split("\n\n")]
    generator = random.Random(0)
    while True:
        generator.shuffle(paragraphs)
        for i in range(0, len(paragraphs), 20):
            yield "\n\n".join(paragraphs[i : i + 20])


def _describe(corpus: str, path: Path) -> str:
    from assignment1_basics.reference.tokenizer.words import count_words

    words = count_words(path, [SEPARATOR])
    return (
        f"{corpus}: {path.stat().st_size / 1e6:.0f} MB, {words.counts.sum():,} pre-tokens, "
        f"{len(words):,} of them distinct."
    )


def documents(path: Path) -> Iterator[str]:
    """Yield the documents of a file without reading it whole."""
    rest = ""
    with open(path, encoding="utf-8", newline="") as file:
        while block := file.read(1 << 20):
            *whole, rest = (rest + block).split(SEPARATOR)
            yield from whole
    if rest:
        yield rest


# Measurements


def _measure(system: str, path: Path, vocab_size: int, threads: int) -> dict[str, Any]:
    """Train in a process of its own; return s, again_s, mib and the file with the tokens made."""
    return in_own_process(
        MODULE,
        *("--worker", system, "--file", path, "--vocab", vocab_size, "--threads", threads),
        environment={"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"},
    )


def _work(options: argparse.Namespace) -> dict[str, Any]:
    train = {"ours": train_ours, "rustbpe": train_rustbpe, "hugging-face": train_hugging_face}
    tokens: list[bytes] = []

    def run() -> None:
        tokens[:] = train[options.worker](options.file, options.vocab[0], options.threads)

    result = {"s": seconds(run), "mib": peak_memory_mib()}
    if options.worker == "ours":
        result["again_s"] = seconds(run)
    FOLDER.mkdir(exist_ok=True)
    saved = FOLDER / f"tokens-{options.worker}.json"
    saved.write_text(json.dumps([token.hex() for token in tokens]))
    return {**result, "tokens": str(saved)}


def train_ours(path: Path, vocab_size: int, threads: int) -> list[bytes]:
    """Return the merged tokens in the order of the merges, as do the functions below."""
    from assignment1_basics.reference.tokenizer.train import train_bpe

    merges = train_bpe(path, vocab_size, [SEPARATOR], threads).merges
    return [left + right for left, right in merges]


def train_rustbpe(path: Path, vocab_size: int, threads: int) -> list[bytes]:
    import rustbpe

    from assignment1_basics.reference.tokenizer.naive import PATTERN

    tokenizer = rustbpe.Tokenizer()
    # It knows no special tokens: the documents come without them, and one id less is made.
    tokenizer.train_from_iterator(documents(path), vocab_size - 1, pattern=PATTERN)
    return [bytes(token) for token, _ in tokenizer.get_mergeable_ranks()[256:]]


def train_hugging_face(path: Path, vocab_size: int, threads: int) -> list[bytes]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from assignment1_basics.reference.tokenizer.export import from_printable

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[SEPARATOR],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(path), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [from_printable("".join(pair)) for pair in merges]


def _compile_times() -> tuple[float, float]:
    """Return how long a tiny training takes without and with numba's cache, processes included."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder, "tiny.txt")
        tiny.write_text("a few words, a few words")
        arguments = ("--worker", "ours", "--file", tiny, "--vocab", 260)
        environment = {"NUMBA_CACHE_DIR": folder}
        run = partial(in_own_process, MODULE, *arguments, environment=environment)
        return seconds(run), seconds(run)


def _rows(corpus: str, vocab_size: int, results: dict[str, dict[str, float]]) -> list[Row]:
    ours = results.get("ours")
    rows = []
    for system, result in results.items():
        row: Row = {"corpus": corpus, "vocabulary": vocab_size, "system": SYSTEMS[system]}
        row |= {"s": result["s"], "again s": result.get("again_s", result["s"])}
        row |= {"peak MiB": round(result["mib"])}
        if ours:
            row |= {
                "time ratio": result["s"] / ours["s"],
                "again ratio": row["again s"] / ours["again_s"],
                "memory ratio": ours["mib"] / result["mib"],
            }
        rows.append(row)
    return rows


# Checks


def _compare_with_naive(path: Path, n_bytes: int = 100_000, vocab_size: int = 600) -> str:
    from assignment1_basics.reference.tokenizer import naive
    from assignment1_basics.reference.tokenizer.train import train_bpe

    with open(path, encoding="utf-8", newline="") as file, tempfile.TemporaryDirectory() as folder:
        text = file.read(n_bytes)
        part = Path(folder, "part.txt")
        part.write_bytes(text.encode())
        ours = train_bpe(part, vocab_size, [SEPARATOR])
    same = ours == naive.train_bpe(text, vocab_size, [SEPARATOR])
    result = "equal to" if same else "DIFFERENT FROM"
    return (
        f"On the first {n_bytes:,} characters, {len(ours.merges)} merges {result} the naive ones."
    )


def _compare(path: Path, ours: str, peer: str) -> str:
    """Say where a peer's tokens first differ from ours, and whether that is a tie."""
    our_tokens, peer_tokens = (
        [bytes.fromhex(token) for token in json.loads(Path(file).read_text())]
        for file in (ours, peer)
    )
    common = len(set(our_tokens) & set(peer_tokens)) / len(our_tokens)
    shared = f"{common:.2%} of the tokens are the same"
    for i, (our_token, peer_token) in enumerate(zip(our_tokens, peer_tokens, strict=False)):
        if our_token != peer_token:
            counts = _pair_counts(path, i)
            tie = counts[our_token] == counts[peer_token]
            what = "a tie" if tie else "NOT A TIE"
            return (
                f"{shared}; the first difference is merge {i + 1}: {our_token!r}, for the peer "
                f"{peer_token!r}, {what} ({counts[our_token]:,} and {counts[peer_token]:,} times)."
            )
    return f"{shared}; all {min(len(our_tokens), len(peer_tokens))} merges in the same order."


def _pair_counts(path: Path, n_merges: int) -> dict[bytes, int]:
    """Make some merges; count all pairs that are then in the words anew, by their joined bytes."""
    from assignment1_basics.reference.tokenizer import merging, segmentation
    from assignment1_basics.reference.tokenizer.words import count_words

    max_symbols = segmentation.FIRST_MERGED + n_merges
    words = count_words(path, [SEPARATOR])
    segmented, tokens = segmentation.segment(words, max_symbols)
    sides = merging.empty_side(max_symbols), merging.empty_side(max_symbols)
    merges = np.zeros((n_merges, 2), dtype=np.int64)
    state = merging.initial_state(segmented)
    merging.merge_pairs(state, segmented, tokens, *sides, merges, n_merges)

    places = np.flatnonzero(segmented.symbol >= 0)  # where symbols and boundaries begin
    symbols = segmented.symbol[places].astype(np.int64)
    weights = segmented.weight[np.searchsorted(segmented.class_end[:-1], places, side="right")]
    inside = (symbols[:-1] > 0) & (symbols[1:] > 0)
    keys = (symbols[:-1] << 32 | symbols[1:])[inside]
    pairs, inverse = np.unique(keys, return_inverse=True)
    counts = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(counts, inverse, weights[:-1][inside])

    text = tokens.text.tobytes()
    spell = [text[start : start + length] for start, length in zip(*tokens[1:], strict=True)]
    return {
        spell[key >> 32] + spell[key & 0xFFFFFFFF]: count
        for key, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    }


if __name__ == "__main__":
    main()
