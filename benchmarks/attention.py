"""FlashAttention in Triton against PyTorch's flash, cuDNN and FlexAttention backends, in TFLOP/s.

    python -m benchmarks.attention           # on a GPU; two minutes planned
    python -m benchmarks.attention --tune    # all candidate configs instead; four minutes planned
    python -m benchmarks.attention --quick   # one short shape; without a GPU in the interpreter

Causal, bf16, 32k tokens, so many sequences that their lengths make that. FLOPs are counted as
4 batch heads seq^2 d_head / 2 forward and 3.5 times that forward and backward, whatever a kernel
really does (ours computes the scores once more, in its second backward pass). All take turns for
several rounds in one process; the median round counts. Outputs are compared, too: a fast wrong
kernel is not a peer.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are defined

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from assignment2_systems.reference.flash_attention.operator import flash_attention
from benchmarks import attention_tuning, common

TOKENS = 32_768
SHAPES = [(d, heads, seq) for d, heads in ((64, 32), (128, 16)) for seq in (1024, 4096, 16_384)]
ROUNDS = 5
TRAINING_FACTOR = 3.5
OURS, FLASH, CUDNN, FLEX, PLAIN = "ours", "flash", "cuDNN", "FlexAttention", "PyTorch"
CLOSE = 0.03
"""Largest difference of two bf16 outputs; values are means of normal numbers."""

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def batch_of(seq: int) -> int:
    return TOKENS // seq


def sdpa(backend: SDPBackend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def flex(seq: int) -> Attend:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def causal(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query >= key

    mask = create_block_mask(causal, None, None, seq, seq, device="cuda")
    return partial(torch.compile(flex_attention, dynamic=False), block_mask=mask)


def competitors(seq: int, gpu: bool) -> dict[str, Attend]:
    if not gpu:
        return {OURS: flash_attention, PLAIN: partial(sdpa, SDPBackend.MATH)}
    return {
        OURS: flash_attention,
        FLASH: partial(sdpa, SDPBackend.FLASH_ATTENTION),
        CUDNN: partial(sdpa, SDPBackend.CUDNN_ATTENTION),
        FLEX: flex(seq),
    }


def tflops(batch: int, heads: int, seq: int, d_head: int, milliseconds: float) -> float:
    return 4 * batch * heads * seq**2 * d_head / 2 / milliseconds / 1e9


def milliseconds(function: Callable[[], object], gpu: bool) -> float:
    return attention_tuning.bench(function) if gpu else 1e3 * common.seconds(function)


def measure(
    d_head: int, heads: int, seq: int, batch: int, rounds: int, gpu: bool
) -> Iterator[common.Row]:
    device, dtype = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    q, k, v = (
        torch.randn(batch, heads, seq, d_head, device=device, dtype=dtype, requires_grad=True)
        for _ in range(3)
    )
    grad = torch.randn_like(q)
    attends = competitors(seq, gpu)
    began = time.perf_counter()
    expected = attends[FLASH if gpu else PLAIN](q, k, v)
    for name, attend in attends.items():
        first = time.perf_counter()
        output = attend(q, k, v)
        torch.autograd.grad(output, (q, k, v), grad)
        if gpu:
            torch.cuda.synchronize()
        difference = float((output - expected).detach().abs().max())
        print(f"{name}: first call {time.perf_counter() - first:.1f} s, off by {difference:.4f}")
        if not difference <= CLOSE:
            raise SystemExit(f"{name} is off by {difference} at d_head {d_head}, sequence {seq}")

    def forward(attend: Attend) -> None:
        with torch.no_grad():
            attend(q, k, v)

    def training(attend: Attend) -> None:
        torch.autograd.grad(attend(q, k, v), (q, k, v), grad)

    for what, run, factor in (
        ("forward", forward, 1.0),
        ("forward + backward", training, TRAINING_FACTOR),
    ):
        taken: dict[str, list[float]] = {name: [] for name in attends}
        for _ in range(rounds):
            for name, attend in attends.items():
                taken[name].append(milliseconds(partial(run, attend), gpu))
        speed = {
            name: factor * tflops(batch, heads, seq, d_head, median(times))
            for name, times in taken.items()
        }
        row: common.Row = {"d_head": d_head, "heads": heads, "seq": seq, "pass": what} | speed
        for name in list(attends)[1:]:
            row[f"/ {name}"] = speed[OURS] / speed[name]
        yield row
    print(f"d_head {d_head}, sequence {seq}: {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--tune", action="store_true", help="time all candidate configs instead")
    parser.add_argument("--quick", action="store_true", help="one short shape, one round")
    arguments: argparse.Namespace = parser.parse_args()
    gpu = torch.cuda.is_available()
    if not gpu and not arguments.quick:
        raise SystemExit("no GPU: only --quick runs here")
    shapes = SHAPES[:1] if arguments.quick else SHAPES
    if arguments.tune and gpu:
        rows = attention_tuning.tune(shapes, batch_of)
        common.report(
            "attention_tuning",
            "Best configs of the attention kernels, milliseconds",
            rows,
            "python -m benchmarks.attention --tune",
            save=not (arguments.no_save or arguments.quick),
        )
        return
    rows = []
    for d_head, heads, seq in shapes:
        batch, rounds = (batch_of(seq), 1 if arguments.quick else ROUNDS)
        if not gpu:
            d_head, heads, seq, batch = 16, 2, 48, 1
        rows += list(measure(d_head, heads, seq, batch, rounds, gpu))
    common.report(
        "attention",
        "Causal attention, bf16, 32k tokens: TFLOP/s, and ours as a multiple of each peer",
        rows,
        "python -m benchmarks.attention",
        notes=["FLOPs: 4 batch heads seq^2 d_head / 2 forward, 3.5 times that with backward."],
        save=not (arguments.no_save or arguments.quick),
    )


if __name__ == "__main__":
    main()
