"""What the demo shows at the end: yardsticks, a table, the loss curve between them, samples."""

import gzip
import lzma
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from assignment1_basics.reference.model.generate import (
    CachedLogits,
    generate_tokens,
    room_for_new_tokens,
    stream_text,
)
from assignment1_basics.reference.model.sampling import Sampling
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.ngram import train_ngram
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course.corpus import END_OF_TEXT
from course.plots import plot_curves
from course.runs import column, read_metrics

NGRAM_ORDER = 5
GZIP, XZ, NGRAM = "gzip -9", "xz -9e", f"order-{NGRAM_ORDER} byte n-gram"


def yardsticks(train: Path, valid: Path) -> dict[str, float]:
    """Return the bits per byte of the held-out text by name.

    gzip and xz see the held-out text only; the n-gram model is trained on the training text, as
    the Transformer is.
    """
    held_out = valid.read_bytes()
    best = lzma.PRESET_EXTREME | 9
    return {
        GZIP: 8 * len(gzip.compress(held_out, 9)) / len(held_out),
        XZ: 8 * len(lzma.compress(held_out, preset=best)) / len(held_out),
        NGRAM: train_ngram(train.read_bytes(), NGRAM_ORDER).bits_per_byte(held_out),
    }


def table(scores: dict[str, float], model_name: str) -> str:
    """Return a Markdown table of bits per byte, the model's last, with what it saves."""
    reached = scores[model_name]
    rows = [("", "bits per byte", "the Transformer needs")]
    for name, bits in scores.items():
        saved = "" if name == model_name else f"{(reached / bits - 1) * 100:+.1f}%"
        rows.append((name, f"{bits:.3f}", saved))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"| {a:<{widths[0]}} | {b:>{widths[1]}} | {c:>{widths[2]}} |" for a, b, c in rows]
    rule = f"|{'-' * (widths[0] + 2)}|{'-' * (widths[1] + 1)}:|{'-' * (widths[2] + 1)}:|"
    return "\n".join([lines[0], rule, *lines[1:]])


def plot(
    path: Path, run: Path, scores: dict[str, float], bytes_per_token: float, tokens_per_step: int
) -> None:
    """Draw the loss in bits per byte over the training tokens, and the scores as lines.

    The held-out curve need not end at the model's score: on the way only the first batches of the
    held-out text are evaluated, and documents differ.
    """
    rows = read_metrics(run)
    scale = 1 / (math.log(2) * bytes_per_token)
    curves = {}
    for label, name in (
        ("training (smoothed)", "loss"),
        ("held-out (its first part)", "valid_loss"),
    ):
        steps, losses = column(rows, name)
        if name == "loss":
            losses = _smooth(losses)
        millions = [step * tokens_per_step / 1e6 for step in steps]
        curves[label] = (millions, [loss * scale for loss in losses])
    lines = {f"{name}: {bits:.2f}": bits for name, bits in scores.items()}
    # The first steps would squeeze everything of interest into the lower half.
    ceiling = max(scores.values()) * 1.45
    shown = {
        label: _below(curve, ceiling) for label, curve in curves.items() if min(curve[1]) < ceiling
    }
    plot_curves(
        path,
        shown,
        "training tokens (millions)",
        "bits per byte",
        "A small Transformer against compressors and counting",
        horizontal=lines,
    )


def samples(
    model: Transformer, tokenizer: Tokenizer, prompts: Sequence[str], max_tokens: int, seed: int
) -> list[str]:
    """Return a continuation of each prompt, with the prompt; an empty one begins a document."""
    end = tokenizer.special_tokens[END_OF_TEXT]
    model.eval()
    texts = []
    for number, prompt in enumerate(prompts):
        ids = [end, *tokenizer.encode(prompt)]
        tokens = generate_tokens(
            CachedLogits(model),
            ids,
            min(max_tokens, room_for_new_tokens(model, ids)),
            Sampling(temperature=0.7, top_p=0.95),
            {end},
            torch.Generator().manual_seed(seed + number),
        )
        new = (token for token in tokens if token != end)
        texts.append(prompt + "".join(stream_text(new, tokenizer.vocab)))
    return texts


def _smooth(values: Sequence[float]) -> list[float]:
    """Return the exponential moving average over a thirtieth of the run, unbiased at its start."""
    memory = 1 - min(1.0, 30 / len(values))
    total = weight = 0.0
    smoothed = []
    for value in values:
        total = memory * total + (1 - memory) * value
        weight = memory * weight + (1 - memory)
        smoothed.append(total / weight)
    return smoothed


def _below(
    curve: tuple[list[float], list[float]], ceiling: float
) -> tuple[list[float], list[float]]:
    first = next(i for i, value in enumerate(curve[1]) if value < ceiling)
    return curve[0][first:], curve[1][first:]
