"""What short number formats do to sums, and which tensors autocast leaves in float32.

Sums: a format with m bits of mantissa drops whatever is below 2^-(m+1) of the running sum, so a
long sum stops growing long before it is complete: 0.01 added up in bfloat16 gets to 4 and no
further (`stalls_at`). Hence products read 16 bits and add in float32, and so do norms, softmax and
losses (Micikevicius et al. 2018, "Mixed precision training", section 3.3).

Autocast chooses the format by operation: products run in the short format, what sums or has a wide
range in float32, the rest in what it is given. The list depends on the version of PyTorch and on
the device, so nothing is listed here: hooks look at what really runs. `module_dtypes` sees modules
(inputs, weights, outputs, gradients), `operation_dtypes` every single operation, `saved_bytes` what
is kept for the backward pass and in which format.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Dtypes = tuple[torch.dtype, ...]

SUMS: tuple[tuple[torch.dtype, torch.dtype], ...] = (  # accumulator, addends
    (torch.float32, torch.float32),
    (torch.float32, torch.float16),
    (torch.float32, torch.bfloat16),
    (torch.float16, torch.float16),
    (torch.bfloat16, torch.bfloat16),
)


@dataclass(frozen=True)
class Accumulation:
    """One long sum of equal addends."""

    accumulator: torch.dtype
    addends: torch.dtype
    running: list[float]
    """the sum after each addition"""
    exact: float

    @property
    def relative_error(self) -> float:
        """Of the last sum, rounding of the addends included."""
        return abs(self.running[-1] - self.exact) / self.exact

    @property
    def stalled_after(self) -> int | None:
        """The number of additions after which nothing changed any more; None if something did."""
        last = self.running[-1]
        first = self.running.index(last) + 1
        return first if first < len(self.running) else None


def running_sums(
    addends: Float[Tensor, "count"], accumulator: torch.dtype
) -> Float[Tensor, "count"]:
    """Add one after the other, rounding to `accumulator` each time; return every sum on the way."""
    total = torch.zeros((), dtype=accumulator)
    sums = torch.empty(len(addends), dtype=accumulator)
    for index, addend in enumerate(addends):
        total += addend.to(accumulator)
        sums[index] = total
    return sums


def accumulation_experiment(addend: float = 0.01, count: int = 1000) -> list[Accumulation]:
    """Add `addend` up `count` times, for each pair of formats in `SUMS`."""
    results = []
    for accumulator, kind in SUMS:
        addends = torch.full((count,), addend, dtype=kind)
        running = running_sums(addends, accumulator).tolist()
        results.append(Accumulation(accumulator, kind, running, addend * count))
    return results


def stalls_at(addend: float, dtype: torch.dtype) -> float:
    """Return the sum from which adding `addend` > 0 in `dtype` changes nothing.

    Numbers from 2^e to 2^(e+1) are 2^e eps apart. Half of that or less is rounded away (a tie goes
    to the even neighbour), so the sum ends at the first power of two >= 2 * addend / eps.
    """
    rounded = float(torch.tensor(addend, dtype=dtype))
    return 2.0 ** math.ceil(math.log2(2 * rounded / torch.finfo(dtype).eps))


def underflow_share(values: Tensor, dtype: torch.dtype, scale: float = 1.0) -> float:
    """Return the share of the non-zero values that `dtype` rounds to zero, times `scale` before.

    What loss scaling is for: float16 ends at 6e-8, bfloat16 reaches as far down as float32.
    """
    nonzero = values[values != 0].float()
    return float(((nonzero * scale).to(dtype) == 0).float().mean()) if len(nonzero) else 0.0


@dataclass(frozen=True)
class ModuleDtypes:
    """The formats at one module; empty where it has no such tensor."""

    module: str
    kind: str
    inputs: Dtypes
    weights: Dtypes
    outputs: Dtypes
    output_gradients: Dtypes
    weight_gradients: Dtypes


def module_dtypes(model: nn.Module, loss: Callable[[], Tensor]) -> list[ModuleDtypes]:
    """Run `loss()` (a forward pass of `model`, under autocast or not) and its backward pass.

    Returns the modules in the order in which they finish. The gradients of the parameters are left
    as they were.
    """
    seen: dict[str, dict[str, Any]] = {}
    names = {module: name for name, module in model.named_modules()}
    before = [parameter.grad for parameter in model.parameters()]

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        outputs = _floating(output)
        found = seen[names[module]] = {
            "inputs": tuple(tensor.dtype for tensor in _floating(inputs)),
            "outputs": tuple(tensor.dtype for tensor in outputs),
            "gradients": [],
        }
        for tensor in outputs:
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient: found["gradients"].append(gradient.dtype))

    handles = [module.register_forward_hook(look) for module in names]
    try:
        for parameter in model.parameters():
            parameter.grad = None
        loss().backward()
        modules = dict(model.named_modules())
        return [
            ModuleDtypes(
                name or "(model)",
                type(modules[name]).__name__,
                found["inputs"],
                _dtypes(modules[name].parameters(recurse=False)),
                found["outputs"],
                tuple(found["gradients"]),
                _dtypes(p.grad for p in modules[name].parameters(recurse=False)),
            )
            for name, found in seen.items()
        ]
    finally:
        for handle in handles:
            handle.remove()
        for parameter, gradient in zip(model.parameters(), before, strict=True):
            parameter.grad = gradient


def _floating(values: Any) -> list[Tensor]:
    leaves = tree_leaves(values)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _dtypes(tensors: Iterable[Tensor | None]) -> Dtypes:
    return tuple(tensor.dtype for tensor in tensors if tensor is not None)


Signature = tuple[str, Dtypes, Dtypes]
"""An operation with the formats that it reads and returns."""


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Signature] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        read, returned = _floating((args, kwargs)), _floating(result)
        if read and returned and not func.is_view:
            name = func._schema.name.removeprefix("aten::")
            signature = name, *(tuple(t.dtype for t in tensors) for tensors in (read, returned))
            self.counts[signature] += 1
        return result


def operation_dtypes(run: Callable[[], object]) -> Counter[Signature]:
    """Count the operations that `run()` makes, casts among them, by the formats that they see."""
    with _Operations() as operations:
        run()
    return operations.counts


def in_float32(counts: Counter[Signature]) -> list[str]:
    """Return the names of operations that returned float32 at least once, casts left out."""
    names = {name for name, _, returned in counts if torch.float32 in returned}
    return sorted(names - {"_to_copy", "copy_"})


def saved_bytes(run: Callable[[], object], parameters: Sequence[Tensor]) -> dict[torch.dtype, int]:
    """Return the bytes that `run()` keeps for its backward pass, by format, parameters left out.

    A tensor that several operations keep counts once.
    """
    known = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    sizes: dict[torch.dtype, int] = {}
    kept = []  # as long as it is alive nothing else can have its address

    def look(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        address = tensor.untyped_storage().data_ptr()
        if address not in known:
            known.add(address)
            size = tensor.untyped_storage().nbytes()
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + size
        return tensor

    with saved_tensors_hooks(look, lambda tensor: tensor):
        kept.append(run())  # type: ignore[arg-type]
    return sizes
