"""Losses that stay on the GPU until somebody looks, then become checked rows and a rate.

Reading one number from a GPU makes the host wait until everything before it is done. So a step only
hands in its loss and gradient norm as tensors; `look` fetches those of many steps in one copy.
"""

import math
import time

import torch
from torch import Tensor

from course.errors import TrainingDivergedError


class TrainMetrics:
    """The steps since the last look.

    Args:
        tokens_per_step: for the rate.
        flops_per_token: forward and backward.
        peak_flops_per_second: of the device, for MFU; None leaves it out.
    """

    def __init__(
        self, tokens_per_step: int, flops_per_token: float, peak_flops_per_second: float | None
    ):
        self.tokens_per_step = tokens_per_step
        self.flops_per_token = flops_per_token
        self.peak_flops_per_second = peak_flops_per_second
        self.loss = math.nan
        self.tokens_per_second: float | None = None
        self._steps: list[tuple[int, float]] = []
        self._numbers: list[Tensor] = []
        self._began = time.perf_counter()
        self._warm = False

    def add(self, step: int, learning_rate: float, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take in one step without waiting for it."""
        self._steps.append((step, learning_rate))
        self._numbers.append(torch.stack((loss, gradient_norm)))

    def look(self) -> list[dict[str, float]]:
        """Return a row for every step since the last look; the last one has the rate.

        Raises `TrainingDivergedError` at the first loss or norm that is not finite.
        """
        if not self._steps:
            return []
        numbers = torch.stack(self._numbers).tolist()
        seconds = time.perf_counter() - self._began
        rows: list[dict[str, float]] = []
        for (step, rate), (loss, norm) in zip(self._steps, numbers, strict=True):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise TrainingDivergedError(
                    f"training diverged at step {step}: loss {loss:.4g}, gradient norm {norm:.4g}, "
                    f"learning rate {rate:.3g}"
                )
            rows.append({"step": step, "loss": loss, "learning_rate": rate, "gradient_norm": norm})
        self.loss = sum(row["loss"] for row in rows) / len(rows)
        if self._warm:  # the first look is at one step, which compiles and allocates
            self.tokens_per_second = len(rows) * self.tokens_per_step / seconds
            rows[-1]["tokens_per_second"] = round(self.tokens_per_second, 1)
            if self.mfu is not None:
                rows[-1]["mfu"] = round(self.mfu, 4)
        self._warm = True
        self._steps.clear()
        self._numbers.clear()
        self.restart_clock()
        return rows

    def restart_clock(self) -> None:
        """Leave out of the rate what came since the last look (an evaluation, a checkpoint)."""
        self._began = time.perf_counter()

    @property
    def mfu(self) -> float | None:
        """Share of the device's peak that the model's own FLOPs take."""
        if self.peak_flops_per_second is None or self.tokens_per_second is None:
            return None
        return self.flops_per_token * self.tokens_per_second / self.peak_flops_per_second
