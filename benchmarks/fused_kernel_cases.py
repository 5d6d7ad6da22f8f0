"""What `fused_kernels.py` times: each kernel at training sizes, beside what PyTorch does for it.

A case makes its tensors and returns functions without arguments. "forward" runs under no_grad;
"both" runs forward and backward from scratch. `traffic` counts what has to be read and written
once, whatever an implementation moves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from assignment2_systems.reference.kernels.adamw import FusedAdamW
from assignment2_systems.reference.kernels.cross_entropy import cross_entropy
from assignment2_systems.reference.kernels.grouped_matmul import grouped_matmul
from assignment2_systems.reference.kernels.linear_cross_entropy import linear_cross_entropy
from assignment2_systems.reference.kernels.rms_norm import add_rms_norm, rms_norm
from assignment2_systems.reference.kernels.rope import rope
from assignment2_systems.reference.kernels.softmax import softmax
from assignment2_systems.reference.kernels.swiglu import swiglu

BF16 = torch.bfloat16
Call = Callable[[], Any]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for a GPU; a dry run on a CPU would only wait for a C++ compiler."""
    backend = "inductor" if torch.cuda.is_available() else "eager"
    return torch.compile(function, dynamic=False, backend=backend)


@dataclass(frozen=True)
class Case:
    """One kernel and pass: `calls` maps an implementation to what is timed."""

    kernel: str
    """as in the tables of `kernels/launch.py`; it is what --tune varies"""
    what: str
    calls: dict[str, Call]
    traffic: int = 0
    """bytes"""
    flops: int = 0
    memory: bool = False
    """compare peaks of memory, too"""
    tuned: tuple[str, ...] = field(default=())
    """tables to vary instead of `kernel`"""


def draw(*shape: int, dtype: torch.dtype = BF16, device: str, grad: bool = True) -> Tensor:
    return torch.randn(shape, device=device).to(dtype).requires_grad_(grad)


def passes(
    kernel: str,
    what: str,
    functions: dict[str, Callable[..., Any]],
    inputs: list[Tensor],
    traffic: tuple[int, int],
) -> list[Case]:
    """Return a case for forward and one for both passes; "eager" is also timed compiled."""
    functions = functions | {"compiled": compiled(functions["eager"])}

    def forward(function: Callable[..., Any]) -> Call:
        def call() -> None:
            with torch.no_grad():
                function(*inputs)

        return call

    leaves = [x for x in inputs if x.requires_grad]

    def both(function: Callable[..., Any]) -> Call:
        outputs = function(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        upstream = [torch.randn_like(output) for output in outputs]

        def call() -> None:
            outputs = function(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            torch.autograd.grad(outputs, leaves, upstream)

        return call

    return [
        Case(
            f"{kernel} forward" if kernel == "rms_norm" else kernel,
            f"{what}, forward",
            {name: forward(function) for name, function in functions.items()},
            traffic[0],
        ),
        Case(
            f"{kernel} backward" if kernel == "rms_norm" else kernel,
            f"{what}, forward + backward",
            {name: both(function) for name, function in functions.items()},
            sum(traffic),
        ),
    ]


def norms(device: str, quick: bool) -> list[Case]:
    rows, width = (64, 64) if quick else (8192, 4096)
    x, gain = draw(rows, width, device=device), draw(width, dtype=torch.float32, device=device)
    short_gain = gain.detach().to(BF16).requires_grad_()
    cases = passes(
        "rms_norm",
        f"RMSNorm {rows} x {width} bf16",
        {"ours": rms_norm, "eager": lambda x, g: F.rms_norm(x, g.shape, g, 1e-5)},
        [x, short_gain],
        (4 * x.numel(), 6 * x.numel()),
    )
    rows, width = (64, 64) if quick else (32 * 1024, 768)
    for dtype, moved in ((torch.float32, (12, 16)), (BF16, (8, 8))):
        residual = draw(rows, width, dtype=dtype, device=device)
        update, gain = draw(rows, width, device=device), draw(width, dtype=dtype, device=device)

        def eager(r: Tensor, u: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
            total = r + u
            return F.rms_norm(total, g.shape, g, 1e-5).to(BF16), total

        cases += passes(
            "rms_norm",
            f"residual {str(dtype)[6:]} + RMSNorm {rows} x {width}",
            {"ours": lambda r, u, g: add_rms_norm(r, u, g, dtype=BF16), "eager": eager},
            [residual, update, gain],
            (moved[0] * update.numel(), moved[1] * update.numel()),
        )
    return cases


def pointwise(device: str, quick: bool) -> list[Case]:
    rows, width = (64, 64) if quick else (32 * 1024, 2048)
    gate, up = draw(rows, width, device=device), draw(rows, width, device=device)
    cases = passes(
        "swiglu",
        f"SwiGLU {rows} x {width} bf16",
        {"ours": swiglu, "eager": lambda gate, up: F.silu(gate) * up},
        [gate, up],
        (6 * gate.numel(), 10 * gate.numel()),
    )
    batch, seq, heads, d_head = (2, 8, 2, 16) if quick else (32, 1024, 12, 64)
    q, k = (draw(batch, seq, heads, d_head, device=device) for _ in range(2))
    angles = torch.rand(seq, d_head // 2, device=device)
    cos, sin = angles.cos(), angles.sin()

    def rotate(x: Tensor) -> Tensor:
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        c, s = cos[:, None], sin[:, None]
        pairs = torch.stack((even * c - odd * s, even * s + odd * c), dim=-1)
        return pairs.flatten(-2).to(x.dtype)

    cases += passes(
        "rope",
        f"RoPE on q and k, {batch} x {seq} x {heads} x {d_head} bf16",
        {"ours": lambda q, k: rope(q, k, cos, sin), "eager": lambda q, k: (rotate(q), rotate(k))},
        [q, k],
        (8 * q.numel(), 8 * q.numel()),
    )
    rows, width = (64, 64) if quick else (32 * 1024, 4096)
    x = draw(rows, width, device=device)
    return cases + passes(
        "softmax",
        f"softmax {rows} x {width} bf16",
        {"ours": softmax, "eager": lambda x: torch.softmax(x, -1)},
        [x],
        (4 * x.numel(), 6 * x.numel()),
    )


def losses(device: str, quick: bool) -> list[Case]:
    cases = []
    for rows, vocab in ((32, 101),) if quick else ((8192, 50_257), (8192, 32_000)):
        leaf = draw(rows, vocab, device=device)
        targets = torch.randint(vocab, (rows,), device=device)
        scratch = leaf * 1  # what a product would return: it may be overwritten

        def peer(x: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy(x.float(), targets)

        def call(function: Callable[..., Tensor], x: Tensor, targets: Tensor = targets) -> Call:
            return lambda: torch.autograd.grad(function(x, targets), [x])

        cases.append(
            Case(
                "cross_entropy",
                f"cross-entropy {rows} x {vocab} bf16, forward + backward",
                {
                    "ours": call(lambda x, t: cross_entropy(x, t, in_place=True), scratch),
                    "ours, out of place": call(cross_entropy, leaf),
                    "ours, in a compiled graph": call(compiled(cross_entropy), leaf),
                    "eager": call(peer, leaf),
                    "compiled": call(compiled(peer), leaf),
                },
                4 * leaf.numel(),
                memory=True,
            )
        )
    return cases


def heads(device: str, quick: bool) -> list[Case]:
    sizes = [(8192, 768, 50_257), (32_768, 768, 32_000), (16_384, 2048, 32_000)]
    sizes = [(32, 16, 101)] if quick else [*sizes, (8192, 768, 200_000)]
    cases = []
    for rows, width, vocab in sizes:
        x = draw(rows, width, device=device)
        weight = draw(vocab, width, dtype=torch.float32, device=device)
        targets = torch.randint(vocab, (rows,), device=device)

        def peer(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
            return F.cross_entropy((x @ weight.to(x.dtype).mT).float(), targets)

        def call(
            function: Callable[..., Tensor],
            x: Tensor = x,
            weight: Tensor = weight,
            targets: Tensor = targets,
        ) -> Call:
            return lambda: torch.autograd.grad(function(x, weight, targets), [x, weight])

        cases.append(
            Case(
                "linear_cross_entropy",
                f"head and loss, {rows} x {width}, vocabulary {vocab}, forward + backward",
                {
                    "ours": call(linear_cross_entropy),
                    "eager": call(peer),
                    "compiled": call(compiled(peer)),
                },
                flops=6 * rows * width * vocab,
                memory=True,
            )
        )
    return cases


def optimizers(device: str, quick: bool) -> list[Case]:
    count, elements = (3, 1000) if quick else (128, 4_194_304)  # 537M, as in a model of many layers

    def parameters(dtype: torch.dtype = torch.float32) -> list[Tensor]:
        result = [draw(elements, dtype=dtype, device=device) for _ in range(count)]
        for parameter in result:
            parameter.grad = torch.randn_like(parameter)
        return result

    same = parameters()
    peers = {
        "ours": FusedAdamW(same),
        "eager": torch.optim.AdamW(same, foreach=True),
        "fused": torch.optim.AdamW(same, fused=True),
    }
    short = FusedAdamW(parameters(BF16))
    half = FusedAdamW(parameters(BF16), moment_dtype=BF16)
    about = f"{count * elements:,} parameters"
    return [
        Case(
            "adamw",
            f"AdamW, {about} fp32",
            {name: optimizer.step for name, optimizer in peers.items()},
            28 * count * elements,
        ),
        Case(
            "adamw",
            f"AdamW, {about} bf16, fp32 masters",
            {"ours": short.step},
            28 * count * elements,
        ),
        Case(
            "adamw",
            f"AdamW, {about} bf16, fp32 masters, bf16 moments",
            {"ours": half.step},
            20 * count * elements,
        ),
    ]


def experts(device: str, quick: bool) -> list[Case]:
    cases = []
    sizes = [(8, 4096, 2048, 4096), (64, 512, 2048, 1408), (128, 32, 2048, 768)]
    sizes = [(3, 5, 32, 48)] if quick else [*sizes, (256, 4, 2048, 768)]
    for groups, rows, d_in, d_out in sizes:
        # Sizes vary by half around the mean; the loop gets them for nothing, as a list.
        noise = torch.rand(groups, generator=torch.Generator().manual_seed(0)) + 0.5
        counts = (noise / noise.mean() * rows).round().clamp(min=1).long()
        x, weights = (
            draw(int(counts.sum()), d_in, device=device),
            draw(groups, d_out, d_in, device=device),
        )
        on_device, listed = counts.to(device), counts.tolist()

        def loop(x: Tensor, weights: Tensor, listed: list[int] = listed) -> Tensor:
            parts = zip(x.split(listed), weights, strict=True)
            return torch.cat([part @ weight.mT for part, weight in parts])

        def ours(x: Tensor, weights: Tensor, sizes: Tensor = on_device) -> Tensor:
            return grouped_matmul(x, weights, sizes)

        flops = 2 * x.shape[0] * d_in * d_out
        size = "small" if rows < 96 else "large"
        for case in passes(
            f"grouped_matmul {size}",
            f"{groups} experts {d_in} to {d_out}, {rows} rows each",
            {"ours": ours, "eager": loop},
            [x, weights],
            (0, 0),
        ):
            both = "backward" in case.what
            tables = (case.kernel, "grouped_matmul weights") if both else (case.kernel,)
            calls = {name: call for name, call in case.calls.items() if name != "compiled"}
            cases.append(
                Case(case.kernel, case.what, calls, flops=flops * (3 if both else 1), tuned=tables)
            )
    return cases


GROUPS: dict[str, Callable[[str, bool], list[Case]]] = {
    "norms": norms,
    "pointwise": pointwise,
    "losses": losses,
    "heads": heads,
    "optimizers": optimizers,
    "experts": experts,
}
