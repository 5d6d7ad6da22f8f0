r"""Continue a prompt with a trained model.

  course generate --checkpoint runs/tiny --prompt "Once upon a time"
  course generate --checkpoint runs/tiny --stop $'\n\n' --top-p 0.95 <prompt.txt
  course generate --checkpoint exported --prompt "" --max-tokens 50         # a new document

The checkpoint is a run's folder, a checkpoint file, or a Llama folder in the format of Hugging
Face. Text goes to stdout as soon as it is certain; speed and seed go to stderr.
"""

import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from assignment1_basics.reference.checkpoint_folder import load_model
from assignment1_basics.reference.device import choose_device, prepare_host
from assignment1_basics.reference.hugging_face import END_OF_TEXT, import_folder
from assignment1_basics.reference.model.generate import (
    CachedLogits,
    generate_tokens,
    room_for_new_tokens,
    stream_text,
)
from assignment1_basics.reference.model.sampling import Sampling
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course.errors import UserError, require


@dataclass(frozen=True)
class Options:
    """What to continue, with which model, how."""

    checkpoint: Path
    """a run's folder, a checkpoint file, or a Llama folder (config.json, model.safetensors)"""
    prompt: str = "-"
    """-: standard input, unless that is a terminal; empty: a new document"""
    tokenizer: Path | None = None
    """None: the tokenizer.json beside the model"""
    max_tokens: int = 256
    """stop after so many tokens"""
    stop: tuple[str, ...] = ()
    """stop before the first of these strings; the end-of-text token always stops"""
    sampling: Annotated[Sampling, tyro.conf.arg(name="")] = field(
        default_factory=lambda: Sampling(temperature=0.8)
    )
    seed: int | None = None
    """the same seed draws the same text; None: a new one, which is printed"""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU if there is one"""


def run(options: Options) -> None:
    """Print the continuation of the prompt while it is drawn."""
    require(options.max_tokens >= 1, "max-tokens", options.max_tokens, "at least 1")
    in_range = options.seed is None or 0 <= options.seed < 2**63
    require(in_range, "seed", options.seed, "from 0 to 2^63 - 1")
    device = choose_device(options.device)
    prepare_host(device)
    prompt = _read_prompt() if options.prompt == "-" else options.prompt
    model, tokenizer = load(options.checkpoint, options.tokenizer, device)
    end_of_text = tokenizer.special_tokens.get(END_OF_TEXT)
    prompt_ids = tokenizer.encode(prompt)
    if not prompt_ids:
        if end_of_text is None:
            raise UserError(f"the prompt is empty, and the tokenizer has no {END_OF_TEXT}")
        prompt_ids = [end_of_text]
    room = room_for_new_tokens(model, prompt_ids)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    stops = set() if end_of_text is None else {end_of_text}

    tokens = Recorded(
        generate_tokens(
            known_tokens_only(CachedLogits(model), tokenizer, model.config.vocab_size),
            prompt_ids,
            min(options.max_tokens, room),
            options.sampling,
            stops,
            torch.Generator(device).manual_seed(seed),
        )
    )
    to_print = (token for token in tokens if token not in stops)
    for text in stream_text(to_print, tokenizer.vocab, options.stop):
        sys.stdout.write(text)
        sys.stdout.flush()
    if sys.stdout.isatty():
        print()
    print(f"{tokens.speed()}; seed {seed}; {_why(tokens, stops, room, options)}", file=sys.stderr)


def load(
    checkpoint: Path, tokenizer_path: Path | None, device: torch.device
) -> tuple[Transformer, Tokenizer]:
    """Load a model and the tokenizer it was trained with; raises `UserError` if they do not match.

    Runs keep the tokenizer's hash; a Llama folder has none, there only the sizes are compared.
    """
    if (checkpoint / "config.json").exists():
        model, wanted = import_folder(checkpoint).to(device), None
    else:
        model, state = load_model(checkpoint, device)
        wanted = state["tokenizer_hash"]
    if tokenizer_path is None:
        tokenizer_path = _tokenizer_beside(checkpoint)
    tokenizer = Tokenizer.load(tokenizer_path)
    if wanted not in (None, tokenizer.hash):
        raise UserError(
            f"tokenizer {str(tokenizer_path)!r} has the hash {tokenizer.hash}, but the model was "
            f"trained with {wanted}; give the one that encoded its training data"
        )
    if tokenizer.vocab_size > model.config.vocab_size:
        raise UserError(
            f"tokenizer {str(tokenizer_path)!r} has ids up to {tokenizer.vocab_size - 1}, the "
            f"model only up to {model.config.vocab_size - 1}; they do not belong together"
        )
    return model.eval().requires_grad_(False), tokenizer


def _tokenizer_beside(checkpoint: Path) -> Path:
    """Find tokenizer.json in the folder of a model, or of the run that a checkpoint file is in."""
    folders = [checkpoint] if checkpoint.is_dir() else [checkpoint.parent, checkpoint.parent.parent]
    for folder in folders:
        if (folder / "tokenizer.json").exists():
            return folder / "tokenizer.json"
    raise UserError(f"there is no tokenizer.json in {str(folders[0])!r}; give one with --tokenizer")


def known_tokens_only(
    next_token_logits: Callable[[Sequence[int]], Tensor], tokenizer: Tokenizer, vocab_size: int
) -> Callable[[list[int]], Tensor]:
    """Exclude ids that the tokenizer lacks: a vocabulary may be padded for speed."""
    unknown = torch.tensor([i for i in range(vocab_size) if i not in tokenizer.vocab])

    def logits(ids: list[int]) -> Tensor:
        result = next_token_logits(ids)
        return result.index_fill(0, unknown.to(result.device), float("-inf"))

    return logits if len(unknown) else next_token_logits


class Recorded:
    """Tokens on their way through, counted and timed."""

    def __init__(self, tokens: Iterable[int]):
        self.tokens = tokens
        self.count, self.last = 0, -1
        self.times = [time.perf_counter()]

    def __iter__(self) -> Iterator[int]:
        for token in self.tokens:
            self.count, self.last = self.count + 1, token
            self.times = [*self.times[:2], time.perf_counter()]
            yield token

    def speed(self) -> str:
        """Say how long the prompt took (up to the first token) and how fast the rest came."""
        if self.count < 2:
            return f"{self.count} token in {self.times[-1] - self.times[0]:.2f} s"
        start, first, last = self.times
        rate = (self.count - 1) / max(last - first, 1e-9)
        return (
            f"{self.count} tokens, the first after {first - start:.2f} s, then {rate:.1f} tokens/s"
        )


def _why(tokens: Recorded, stops: set[int], room: int, options: Options) -> str:
    """Say what ended the text."""
    if tokens.last in stops:
        return f"ended by {END_OF_TEXT}"
    if tokens.count == options.max_tokens:
        return "ended by --max-tokens"
    if tokens.count == room:
        return "ended because the model's context is full"
    return "ended by a stop string"


def _read_prompt() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"the prompt on standard input is not UTF-8: {error}") from None
