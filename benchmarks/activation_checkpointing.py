"""Checkpointed segments: peak memory and time measured, beside what the accounting says.

    python -m benchmarks.activation_checkpointing            # on a GPU, about five minutes
    python -m benchmarks.activation_checkpointing --quick    # a small deep model, anywhere

Every plan (how many blocks are checkpointed, in segments of which length) takes steps of
`course train`; ours is `checkpoint`, the peer PyTorch's `torch.utils.checkpoint`, non-reentrant, a
block at a time. The peak on a GPU is that of PyTorch's allocator, less what was allocated before;
on a CPU that of the profiler's memory events. "recomputed" is FLOPs computed twice over the FLOPs
of a step, "slower" the time above that of a step without checkpointing.

The figure shows peak against segment length, and the memory that each millisecond buys.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint as torch_checkpoint

from assignment1_basics.reference.accounting.activations import TrainingSetup
from assignment1_basics.reference.accounting.formats import PRECISIONS
from assignment1_basics.reference.accounting.presets import PRESETS
from assignment1_basics.reference.device import prepare_host
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment2_systems.reference.activation_checkpointing import CheckpointedTransformer
from assignment2_systems.reference.checkpoint_planning import (
    Plan,
    best_segment_length,
    peak_bytes,
    recomputed_flops,
    square_root_rule,
)
from assignment2_systems.reference.measuring.measure import Build, measure
from assignment2_systems.reference.measuring.memory_timeline import record_timeline
from assignment2_systems.reference.measuring.step import Variant, Workload
from assignment2_systems.reference.measuring.timing import summarize
from benchmarks import common
from course import plots

FIGURE = Path(__file__).parent.parent / "assignment2_systems/figures/activation-checkpointing.png"
MIB = 2**20
OURS, PEER = "ours", "torch.utils.checkpoint"


@dataclass(frozen=True)
class Case:
    workload: Workload
    variant: Variant
    lengths: tuple[int, ...]
    """segment lengths, all blocks checkpointed"""
    partly: tuple[int, ...]
    """numbers of checkpointed blocks, each block by itself"""

    @property
    def setup(self) -> TrainingSetup:
        precision = self.variant.precision
        return TrainingSetup(
            batch_size=self.workload.batch_size,
            seq_len=self.workload.seq_len,
            precision=PRECISIONS["bf16-mixed" if precision == "bf16" else precision],
            compiled=self.variant.mode == "compiled",
        )

    def plans(self) -> list[Plan]:
        layers = self.workload.model.n_layers
        plans = [Plan(1, 0), *(Plan(1, m) for m in self.partly)]
        return plans + [Plan(k, layers) for k in self.lengths]


DEEP = TransformerConfig(1000, 512, d_model=256, n_layers=96, n_heads=4)
CASES = {
    "134M, 32 x 1024, bf16 eager": Case(
        Workload(PRESETS["134m"], 32, 1024),
        Variant("bf16", "eager"),
        lengths=(1, 2, 3, 4, 6, 12),
        partly=(3, 6, 9),
    ),
    "134M, 32 x 1024, bf16 compiled": Case(
        Workload(PRESETS["134m"], 32, 1024),
        Variant("bf16", "compiled"),
        lengths=(1, 3, 12),
        partly=(6,),
    ),
    "96 x 256, 32 x 512, bf16 eager": Case(
        Workload(DEEP, 32, 512),
        Variant("bf16", "eager"),
        lengths=(1, 2, 3, 4, 6, 8, 12, 24, 48, 96),
        partly=(24, 48, 72),
    ),
}
QUICK = {
    "12 x 32, 4 x 64, fp32 eager": Case(
        Workload(TransformerConfig(64, 64, d_model=32, n_layers=12, n_heads=2), 4, 64),
        Variant("fp32", "eager"),
        lengths=(1, 3, 12),
        partly=(6,),
    )
}


def ours(plan: Plan) -> Build:
    def build(config: TransformerConfig, generator: torch.Generator) -> Transformer:
        length, count = plan.segment_length, plan.checkpointed
        return CheckpointedTransformer(config, length, count, generator)

    return build


def peer(config: TransformerConfig, generator: torch.Generator) -> Transformer:
    model = Transformer(config, generator)
    for layer in model.layers:
        layer.forward = partial(torch_checkpoint, layer.forward, use_reentrant=False)
    return model


def measure_case(name: str, case: Case, device: torch.device, repeats: int) -> list[common.Row]:
    config, layers = case.workload.model, case.workload.model.n_layers
    tried = [(OURS, plan, ours(plan)) for plan in case.plans()]
    tried.append((PEER, Plan(1, layers), peer))
    rows: list[common.Row] = []
    step_flops = case.workload.flops()["step"]
    for who, plan, build in tried:
        before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
        measured = measure(case.workload, case.variant, device, 3, repeats, build=build)
        if measured.failure:
            print(f"{name}, {plan}: {measured.failure}", flush=True)
            continue
        peak = measured.peak_bytes
        if peak is None:
            with tempfile.TemporaryDirectory() as folder:
                trace = Path(folder) / "trace.json.gz"
                peak = record_timeline(case.workload, case.variant, device, trace, build=build).peak
        calculated = peak_bytes(config, case.setup, plan)
        time = summarize(measured.step)
        rows.append(
            {
                "model": name,
                "implementation": who,
                "checkpointed": f"{plan.checkpointed} of {layers}",
                "segment length": plan.segment_length if plan.checkpointed else "",
                "peak MiB": round((peak - before) / MIB, 1),
                "calculated MiB": round(calculated / MIB, 1),
                "ratio": round(calculated / (peak - before), 3),
                "ms a step": round(1e3 * time.median, 2),
                "spread": round(time.spread, 3),
                "slower": round(time.median / (rows[0]["ms a step"] / 1e3) - 1, 3) if rows else 0.0,
                "recomputed": round(recomputed_flops(config, case.setup, plan) / step_flops, 3),
            }
        )
        print(common.table(rows[-1:]).splitlines()[-1], flush=True)
    return rows


def draw(path: Path, rows: list[common.Row], cases: dict[str, Case]) -> None:
    """A line of panels per case: peak against segment length, peak against time."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(9.6, 3.5 * len(cases)), dpi=110, layout="constrained")
        panels = figure.subplots(len(cases), 2, squeeze=False)
        for (left, right), (name, case) in zip(panels, cases.items(), strict=True):
            layers = case.workload.model.n_layers
            mine = [row for row in rows if row["model"] == name and row["implementation"] == OURS]
            whole = [row for row in mine if row["checkpointed"] == f"{layers} of {layers}"]
            partly = [row for row in mine if row not in whole]
            lengths = [row["segment length"] for row in whole]
            every = range(1, layers + 1)
            left.plot(
                every,
                [peak_bytes(case.workload.model, case.setup, Plan(k, layers)) / MIB for k in every],
                label="calculated", color=plots.COLORS[5],
            )  # fmt: skip
            left.plot(lengths, [row["peak MiB"] for row in whole], "o", label="measured",
                      color=plots.COLORS[0])  # fmt: skip
            left.axhline(mine[0]["peak MiB"], color="black", linestyle="--", linewidth=1,
                         label="nothing checkpointed")  # fmt: skip
            best = best_segment_length(case.workload.model, case.setup)
            left.axvline(best, color=plots.COLORS[1], linewidth=1, label=f"best length: {best}")
            left.set(title=name, xlabel="blocks in a segment", ylabel="peak MiB", xscale="log",
                     ylim=(0, None))  # fmt: skip
            left.set_xticks(lengths, lengths)
            left.minorticks_off()
            right.plot(*_points(partly + whole[:1]), "o-", color=plots.COLORS[2],
                       label="some blocks, each by itself")  # fmt: skip
            right.plot(*_points(whole), "s", color=plots.COLORS[0], label="all, by segment length")
            for row in whole:
                right.annotate(str(row["segment length"]), (row["ms a step"], row["peak MiB"]),
                               xytext=(5, 4), textcoords="offset points", fontsize=8)  # fmt: skip
            for row in partly:
                right.annotate(row["checkpointed"], (row["ms a step"], row["peak MiB"]),
                               xytext=(5, 4), textcoords="offset points", fontsize=8)  # fmt: skip
            theirs = [row for row in rows if row["model"] == name and row not in mine]
            right.plot(*_points(theirs), "x", color="black", label=PEER)
            right.set(xlabel="milliseconds a step", ylabel="peak MiB", ylim=(0, None))
            for axes in (left, right):
                axes.legend(fontsize=8)
        print(plots.save(figure, path))


def _points(rows: list[common.Row]) -> tuple[list[float], list[float]]:
    return [row["ms a step"] for row in rows], [row["peak MiB"] for row in rows]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small model, no claims, not saved")
    parser.add_argument("--figure", type=Path, help="where the figure goes")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepare_host(device)
    cases = QUICK if options.quick else CASES
    rows, notes = [], []
    for name, case in cases.items():
        rows += measure_case(name, case, device, repeats=3 if options.quick else 15)
        best = best_segment_length(case.workload.model, case.setup)
        rule = square_root_rule(case.workload.model, case.setup)
        whole = [row for row in rows if row["model"] == name and row["implementation"] == OURS]
        whole = [row for row in whole if row["checkpointed"].split(" of ")[0] != "0"]
        whole = [row for row in whole if len(set(row["checkpointed"].split(" of "))) == 1]
        lowest = min(whole, key=lambda row: row["peak MiB"])["segment length"]
        notes.append(
            f"{name}: the lowest peak was measured at segments of {lowest}; the accounting says "
            f"{best}, sqrt(L I / A) is {rule:.2f}."
        )
    common.report(
        "activation-checkpointing",
        "Activation checkpointing: memory against recomputation",
        rows,
        "python -m benchmarks.activation_checkpointing",
        notes,
        save=not (options.no_save or options.quick),
    )
    saved = FIGURE if not (options.no_save or options.quick) else None
    if (figure := options.figure or saved) is not None:
        draw(figure, rows, cases)


if __name__ == "__main__":
    main()
