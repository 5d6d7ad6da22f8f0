"""Train a Transformer language model on a token file.

  course train --data.train train.tok --data.valid valid.tok --data.tokenizer tokenizer.json \\
               --name tiny --model.d-model 256 --model.n-heads 8 --steps 2000
  course train --name tiny --resume                  # after Ctrl-C, a crash, a preemption
  course train --config runs/tiny/config.yaml --name tiny-hot --optimizer.learning-rate 3e-3

Writes runs/NAME/: config.yaml, metrics.jsonl, loss.png, checkpoints/. The last line on stdout says
what the model reached. The vocabulary is that of the token file, unless a larger one is given.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import tyro

from assignment1_basics.reference.train_config import TrainConfig
from course import config as configs
from course.cli import parse_options, value_of
from course.errors import UserError
from course.launcher import Launch, launch
from course.runs import CONFIG, open_run


@dataclass(frozen=True)
class Options:
    """What to train, where its results go, where it runs."""

    training: Annotated[TrainConfig, tyro.conf.arg(name="")]
    name: str | None = None
    """the run's folder below --runs; None: the date and time"""
    runs: Path = Path("runs")
    """where the folders of runs are"""
    config: Path | None = None
    """a config.yaml to start from; options on the command line override it"""
    resume: bool = False
    """continue the run NAME with the config it has; start it if there is none yet"""
    overwrite: bool = False
    """delete the run NAME if there is one"""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(default_factory=Launch)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs / (self.name or "")


def parse(arguments: list[str], prog: str) -> Options:
    """Read the command line; its defaults are those of --config, or of the run to resume."""
    start = _starting_config(arguments)
    default = None if start is None else Options(start)
    return parse_options(Options, __doc__, arguments, prog, default)


def run(options: Options) -> None:
    """Train here or in a Slurm job; print what was reached."""
    if options.name is None:
        options = replace(options, name=f"{datetime.now():%Y-%m-%d-%H%M%S}")
    launch(options.launch, train_run, options, name=f"train-{options.name}")


def train_run(options: Options) -> None:
    """Open the run's folder and train in it."""
    from assignment1_basics.reference.device import choose_device, is_out_of_memory
    from assignment1_basics.reference.train import open_data, train

    if options.overwrite:  # wrong input must not cost the old run
        open_data(options.training)
        choose_device(options.training.device)
    folder = open_run(options.folder, resume=options.resume, overwrite=options.overwrite)
    try:
        result = train(options.training, folder, resume=options.resume)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            "there is not enough memory for this run; a smaller --micro-batch-size takes the same "
            "steps in less, and `course account` says how much a model needs"
        ) from error
    finally:
        with suppress(OSError):  # leave nothing behind where nothing began
            folder.rmdir()
    reached = [f"training loss {result.train_loss:.4f}"]
    if result.valid_loss is not None:
        reached.append(f"held-out loss {result.valid_loss:.4f}")
    if result.bits_per_byte is not None:
        reached.append(f"{result.bits_per_byte:.4f} bits per byte")
    print(f"{folder}: " + ", ".join(reached))


def _starting_config(arguments: list[str]) -> TrainConfig | None:
    """Find --config, or --resume with --name, before the options proper are read."""
    config = value_of("--config", arguments)
    if config is not None:
        return configs.load(TrainConfig, config)
    name = value_of("--name", arguments)
    if "--resume" in arguments:
        if name is None:
            raise UserError("--resume needs the --name of the run")
        folder = Path(value_of("--runs", arguments) or "runs") / name
        if (folder / CONFIG).exists():
            return configs.load(TrainConfig, folder / CONFIG)
        if value_of("--data.train", arguments) is None:
            raise UserError(f"there is no run {str(folder)!r} to resume")
    return None
