"""Encoding with a vocabulary of GPT-2's size: ours against tiktoken and Hugging Face tokenizers.

    python -m benchmarks.bpe_encoding            # 2 corpora of 100 MB, ~10 minutes
    python -m benchmarks.bpe_encoding --file my.txt --repeats 1 --no-save

GPT-2's own vocabulary cannot be had without a network, so one of 50,257 tokens is trained on `real`
(the corpora are those of `bpe_training`), and all systems get it. Each measurement is a process of
its own: the text is in memory as a Python string, the kernels are loaded, and no word of the text
has been seen before ("cold"). tiktoken and tokenizers are measured in each way that their
interfaces offer (one text, a list of documents, batches with threads), and the fastest counts.

Checked as well: all systems give the same ids.
"""

import argparse
import hashlib
import json
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bpe_training import FOLDER, SEPARATOR, build_corpora
from benchmarks.common import Row, in_own_process, medians, parser, report, seconds

MODULE = "benchmarks.bpe_encoding"
BATCH = 256  # documents
Encode = Callable[[str, list[str]], Iterator[Any]]


def main() -> None:
    options = _options()
    if options.worker:
        print(json.dumps(_work(options)))
        return
    corpora = {"file": options.file} if options.file else build_corpora(options.megabytes)
    tokenizer = _train(next(iter(corpora.values())), options.vocab)
    rows: list[Row] = []
    notes = [_compile_times(tokenizer)]
    for corpus, original in corpora.items():
        path, removed = _without_new_characters(original)
        notes.append(
            f"{corpus}: {path.stat().st_size / 1e6:.0f} MB; {removed:,} characters newer than "
            f"Unicode {unicodedata.unidata_version} left out: the systems know different versions."
        )
        runs: dict[tuple[str, int], list[dict[str, float]]] = {}
        ids: dict[str, str] = {}
        for repeat in range(options.repeats):
            for name, threads in _measurements():  # in turn: a slow minute meets all of them
                _say(f"{corpus}, run {repeat + 1}: {name}, {threads} threads")
                result = in_own_process(
                    MODULE,
                    *("--worker", name, "--file", path, "--threads", threads),
                    *("--tokenizer", tokenizer),
                    environment={"RAYON_NUM_THREADS": str(threads)},
                )
                ids[name] = result.pop("ids")
                runs.setdefault((name, threads), []).append(result)
        rows += _rows(corpus, {key: medians(of) for key, of in runs.items()})
        different = [name for name in ids if ids[name] != ids["ours"]]
        notes.append(
            f"{corpus}: " + (f"OTHER IDS FROM {different}." if different else "all ids are equal.")
        )
    report(
        "bpe_encoding",
        f"BPE encoding with {options.vocab:,} tokens, cold; ratios are ours / system in MB/s",
        rows,
        command=" ".join(["python -m", MODULE, *sys.argv[1:]]),
        notes=notes,
        save=not options.no_save,
    )


def _options() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument("--megabytes", type=int, default=100, help="size of the built corpora")
    arguments.add_argument("--file", type=Path, help=f"a corpus instead, {SEPARATOR} between texts")
    arguments.add_argument("--vocab", type=int, default=50_257)
    arguments.add_argument("--repeats", type=int, default=3, help="medians of so many runs")
    for hidden in ("--worker", "--tokenizer"):
        arguments.add_argument(hidden, help=argparse.SUPPRESS)
    arguments.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    return arguments.parse_args()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _train(path: Path, vocab_size: int) -> Path:
    """Train on the corpus; special token last, as in GPT-2, so that ids ascend with the merges."""
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
    from assignment1_basics.reference.tokenizer.train import train_bpe

    _say(f"training {vocab_size:,} tokens on {path}")
    vocab, merges = train_bpe(path, vocab_size, [SEPARATOR])
    tokens = [token for token in vocab.values() if token != SEPARATOR.encode()]
    return Tokenizer(dict(enumerate(tokens)), merges, [SEPARATOR]).save(FOLDER / "encoding")


def _without_new_characters(path: Path) -> tuple[Path, int]:
    """Return a copy of the corpus with characters of this Python's Unicode only; how many fewer."""
    text = path.read_bytes().decode()
    unknown = [character for character in set(text) if unicodedata.category(character) == "Cn"]
    if not unknown:
        return path, 0
    text, removed = re.subn(f"[{re.escape(''.join(unknown))}]", "", text)
    copy = FOLDER / f"{path.stem}-assigned.txt"
    copy.write_bytes(text.encode())
    return copy, removed


def _compile_times(tokenizer: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder, "tiny.txt")
        tiny.write_text("a few words")
        run = partial(
            in_own_process,
            MODULE,
            *("--worker", "ours", "--file", tiny, "--tokenizer", tokenizer),
            environment={"NUMBA_CACHE_DIR": folder},
        )
        compiling, loading = seconds(run), seconds(run)
    return (
        "A process that encodes a few words with the compiled encoder, with Python's start and "
        f"all imports, takes {compiling:.1f} s when numba compiles, once, and {loading:.1f} s from "
        "numba's cache."
    )


# Measurements


def _measurements() -> list[tuple[str, int]]:
    return [(name, threads) for name in WORKERS for threads in (1, 2)]


def _work(options: argparse.Namespace) -> dict[str, Any]:
    """Encode in each of a system's ways; return the seconds of the fastest, and a hash of ids."""
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    separator = Tokenizer.load(options.tokenizer).special_tokens[SEPARATOR]
    text = options.file.read_bytes().decode()
    documents = text.split(SEPARATOR)
    best, hashes = float("inf"), set()
    for encode in WORKERS[options.worker](options):
        parts: list[Any] = []
        taken = seconds(lambda: parts.extend(encode(text, documents)))  # noqa: B023
        best = min(best, taken)
        ids = np.concatenate([np.asarray(part, dtype=np.uint32) for part in parts])
        # Whole texts have separators, lists of documents do not.
        hashes.add(hashlib.sha256(ids[ids != separator].tobytes()).hexdigest())
    assert len(hashes) == 1, "ids depend on the way of encoding"
    return {"s": best, "MB/s": len(text.encode()) / best / 1e6, "ids": hashes.pop()}


def ours(options: argparse.Namespace) -> list[Encode]:
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(options.tokenizer)
    one_word = "word " * 400_000  # 2 MB: loads the kernels, and teaches the cache nothing
    tokenizer.encode_array(one_word)
    tokenizer.encode_array(one_word, options.threads)

    def encode_array(text: str, documents: list[str]) -> Iterator[np.ndarray]:
        yield tokenizer.encode_array(text, options.threads)

    return [encode_array]


def ours_file_to_file(options: argparse.Namespace) -> list[Encode]:
    from assignment1_basics.reference.tokenizer.token_file import open_token_file
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(options.tokenizer)
    tokenizer.encode_array("word " * 400_000)

    def encode_file(text: str, documents: list[str]) -> Iterator[np.ndarray]:
        output = FOLDER / "encoded.tok"
        tokenizer.encode_file(options.file, output, threads=options.threads)
        yield open_token_file(output).tokens

    return [encode_file]


def tiktoken(options: argparse.Namespace) -> list[Encode]:
    from assignment1_basics.reference.tokenizer.export import to_tiktoken
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

    encoding = to_tiktoken(Tokenizer.load(options.tokenizer))

    def one_text(text: str, documents: list[str]) -> Iterator[Any]:
        yield encoding.encode_to_numpy(text, allowed_special="all")

    def one_by_one(text: str, documents: list[str]) -> Iterator[list[int]]:
        for document in documents:
            yield encoding.encode_ordinary(document)

    def batches(text: str, documents: list[str]) -> Iterator[list[int]]:
        for i in range(0, len(documents), BATCH):
            batch = documents[i : i + BATCH]
            yield from encoding.encode_ordinary_batch(batch, num_threads=options.threads)

    return [one_text, one_by_one] if options.threads == 1 else [one_text, one_by_one, batches]


def tokenizers(options: argparse.Namespace) -> list[Encode]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(options.tokenizer)

    def batches(text: str, documents: list[str]) -> Iterator[list[int]]:
        for i in range(0, len(documents), BATCH):
            for encoding in tokenizer.encode_batch_fast(documents[i : i + BATCH]):
                yield encoding.ids

    return [batches]


WORKERS = {
    "ours": ours,
    "ours, file to file": ours_file_to_file,
    "tiktoken": tiktoken,
    "tokenizers": tokenizers,
}


def _rows(corpus: str, results: dict[tuple[str, int], dict[str, float]]) -> list[Row]:
    return [
        {
            "corpus": corpus,
            "threads": threads,
            "system": name,
            "s": results[name, threads]["s"],
            "MB/s": results[name, threads]["MB/s"],
            "ratio": results["ours", threads]["MB/s"] / results[name, threads]["MB/s"],
        }
        for threads in (1, 2)
        for name in WORKERS
    ]


if __name__ == "__main__":
    main()
