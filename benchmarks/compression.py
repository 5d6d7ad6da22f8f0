"""Bytes per token: two tokenizers on two corpora, for vocabularies of every size.

    python -m benchmarks.compression        # makes data/prose.txt and data/stories.txt first

The merges of a smaller vocabulary are the first merges of a larger one, so each corpus is trained
on once and the list of merges cut. Measured on held-out text. The figures belong to the prose of
one environment: other packages, other prose.
"""

from pathlib import Path

from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from assignment1_basics.reference.tokenizer.train import train_bpe
from benchmarks.common import Row, parser, report
from benchmarks.experiments import run
from course.corpus import END_OF_TEXT

COMMANDS = {
    "prose": "corpus data/prose.txt --held-out data/prose-valid.txt",
    "stories": "corpus data/stories.txt --source stories --held-out data/stories-valid.txt",
}
LARGEST = 10_000
SIZES = (300, 512, 1000, 2000, 4096, LARGEST)


def measure() -> list[Row]:
    """Return a row for every vocabulary: trained on what, how large, bytes per token of each."""
    texts = {name: Path(f"data/{name}-valid.txt").read_text(encoding="utf-8") for name in COMMANDS}
    rows: list[Row] = []
    for name in COMMANDS:
        vocab, merges = train_bpe(f"data/{name}.txt", LARGEST, [END_OF_TEXT])
        for size in [size for size in SIZES if size < len(vocab)] + [len(vocab)]:
            kept = {number: token for number, token in vocab.items() if number < size}
            tokenizer = Tokenizer(kept, merges[: size - 257], [END_OF_TEXT])
            row: Row = {"trained on": name, "vocabulary": size}
            for text_name, text in texts.items():
                tokens = len(tokenizer.encode_array(text))
                row[f"bytes per token of {text_name}"] = round(len(text.encode()) / tokens, 3)
            rows.append(row)
    return rows


def main() -> None:
    options = parser(__doc__).parse_args()
    for name, command in COMMANDS.items():
        if not Path(f"data/{name}-valid.txt").exists():
            run(command)
    rows = measure()
    report(
        "compression",
        "Bytes per token of held-out text, by training corpus and size of the vocabulary",
        rows,
        "python -m benchmarks.compression",
        [
            f"Trained on {_megabytes('prose')} of prose and {_megabytes('stories')} of stories.",
            "In the last row of stories no pair is left to merge.",
        ],
        save=not options.no_save,
    )


def _megabytes(name: str) -> str:
    return f"{Path(f'data/{name}.txt').stat().st_size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
