"""Time the phases of a training step; profile its kernels; draw its memory.

  course benchmark --preset 134m --batch-size 8
  course benchmark --model.d-model 256 --model.n-heads 4 --precisions bf16 --modes eager --profile
  course benchmark --preset gpt2-small --batch-size 2 --memory --name small

Each precision is measured eager and compiled: forward, backward, update and the whole step, with
warm-up and synchronisation, by CUDA events on a GPU and the host's clock on a CPU. Writes
runs/NAME/: config.yaml, timings.csv, timings.jsonl, timings.png.

--profile adds for each variant a trace for https://ui.perfetto.dev or chrome://tracing, with names
for phases and layers (NVTX ranges too, on a GPU), the ten kernels that cost most with their share
of the roofline, and a picture of them. --memory adds a picture of what is allocated when, by
category, and on a GPU the snapshot for https://pytorch.org/memory_viz. Nsight Systems cannot run
beside this profiler: nsys profile --trace=cuda,nvtx course benchmark --nvtx
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from assignment1_basics.reference.accounting.presets import PRESETS
from assignment1_basics.reference.model.config import TransformerConfig
from assignment2_systems.reference.measuring.step import (
    PRECISION_NAMES,
    ModeName,
    PrecisionName,
    Variant,
    Workload,
)
from course import config as configs
from course.cli import parse_options, value_of
from course.errors import UserError
from course.launcher import Launch, launch
from course.runs import CONFIG, open_run

if TYPE_CHECKING:
    import torch
    from rich.console import Console


@dataclass(frozen=True)
class BenchmarkConfig:
    """Which step is measured, how often, and what else is recorded."""

    model: TransformerConfig = field(default_factory=TransformerConfig)
    batch_size: int = 8
    """sequences in a step"""
    seq_len: int | None = None
    """tokens in a sequence; None: model.context-length"""
    precisions: tuple[PrecisionName, ...] = ()
    """none given: all that the device has (tf32 needs an NVIDIA GPU)"""
    modes: tuple[ModeName, ...] = ("eager", "compiled")
    warmup: int = 5
    """rounds that do not count, after the first of all"""
    repeats: int = 20
    """rounds that count"""
    seed: int = 0
    """decides the weights and the tokens"""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU if there is one"""
    profile: bool = False
    """also record a trace, and compare the costliest kernels with the roofline"""
    memory: bool = False
    """also record what is allocated when"""
    nvtx: bool = False
    """name phases and layers while their time is taken, for Nsight Systems; slows the host"""

    def __post_init__(self) -> None:
        for name, least in {"batch_size": 1, "seq_len": 1, "warmup": 0, "repeats": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} is {value}; it must be at least {least}")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed is {self.seed}; it must be from 0 to 2^32 - 1")
        if not self.modes:
            raise UserError("modes is empty; name eager, compiled or both")
        for name in ("precisions", "modes"):
            values: Sequence[str] = getattr(self, name)
            if len(set(values)) < len(values):
                raise UserError(f"{name} is {' '.join(values)}; each may be named once")
        self.workload()

    def workload(self) -> Workload:
        """Return the model with the shape of its batch."""
        seq_len = self.model.context_length if self.seq_len is None else self.seq_len
        return Workload(self.model, self.batch_size, seq_len)

    def variants(self, device: "torch.device") -> list[Variant]:
        """Return every precision in every mode; those must be possible on `device`."""
        precisions = self.precisions or tuple(
            name for name in PRECISION_NAMES if name != "tf32" or device.type == "cuda"
        )
        variants = [Variant(precision, mode) for precision in precisions for mode in self.modes]
        for variant in variants:
            variant.require_on(device)
        return variants


@dataclass(frozen=True)
class Options:
    """What to measure, where the results go, where it runs."""

    benchmark: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = field(
        default_factory=BenchmarkConfig
    )
    preset: str | None = None
    """a known shape to start from; --model options override it"""
    name: str | None = None
    """the run's folder below --runs; None: the date and time"""
    runs: Path = Path("runs")
    """where the folders of runs are"""
    overwrite: bool = False
    """delete the run NAME if there is one"""
    launch: Annotated[Launch, tyro.conf.arg(name="")] = field(default_factory=Launch)


def parse(arguments: list[str], prog: str) -> Options:
    """Read the command line; the model's defaults are those of --preset."""
    preset = value_of("--preset", arguments)
    default = Options()
    if preset is not None:
        if preset not in PRESETS:
            raise UserError(f"preset {preset!r} is unknown; there are: {', '.join(PRESETS)}")
        default = Options(BenchmarkConfig(PRESETS[preset]))
    return parse_options(Options, __doc__, arguments, prog, default)


def run(options: Options) -> None:
    """Measure here or in a Slurm job."""
    if options.name is None:
        options = replace(options, name=f"benchmark-{datetime.now():%Y-%m-%d-%H%M%S}")
    launch(options.launch, benchmark_run, options, name=f"benchmark-{options.name}")


def benchmark_run(options: Options) -> None:
    """Measure every variant; print tables, write files."""
    from rich.console import Console

    from assignment1_basics.reference.device import choose_device, is_out_of_memory, prepare_host
    from assignment2_systems.reference.measuring import report
    from assignment2_systems.reference.measuring.measure import measure
    from course.progress import Progress

    config = options.benchmark
    device = choose_device(config.device)
    variants, workload = config.variants(device), config.workload()
    folder = options.runs / (options.name or "")
    if not options.overwrite and (folder / CONFIG).exists():
        raise UserError(
            f"run {str(folder)!r} exists; choose another --name, or --overwrite to delete it"
        )
    open_run(folder, overwrite=options.overwrite)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140  # a file or a pager has no width of its own
    prepare_host(device)
    measurements = []
    with Progress("measuring", total=len(variants), unit="variant") as bar:
        for variant in variants:
            measurements.append(
                measure(
                    workload,
                    variant,
                    device,
                    config.warmup,
                    config.repeats,
                    config.seed,
                    ranges=config.nvtx,
                )
            )
            bar.update(1)
    if all(measurement.failure for measurement in measurements):
        with suppress(OSError):  # leave nothing behind where nothing began
            folder.rmdir()
        raise UserError(
            "there is not enough memory for this step; a smaller --batch-size needs less"
        )
    configs.save(config, folder / CONFIG)
    title = headline(workload, device)
    console.print(report.timing_table(title, measurements))
    files = report.write_files(folder, measurements)
    files.append(report.plot_timings(folder / "timings.png", title, measurements))
    fitting = [m.variant for m in measurements if not m.failure]
    try:
        if config.profile:
            files += profile_variants(console, folder, workload, fitting, device, config.seed)
        if config.memory:
            files += draw_memory(console, folder, workload, fitting, device, config.seed)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            "recording needs more memory than there is (also a compiled step runs eager once); "
            "a smaller --batch-size needs less"
        ) from error
    console.print("written: " + ", ".join(str(path) for path in files), soft_wrap=True)


def headline(workload: Workload, device: "torch.device") -> str:
    """Return what is measured, in a line."""
    from assignment1_basics.reference.accounting.parameters import parameters_by_part

    model = workload.model
    total = sum(parameters_by_part(model).values())
    return (
        f"{model.n_layers} x {model.d_model}, {total / 1e6:,.1f} million parameters, "
        f"{workload.batch_size} x {workload.seq_len} tokens on {device_name(device)}"
    )


def device_name(device: "torch.device") -> str:
    """Return the GPU's name, or how many threads of the CPU are used."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' * (threads > 1)}"


def profile_variants(
    console: "Console",
    folder: Path,
    workload: Workload,
    variants: Sequence[Variant],
    device: "torch.device",
    seed: int,
) -> list[Path]:
    """Profile one step of each variant; print its costliest kernels; return the files."""
    from assignment2_systems.reference.measuring import kernel_report
    from assignment2_systems.reference.measuring.profile import profile_step
    from assignment2_systems.reference.measuring.roofline import measure_ceilings

    files = []
    for variant in variants:
        label = str(variant).replace(" ", "-")
        with variant.matmul_precision():
            ceilings = measure_ceilings(device)
        trace = folder / f"trace-{label}.json.gz"
        totals = profile_step(workload, variant, device, ceilings, trace, seed)
        title = f"Kernels of a step, {variant}: {headline(workload, device)}"
        console.print(kernel_report.kernel_table(title, totals, ceilings))
        files += [
            trace,
            kernel_report.write_kernels(folder / f"kernels-{label}.csv", totals),
            kernel_report.plot_kernels(folder / f"kernels-{label}.png", title, totals, ceilings),
        ]
    return files


def draw_memory(
    console: "Console",
    folder: Path,
    workload: Workload,
    variants: Sequence[Variant],
    device: "torch.device",
    seed: int,
) -> list[Path]:
    """Record two steps of each variant; return the pictures and snapshots."""
    from assignment2_systems.reference.measuring import memory_report
    from assignment2_systems.reference.measuring import memory_timeline as memory

    files, timelines = [], {}
    title = headline(workload, device)
    for variant in variants:
        label = str(variant).replace(" ", "-")
        trace = folder / f"memory-{label}.json.gz"
        timelines[variant] = memory.record_timeline(workload, variant, device, trace, seed)
        picture = folder / f"memory-{label}.png"
        memory_report.plot_timeline(picture, f"{variant}: {title}", timelines[variant])
        files += [trace, picture]
        if device.type == "cuda":
            snapshot = folder / f"memory-{label}.pickle"
            files.append(memory.write_snapshot(workload, variant, device, snapshot, seed))
    calculated = {variant: memory.calculated_peak(workload, variant) for variant in variants}
    console.print(memory_report.memory_table(f"Memory: {title}", timelines, calculated))
    return files
