"""The demo's model and recipe, and how many steps of it fit into the time that is left.

With a fixed time on two cores the best model is small and sees much text. A greedy search over some
45 recipes on an NVIDIA H200, each for the steps that 140 s of two cores allow by a model of their
cost, gave in bits per byte of held-out prose (each series at its own point of the search): width
128 1.67, 192 1.73, 256 1.81; vocabulary 512 1.80, 1024 1.73, 2048 1.70, 4096 1.67; 2 to 4 layers
within 0.01, 6 layers +0.05; steps of 1024 tokens 1.77, of 4096 1.79; best of all a decay to zero
over the last half of the steps. The search saw the held-out text, so the score is a little kind.
"""

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from assignment1_basics.reference.data import TokenBatches
from assignment1_basics.reference.device import choose_device, prepare_host
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.tokenizer.token_file import open_token_file
from assignment1_basics.reference.train_config import (
    DataConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from assignment1_basics.reference.train_step import TrainStep

VOCAB_SIZE = 4096
TOKENS_PER_STEP = 1024
MIN_STEPS = 100
# Evaluations and checkpoints on the way, in units of the training steps' own time.
OVERHEAD = 0.08
_WARM_UP, _TIMED = 3, 8  # steps
_PATIENCE_S = 2.0  # a way that takes longer than this to measure is not the fastest

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")


def training_config(
    train: Path, valid: Path, tokenizer: Path, context_length: int, seed: int
) -> TrainConfig:
    """Return the demo's recipe; steps and precision are still to be set."""
    model = TransformerConfig(
        vocab_size=VOCAB_SIZE,
        context_length=context_length,
        d_model=128,
        n_layers=3,
        n_heads=2,
        tie_embeddings=True,
        # PyTorch's kernel for the CPU is slow backward in bfloat16: 1.2x the whole step.
        attention="plain",
    )
    return TrainConfig(
        data=DataConfig(train, valid, tokenizer),
        model=model,
        optimizer=OptimizerConfig(learning_rate=3e-3, betas=(0.8, 0.99), weight_decay=0.1),
        schedule=ScheduleConfig(kind="wsd", decay_share=0.5, min_ratio=0.0),
        batch_size=TOKENS_PER_STEP // context_length,
        seed=seed,
        device="cpu",
        wandb=False,
    )


def with_steps(config: TrainConfig, steps: int, precision: Precision) -> TrainConfig:
    """Set the number of steps, and evaluations and checkpoints to suit it."""
    return replace(
        config,
        steps=steps,
        precision=precision,
        schedule=replace(config.schedule, warmup_steps=max(1, steps // 15)),
        eval_interval=max(1, steps // 12),
        eval_batches=24,
        checkpoint_interval=max(50, steps // 6),
    )


@dataclass(frozen=True)
class Plan:
    """How to train: the recipe with its steps, on how many threads, and why, in a line."""

    config: TrainConfig
    threads: int
    why: str


def plan(config: TrainConfig, seconds: float, steps: int | None) -> Plan:
    """Choose the fastest way to take a step, and as many steps as fit into `seconds`.

    Measured, since it depends on the machine: processors with bfloat16 instructions (AVX512-BF16,
    AMX) are faster with it, others slower; and where cores are shared or rationed (containers),
    more threads than cores to run on are many times slower than one.

    Args:
        config: the recipe.
        seconds: time for training.
        steps: take so many instead.
    """
    most = torch.get_num_threads()
    times: dict[tuple[Precision, int], float] = {}
    for threads in (most, *(fewer for fewer in (1, 2, 4, 8) if fewer < most)):
        for precision in PRECISIONS:
            times[precision, threads] = step_seconds(config, precision, threads)
    precision, threads = min(times, key=lambda way: times[way])
    step_time = times[precision, threads]
    if steps is None:
        steps = max(MIN_STEPS, int(seconds / step_time / (1 + OVERHEAD)))
    measured = ", ".join(f"{way[0]} x{way[1]} {1000 * t:.0f} ms" for way, t in times.items())
    tokens = steps * config.tokens_per_step
    why = (
        f"a step takes (format x threads) {measured}\n"
        f"      so {steps:,} steps in {precision} on {threads} threads: "
        f"{tokens / 1e6:.2f}M tokens, "
        f"about {steps * step_time * (1 + OVERHEAD):.0f} s"
    )
    return Plan(with_steps(config, steps, precision), threads, why)


def step_seconds(config: TrainConfig, precision: Precision, threads: int) -> float:
    """Return the median seconds of a training step."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        device = choose_device(config.device)
        prepare_host(device)
        tokens = open_token_file(config.data.train).tokens
        batches = TokenBatches(tokens, config.batch_size, config.model.context_length, 0, device)
        model = Transformer(config.model, torch.Generator().manual_seed(0))
        step = TrainStep(model, config.optimizer, bf16=precision == "bf16")
        times = []
        for i in range(_WARM_UP + _TIMED):
            start = time.perf_counter()
            step(*batches[i], 1e-3)
            times.append(time.perf_counter() - start)
            if sum(times) > _PATIENCE_S:
                break
    finally:
        torch.set_num_threads(before)
    return statistics.median(times[_WARM_UP:] or times)
