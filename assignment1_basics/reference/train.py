"""The training loop: batches in, a run folder out, and no way to lose more than one interval.

A step is a function of the weights, the optimizer's state, the seed and the step's number, so a
checkpoint of these continues bit for bit on the CPU (with as many threads as before), whenever the
process was killed. Ctrl-C and SIGTERM finish the step and save; a loss or gradient norm that is not
finite stops the run before anything is saved.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from assignment1_basics.reference.accounting.flops import training_flops_per_token
from assignment1_basics.reference.checkpoint_folder import (
    CheckpointFolder,
    random_states,
    seed_everything,
    set_random_states,
)
from assignment1_basics.reference.data import TokenBatches, require_window
from assignment1_basics.reference.device import choose_device, peak_flops_per_second, prepare_host
from assignment1_basics.reference.evaluation import Evaluation, evaluate
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.train_config import TrainConfig, require_same_trajectory
from assignment1_basics.reference.train_data import TrainData
from assignment1_basics.reference.train_metrics import TrainMetrics
from assignment1_basics.reference.train_step import TrainStep
from course import config as configs
from course import plots
from course.errors import TrainingDivergedError, UserError
from course.progress import Progress, amount
from course.runs import RunLog, column, read_metrics
from course.stop import StopRequest

PLOT_INTERVAL_S = 60.0
LAST_STEPS = 20


@dataclass(frozen=True)
class TrainResult:
    """What a finished run reached; `valid_loss` and `bits_per_byte` need held-out data."""

    folder: Path
    model: Transformer
    train_loss: float
    """mean over the last 20 steps"""
    tokens_per_second: float | None
    valid_loss: float | None
    """nats per token of the whole held-out text"""
    bits_per_byte: float | None


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    on_evaluation: Callable[[Transformer, int], None] | None = None,
) -> TrainResult:
    """Train a model as `config` says, in the run folder `folder` (see `course.runs.open_run`).

    Args:
        config: the run; its vocabulary is fitted to the token file.
        folder: gets config.yaml, metrics.jsonl, loss.png and checkpoints/.
        resume: continue from the newest good checkpoint; without one, begin.
        on_evaluation: called with the model and the step after every evaluation (samples, say).

    Raises:
        UserError: the input is wrong, or the disk is full.
        TrainingDivergedError: the loss or the gradient norm is not finite.
        PreemptedError: SIGTERM came; everything is saved.
        KeyboardInterrupt: Ctrl-C came; everything is saved.
    """
    return _Training(config, folder, resume, on_evaluation).run()


def open_data(config: TrainConfig) -> tuple[TrainConfig, TrainData]:
    """Open the token files of a run; return its config, with their vocabulary, and the data.

    Touches nothing else, so that wrong input can be found before an old run is deleted.

    Raises:
        UserError: a file is missing or damaged, of another tokenizer, or shorter than a window.
    """
    data = TrainData(config.data)
    config = config.with_vocabulary(data.train.vocab_size)
    require_window(data.train.tokens, config.model.context_length, "the data")
    if data.valid is not None:
        require_window(data.valid.tokens, config.model.context_length, "the held-out text")
    return config, data


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Training:
    """A run between two steps."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        resume: bool,
        on_evaluation: Callable[[Transformer, int], None] | None,
    ):
        self.folder, self.on_evaluation = folder, on_evaluation
        self.config, self.data = open_data(config)
        config = self.config
        self.device = choose_device(config.device)
        self.batches = TokenBatches(
            self.data.train.tokens,
            config.batch_size,
            config.model.context_length,
            config.seed,
            self.device,
        )
        self.checkpoints = CheckpointFolder(folder, config.keep_checkpoints)
        state = self.checkpoints.load_latest(_warn) if resume else None
        if state is not None:
            self._require_continuation(state)

        prepare_host(self.device)
        on_gpu = self.device.type == "cuda"
        bf16 = on_gpu if config.precision == "auto" else config.precision == "bf16"
        seed_everything(config.seed)
        generator = torch.Generator().manual_seed(config.seed)
        self.model = Transformer(config.model, generator).to(self.device)
        self.train_step = TrainStep(
            self.model,
            config.optimizer,
            micro_batch_size=config.micro_batch_size,
            bf16=bf16,
            compile=on_gpu if config.compile is None else config.compile,
        )
        self.metrics = TrainMetrics(
            config.tokens_per_step,
            training_flops_per_token(config.model),
            peak_flops_per_second(self.device, bf16),
        )
        self.step = self.evaluated_at = 0
        self.final: Evaluation | None = None
        if state is not None:
            self._restore(state)
        self.saved = (self.step, self.evaluated_at)
        self.plotted_at = time.monotonic()
        self.start = self.step
        self.resume = resume

    def run(self) -> TrainResult:
        """Train to the last step, evaluate, plot."""
        config = self.config
        with (
            StopRequest() as stop,
            RunLog(
                self.folder, config, self.start if self.resume else None, wandb=config.wandb
            ) as log,
            Progress("training", config.steps, start=self.step) as bar,
        ):
            self.stop, self.log, self.bar = stop, log, bar
            self.data.copy_tokenizer(self.folder)
            bar.print(self._headline())
            self.metrics.restart_clock()
            while True:
                if self._evaluation_due():
                    self._evaluate()
                if stop.requested:
                    self._save()
                    stop.end(f"saved at step {self.step}; to continue: {self._resume_command()}")
                if self.step % config.checkpoint_interval == 0 or self.step == config.steps:
                    self._save()
                if self.step == config.steps:
                    break
                self._take_step()
        return self._result()

    def _take_step(self) -> None:
        inputs, targets = self.batches[self.step]
        learning_rate = self.config.learning_rate(self.step + 1)
        loss, norm = self.train_step(inputs, targets, learning_rate)
        self.step += 1
        self.metrics.add(self.step, learning_rate, loss, norm)
        self.bar.update(1)
        if self.step == self.start + 1 or self.step % self.config.log_interval == 0:
            self._look()

    def _look(self) -> None:
        """Wait for the steps since the last look, check them, log them, show them."""
        try:
            rows = self.metrics.look()
        except TrainingDivergedError as error:
            steps = self.checkpoints.steps()
            kept = f"the checkpoint of step {steps[-1]} is kept" if steps else "nothing was saved"
            raise TrainingDivergedError(
                f"{error}; {kept}; a lower --optimizer.learning-rate or a longer "
                "--schedule.warmup-steps may help"
            ) from None
        if rows:
            self.log.log_many(rows)
            shown: dict[str, object] = {"loss": self.metrics.loss}
            if self.metrics.tokens_per_second is not None:
                shown["tok/s"] = amount(self.metrics.tokens_per_second)
            if self.metrics.mfu is not None:
                shown["MFU"] = f"{self.metrics.mfu:.1%}"
            self.bar.update(0, **shown)

    def _evaluation_due(self) -> bool:
        """Tell whether to evaluate: every so many steps and at the end, once."""
        if self.data.valid is None or self.step == self.evaluated_at:
            return False
        return self.step % self.config.eval_interval == 0 or self.step == self.config.steps

    def _evaluate(self) -> None:
        """Log the held-out loss of the first batches; at the end also that of the whole text."""
        self._look()
        part = self._held_out_loss(self.config.eval_batches)
        final = None
        if self.step == self.config.steps:
            final = part if part.whole else self._held_out_loss(0)
        if self.stop.requested:
            return  # half an evaluation is none: the resumed run does it again
        row: dict[str, float] = {"step": self.step, "valid_loss": part.loss}
        if final is not None:
            self.final = final
            row["final_valid_loss"] = final.loss
            if (bits := self._bits_per_byte()) is not None:
                row["bits_per_byte"] = bits
        if not self._evaluation_is_logged():
            self.log.log_many([row])
        self.bar.update(0, valid=part.loss)
        self.evaluated_at = self.step
        if self.on_evaluation is not None:
            self.on_evaluation(self.model, self.step)
        self.metrics.restart_clock()

    def _evaluation_is_logged(self) -> bool:
        """Tell whether a process that was killed before it saved has logged this evaluation."""
        if self.step != self.start:
            return False
        rows = read_metrics(self.folder)
        return any(row["step"] == self.step and "valid_loss" in row for row in rows)

    def _held_out_loss(self, max_batches: int) -> Evaluation:
        assert self.data.valid is not None
        return evaluate(
            self.train_step.token_losses,
            self.data.valid.tokens,
            self.config.micro_batch,
            self.config.model.context_length,
            self.device,
            max_batches=max_batches,
            should_stop=lambda: self.stop.requested is not None,
        )

    def _bits_per_byte(self) -> float | None:
        if self.final is None or not self.final.whole or self.data.valid is None:
            return None
        num_bytes = self.data.valid.source_bytes
        if num_bytes is None:
            return None
        return self.final.bits_per_byte(num_bytes, self.config.model.vocab_size)

    def _save(self) -> None:
        if self.saved == (self.step, self.evaluated_at):
            return
        self._look()  # nothing is saved that has not been found finite
        state = {
            "step": self.step,
            "evaluated_at": self.evaluated_at,
            "final": None if self.final is None else asdict(self.final),
            "model": self.model.state_dict(),
            "optimizer": self.train_step.optimizer.state_dict(),
            "random": random_states(),
            "config": configs.to_dict(self.config),
            "tokenizer_hash": self.data.train.tokenizer_hash,
            "num_train_tokens": len(self.data.train.tokens),
        }
        self.checkpoints.save(self.step, state)
        self.saved = (self.step, self.evaluated_at)
        ends = self.step == self.config.steps or self.stop.requested
        if ends or time.monotonic() - self.plotted_at > PLOT_INTERVAL_S:
            self._plot()
            self.plotted_at = time.monotonic()
        self.metrics.restart_clock()

    def _require_continuation(self, state: dict[str, Any]) -> None:
        """Raise a `UserError` if this config or data is not that of the checkpoint."""
        before = configs.from_dict(TrainConfig, state["config"])
        require_same_trajectory(before, self.config, state["step"])
        if state["step"] > self.config.steps:
            raise UserError(
                f"steps is {self.config.steps}, but the run has done {state['step']} already"
            )
        found = (self.data.train.tokenizer_hash, len(self.data.train.tokens))
        if found != (state["tokenizer_hash"], state["num_train_tokens"]):
            raise UserError(
                f"data.train {str(self.config.data.train)!r} has changed since the checkpoint: "
                f"{found[1]} tokens of tokenizer {found[0]}, it was {state['num_train_tokens']} of "
                f"{state['tokenizer_hash']}"
            )

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.train_step.optimizer.load_state_dict(state["optimizer"])
        set_random_states(state["random"])
        self.step = state["step"]
        self.evaluated_at = state["evaluated_at"]
        self.final = None if state["final"] is None else Evaluation(**state["final"])

    def _headline(self) -> str:
        parameters = sum(p.numel() for p in self.train_step.parameters)
        precision = "bf16" if self.train_step.bf16 else "fp32"
        compiled = ", compiled (the first step takes a minute)" if self.train_step.compiled else ""
        resumed = f", from step {self.start}" if self.start else ""
        return (
            f"{self.folder}: {amount(parameters)} parameters, "
            f"{amount(self.config.tokens_per_step)} tokens a step, {self.device} {precision}"
            f"{compiled}{resumed}"
        )

    def _resume_command(self) -> str:
        runs = "" if self.folder.parent == Path("runs") else f" --runs {self.folder.parent}"
        return f"course train --name {self.folder.name}{runs} --resume"

    def _plot(self) -> None:
        rows = read_metrics(self.folder)
        curves = {"training": column(rows, "loss"), "held-out": column(rows, "valid_loss")}
        plots.plot_curves(
            self.folder / "loss.png",
            {label: plots.thinned(curve) for label, curve in curves.items() if curve[0]},
            "step",
            "loss (nats per token)",
            self.folder.name,
        )

    def _result(self) -> TrainResult:
        losses = column(read_metrics(self.folder), "loss")[1][-LAST_STEPS:]
        return TrainResult(
            self.folder,
            self.model,
            statistics.fmean(losses or [math.nan]),  # a run of which only checkpoints were copied
            self.metrics.tokens_per_second,
            None if self.final is None else self.final.loss,
            self._bits_per_byte(),
        )
