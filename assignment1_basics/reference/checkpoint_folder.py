"""The checkpoints of a run: the last few are kept, the newest good one is found again.

    checkpoints/step-00000400.pt
    checkpoints/step-00000500.pt

A checkpoint is renamed into place when it is complete, so a process killed at any moment leaves
only good ones, and perhaps the beginning of one more, which the next save deletes. What the disk or
a copy damages later is found by the checksum: the file is set aside as `damaged-...` and the one
before it takes its place.
"""

import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assignment1_basics.reference.checkpoint import (
    DamagedCheckpointError,
    read_verified,
    write_verified,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from course import config as configs
from course.errors import UserError

FOLDER = "checkpoints"


class CheckpointFolder:
    """`<run>/checkpoints`, of which the newest `keep` stay."""

    def __init__(self, run: Path, keep: int = 2):
        self.folder = run / FOLDER
        self.keep = keep

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, oldest first."""
        names = (re.fullmatch(r"step-(\d+)\.pt", path.name) for path in self.folder.glob("*.pt"))
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """Return where the checkpoint of `step` is."""
        return self.folder / f"step-{step:08}.pt"

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint; delete the oldest ones beyond `keep`."""
        for unfinished in self.folder.glob(".step-*.tmp"):  # of a killed process, gigabytes perhaps
            unfinished.unlink()
        path = self.path(step)
        try:
            write_verified(state, path)
        except UserError as error:
            kept = self.steps()
            before = f"the one of step {kept[-1]} is still good" if kept else "there is none before"
            raise UserError(f"{error}; {before}; free some space, then --resume") from None
        for old in self.steps()[: -self.keep]:
            self.path(old).unlink()
        return path

    def load_latest(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Return the newest good checkpoint, None if there is none at all.

        Each damaged one is set aside and reported through `say`. Raises a `UserError` if there are
        checkpoints and all of them are damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return read_verified(self.path(step))
            except DamagedCheckpointError:
                aside = self.folder / f"damaged-{self.path(step).name}"
                os.replace(self.path(step), aside)
                say(f"checkpoint of step {step} is damaged; set aside as {str(aside)!r}")
        if steps:
            raise UserError(
                f"every checkpoint in {str(self.folder)!r} is damaged; start again with --overwrite"
            )
        return None


def load_model(
    path: Path | str, device: torch.device | str = "cpu"
) -> tuple[Transformer, dict[str, Any]]:
    """Load a trained model from a checkpoint, or the newest one of a run's folder.

    Returns the model in evaluation mode and the rest of the checkpoint: `step`, `config` (that of
    the run, as a dict) and `tokenizer_hash`.
    """
    path = Path(path)
    if path.is_dir():
        steps = CheckpointFolder(path).steps()
        if not steps:
            raise UserError(f"run {str(path)!r} has no checkpoint yet")
        path = CheckpointFolder(path).path(steps[-1])
    state = read_verified(path)
    config = configs.from_dict(TransformerConfig, state["config"]["model"])
    model = Transformer.from_weights(config, state.pop("model")).to(device)
    state.pop("optimizer")
    return model.eval(), state


def seed_everything(seed: int) -> None:
    """Seed every global random generator."""
    torch.manual_seed(seed)  # all devices
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def random_states() -> dict[str, Any]:
    """Return the state of every global random generator as tensors and plain values."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": (version, internal, gauss),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).copy()), position, has_gauss, cached),
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Undo what has been drawn since `random_states`; a GPU that is not there now is left out."""
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy(), *rest))  # noqa: NPY002
