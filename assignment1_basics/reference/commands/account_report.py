"""The tables and the plot of `course account`."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from assignment1_basics.reference.accounting.flops import (
    backward_flops_by_part,
    forward_flops_by_part,
    training_flops_per_token,
)
from assignment1_basics.reference.accounting.formats import BF16, FORMATS, PRECISIONS
from assignment1_basics.reference.accounting.hardware import Accelerator
from assignment1_basics.reference.accounting.memory import (
    TrainingMemory,
    kv_cache_bytes,
    largest_batch,
    training_memory,
)
from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.accounting.throughput import (
    CHINCHILLA_TOKENS_PER_PARAMETER,
    seconds_to_train,
    tokens_per_second,
)
from assignment1_basics.reference.model.config import TransformerConfig
from course import plots
from course.progress import amount, duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from assignment1_basics.reference.commands.account import Options

GIB = 2**30
DRAWN = ("fp32", "bf16-mixed", "bf16", "fp8-mixed")  # the others take as much as one of these
NONE = "\N{EN DASH}"
# What a row is called, its part in `parameters_by_part`, its part in `forward_flops_by_part`.
ROWS = (
    ("token embeddings", "token embeddings", None),
    ("attention projections", "attention", "attention projections"),
    ("attention scores", None, "attention scores"),
    ("feed-forward", "feed-forward", "feed-forward"),
    ("norms", "norms", None),
    ("head", "head", "head"),
)


def headline(config: TransformerConfig, seq_len: int) -> str:
    """Return the model in a line."""
    heads = f"{config.n_heads} heads"
    if config.kv_heads != config.n_heads:
        heads += f" ({config.kv_heads} for keys and values)"
    tied = ", tied embeddings" if config.tie_embeddings else ""
    total = sum(parameters_by_part(config).values())
    return (
        f"[bold]{total / 1e6:,.1f} million parameters[/] ({total:,}): {config.n_layers} layers x "
        f"{config.d_model}, {heads}, d_ff {config.ff_width}, vocabulary {config.vocab_size}{tied}; "
        f"sequences of {seq_len} tokens"
    )


def parts_table(options: "Options") -> Table:
    """Return parameters and FLOPs of a sequence, forward and backward, by part."""
    config, seq_len = options.model, options.sequence
    parameters = parameters_by_part(config)
    forward = forward_flops_by_part(config, 1, seq_len)
    backward = backward_flops_by_part(
        config,
        1,
        seq_len,
        recompute_scores=config.attention == "sdpa",
        checkpointing=options.checkpointing,
    )
    table = _table("Parameters, and FLOPs of the matrix products of one sequence")
    for column in ("parameters", "share", "forward", "share", "backward"):
        table.add_column(column, justify="right")
    for label, weights, products in ROWS:
        count = 0 if weights is None else parameters[weights]
        flops, flops_back = (0, 0) if products is None else (forward[products], backward[products])
        table.add_row(
            label,
            f"{count:,}" if count else NONE,
            _share(count, sum(parameters.values())),
            amount(flops) if flops else NONE,
            _share(flops, sum(forward.values())),
            amount(flops_back) if flops_back else NONE,
        )
    table.add_section()
    table.add_row(
        "all",
        f"{sum(parameters.values()):,}",
        "",
        amount(sum(forward.values())),
        "",
        amount(sum(backward.values())),
    )
    again = []
    if config.attention == "sdpa":
        again.append("the fused attention kernel computes the scores again")
    if options.checkpointing:
        again.append("checkpointing runs every block again")
    table.caption = "all S x S scores are counted; a causal kernel needs half of them" + "".join(
        f"; backward, {what}" for what in again
    )
    return table


def memory_table(options: "Options", accelerator: Accelerator) -> Table:
    """Return the bytes of a step in each recipe of number formats, by part, and what fits."""
    config = options.model
    memories = {name: training_memory(config, options.setup(name)) for name in PRECISIONS}
    how = "compiled" if options.compiled else "eager"
    how += ", checkpointed" if options.checkpointing else ""
    table = _table(
        f"Memory in GiB of a step with {options.batch_size} x {options.sequence} tokens ({how})"
    )
    for name in PRECISIONS:
        table.add_column(name, justify="right")
    first = next(iter(memories.values()))
    for part in first.static:
        table.add_row(part, *(_gib(memory.static[part]) for memory in memories.values()))
    table.add_section()
    for part in first.activations:
        table.add_row(
            f"activations: {part}",
            *(_gib(memory.activations[part]) for memory in memories.values()),
        )
    table.add_section()
    table.add_row("[bold]peak[/]", *(f"[bold]{_gib(m.peak)}[/]" for m in memories.values()))
    table.add_row("  at", *(_moment(memory) for memory in memories.values()))
    other = not options.checkpointing
    table.add_row(
        "peak with checkpointing" if other else "peak without checkpointing",
        *(_gib(training_memory(config, options.setup(name, other)).peak) for name in PRECISIONS),
    )
    table.add_section()
    capacity = accelerator.memory_bytes
    for checkpointing in (False, True):
        table.add_row(
            "largest batch" + (", checkpointed" if checkpointing else ""),
            *(
                str(
                    largest_batch(
                        config, options.setup(name, checkpointing), accelerator.memory_bytes
                    )
                )
                for name in PRECISIONS
            ),
        )
    table.caption = (
        f"batches that fit into {accelerator.name}, {capacity / 1e9:.0f} GB; "
        f"keys and values of a sequence in bf16, for decoding: "
        f"{_gib(kv_cache_bytes(config, options.sequence, BF16))} GiB"
    )
    return table


def _moment(memory: TrainingMemory) -> str:
    moment = max(memory.moments, key=lambda name: memory.moments[name])
    return moment.replace("backward pass, ", "").replace("end of the backward pass", "end")


def time_table(options: "Options", accelerator: Accelerator) -> Table:
    """Return rate and time of training at the assumed utilisation, for each rate of the chip."""
    config = options.model
    flops = training_flops_per_token(config, options.sequence)
    total = sum(parameters_by_part(config).values())
    tokens = options.tokens or CHINCHILLA_TOKENS_PER_PARAMETER * total
    table = _table(f"{amount(tokens)} tokens at {options.mfu:.0%} MFU on one {accelerator.name}")
    for column in ("peak TFLOP/s", "tokens/s", "time"):
        table.add_column(column, justify="right")
    for name, precision in PRECISIONS.items():
        peak = accelerator.peak_flops_per_second(precision.matmul)
        if peak is None:
            table.add_row(name, NONE, NONE, NONE)
            continue
        table.add_row(
            name,
            f"{peak / 1e12:g}",
            f"{tokens_per_second(options.mfu, flops, peak):,.0f}",
            duration(seconds_to_train(tokens, options.mfu, flops, peak)),
        )
    table.caption = (
        f"{amount(flops)} FLOPs a token, forward and backward, half of the scores; "
        f"6 x parameters would be {amount(6 * total)}"
    )
    return table


def formats_table() -> Table:
    """Return what each number format can hold."""
    table = _table("Number formats")
    for column in ("bits", "exponent", "mantissa", "largest", "smallest normal", "smallest",
                   "epsilon", "digits"):  # fmt: skip
        table.add_column(column, justify="right")
    for number in FORMATS:
        table.add_row(
            number.name,
            str(number.bits),
            str(number.exponent_bits),
            str(number.mantissa_bits),
            f"{number.largest:.4g}",
            f"{number.smallest_normal:.3g}",
            f"{number.smallest:.3g}",
            f"{number.epsilon:.3g}",
            f"{number.decimal_digits:.1f}",
        )
    table.caption = "epsilon: from 1 to the next number; tf32 takes 32 bits in memory and reads 19"
    return table


def plot(options: "Options", path: Path) -> Path:
    """Draw parameters, FLOPs and memory as stacked bars, by part, into a PNG."""
    import matplotlib
    from matplotlib.figure import Figure

    config, seq_len = options.model, options.sequence
    parameters = parameters_by_part(config)
    forward = forward_flops_by_part(config, 1, seq_len)
    shares = {
        "parameters": {label: parameters.get(part or "", 0) for label, part, _ in ROWS},
        "FLOPs": {label: forward.get(part or "", 0) for label, _, part in ROWS},
    }
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(9.6, 4.2), dpi=130, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 5))
        totals = {bar: sum(parts.values()) for bar, parts in shares.items()}
        _stack(left, {bar: {part: size / totals[bar] for part, size in parts.items()}
                      for bar, parts in shares.items()})  # fmt: skip
        left.set(title="parameters and FLOPs", ylabel="share of all")
        bars = {}
        peaks = {}
        for name in DRAWN:
            memory = training_memory(config, options.setup(name))
            parts = {**memory.static, **memory.activations}
            bars[name] = {part: size / GIB for part, size in parts.items()}
            peaks[name] = memory.peak / GIB
        _stack(right, bars)
        label = "peak: gradients come as\nactivations go"
        right.scatter(list(peaks), list(peaks.values()), marker="_", s=1800, lw=2.5, color="black",
                      label=label)  # fmt: skip
        title = f"memory of {options.batch_size} x {seq_len} tokens"
        right.set(title=title, ylabel="GiB")
        for axes in (left, right):
            axes.grid(axis="x", visible=False)
            axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), markerscale=0.4)
        return plots.save(figure, path)


def _stack(axes: "Axes", bars: dict[str, dict[str, float]]) -> None:
    """Draw one stacked bar for each entry; the parts have the same colour in all."""
    colors = [color.replace("#000000", "#999999") for color in plots.COLORS]  # black: the peak
    base = dict.fromkeys(bars, 0.0)
    for index, part in enumerate(next(iter(bars.values()))):
        heights = [parts[part] for parts in bars.values()]
        axes.bar(
            list(bars),
            heights,
            bottom=list(base.values()),
            label=part,
            width=0.6,
            color=colors[index % len(colors)],
        )
        base = {bar: base[bar] + height for bar, height in zip(base, heights, strict=True)}


def _table(title: str) -> Table:
    from rich.box import SIMPLE_HEAD

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD,
                  caption_justify="left")  # fmt: skip
    table.add_column("")
    return table


def _share(value: float, total: float) -> str:
    return f"{value / total:.1%}" if value else NONE


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size < 100 * GIB else f"{size / GIB:.0f}"
