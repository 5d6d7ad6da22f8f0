"""What the tests of tensors share: Hypothesis settings, seeded tensors, tolerances, gradients.

Tolerances are multiples of the rounding error of the dtype under test. `rounding(size, steps)` is
the error of `steps` roundings in a row of numbers as large as `size`; every test says how many
roundings a plain implementation makes and why. The expected values are float64, so their own error
does not count.
"""

from collections.abc import Iterator

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from course.grading import check

# Beside those that a test names itself; the other settings are those of `tests/conftest.py`.
few_examples = settings(max_examples=6)

seeds = st.integers(0, 2**20)
sizes = st.integers(1, 4)
leading_shapes = st.lists(sizes, max_size=3).map(tuple)


def normal(
    *shape: int, seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return a tensor of normal numbers that depends only on the seed and the shape."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def normals(*shapes: tuple[int, ...], seed: int, scale: float = 1.0) -> list[Tensor]:
    """Return one float32 tensor per shape, all different."""
    return [
        normal(*shape, seed=1000 * seed + number, scale=scale)
        for number, shape in enumerate(shapes)
    ]


def integers(high: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return int64 numbers in [0, high), drawn with repetition."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


def rounding(size: Tensor | float, steps: float, dtype: torch.dtype = torch.float32) -> float:
    """Return the error of `steps` roundings in a row, each relative to the largest |size|."""
    largest = float(size.detach().abs().max()) if isinstance(size, Tensor) else size
    return steps * torch.finfo(dtype).eps * largest


def leaves(output: Tensor) -> Iterator[Tensor]:
    """Yield every leaf tensor of the graph behind `output` that collects a gradient."""
    seen, stack = set(), [output.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        stack += [parent for parent, _ in node.next_functions]


def check_gradient(
    output: Tensor,
    source: Tensor,
    expected_output: Tensor,
    expected_source: Tensor,
    *,
    what: str,
    of: str,
    hint: str,
    steps: float,
    weight: bool = False,
) -> None:
    """Compare d(output . r)/d(source), for a random r, with that of the float64 oracle.

    A `weight` may have been copied into a parameter of the student's own (that is what
    `load_state_dict` does): then the gradient is read from the copy. One that was rearranged
    further cannot be recognised, and only the presence of a graph is asked for.
    """
    check.true(isinstance(output, Tensor), f"{what}: the result is no torch.Tensor")
    check.equal(tuple(output.shape), tuple(expected_output.shape), what=f"{what}: wrong shape")
    check.equal(
        (output.dtype, output.device),
        (source.dtype, source.device),
        what=f"{what}: the result has another dtype or device than {of}",
        hint="convert it back with .to(x.dtype), or do not convert at all",
    )
    check.true(
        output.requires_grad,
        f"{what}: the result has no gradient",
        hint="compute it with torch operations; no detach, .data, .item, numpy or torch.no_grad",
    )
    upstream = normal(*expected_output.shape, seed=77, dtype=torch.float64)
    (expected,) = torch.autograd.grad(expected_output, expected_source, upstream, retain_graph=True)
    found = list(leaves(output))
    leaf = next((leaf for leaf in found if leaf is source), None)
    if weight and leaf is None:
        leaf = next((leaf for leaf in found if _same(leaf, source)), None)
        if leaf is None:
            return
    check.true(
        leaf is not None,
        f"{what}: no gradient reaches {of}",
        hint="the result has a gradient, but the way back to this input is cut: do not detach it",
    )
    (actual,) = torch.autograd.grad(output, leaf, upstream.to(output.dtype), retain_graph=True)
    check.close(
        actual,
        expected,
        what=f"{what}: wrong gradient of {of}",
        hint=hint,
        rtol=0,
        atol=rounding(expected, steps),
    )


def _same(leaf: Tensor, source: Tensor) -> bool:
    return leaf.shape == source.shape and bool(torch.equal(leaf.detach(), source.detach()))


def trainable(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Return a leaf that collects a gradient, and its float64 twin for the oracle."""
    leaf = tensor.detach().clone()
    return leaf.requires_grad_(), leaf.detach().double().requires_grad_()
