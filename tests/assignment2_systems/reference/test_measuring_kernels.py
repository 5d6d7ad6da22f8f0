"""From a trace to the costliest kernels: on traces written by hand, and on a recorded one."""

import json

import pytest
import torch

from assignment1_basics.reference.accounting.flops import (
    backward_flops_by_part,
    forward_flops_by_part,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment2_systems.reference.measuring import nvtx
from assignment2_systems.reference.measuring.kernel_report import short_name
from assignment2_systems.reference.measuring.operation_costs import (
    Cost,
    CountCosts,
    cost_from_shapes,
)
from assignment2_systems.reference.measuring.profile import kernel_totals, profile_step
from assignment2_systems.reference.measuring.roofline import Ceilings
from assignment2_systems.reference.measuring.step import MeasuredStep, Variant, Workload
from assignment2_systems.reference.measuring.trace import read_trace

BF16, FP32 = torch.bfloat16, torch.float32
CEILINGS = Ceilings(1e9, {FP32: 1e12, BF16: 2e12})
CPU = torch.device("cpu")
WORKLOAD = Workload(TransformerConfig(64, 16, d_model=32, n_layers=2, n_heads=4), 2, 16)


def costs_of(run):
    with CountCosts() as counted:
        run()
    return counted.costs


def test_bytes_read_and_written():
    a, b = torch.ones(4, 8), torch.ones(8, 2)
    target = torch.empty(4, 8, dtype=BF16)

    def run():
        a @ b
        a.add_(1)
        a + torch.ones(1).expand(4, 8)
        target.copy_(a)
        a.view(32)

    costs = costs_of(run)
    assert costs["aten::mm", ((4, 8), (8, 2))] == Cost(2 * 4 * 8 * 2, 4 * (32 + 16 + 8), FP32)
    assert costs["aten::add_", ((4, 8),)].bytes == 4 * (32 + 32)
    assert costs["aten::add", ((4, 8), (4, 8))].bytes == 4 * (32 + 1 + 32)
    assert costs["aten::copy_", ((4, 8), (4, 8))].bytes == 4 * 32 + 2 * 32
    assert not any("view" in name for name, _ in costs)


def test_a_causal_kernel_computes_half_of_the_scores():
    q = torch.ones(1, 2, 8, 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    flops = [
        sum(cost.flops for cost in costs_of(lambda c=c: attend(q, q, q, is_causal=c)).values())
        for c in (False, True)
    ]
    assert flops == [2 * 2 * 2 * 8 * 8 * 4, 2 * 2 * 8 * 8 * 4]


def test_a_step_costs_what_the_accounting_says():
    model = WORKLOAD.model
    step = MeasuredStep(WORKLOAD, Variant(), CPU)
    total = [0.0]

    class Sum(CountCosts):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.costs = {}
            result = super().__torch_dispatch__(func, types, args, kwargs)
            total[0] += sum(cost.flops for cost in self.costs.values())
            return result

    with Sum():
        step()
    expected = sum(forward_flops_by_part(model, 2, 16, "half").values()) + sum(
        backward_flops_by_part(model, 2, 16, "half", recompute_scores=True).values()
    )
    assert total[0] == pytest.approx(expected)


def test_costs_of_a_compiled_graphs_calls():
    shapes = ((4, 8), (8, 2), (4, 2))
    assert cost_from_shapes("aten::mm", shapes, [BF16] * 3) == Cost(128, 2 * 56, BF16)
    assert cost_from_shapes("aten::bmm", [(3, *s) for s in shapes], [FP32] * 3).flops == 3 * 128
    bias = ((2,), *shapes)
    assert cost_from_shapes("aten::addmm", bias, [FP32] * 4).flops == 128
    triton = cost_from_shapes("triton_poi_fused_mul_0", ((16,), (16,)), [FP32, BF16])
    assert triton == Cost(0, 16 * 6, FP32)
    assert cost_from_shapes("graph_0_cpp_fused_mul_0", (), ()) is None
    assert cost_from_shapes("aten::add", ((2,), (2,)), [FP32] * 2) is None


def event(name, begin, length, number=None, category="cpu_op", dims=(), kinds=(), thread=1):
    arguments = {"External id": number, "Input Dims": list(dims), "Input type": list(kinds)}
    return {"ph": "X", "cat": category, "name": name, "ts": begin, "dur": length, "pid": 1,
            "tid": thread, "args": arguments}  # fmt: skip


def write(path, *events):
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return read_trace(path)


def test_kernels_of_a_gpu_are_charged_to_the_operation_that_launched_them(tmp_path):
    """As a GPU's trace has it: the External id of a kernel is that of the innermost operation."""
    dims, kinds = [[1000, 1000], [1000, 1000], []], ["c10::BFloat16", "c10::BFloat16", ""]
    trace = write(
        tmp_path / "t.json",
        event("forward", 0, 100, 1, "user_annotation"),
        event("aten::matmul", 1, 30, 2, dims=dims, kinds=kinds),
        event("aten::mm", 2, 20, 3, dims=dims, kinds=kinds),
        event("aten::to", 40, 20, 4, dims=[[500]], kinds=["float"]),
        event("aten::_to_copy", 41, 18, 5, dims=[[500]], kinds=["float"]),
        event("aten::copy_", 45, 9, 6, dims=[[500], [500]], kinds=["float", "float"]),
        event("triton_red_fused_0", 70, 2, 7, dims=[[250], [250]], kinds=["float", "float"]),
        event("gemm", 50, 2000, 3, "kernel", thread=7),
        event("splitk_reduce", 2050, 2000, 3, "kernel", thread=7),
        event("void copy<float>()", 4100, 10, 6, "kernel", thread=7),
        event("triton_red_fused_0", 4200, 4, 7, "kernel", thread=7),
        event("Memset", 4300, 6, 99, "gpu_memset", thread=7),
    )
    costs = {
        ("aten::mm", ((1000, 1000), (1000, 1000))): Cost(2e9, 6e6, BF16),
        ("aten::_to_copy", ((500,),)): Cost(0, 3000, FP32),
        ("aten::copy_", ((500,), (500,))): Cost(0, 1, FP32),
    }
    totals = {total.name: total for total in kernel_totals(trace, costs, CEILINGS)}
    assert sum(total.share for total in totals.values()) == pytest.approx(1)
    # Two kernels share the product: 2e9 FLOPs at 2e12 a second take 1 ms, its bytes 6 ms at 1e9/s.
    for name in ("gemm", "splitk_reduce"):
        assert totals[name].flops == 1e9
        assert totals[name].bound == "memory"
        assert totals[name].roofline_share == pytest.approx(3e-3 / 2e-3)
    copy = totals["void copy<float>()"]
    assert copy.bytes == 3000  # of the cast, the outermost whose cost is known
    assert copy.roofline_share == pytest.approx(3e-6 / 10e-6)
    assert totals["triton_red_fused_0"].roofline_share == pytest.approx(2e-6 / 4e-6)
    assert totals["Memset"].roofline_share is None


def test_on_a_cpu_the_operations_are_the_kernels(tmp_path):
    dims, kinds = [[8], []], ["float", ""]
    trace = write(
        tmp_path / "t.json",
        event("forward", 0, 100, 1, "user_annotation"),
        event("aten::_to_copy", 1, 10, 2, dims=dims, kinds=kinds),
        event("aten::copy_", 2, 5, 3, dims=[[8], [8]], kinds=["float", "float"]),
        event("aten::view", 20, 5, 4, dims=dims, kinds=kinds),
        event("graph_0_cpp_fused_mul_0", 30, 31, 5),
        event("aten::_to_copy", 61, 20, 6, dims=dims, kinds=kinds),
    )
    costs = {
        ("aten::_to_copy", ((8,),)): Cost(0, 1000, FP32),
        ("aten::copy_", ((8,), (8,))): Cost(0, 64, FP32),
    }
    compiled, cast = kernel_totals(trace, costs, CEILINGS)
    assert (cast.name, cast.launches, cast.bytes) == ("_to_copy [8]", 2, 2000)
    assert cast.seconds == pytest.approx(30e-6)
    assert compiled.roofline_share is None


def test_long_lists_have_no_shapes_in_a_trace(tmp_path):
    trace = write(
        tmp_path / "t.json",
        event("aten::_fused_adamw_", 0, 10, 1),
        event("aten::_fused_adamw_", 20, 10, 2),
        event("adamw", 5, 1, 1, "kernel", thread=7),
        event("adamw", 25, 1, 2, "kernel", thread=7),
    )
    costs = {
        ("aten::_fused_adamw_", ((1,),)): Cost(0, 100, FP32),
        ("aten::_fused_adamw_", ((2,),)): Cost(0, 300, FP32),
    }
    (total,) = kernel_totals(trace, costs, CEILINGS)
    assert total.bytes == 400


def test_a_fused_optimizer_reads_four_tensors_and_writes_three():
    weight = torch.nn.Parameter(torch.ones(50))
    weight.grad = torch.ones(50)
    optimizer = torch.optim.AdamW([weight], fused=True)
    optimizer.step()
    costs = costs_of(optimizer.step)
    (cost,) = (cost for (name, _), cost in costs.items() if name == "aten::_fused_adamw_")
    assert cost.bytes == pytest.approx(7 * 200, abs=16)  # and the number of steps


def test_what_bounds_a_kernel():
    assert CEILINGS.least_seconds(Cost(1e12, 1e6, FP32)) == (1.0, "matmul")
    assert CEILINGS.least_seconds(Cost(1e12, 1e6, BF16)) == (0.5, "matmul")
    assert CEILINGS.least_seconds(Cost(1e6, 1e9, FP32)) == (1.0, "memory")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("nvjet_tst_192x128_64x5_1x2_h_bz_coopB_NTN", "nvjet_tst_192x128_64x5_1x2_h_bz_coopB_NTN"),
        ("mm [64x8] [8x32]", "mm [64x8] [8x32]"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, "
            "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>)",
            "vectorized_elementwise_kernel CUDAFunctor_add",
        ),
    ],
)
def test_names_of_kernels_are_cut_to_what_tells_them_apart(name, short):
    assert short_name(name) == short


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "trace.json.gz"
    return profile_step(WORKLOAD, Variant("bf16"), CPU, CEILINGS, path), read_trace(path)


def test_a_recorded_step_accounts_for_nearly_all_of_its_flops(recorded):
    totals, _ = recorded
    assert totals == sorted(totals, key=lambda total: -total.seconds)
    assert sum(total.share for total in totals) == pytest.approx(1)
    expected = sum(forward_flops_by_part(WORKLOAD.model, 2, 16, "half").values()) + sum(
        backward_flops_by_part(WORKLOAD.model, 2, 16, "half", recompute_scores=True).values()
    )
    assert sum(total.flops for total in totals) == pytest.approx(expected)
    assert all(total.roofline_share is not None for total in totals)


def test_a_recorded_step_names_phases_and_layers(recorded):
    _, trace = recorded
    for name in ("step", "forward", "backward", "update", "layers.0.attn.q_proj", "lm_head"):
        assert len(trace.ranges(name)) == 1, name
    within = {
        "layers.1.ffn.w2": ["layers.1.ffn", "layers.1", "forward", "step"],
        nvtx.BACKWARD + "layers.1.ffn.w2": [nvtx.BACKWARD + "layers.1.ffn", "backward"],
    }
    for name, outer in within.items():
        (span,) = trace.ranges(name)
        around = [operation.name for operation in span.ancestors()]
        assert set(outer) <= set(around)


def test_ranges_leave_no_hooks_behind_and_close_what_was_left_open():
    step = MeasuredStep(WORKLOAD, Variant(), CPU)
    with nvtx.named_layers(step.model):
        step()
    assert not any(module._forward_hooks for module in step.model.modules())
    with nvtx.named_range("outer"):
        nvtx._push("left open")
    assert nvtx._open.ranges == []


def test_nvtx_is_pushed_and_popped_where_there_is_cuda(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda.nvtx, "range_push", calls.append)
    monkeypatch.setattr(torch.cuda.nvtx, "range_pop", lambda: calls.append("pop"))
    with nvtx.named_range("outer"), nvtx.named_range("inner"):
        pass
    assert calls == ["outer", "inner", "pop", "pop"]
