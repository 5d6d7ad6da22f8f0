"""Check the memory calculator (`course account`) against what a GPU really allocates.

    python -m benchmarks.memory_accounting             # on a GPU, one to two minutes
    python -m benchmarks.memory_accounting --explain   # also what is alive at each peak

Each row takes three training steps with `TrainStep`, the step of `course train`, and compares
`torch.cuda.max_memory_allocated` during the third with `accounting.memory.training_memory`. The
claim is that the two agree within 10%. Every shape runs in a process of its own, all at once:
PyTorch's allocator counts for its process alone.
"""

import argparse
import gc
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap

import torch
from torch.utils.checkpoint import checkpoint

from assignment1_basics.reference.accounting.activations import TrainingSetup
from assignment1_basics.reference.accounting.formats import PRECISIONS
from assignment1_basics.reference.accounting.memory import training_memory
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.train_config import OptimizerConfig
from assignment1_basics.reference.train_step import TrainStep
from benchmarks import common

MIB = 2**20
SHAPES = {  # name: (config, sequences)
    "6 x 512, 16 x 512 tokens": (
        TransformerConfig(10_000, 512, d_model=512, n_layers=6, n_heads=8),
        16,
    ),
    "12 x 768, 8 x 1024 tokens": (
        TransformerConfig(32_000, 1024, d_model=768, n_layers=12, n_heads=12, d_ff=2048),
        8,
    ),
    "2 x 512, 16 x 1024 tokens, vocabulary 50257": (
        TransformerConfig(50_257, 1024, d_model=512, n_layers=2, n_heads=8),
        16,
    ),
    "4 x 2048, 4 x 2048 tokens, 4 of 16 heads for keys": (
        TransformerConfig(8_000, 2048, d_model=2048, n_layers=4, n_heads=16, n_kv_heads=4),
        4,
    ),
}


@dataclass(frozen=True)
class Mode:
    precision: str
    compiled: bool
    checkpointing: bool
    attention: str = "sdpa"

    def __str__(self) -> str:
        words = [self.precision, "compiled" if self.compiled else "eager", self.attention]
        return ", ".join(words + ["checkpointed"] * self.checkpointing)


MODES = list(
    starmap(
        Mode,
        [
            ("fp32", False, False),
            ("fp32", False, True),
            ("fp32", False, False, "plain"),
            ("fp32", False, True, "plain"),
            ("bf16-mixed", False, False),
            ("bf16-mixed", False, True),
            ("bf16-mixed", True, False),
            ("bf16-mixed", True, True),
        ],
    )
)


def peak_bytes(
    config: TransformerConfig, setup: TrainingSetup
) -> tuple[int, list[tuple[int, int]]]:
    """Return the most bytes allocated during a step, and the blocks of the step alive then."""
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = Transformer(config).cuda()
    if setup.checkpointing:
        for layer in model.layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    step = TrainStep(model, OptimizerConfig(), bf16=setup.autocast, compile=setup.compiled)
    shape = (setup.batch_size, config.context_length)
    tokens = torch.randint(config.vocab_size, shape, device="cuda")
    for _ in range(2):
        step(tokens, tokens, 1e-4)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.memory._record_memory_history("all", context=None)
    step(tokens, tokens, 1e-4)
    torch.cuda.synchronize()
    trace = torch.cuda.memory._snapshot()["device_traces"][0]
    torch.cuda.memory._record_memory_history(None)
    return torch.cuda.max_memory_allocated() - before, alive_at_peak(trace)


def alive_at_peak(trace: list[dict]) -> list[tuple[int, int]]:
    """Return (bytes, how many) of the blocks that the step allocated and had at its peak."""
    alive: dict[int, int] = {}
    total, most, at_peak = 0, 0, {}
    for event in trace:
        if event["action"] == "alloc":
            alive[event["addr"]] = event["size"]
            total += event["size"]
        elif event["action"] == "free_completed":
            total -= alive.pop(event["addr"], 0)
        if total > most:
            most, at_peak = total, dict(alive)
    return sorted(Counter(at_peak.values()).items(), key=lambda item: -item[0] * item[1])


def measure_shape(name: str, explain: bool) -> list[common.Row]:
    config, batch_size = SHAPES[name]
    rows = []
    for mode in MODES:
        shaped = replace(config, attention=mode.attention)
        setup = TrainingSetup(
            batch_size=batch_size,
            precision=PRECISIONS[mode.precision],
            compiled=mode.compiled,
            checkpointing=mode.checkpointing,
        )
        measured, alive = peak_bytes(shaped, setup)
        memory = training_memory(shaped, setup)
        rows.append(
            {
                "model": name,
                "how": str(mode),
                "measured MiB": round(measured / MIB),
                "calculated MiB": round(memory.peak / MIB),
                "ratio": round(memory.peak / measured, 4),
                "peak at": max(memory.moments, key=lambda moment: memory.moments[moment]),
            }
        )
        if explain:
            largest = ", ".join(f"{count} x {size / MIB:.2f}" for size, count in alive[:16])
            print(f"{name}, {mode}: {largest} MiB", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--explain", action="store_true", help="list the blocks at each peak")
    parser.add_argument("--shape", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shape:
        print(json.dumps(measure_shape(options.shape, options.explain)))
        return
    command = [sys.executable, "-m", "benchmarks.memory_accounting"]
    command += ["--explain"] * options.explain
    processes = [
        subprocess.Popen([*command, "--shape", shape], stdout=subprocess.PIPE, text=True)
        for shape in SHAPES
    ]
    rows = []
    for process in processes:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        rows += json.loads(output.splitlines()[-1])
    worst = max(abs(row["ratio"] - 1) for row in rows)
    common.report(
        "memory-accounting",
        "Peak memory of a training step: measured on the GPU and calculated by `course account`",
        rows,
        "python -m benchmarks.memory_accounting",
        [f"The largest difference is {worst:.1%}; the claim is at most 10%."],
        save=not options.no_save,
    )


if __name__ == "__main__":
    main()
