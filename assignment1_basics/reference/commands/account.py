"""Say what a model costs before it is trained: parameters, FLOPs, memory, time, by part.

  course account --preset gpt2-xl --batch-size 4
  course account --preset 134m --model.n-kv-heads 4 --checkpointing --accelerator h100
  course account --config runs/tiny/config.yaml --tokens 1e9 --plot account.png

Presets: handout, gpt2-small, gpt2-medium, gpt2-large, gpt2-xl, 134m, 1.26b, llama2-7b, llama3-8b.
Memory is that of one micro-batch on one accelerator with fused AdamW, as the peak of PyTorch's
allocator; in fp32 and bf16-mixed it was within 10% of what an NVIDIA H200 needed. FLOPs are those
of matrix products. The time follows from a utilisation (MFU) that you assume.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from assignment1_basics.reference.accounting.activations import TrainingSetup
from assignment1_basics.reference.accounting.formats import PRECISIONS
from assignment1_basics.reference.accounting.hardware import ACCELERATORS
from assignment1_basics.reference.accounting.presets import PRESETS
from assignment1_basics.reference.model.config import TransformerConfig
from course import config as configs
from course.cli import parse_options, value_of
from course.errors import UserError, require


@dataclass(frozen=True)
class Options:
    """Which model, how it is trained, on what."""

    model: TransformerConfig = field(default_factory=lambda: PRESETS["gpt2-small"])
    preset: str | None = None
    """a known shape to start from; --model options override it"""
    config: Path | None = None
    """the config.yaml of a run to start from: its model and its micro-batch"""
    batch_size: int = 8
    """sequences in a micro-batch"""
    seq_len: int | None = None
    """tokens in a sequence; None: model.context-length"""
    compiled: bool = True
    """torch.compile; otherwise eager"""
    checkpointing: bool = False
    """keep the input of each block only and run the block again in the backward pass"""
    accumulation: bool = False
    """a step has several micro-batches, so gradients are there from the beginning"""
    accelerator: Literal["a100", "h100", "h200", "b200", "rtx4090"] = "h200"
    """decides what fits and how fast it can be at most"""
    mfu: float = 0.4
    """the share of the accelerator's peak that training is assumed to use"""
    tokens: float | None = None
    """tokens to train on; None: 20 for each parameter (Hoffmann et al. 2022)"""
    formats: bool = False
    """also list what each number format can hold"""
    plot: Path | None = None
    """PNG to draw parameters, FLOPs and memory into, by part"""

    def __post_init__(self) -> None:
        for name in ("batch_size", "seq_len", "tokens"):
            value = getattr(self, name)
            in_range = value is None or 0 < value < float("inf")
            require(in_range, name, value, "positive and finite")
        require(0 < self.mfu <= 1, "mfu", self.mfu, "above 0 and at most 1")

    @property
    def sequence(self) -> int:
        """Tokens in a sequence."""
        return self.seq_len or self.model.context_length

    def setup(self, precision: str, checkpointing: bool | None = None) -> TrainingSetup:
        """Return how a step runs in one of `PRECISIONS`."""
        return TrainingSetup(
            batch_size=self.batch_size,
            seq_len=self.sequence,
            precision=PRECISIONS[precision],
            compiled=self.compiled,
            checkpointing=self.checkpointing if checkpointing is None else checkpointing,
            accumulation=self.accumulation,
        )


def parse(arguments: list[str], prog: str) -> Options:
    """Read the command line; the model's defaults are those of --preset or --config."""
    preset, config = value_of("--preset", arguments), value_of("--config", arguments)
    default = Options()
    if preset is not None and config is not None:
        raise UserError("--preset and --config both name a model; give one of them")
    if preset is not None:
        if preset not in PRESETS:
            raise UserError(f"preset {preset!r} is unknown; there are: {', '.join(PRESETS)}")
        default = Options(PRESETS[preset])
    if config is not None:
        from assignment1_basics.reference.train_config import TrainConfig

        run = configs.load(TrainConfig, config)
        accumulation = run.micro_batch < run.batch_size
        default = Options(run.model, batch_size=run.micro_batch, accumulation=accumulation)
    return parse_options(Options, __doc__, arguments, prog, default)


def run(options: Options) -> None:
    """Print the tables; draw the plot if one was asked for."""
    from rich.console import Console

    from assignment1_basics.reference.commands import account_report as report

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a file or a pager has no width of its own
    accelerator = ACCELERATORS[options.accelerator]
    console.print(report.headline(options.model, options.sequence))
    console.print(report.parts_table(options))
    console.print(report.memory_table(options, accelerator))
    console.print(report.time_table(options, accelerator))
    if options.formats:
        console.print(report.formats_table())
    if options.plot is not None:
        console.print(f"plot: {report.plot(options, options.plot)}")
