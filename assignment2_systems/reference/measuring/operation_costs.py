"""What every operation needs at least: FLOPs of its products, bytes of its tensors.

Run a step inside `CountCosts` and each call of PyTorch's dispatcher is seen with its tensors:

- bytes: every tensor that is read, once, and every one that is written, once. A tensor expanded
  along a dimension counts as it lies in memory. Views cost nothing.
- FLOPs: those of matrix products and attention, by PyTorch's formulas (`torch.utils.flop_counter`),
  halved where a causal kernel leaves out half of the scores. The arithmetic of other operations is
  not counted: it is hidden behind their bytes.

It is a lower bound: an operation that reads twice moves more. A compiled graph calls kernels that
the dispatcher never sees; their tensors are written in the trace (`cost_from_shapes`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Shape = tuple[int, ...]
Key = tuple[str, tuple[Shape, ...]]
"""An operation's name and the shapes of its tensors, without scalars: as a trace has them, too."""

WRITES_ONLY = {"aten::copy_", "aten::fill_", "aten::zero_", "aten::empty_strided", "aten::normal_"}
"""Operations that do not read the tensor that they write."""

NOT_WRITTEN = {"grads"}
"""Arguments that fused optimizers may write, to unscale gradients, and here do not."""

TRACE_DTYPES = {
    "double": torch.float64,
    "float": torch.float32,
    "c10::BFloat16": torch.bfloat16,
    "c10::Half": torch.float16,
    "long int": torch.int64,
    "long": torch.int64,
    "int": torch.int32,
    "bool": torch.bool,
    "unsigned char": torch.uint8,
    "signed char": torch.int8,
}


@dataclass(frozen=True)
class Cost:
    """What one call needs: FLOPs of products, bytes moved, and the format of its operands."""

    flops: float
    bytes: float
    dtype: torch.dtype = torch.float32


class CountCosts(TorchDispatchMode):
    """Collects in `costs` what each operation inside the block needs, by name and shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.costs: dict[Key, Cost] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the operation and write down its cost."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view:
            values = dict(zip((a.name for a in func._schema.arguments), args, strict=False))
            values |= kwargs
            key = func._schema.name, tuple(shapes_of(tree_leaves(list(values.values()))))
            self.costs[key] = _cost(func, values, args, kwargs, result)
        return result


def shapes_of(values: Sequence[Any]) -> Iterator[Shape]:
    """Yield the shapes of those values that are tensors with dimensions."""
    for value in values:
        if isinstance(value, Tensor) and value.dim() > 0:
            yield tuple(value.shape)


def _cost(func: Any, values: dict[str, Any], args: tuple, kwargs: dict, result: Any) -> Cost:
    read, written = [], []
    for argument in func._schema.arguments:
        tensors = [
            leaf for leaf in tree_leaves(values.get(argument.name)) if isinstance(leaf, Tensor)
        ]
        if argument.alias_info is not None and argument.alias_info.is_write:
            if argument.name not in NOT_WRITTEN:
                written += tensors
            if func._schema.name in WRITES_ONLY or argument.is_out:
                continue
        read += tensors
    seen = {tensor.data_ptr() for tensor in [*read, *written]}
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor) and leaf.data_ptr() not in seen:
            written.append(leaf)
    size = sum(map(bytes_in_memory, [*read, *written]))
    formula = flop_registry.get(func.overloadpacket)
    flops = float(formula(*args, **kwargs, out_val=result)) if formula else 0.0
    if flops and _is_causal(values):
        flops /= 2
    if "empty" in func._schema.name:
        size = 0
    return Cost(flops, size, read[0].dtype if read else torch.float32)


def _is_causal(values: dict[str, Any]) -> bool:
    return values.get("is_causal") is True


def bytes_in_memory(tensor: Tensor) -> int:
    """Return the bytes that a tensor's elements take, those that an expansion repeats once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in sizes if stride) * tensor.element_size()


def cost_from_shapes(
    name: str, shapes: Sequence[Shape], dtypes: Sequence[torch.dtype | None]
) -> Cost | None:
    """Return the cost of a compiled graph's call, whose results are among its arguments.

    None where the trace does not say enough. `shapes` and `dtypes` belong together.
    """
    sizes = [
        math.prod(shape) * dtype.itemsize
        for shape, dtype in zip(shapes, dtypes, strict=True)
        if dtype is not None
    ]
    operand = next((dtype for dtype in dtypes if dtype is not None), torch.float32)
    if name in ("aten::mm", "aten::bmm") and len(shapes) == 3:
        *batch, rows, inner = shapes[0]
        return Cost(2.0 * math.prod(batch) * rows * inner * shapes[1][-1], sum(sizes), operand)
    if name == "aten::addmm" and len(shapes) == 4:
        rows, inner = shapes[1]
        return Cost(2.0 * rows * inner * shapes[2][-1], sum(sizes), operand)
    if name.startswith("triton_") and sizes:
        return Cost(0.0, sum(sizes), operand)
    return None
