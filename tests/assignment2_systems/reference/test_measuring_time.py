"""Timing on a simulated device that works behind the host's back."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.accounting.flops import (
    backward_flops_by_part,
    forward_flops_by_part,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment2_systems.reference.measuring.measure import measure
from assignment2_systems.reference.measuring.step import MeasuredStep, Variant, Workload
from assignment2_systems.reference.measuring.timing import (
    HostMarks,
    queueing_seconds,
    run_benchmark,
    summarize,
    time_phases,
)
from course.errors import UserError

MODEL = TransformerConfig(64, 16, d_model=32, n_layers=2, n_heads=4)
WORKLOAD = Workload(MODEL, 2, 16)
CPU = torch.device("cpu")


class SimulatedDevice:
    """A clock, and a queue of work: calling returns early, the first calls take longer."""

    def __init__(self, launch=1.0, work=10.0, first=(500.0, 100.0)):
        self.now = 0.0
        self.busy_until = 0.0
        self.launch, self.work = launch, itertools.chain(first, itertools.repeat(work))
        self.calls = 0

    def step(self):
        self.calls += 1
        self.now += self.launch
        self.busy_until = max(self.now, self.busy_until) + next(self.work)

    def synchronize(self):
        self.now = max(self.now, self.busy_until)

    def clock(self):
        return self.now


def test_each_call_takes_its_launch_and_its_work():
    device = SimulatedDevice()
    seconds = run_benchmark(device.step, 2, 5, device.synchronize, device.clock)
    assert seconds == [11.0] * 5
    assert device.calls == 7


def test_warm_up_does_not_leak_into_the_first_call_that_counts():
    device = SimulatedDevice(first=(500.0,))
    seconds = run_benchmark(device.step, 1, 3, device.synchronize, device.clock)
    assert seconds[0] == 11.0


def test_without_warm_up_the_first_calls_count():
    device = SimulatedDevice()
    seconds = run_benchmark(device.step, 0, 3, device.synchronize, device.clock)
    assert seconds == [501.0, 101.0, 11.0]


def test_work_that_was_queued_before_does_not_count():
    device = SimulatedDevice(first=())
    device.busy_until = 1000.0
    assert run_benchmark(device.step, 0, 1, device.synchronize, device.clock) == [11.0]


@given(launch=st.integers(1, 9), work=st.integers(1, 99), repeats=st.integers(1, 5))
def test_queueing_is_the_hosts_share(launch, work, repeats):
    device = SimulatedDevice(launch, work, first=())
    seconds = queueing_seconds(device.step, repeats, device.synchronize, device.clock)
    assert seconds == [launch] * repeats
    assert device.now == repeats * (launch + work)  # nothing is left in the queue


@pytest.mark.parametrize(("warmup", "repeats"), [(-1, 1), (0, 0), (3, -2)])
def test_impossible_counts(warmup, repeats):
    with pytest.raises(UserError, match="must be at least"):
        run_benchmark(lambda: None, warmup, repeats, lambda: None)


def test_phases_are_kept_apart_and_in_order():
    now, order = [0.0], []

    def phase(name, takes):
        def run():
            order.append(name)
            now[0] += takes

        return run

    phases = {"forward": phase("f", 1), "backward": phase("b", 2), "update": phase("u", 4)}
    marks = HostMarks(lambda: now[0])
    seconds = time_phases(phases, 2, 3, lambda: order.append("wait"), marks)
    assert seconds == {"forward": [1] * 3, "backward": [2] * 3, "update": [4] * 3}
    assert "".join(order) == "fbu" * 2 + "wait" + "fbu" * 3


def test_the_spread_is_that_of_the_middle_half():
    of = summarize([10, 11, 12, 13, 1000])
    assert (of.median, of.first_quartile, of.third_quartile) == (12, 11, 13)
    assert of.spread == pytest.approx(2 / 12)
    assert (of.fastest, of.slowest) == (10, 1000)
    assert summarize([3.0]).spread == 0


# The step


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_phases_make_the_same_step_as_the_whole(precision):
    by_phases, whole = (MeasuredStep(WORKLOAD, Variant(precision), CPU) for _ in range(2))
    for _ in range(2):
        for phase in by_phases.phases.values():
            phase()
        whole()
    for one, other in zip(by_phases.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.grad is None


def test_flops_are_those_of_the_accounting():
    flops = WORKLOAD.flops()
    forward = sum(forward_flops_by_part(MODEL, 2, 16, "half").values())
    backward = sum(backward_flops_by_part(MODEL, 2, 16, "half").values())
    assert flops["forward"] == forward
    assert flops["backward"] == pytest.approx(backward)
    assert flops["step"] == pytest.approx(forward + backward)


def test_matmul_precision_is_put_back():
    before = torch.get_float32_matmul_precision()
    with Variant("tf32").matmul_precision():
        assert torch.get_float32_matmul_precision() == "high"
    with Variant("fp32").matmul_precision():
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == before


def test_what_cannot_be_measured():
    with pytest.raises(UserError, match="tf32 needs an NVIDIA GPU"):
        measure(WORKLOAD, Variant("tf32"), CPU, 0, 1)
    with pytest.raises(UserError, match="seq_len is 17; it must be from 1 to"):
        Workload(MODEL, 1, 17)
    with pytest.raises(UserError, match="batch_size is 0"):
        Workload(MODEL, 0, 16)


def test_a_measurement_in_rows():
    measurement = measure(WORKLOAD, Variant("bf16"), CPU, 1, 4)
    rows = {row["phase"]: row for row in measurement.rows()}
    assert list(rows) == ["forward", "backward", "update", "step"]
    step = rows["step"]
    assert len(measurement.step) == 4
    assert min(measurement.step) == step["fastest_s"] <= step["median_s"] <= step["slowest_s"]
    assert step["tokens_per_s"] == pytest.approx(32 / step["median_s"])
    assert step["flops_per_s"] == pytest.approx(WORKLOAD.flops()["step"] / step["median_s"])
    assert rows["update"]["flops_per_s"] is None
    assert step["peak_bytes"] is step["queueing_s"] is step["mfu"] is None


def test_ranges_of_layers_are_gone_after_the_measurement():
    measurement = measure(WORKLOAD, Variant(), CPU, 0, 1, ranges=True)
    assert list(measurement.phases) == ["forward", "backward", "update"]


def test_out_of_memory_is_a_result():
    def build(config, generator):
        raise torch.OutOfMemoryError("no")

    measurement = measure(WORKLOAD, Variant(), CPU, 0, 1, build=build)
    assert measurement.failure == "out of memory"
    assert measurement.rows() == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_phases_add_up_to_the_step(precision):
    workload = Workload(TransformerConfig(1000, 256, d_model=512, n_layers=4, n_heads=8), 16, 256)
    measurement = measure(workload, Variant(precision), torch.device("cuda"), 3, 10)
    rows = {row["phase"]: row for row in measurement.rows()}
    phases = sum(rows[name]["median_s"] for name in ("forward", "backward", "update"))
    # Waiting after every step costs the host's head start, so the whole may be a little longer.
    assert 0.5 * rows["step"]["median_s"] < phases < 1.2 * rows["step"]["median_s"]
    assert measurement.peak_bytes > 0
    assert len(measurement.queueing) == 10
