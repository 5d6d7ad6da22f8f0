"""Training throughput of our Transformer against compiled Llamas, in tokens per second and MFU.

    python -m benchmarks.training_step                     # on a GPU, about six minutes
    python -m benchmarks.training_step --dry-run           # tiny shapes, anywhere

Ours is `TrainStep`, the step that `course train` takes; with fused kernels it is `FusedTrainStep`
of assignment 2, its residual stream in float32, as autocast leaves it, or in bf16. The peers are a
plain Llama in PyTorch's own operations (`peers/plain_llama.py`) and Hugging Face's, both compiled
whole. All have the same sizes, batches, AdamW (fused, decay on the same matrices) and gradient
clipping. Under "autocast" the weights are fp32 and the products bf16; under "bf16" everything is
bf16, but for the fp32 master weights that the AdamW of the fused kernels keeps.

Competitors of one size take turns for several rounds in one process, so that a change of the GPU's
clock hits all of them; the median round counts. All are compiled first, in parallel processes that
fill PyTorch's compile cache.
"""

import argparse
import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
import torch._functorch.config
from torch import Tensor, nn

from assignment1_basics.reference.accounting.flops import training_flops_per_token
from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.data import TokenBatches
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.optimizer.weight_decay import weight_decay_groups
from assignment1_basics.reference.train_config import OptimizerConfig
from assignment1_basics.reference.train_step import TrainStep

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernels are imported

from assignment2_systems.reference.fused_train_step import FusedTrainStep
from benchmarks import common
from benchmarks.peers.plain_llama import PlainLlama, PlainLlamaConfig

PEAK_FLOPS = 989e12
"""Dense bf16 of the H100 and H200, from their datasheet."""
OPTIMIZER = OptimizerConfig(learning_rate=3e-4, fused=True)
GIB = 2**30

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Size:
    config: TransformerConfig
    batch_size: int
    steps: int
    rounds: int
    skip: tuple[str, ...] = ()


FUSED = "ours, fused kernels"
PLAIN, HUGGING_FACE = "plain Llama", "Hugging Face Llama"
HUGGING_FACE_DEFAULT = "Hugging Face Llama, default call"
SIZES = {
    "134M, 32 x 1024": Size(
        TransformerConfig(32_000, 1024, d_model=768, n_layers=12, n_heads=12, d_ff=2048),
        batch_size=32,
        steps=15,
        rounds=5,
    ),
    "1.26B, 8 x 2048": Size(
        TransformerConfig(32_000, 2048, d_model=2048, n_layers=22, n_heads=16, d_ff=5632),
        batch_size=8,
        steps=8,
        rounds=3,
        skip=(HUGGING_FACE_DEFAULT,),
    ),
}
DRY_RUN = {
    "tiny": Size(TransformerConfig(256, 32, d_model=64, n_layers=2, n_heads=2, d_ff=96), 2, 2, 2)
}


def make_ours(size: Size, device: str, bf16: bool) -> Step:
    with torch.device(device):
        model = Transformer(size.config)
    model.to(device, torch.bfloat16 if bf16 else torch.float32)
    step = TrainStep(model, OPTIMIZER, bf16=not bf16, compile=True)
    return lambda inputs, targets: step(inputs, targets, OPTIMIZER.learning_rate)[0]


def make_fused(size: Size, device: str, bf16: bool, residual: torch.dtype | None = None) -> Step:
    with torch.device(device):
        model = Transformer(size.config)
    model.to(device, torch.bfloat16 if bf16 else torch.float32)
    step = FusedTrainStep(model, OPTIMIZER, bf16=not bf16, compile=True, residual_dtype=residual)
    return lambda inputs, targets: step(inputs, targets, OPTIMIZER.learning_rate)[0]


def make_plain(size: Size, device: str, bf16: bool) -> Step:
    c = size.config
    shape = PlainLlamaConfig(
        c.vocab_size, c.d_model, c.n_layers, c.n_heads, c.ff_width, c.context_length
    )
    with torch.device(device):
        return peer_step(PlainLlama(shape), device, bf16)


class HuggingFaceLoss(nn.Module):
    """`tuned`: without the cache that it makes by default also in training, and with given targets
    instead of labels that it pads and shifts."""

    def __init__(self, config: TransformerConfig, tuned: bool):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        shape = LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.ff_width,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            max_position_embeddings=config.context_length,
            rms_norm_eps=config.rms_norm_eps,
            tie_word_embeddings=False,
            attn_implementation="sdpa",
        )
        self.llama = LlamaForCausalLM(shape)
        self.tuned = tuned

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if not self.tuned:
            return self.llama(input_ids=inputs, labels=inputs).loss
        targets = targets.contiguous()  # its loss takes a view of them
        return self.llama(
            input_ids=inputs, labels=targets, shift_labels=targets, use_cache=False
        ).loss


def make_hugging_face(size: Size, device: str, tuned: bool) -> Step:
    with torch.device(device):
        return peer_step(HuggingFaceLoss(size.config, tuned), device, bf16=False)


def peer_step(model: nn.Module, device: str, bf16: bool) -> Step:
    model.to(device, torch.bfloat16 if bf16 else torch.float32).train()
    groups = weight_decay_groups(model, OPTIMIZER.weight_decay)
    optimizer = torch.optim.AdamW(
        groups, lr=OPTIMIZER.learning_rate, betas=OPTIMIZER.betas, eps=OPTIMIZER.eps, fused=True
    )
    loss_of = torch.compile(model, dynamic=False)

    def step(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=not bf16):
            loss = loss_of(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


# In groups that are in memory together; the figures of a group are compared with each other.
COMPETITORS: dict[str, dict[str, Callable[[Size, str], Step]]] = {
    "autocast": {
        "ours": lambda size, device: make_ours(size, device, bf16=False),
        FUSED: lambda size, device: make_fused(size, device, bf16=False),
        f"{FUSED}, bf16 residual": lambda size, device: make_fused(
            size, device, bf16=False, residual=torch.bfloat16
        ),
        PLAIN: lambda size, device: make_plain(size, device, bf16=False),
        HUGGING_FACE: lambda size, device: make_hugging_face(size, device, tuned=True),
        HUGGING_FACE_DEFAULT: lambda size, device: make_hugging_face(size, device, tuned=False),
    },
    "bf16": {
        "ours": lambda size, device: make_ours(size, device, bf16=True),
        FUSED: lambda size, device: make_fused(size, device, bf16=True),
        PLAIN: lambda size, device: make_plain(size, device, bf16=True),
    },
}


def competitors_of(precision: str, size: Size) -> list[str]:
    return [competitor for competitor in COMPETITORS[precision] if competitor not in size.skip]


def batches_of(size: Size, device: str) -> TokenBatches:
    """Return batches of random tokens through the loader that `course train` uses."""
    config = size.config
    tokens = np.random.default_rng(0).integers(config.vocab_size, size=2_000_000, dtype=np.uint16)
    return TokenBatches(tokens, size.batch_size, config.context_length, seed=0, device=device)


def measure_group(name: str, precision: str, size: Size, device: str) -> list[common.Row]:
    """Return a row for each competitor of a group; they take turns."""
    batches, steps, peaks, first, last = batches_of(size, device), {}, {}, {}, {}
    torch._dynamo.reset()
    for competitor in competitors_of(precision, size):
        torch.manual_seed(0)
        began = time.perf_counter()
        before = torch.cuda.memory_allocated() if device == "cuda" else 0
        step = steps[competitor] = COMPETITORS[precision][competitor](size, device)
        first[competitor] = step(*batches[0]).item()
        for i in range(1, 4):
            step(*batches[i])
        peaks[competitor] = peak_of_step(step, batches, device) - before
        print(
            f"{time.perf_counter() - began:5.0f} s to start  {name}  {precision}  {competitor}",
            flush=True,
        )
    times: dict[str, list[float]] = {competitor: [] for competitor in steps}
    for turn in range(size.rounds):
        for competitor, step in steps.items():
            synchronize(device)
            began = time.perf_counter()
            for i in range(size.steps):
                loss = step(*batches[4 + turn * size.steps + i])
            last[competitor] = loss.item()  # waits for the GPU
            times[competitor].append((time.perf_counter() - began) / size.steps)
    tokens = size.batch_size * size.config.context_length
    flops = training_flops_per_token(size.config)
    rates = {competitor: tokens / median(times[competitor]) for competitor in steps}
    return [
        {
            "model": name,
            "precision": precision,
            "implementation": competitor,
            "tokens/s": round(rates[competitor]),
            "MFU": round(rates[competitor] * flops / PEAK_FLOPS, 4),
            "ms a step": round(median(times[competitor]) * 1e3, 2),
            "spread": round(max(times[competitor]) / min(times[competitor]) - 1, 4),
            "x plain": ratio(rates[competitor], rates[PLAIN]),
            "x HF": ratio(rates[competitor], rates.get(HUGGING_FACE)),
            "peak GiB": round(peaks[competitor] / GIB, 2),
            "first loss": round(first[competitor], 3),
            "last loss": round(last[competitor], 3),
        }
        for competitor in steps
    ]


def ratio(rate: float, other: float | None) -> float | str:
    return "" if other is None else round(rate / other, 3)


def peak_of_step(step: Step, batches: TokenBatches, device: str) -> int:
    if device != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats()
    step(*batches[0])
    return torch.cuda.max_memory_allocated()


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compile_in_parallel(sizes: dict[str, Size]) -> None:
    """Fill the compile cache: one process per competitor, without running a whole step."""
    began = time.perf_counter()
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_step", "--compile-only", size,
             precision, competitor], env=environment,
        )
        for size in sizes
        for precision in COMPETITORS
        for competitor in competitors_of(precision, sizes[size])
    ]  # fmt: skip
    failed = sum(process.wait() != 0 for process in processes)
    seconds = time.perf_counter() - began
    print(f"{seconds:5.0f} s to compile {len(processes)} competitors, {failed} failed", flush=True)


def compile_only(name: str, precision: str, competitor: str) -> None:
    """Compile one competitor; little memory is allowed, so the step itself ends at once."""
    torch.cuda.set_per_process_memory_fraction(0.05)
    size = SIZES[name]
    with contextlib.suppress(torch.OutOfMemoryError):
        COMPETITORS[precision][competitor](size, "cuda")(*batches_of(size, "cuda")[0])


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="tiny shapes, no peers' claims")
    parser.add_argument("--sizes", default="", help="only sizes that contain this")
    parser.add_argument("--compile-only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # The backward graph is compiled with the forward one, so that a cache holds both.
    torch._functorch.config.force_non_lazy_backward_lowering = True
    torch.set_float32_matmul_precision("high")
    if options.compile_only:
        compile_only(*options.compile_only)
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = DRY_RUN if options.dry_run else SIZES
    sizes = {name: size for name, size in sizes.items() if options.sizes in name}
    if not options.dry_run:
        compile_in_parallel(sizes)
    rows = []
    for name, size in sizes.items():
        for precision in COMPETITORS:
            rows += measure_group(name, precision, size, device)
            print(common.table(rows), flush=True)
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()
    counts = {name: sum(parameters_by_part(size.config).values()) for name, size in sizes.items()}
    notes = [
        "MFU counts causal attention as half: 6 x parameters without the input embedding + "
        "12 x layers x d_model x seq / 2, over 989 TFLOP/s.",
        "x plain, x HF: tokens/s over those of the plain and of the Hugging Face Llama in the same "
        "precision, taking turns in one process; spread: slowest round over fastest, less 1.",
        "Parameters: " + ", ".join(f"{name.split(',')[0]} {n:,}" for name, n in counts.items()),
    ]
    common.report(
        "training-step",
        "Training step, our Transformer against compiled Llamas",
        rows,
        "python -m benchmarks.training_step",
        notes,
        save=not (options.no_save or options.dry_run),
    )


if __name__ == "__main__":
    main()
