"""Training runs that take a second: a text with structure, a model of 5,000 parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.tokenizer.token_file import write_token_file
from assignment1_basics.reference.train_config import (
    DataConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)

VOCAB = 40
HASH = "0123456789abcdef"
BYTES_PER_TOKEN = 3


def write_tokens(path: Path, n: int = 3000, seed: int = 0, tokenizer_hash: str = HASH) -> Path:
    """Write a token file in which the next token mostly follows from the one before."""
    generator = np.random.default_rng(seed)
    tokens = [0]
    for noise in generator.random(n - 1):
        tokens.append((3 * tokens[-1] + 1) % VOCAB if noise < 0.8 else int(noise * 1e6) % VOCAB)
    write_token_file(
        path,
        np.array(tokens),
        vocab_size=VOCAB,
        tokenizer_hash=tokenizer_hash,
        source_bytes=BYTES_PER_TOKEN * n,
    )
    return path


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """Write token files into `folder` and return the config of a run on them."""
    folder.mkdir(parents=True, exist_ok=True)
    train, valid = folder / "train.tok", folder / "valid.tok"
    if not train.exists():
        write_tokens(train)
        write_tokens(valid, 500, seed=1)
    config = TrainConfig(
        DataConfig(train, valid),
        TransformerConfig(context_length=8, d_model=16, n_layers=1, n_heads=2),
        OptimizerConfig(learning_rate=1e-2),
        ScheduleConfig(warmup_steps=3),
        steps=24,
        batch_size=4,
        eval_interval=10,
        eval_batches=2,
        checkpoint_interval=7,
        log_interval=4,
        device="cpu",
        wandb=False,
    )
    return replace(config, **changes)


def flags(config: TrainConfig) -> list[str]:
    """Return the command line that gives `config` (of the fields that `tiny_config` sets)."""
    values = {
        "data.train": config.data.train,
        "data.valid": config.data.valid,
        "model.context-length": config.model.context_length,
        "model.d-model": config.model.d_model,
        "model.n-layers": config.model.n_layers,
        "model.n-heads": config.model.n_heads,
        "optimizer.learning-rate": config.optimizer.learning_rate,
        "schedule.warmup-steps": config.schedule.warmup_steps,
        "steps": config.steps,
        "batch-size": config.batch_size,
        "eval-interval": config.eval_interval,
        "eval-batches": config.eval_batches,
        "checkpoint-interval": config.checkpoint_interval,
        "log-interval": config.log_interval,
        "device": config.device,
    }
    return [part for name, value in values.items() for part in (f"--{name}", str(value))] + [
        "--no-wandb"
    ]
