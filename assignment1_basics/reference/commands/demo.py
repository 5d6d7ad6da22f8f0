"""From text on this machine to a language model, its samples and its score, in under four minutes.

Harvests English text from the installed software, trains a byte-pair tokenizer on it, encodes it,
trains a small Transformer, and compares it on held-out text with gzip, xz and an order-5 byte
n-gram model, in bits per byte. Needs two CPU cores, no GPU and no network. Interrupted or repeated,
it goes on from what is done already.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assignment1_basics.reference.commands.demo_stages import Facts, Stages, read_json
from course.errors import UserError, require
from course.files import atomic_write
from course.progress import Progress

CORPUS_BYTES = 32_000_000  # at most; three times what the model sees in its minutes
HELD_OUT = 0.0125  # of the documents: enough for a score to 1%, little enough to take 4 s
RESERVE_S = 18  # what comes after training: the whole held-out text, samples, plots
PROMPTS = {
    "prose": ("", "The function returns", "This module provides"),
    "stories": ("", "Once upon a time", "One day, a little fox"),
}
SAMPLE_TOKENS = 300
CONTEXT = {"prose": 128, "stories": 256}  # a story has about 220 tokens


@dataclass(frozen=True)
class Options:
    """How long, on what, and where the results go."""

    corpus: Literal["prose", "stories"] = "prose"
    """prose: documentation of the software installed here; stories: generated children's stories"""
    minutes: float = 3.5
    """time for everything; training takes what the other stages leave"""
    steps: int | None = None
    """train exactly so many steps instead, however long that takes"""
    name: str = "demo"
    """folder below --runs; the same name continues or reuses what is there"""
    runs: Path = Path("runs")
    """where the folders of runs are"""
    seed: int = 0
    """decides stories, weights, batches and samples"""


def run(options: Options) -> None:
    """Do all stages that are not done yet, and print what came out."""
    in_range = 0 < options.minutes < float("inf")
    require(in_range, "minutes", options.minutes, "above 0, and finite")
    require(options.steps is None or options.steps >= 1, "steps", options.steps, "at least 1")
    folder = options.runs / options.name
    if folder.is_file():
        raise UserError(f"{str(folder)!r} is a file; choose another --name")
    folder.mkdir(parents=True, exist_ok=True)
    _Demo(options, folder).run()


class _Demo:
    """The stages and their files."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.stages = Stages(folder, total=6)
        self.folder = folder
        self.train_text, self.valid_text = folder / "train.txt", folder / "valid.txt"
        self.tokenizer = folder / "tokenizer.json"
        self.train_tokens, self.valid_tokens = folder / "train.tok", folder / "valid.tok"
        self.model = folder / "model"

    def run(self) -> None:
        """Do or skip each stage, in order."""
        options, stages = self.options, self.stages
        stages.run(
            "corpus",
            f"text: {_SOURCES[options.corpus]}",
            self._corpus_inputs(),
            [self.train_text, self.valid_text],
            self._write_corpus,
        )
        stages.run(
            "tokenizer",
            "tokenizer: byte-pair encoding, trained on the text",
            {},
            [self.tokenizer],
            self._train_tokenizer,
        )
        encoded = stages.run(
            "tokens",
            "encoding: text to token ids",
            {},
            [self.train_tokens, self.valid_tokens],
            self._encode,
        )
        yardsticks = stages.run(
            "yardsticks",
            "yardsticks: gzip, xz and an n-gram model on the held-out text",
            {},
            [],
            self._yardsticks,
        )
        trained = stages.run(
            "training",
            "training: a small Transformer",
            {"minutes": options.minutes, "steps": options.steps, "seed": options.seed},
            [self.model / "metrics.jsonl"],
            self._train,
        )
        stages.run(
            "report",
            "results",
            {},
            [],
            lambda _: self._report(encoded, yardsticks, trained),
        )
        print((self.folder / "report.md").read_text(encoding="utf-8"))
        self._summary()

    def _corpus_inputs(self) -> Facts:
        inputs: Facts = {"corpus": self.options.corpus, "bytes": CORPUS_BYTES}
        if self.options.corpus == "stories":
            return {**inputs, "seed": self.options.seed}
        from course.corpus.harvest import fingerprint

        return {**inputs, "installed": fingerprint()}

    def _write_corpus(self, _: str) -> Facts:
        from course.corpus import prose, stories, write
        from course.corpus.parallel import num_processes

        processes = num_processes()
        documents = (
            prose(CORPUS_BYTES, processes=processes)
            if self.options.corpus == "prose"
            else stories(CORPUS_BYTES // 500, self.options.seed, processes=processes)
        )
        with Progress("writing", CORPUS_BYTES, unit="B") as bar:
            train, valid = write(
                documents, self.train_text, self.valid_text, HELD_OUT, CORPUS_BYTES, bar.update
            )
        print(
            f"      {train.n_bytes / 1e6:.1f} MB in {train.documents:,} documents; held out: "
            f"{valid.n_bytes / 1e6:.2f} MB in {valid.documents:,}"
        )
        return {"train_bytes": train.n_bytes, "documents": train.documents}

    def _train_tokenizer(self, _: str) -> Facts:
        from assignment1_basics.reference.commands.demo_training import VOCAB_SIZE
        from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
        from assignment1_basics.reference.tokenizer.train import train_bpe
        from course.corpus import END_OF_TEXT

        start = time.monotonic()
        bpe = train_bpe(self.train_text, VOCAB_SIZE, [END_OF_TEXT])
        seconds = time.monotonic() - start
        Tokenizer(bpe.vocab, bpe.merges, [END_OF_TEXT]).save(self.tokenizer)
        longest = max(bpe.vocab.values(), key=len).decode(errors="replace")
        print(f"      {len(bpe.vocab):,} tokens in {seconds:.1f} s; the longest is {longest!r}")
        return {"vocab_size": len(bpe.vocab)}

    def _encode(self, _: str) -> Facts:
        from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

        tokenizer = Tokenizer.load(self.tokenizer)
        train = tokenizer.encode_file(self.train_text, self.train_tokens)
        valid = tokenizer.encode_file(self.valid_text, self.valid_tokens)
        ratio = valid.num_bytes / valid.num_tokens
        print(f"      {train.num_tokens:,} tokens; {ratio:.2f} bytes per token of held-out text")
        return {"bytes_per_token": ratio, "valid_bytes": valid.num_bytes}

    def _yardsticks(self, _: str) -> Facts:
        from assignment1_basics.reference.commands.demo_report import yardsticks

        scores = yardsticks(self.train_text, self.valid_text)
        print("      " + ", ".join(f"{name} {bits:.3f}" for name, bits in scores.items()))
        return scores

    def _train(self, key: str) -> Facts:
        """Train as planned before if that was interrupted, else plan for the time that is left."""
        import torch

        from assignment1_basics.reference.commands.demo_training import plan, training_config
        from assignment1_basics.reference.train import train
        from assignment1_basics.reference.train_config import TrainConfig
        from course import config as configs
        from course.runs import CONFIG, open_run

        record = self.model / "plan.json"
        planned = read_json(record)
        if planned.get("key") == key and (self.model / CONFIG).exists():
            config = configs.load(TrainConfig, self.model / CONFIG)
            torch.set_num_threads(planned["threads"])
            print(f"      going on with the {config.steps:,} steps that were planned")
        else:
            recipe = training_config(
                self.train_tokens,
                self.valid_tokens,
                self.tokenizer,
                CONTEXT[self.options.corpus],
                self.options.seed,
            )
            left = 60 * self.options.minutes - self.stages.elapsed - RESERVE_S
            chosen = plan(recipe, left, self.options.steps)
            print(f"      {chosen.why}", flush=True)
            config = chosen.config
            torch.set_num_threads(chosen.threads)
            open_run(self.model, overwrite=True)
            configs.save(config, self.model / CONFIG)
            with atomic_write(record, "w") as file:
                json.dump({"key": key, "threads": chosen.threads}, file)
        result = train(config, self.model, resume=True)
        parameters = sum(parameter.numel() for parameter in result.model.parameters())
        assert result.bits_per_byte is not None  # there is held-out text
        return {
            "bits_per_byte": result.bits_per_byte,
            "parameters": parameters,
            "steps": config.steps,
            "tokens_per_step": config.tokens_per_step,
            "precision": config.precision,
        }

    def _report(self, encoded: Facts, yardsticks: Facts, trained: Facts) -> Facts:
        """Draw samples and the loss curve; write report.md and scores.json."""
        from assignment1_basics.reference.checkpoint_folder import load_model
        from assignment1_basics.reference.commands import demo_report
        from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer

        model, _ = load_model(self.model, "cpu")
        tokenizer = Tokenizer.load(self.tokenizer)
        texts = demo_report.samples(
            model, tokenizer, PROMPTS[self.options.corpus], SAMPLE_TOKENS, self.options.seed
        )
        name = f"Transformer, {trained['parameters'] / 1e6:.1f}M parameters"
        scores = {**yardsticks, name: trained["bits_per_byte"]}
        demo_report.plot(
            self.folder / "loss.png",
            self.model,
            scores,
            encoded["bytes_per_token"],
            trained["tokens_per_step"],
        )
        with atomic_write(self.folder / "scores.json", "w") as file:
            json.dump(scores, file, indent=2)
        with atomic_write(self.folder / "report.md", "w") as file:
            file.write(
                f"Held-out text: {encoded['valid_bytes']:,} bytes of documents that no model saw.\n"
                f"The n-gram model counted {trained_text(self.train_text)}; the Transformer saw "
                f"{trained['steps'] * trained['tokens_per_step'] / 1e6:.1f}M tokens of it.\n\n"
                f"{demo_report.table(scores, name)}\n\n"
                "Samples (temperature 0.7, top-p 0.95):\n\n"
                + "\n\n".join("> " + text.strip().replace("\n", "\n> ") for text in texts)
                + "\n\n![loss](loss.png)\n"
            )
        return scores

    def _summary(self) -> None:
        times = ", ".join(
            f"{name} {seconds:.0f} s" for name, seconds in self.stages.seconds.items()
        )
        print(
            f"All in {self.stages.elapsed:.0f} s: {times}\n\n"
            f"  {self.folder}/report.md       this table and the samples\n"
            f"  {self.folder}/loss.png        the loss between the yardsticks\n"
            f"  {self.folder}/tokenizer.json  the tokenizer\n"
            f"  {self.model}/         the model: config, metrics, checkpoints\n\n"
            "To let it write:\n\n"
            f"  uv run course generate --checkpoint {self.model} --prompt 'The '"
        )


def trained_text(path: Path) -> str:
    """Say how large the training text is."""
    return f"all {path.stat().st_size / 1e6:.1f} MB of training text"


_SOURCES = {
    "prose": "English prose of the software that is installed here",
    "stories": "generated children's stories",
}
