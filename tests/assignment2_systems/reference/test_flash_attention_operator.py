"""The operator inside PyTorch: compiled, under autocast and checkpointing, in any strides."""

import inspect
import os
import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from assignment2_systems.reference.flash_attention.operator import (
    attention_operator,
    flash_attention,
)
from course.errors import UserError
from tests.assignment2_systems.reference.attention_oracle import DEVICE, distance, draw, truth

unchecked = inspect.unwrap(flash_attention)
"""Without the shape checks of the tests, which the compiler cannot trace, and which come first."""

COMPILER = "inductor" if DEVICE == "cuda" else "aot_eager"
"""Inductor would compile C++ on the CPU, and the operator looks the same to both."""


def tensors(dtype=torch.float32, seed=0):
    return draw((2, 4, 20, 16), (2, 2, 20, 16), (2, 2, 20, 16), seed=seed, dtype=dtype)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck
def test_opcheck():
    """PyTorch's own list: the schema, fake versions, autograd, shapes that change."""
    q, k, v = (x[:1, :, :6].requires_grad_() for x in tensors())
    torch.library.opcheck(attention_operator, (q, k, v, True, 7, 0.25))


def test_compiled_without_a_graph_break():
    leaves = [x.requires_grad_() for x in tensors()]

    def loss(q, k, v):
        return (unchecked(q * 2, k, v).sin() ** 2).sum()

    compiled = torch.compile(loss, fullgraph=True, backend=COMPILER)
    expected = torch.autograd.grad(loss(*leaves), leaves)
    for mine, good in zip(torch.autograd.grad(compiled(*leaves), leaves), expected, strict=True):
        assert distance(mine, good.double().cpu()) <= 1e-5 * float(good.abs().max())


def test_autocast_casts_and_gradients_come_back_in_the_leaf_dtype():
    q, k, v = (x.requires_grad_() for x in tensors())
    with torch.autocast(DEVICE, torch.bfloat16):
        output = flash_attention(q, k.bfloat16(), v)
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    assert q.grad.dtype == torch.float32
    exact = truth(q, k, v, torch.ones_like(q), True)
    assert distance(output, exact.output) <= 4 * torch.finfo(torch.bfloat16).eps * 4


def test_checkpointed_gradients_are_the_same_bits():
    leaves = [x.requires_grad_() for x in tensors()]
    plain = torch.autograd.grad(flash_attention(*leaves).square().sum(), leaves)
    output = checkpoint(flash_attention, *leaves, use_reentrant=False)
    again = torch.autograd.grad(output.square().sum(), leaves)
    assert all(a.equal(b) for a, b in zip(plain, again, strict=True))


def test_heads_are_read_where_they_lie():
    """Cut out of one projection [batch, seq, (q k v heads) d_head], as in assignment 1's model."""
    (fused,) = draw((2, 20, 8, 16), seed=1)
    q, k, v = (x.transpose(1, 2) for x in fused.split((4, 2, 2), dim=2))
    output = flash_attention(q, k, v)
    assert output.equal(flash_attention(*(x.contiguous() for x in (q, k, v))))
    assert output.transpose(1, 2).is_contiguous()  # what the output projection reads


def test_last_stride_other_than_1():
    q, k, v = tensors()
    odd = [x.mT.contiguous().mT.requires_grad_() for x in (q, k, v)]
    assert flash_attention(*odd).equal(flash_attention(q, k, v))
    expanded = torch.ones((), device=DEVICE).expand(2, 4, 20, 16)  # the gradient of a sum
    assert torch.autograd.grad(flash_attention(*odd), odd, expanded)[0].isfinite().all()


@pytest.mark.parametrize("leading", [(), (2,), (2, 1), (1, 2, 1)])
def test_leading_dimensions(leading):
    q, k, v = draw((*leading, 4, 9, 16), (*leading, 2, 9, 16), (*leading, 2, 9, 16), seed=2)
    good = truth(q, k, v, torch.ones_like(q), True)
    assert distance(flash_attention(q, k, v), good.output) <= 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: unchecked(q, k, v[:, :, :3]), "one shape"),
        (lambda q, k, v: unchecked(q[:, :3], k, v), "multiple"),
        (lambda q, k, v: unchecked(q[0, 0], k, v), r"\[..., heads, seq, d_head\]"),
        (lambda q, k, v: unchecked(q.bfloat16(), k, v), "bfloat16, torch.float32"),
        (lambda q, k, v: unchecked(q.double(), k.double(), v.double()), "float64"),
        (lambda q, k, v: unchecked(q, k, v, scale=-1.0), "scale is -1.0"),
        (lambda q, k, v: unchecked(q, k, v, False, 3), "set causal"),
        (lambda q, k, v: unchecked(*(x.repeat(1, 1, 1, 17) for x in (q, k, v))), "272"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(UserError, match=message):
        change(*tensors())


def test_without_gpu_and_interpreter_it_imports_and_a_call_says_what_to_do():
    program = (
        "import torch\n"
        "from course.errors import UserError\n"
        "from assignment2_systems.reference.flash_attention.operator import flash_attention\n"
        "x = torch.zeros(1, 1, 2, 16)\n"
        "try: flash_attention(x, x, x)\n"
        "except UserError as error: print(error)\n"
    )
    variables = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    out = subprocess.check_output([sys.executable, "-c", program], env=variables, text=True)
    assert "need a GPU" in out
    assert "TRITON_INTERPRET=1" in out
