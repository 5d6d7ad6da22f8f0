"""Allocations by category: on events written by hand, and on recorded steps."""

import pytest
import torch

from assignment1_basics.reference.accounting.parameters import parameters_by_part
from assignment1_basics.reference.model.config import TransformerConfig
from assignment2_systems.reference.activation_checkpointing import CheckpointedTransformer
from assignment2_systems.reference.measuring.memory_report import plot_timeline
from assignment2_systems.reference.measuring.memory_timeline import (
    CATEGORIES,
    Block,
    blocks_of,
    calculated_peak,
    record_timeline,
    timeline_of,
)
from assignment2_systems.reference.measuring.step import Variant, Workload
from assignment2_systems.reference.measuring.trace import MemoryEvent, Operation, Trace

CPU = torch.device("cpu")
WORKLOAD = Workload(TransformerConfig(1000, 64, d_model=64, n_layers=4, n_heads=4), 4, 64)
TOTAL = sum(parameters_by_part(WORKLOAD.model).values())


def test_an_address_is_used_again():
    events = [
        MemoryEvent(0, 7, -50),  # allocated before the record
        MemoryEvent(1, 7, 10),
        MemoryEvent(2, 7, -10),
        MemoryEvent(3, 7, 20),
    ]
    assert blocks_of(events) == [Block(1, 2, 7, 10), Block(3, float("inf"), 7, 20)]


def span(name, begin, end):
    return Operation(name, begin, end - begin, None, (), (), is_range=True)


def test_purposes_by_lifetime_and_address():
    trace = Trace(
        operations=[
            span("step", 0, 100),
            span("forward", 0, 40),
            span("backward", 40, 80),
            span("update", 80, 100),
        ],
        memory=[
            MemoryEvent(5, 1, 100),  # kept for the backward pass
            MemoryEvent(10, 2, 7),  # gone within the forward pass
            MemoryEvent(20, 2, -7),
            MemoryEvent(45, 3, 30),  # a gradient
            MemoryEvent(50, 2, 11),  # of the backward pass, at an address used before
            MemoryEvent(60, 1, -100),
            MemoryEvent(70, 2, -11),
            MemoryEvent(95, 3, -30),
        ],
    )
    timeline = timeline_of(trace, [{3}], parameters=1000, optimizer_state=2000)
    assert timeline.times == [0, *(time / 1e6 for time in (5, 10, 20, 45, 50, 60, 70, 95))]
    assert timeline.bytes["parameters"] == [1000] * 9
    assert timeline.bytes["optimizer state"] == [2000] * 9
    assert timeline.bytes["gradients"] == [0, 0, 0, 0, 30, 30, 30, 30, 0]
    assert timeline.bytes["activations"] == [0, 100, 100, 100, 100, 100, 0, 0, 0]
    assert timeline.bytes["temporary"] == [0, 0, 7, 0, 0, 11, 11, 0, 0]
    assert timeline.peak == 3141
    assert timeline.at_peak() == dict(zip(CATEGORIES, (1000, 2000, 30, 100, 11), strict=True))
    assert timeline.phases == [("forward", 0, 40e-6), ("backward", 40e-6, 80e-6),
                               ("update", 80e-6, 100e-6)]  # fmt: skip


@pytest.fixture(scope="module")
def timelines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")

    def checkpointed(config, generator):
        return CheckpointedTransformer(config, generator=generator)

    return {
        "fp32": record_timeline(WORKLOAD, Variant(), CPU, folder / "a.json.gz"),
        "bf16": record_timeline(WORKLOAD, Variant("bf16"), CPU, folder / "b.json.gz"),
        "checkpointed": record_timeline(
            WORKLOAD, Variant(), CPU, folder / "c.json.gz", build=checkpointed
        ),
    }


@pytest.mark.parametrize("how", ["fp32", "bf16", "checkpointed"])
def test_recorded_steps(timelines, how):
    timeline = timelines[how]
    assert set(timeline.bytes["parameters"]) == {4 * TOTAL}
    assert set(timeline.bytes["optimizer state"]) <= {8 * TOTAL + 4 * n for n in range(100)}
    assert max(timeline.bytes["gradients"]) == 4 * TOTAL
    for category in ("gradients", "activations"):  # all of it is dropped again
        assert timeline.bytes[category][-1] == 0
    assert min(min(sizes) for sizes in timeline.bytes.values()) >= 0
    assert [name for name, _, _ in timeline.phases] == ["forward", "backward", "update"] * 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_peak_is_what_course_account_says(timelines, precision):
    """Within 10%, the claim that the calculator makes for a GPU."""
    expected = calculated_peak(WORKLOAD, Variant(precision))
    assert timelines[precision].peak == pytest.approx(expected, rel=0.1)


def test_checkpointing_is_seen(timelines):
    plain, checkpointed = (
        max(timelines[how].bytes["activations"]) for how in ("fp32", "checkpointed")
    )
    assert checkpointed < 0.5 * plain


def test_the_picture(timelines, tmp_path):
    path = plot_timeline(tmp_path / "memory.png", "a title", timelines["fp32"])
    assert path.read_bytes().startswith(b"\x89PNG")
