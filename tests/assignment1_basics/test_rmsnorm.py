"""RMSNorm: x / sqrt(mean(x^2) + eps) * gain over the last dimension (Zhang and Sennrich, 2019)."""

import functools

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from course.grading import check
from tests.assignment1_basics import oracles
from tests.assignment1_basics.tensors import (
    check_gradient,
    few_examples,
    leading_shapes,
    normal,
    normals,
    rounding,
    seeds,
    trainable,
)

HINT = "x / sqrt(mean(x^2) + eps) * weights, the mean over the last dimension only"


# eps and the size of x vary together, so that eps is a large part of some results; x has an offset,
# so that subtracting the mean shows.
@pytest.mark.problem("rmsnorm", points=1)
@few_examples
@given(
    leading=leading_shapes,
    d_model=st.integers(2, 64),
    eps=st.sampled_from([1e-8, 1e-6, 1e-5, 1e-3, 0.1]),
    scale=st.sampled_from([1e-4, 1e-2, 1.0, 1e4]),
    seed=seeds,
)
@example(leading=(2, 3), d_model=4, eps=1e-4, scale=0.003, seed=0)
@example(leading=(2, 3), d_model=3, eps=1e-3, scale=0.01, seed=1)
def test_rmsnorm(adapters, leading, d_model, eps, scale, seed):
    gain, x = normals((d_model,), (*leading, d_model), seed=seed)
    x = (x + 0.5) * scale
    kept = x.clone()
    expected = oracles.rms_norm(x, gain, eps)
    output = adapters.run_rmsnorm(d_model, eps, gain, x)
    # A sum of positive numbers (d_model roundings at most), a root, a division, two products.
    check.close(
        output,
        expected,
        what=f"rmsnorm: wrong result for eps={eps:g}, numbers about {scale:g}",
        hint=HINT,
        rtol=rounding(1.0, d_model + 8),
        atol=0,
    )
    check.equal(x, kept, what="rmsnorm: in_features was changed", hint="write to a new tensor")


# Squares in half precision overflow above 256 in float16; in bfloat16 the root of the mean loses
# bits that all elements of a row share, which no single element shows, but a row's length does.
@pytest.mark.problem("rmsnorm", points=0.5)
def test_rmsnorm_in_half_precision(adapters):
    hint = "upcast to float32 before squaring, and cast the result back to the input's dtype"
    gain = normal(512, seed=4, dtype=torch.float16)
    x = normal(3, 512, seed=5, scale=2000.0, dtype=torch.float16)
    output = adapters.run_rmsnorm(512, 1e-5, gain, x)
    # At most two roundings to the dtype: of the normalised row, and of its product with the gain;
    # the smallest numbers are subnormal, with an absolute spacing of 2^-24.
    check.close(
        output,
        oracles.rms_norm(x, gain),
        what="rmsnorm: wrong result for float16 numbers about 2000",
        hint=hint,
        rtol=rounding(1.0, 2, torch.float16),
        atol=2**-22,
    )
    check.equal(output.dtype, torch.float16, what="rmsnorm: wrong dtype for float16", hint=hint)
    gain = torch.ones(4096, dtype=torch.bfloat16)
    # Not near length 1 (or 2, or 1/2), where rounding would give back x itself.
    x = normal(16, 4096, seed=6, scale=1.4, dtype=torch.bfloat16)
    output = adapters.run_rmsnorm(4096, 1e-5, gain, x)
    check.equal(output.dtype, torch.bfloat16, what="rmsnorm: wrong dtype for bfloat16", hint=hint)
    # Roundings of single elements have random signs: over 4096 of them a row's length stays put.
    check.close(
        (output.double() * x.double()).sum(-1),
        (oracles.rms_norm(x, gain) * x.double()).sum(-1),
        what="rmsnorm: wrong length of the rows for bfloat16",
        hint=hint,
        rtol=rounding(1.0, 0.1, torch.bfloat16),
        atol=0,
    )


@pytest.mark.problem("rmsnorm", points=0.5)
def test_rmsnorm_gradient(adapters):
    (gain, gain64), (x, x64) = map(trainable, normals((6,), (2, 3, 6), seed=7))
    output = adapters.run_rmsnorm(6, 0.1, gain, x)
    expected = oracles.rms_norm(x64, gain64, 0.1)
    close = functools.partial(check_gradient, what="rmsnorm", hint=HINT, steps=32)
    close(output, x, expected, x64, of="in_features")
    close(output, gain, expected, gain64, of="weights", weight=True)
