"""Number formats measured: long sums, products, training steps, and what autocast keeps in float32.

    python -m benchmarks.mixed_precision            # on a GPU, about four minutes
    python -m benchmarks.mixed_precision --quick    # tiny shapes, anywhere

Four tables: sums of 0.01 by format; products by format, rate and error against float64; the
training step by precision, eager and compiled, with its peak beside that of `course account`; and
the formats at each kind of module of our Transformer under autocast, seen by hooks.
"""

from pathlib import Path

import torch

from assignment1_basics.reference.accounting.presets import PRESETS
from assignment1_basics.reference.device import prepare_host
from assignment1_basics.reference.loss import cross_entropy
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.measuring.measure import measure
from assignment2_systems.reference.measuring.memory_timeline import calculated_peak
from assignment2_systems.reference.measuring.step import (
    PRECISION_NAMES,
    ModeName,
    Variant,
    Workload,
)
from assignment2_systems.reference.measuring.timing import run_benchmark, summarize, synchronizer
from assignment2_systems.reference.mixed_precision import (
    Dtypes,
    accumulation_experiment,
    in_float32,
    module_dtypes,
    operation_dtypes,
    saved_bytes,
    stalls_at,
)
from benchmarks import common
from course import plots

FIGURE = Path(__file__).parent.parent / "assignment2_systems/figures/accumulation.png"
COMMAND = "python -m benchmarks.mixed_precision"
MIB = 2**20
ADDEND = 0.01


def short(dtype: torch.dtype) -> str:
    names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
    return names.get(dtype, str(dtype).removeprefix("torch."))


def sums(count: int, save: bool, figure: Path | None) -> None:
    results = accumulation_experiment(ADDEND, count)
    rows: list[common.Row] = [
        {
            "accumulator": short(result.accumulator),
            "addends": short(result.addends),
            "sum": round(result.running[-1], 4),
            "exact": round(result.exact, 4),
            "relative error": result.relative_error,
            "stalled after": result.stalled_after or "",
            "stalls at (calculated)": stalls_at(ADDEND, result.accumulator),
        }
        for result in results
    ]
    title = f"{ADDEND} added up {count:,} times"
    common.report("accumulation", title, rows, COMMAND, save=save)
    if figure is not None:
        curves = {
            f"{short(result.accumulator)} += {short(result.addends)}": (
                [float(index) for index in range(1, count + 1)],
                result.running,
            )
            for result in results
        }
        print(plots.plot_curves(figure, curves, "additions", "running sum", title))


def products(size: int, device: torch.device, save: bool) -> None:
    synchronize = synchronizer(device)
    left, right = (torch.randn(size, size, device=device) for _ in range(2))
    exact = left.double() @ right.double()
    formats = {"fp32": (torch.float32, "highest"), "bf16": (torch.bfloat16, "highest"),
               "fp16": (torch.float16, "highest")}  # fmt: skip
    if device.type == "cuda":
        formats["tf32"] = (torch.float32, "high")
    rows: list[common.Row] = []
    before = torch.get_float32_matmul_precision()
    for name, (dtype, precision) in formats.items():
        torch.set_float32_matmul_precision(precision)
        a, b = left.to(dtype), right.to(dtype)
        time = summarize(run_benchmark(lambda a=a, b=b: a @ b, 3, 20, synchronize))  # type: ignore[misc]
        error = (a @ b).double() - exact
        rows.append(
            {
                "format": name,
                "TFLOP/s": 2 * size**3 / time.median / 1e12,
                "spread": round(time.spread, 3),
                "relative error": float(error.norm() / exact.norm()),
                "machine epsilon": {"tf32": 2.0**-10}.get(name, torch.finfo(dtype).eps),
            }
        )
    torch.set_float32_matmul_precision(before)
    title = f"{size} x {size} x {size} products of normal numbers against float64"
    common.report("products", title, rows, COMMAND, save=save)


def steps(workload: Workload, modes: list[ModeName], device: torch.device, save: bool) -> None:
    rows: list[common.Row] = []
    for precision in PRECISION_NAMES:
        if precision == "tf32" and device.type != "cuda":
            continue
        for mode in modes:
            variant = Variant(precision, mode)
            measured = measure(workload, variant, device, warmup=3, repeats=15)
            if measured.failure:
                continue
            time, calculated = summarize(measured.step), calculated_peak(workload, variant)
            step = measured.rows()[-1]
            first = rows[0]["ms a step"] if rows else 1e3 * time.median
            peak = measured.peak_bytes
            rows.append(
                {
                    "step": str(variant),
                    "ms a step": round(1e3 * time.median, 2),
                    "spread": round(time.spread, 3),
                    "x fp32 eager": round(first / (1e3 * time.median), 2),
                    "MFU": round(float(step["mfu"]), 3) if step["mfu"] else "",
                    "peak MiB": round(peak / MIB) if peak else "",
                    "calculated MiB": round(calculated / MIB),
                }
            )
            print(common.table(rows[-1:]).splitlines()[-1], flush=True)
    title = f"Training step of {workload.batch_size} x {workload.seq_len} tokens by precision"
    common.report("mixed-precision", title, rows, COMMAND, save=save)


def autocast(device: torch.device, save: bool) -> None:
    model = Transformer(TransformerConfig(512, 64, d_model=128, n_layers=2, n_heads=4)).to(device)
    tokens = torch.randint(512, (2, 64), device=device)

    def loss(enabled: bool = True) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            logits = model(tokens)
        return cross_entropy(logits, tokens)

    def words(dtypes: Dtypes) -> str:
        return " ".join(sorted({short(dtype) for dtype in dtypes}))

    rows: list[common.Row] = []
    for types in module_dtypes(model, loss):
        if types.module.startswith("layers.1"):
            continue
        rows.append(
            {
                "module": types.module,
                "kind": types.kind,
                "inputs": words(types.inputs),
                "weights": words(types.weights),
                "outputs": words(types.outputs),
                "their gradients": words(types.output_gradients),
                "weight gradients": words(types.weight_gradients),
            }
        )
    counts = operation_dtypes(lambda: loss().backward())
    parameters = list(model.parameters())
    kept = {on: saved_bytes(lambda on=on: loss(on), parameters) for on in (False, True)}  # type: ignore[misc]
    notes = [
        "Operations that returned float32, casts left out: " + ", ".join(in_float32(counts)) + ".",
        *(
            f"Kept for the backward pass {'with' if on else 'without'} autocast: "
            + ", ".join(f"{size / MIB:.2f} MiB {short(d)}" for d, size in sizes.items())
            + "."
            for on, sizes in kept.items()
        ),
    ]
    title = f"Formats under bf16 autocast on {device.type}, seen by hooks"
    common.report("autocast", title, rows, COMMAND, notes, save=save)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, no claims, not saved")
    parser.add_argument("--figure", type=Path, help="where the figure of the sums goes")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepare_host(device)
    save = not (options.no_save or options.quick)
    sums(1000 if options.quick else 10_000, save, options.figure or (FIGURE if save else None))
    products(256 if options.quick else 8192, device, save)
    autocast(device, save)
    if options.quick:
        tiny = TransformerConfig(64, 32, d_model=32, n_layers=2, n_heads=2)
        steps(Workload(tiny, 2, 32), ["eager"], device, save)
    else:
        steps(Workload(PRESETS["134m"], 16, 1024), ["eager", "compiled"], device, save)


if __name__ == "__main__":
    main()
