"""SiLU: x * sigmoid(x) (Elfwing et al., 2017)."""

import pytest
import torch
import torch.nn.functional as F

from course.grading import check
from tests.assignment1_basics.tensors import check_gradient, normal, rounding, trainable

HINT = "SiLU(x) = x * sigmoid(x)"


@pytest.mark.problem("silu", points=0.5)
def test_silu(adapters):
    for shape in ((4, 5), (7,), (), (2, 3, 1, 2)):
        x = normal(*shape, seed=len(shape), scale=3.0)
        # A handful of roundings, each relative to a number of the size of x.
        check.close(
            adapters.run_silu(x),
            F.silu(x.double()),
            what=f"silu: wrong result for shape {shape}",
            hint=HINT,
            rtol=rounding(1.0, 8),
            atol=rounding(x, 2),
        )


# x / (1 + exp(-x)) has the right value for every x; but where exp(-x) is infinite its gradient is
# 0 * inf = NaN, and one such element ends a training run.
@pytest.mark.problem("silu", points=0.5)
def test_silu_gradient(adapters):
    x, x64 = trainable(torch.tensor([-2000.0, -100.0, -3.0, -0.5, 0.0, 0.5, 3.0, 100.0, 2000.0]))
    check_gradient(
        adapters.run_silu(x),
        x,
        F.silu(x64),
        x64,
        what="silu of -2000 to 2000",
        of="in_features",
        hint="exp(-x) overflows for x below -88: torch.sigmoid is allowed and does not",
        steps=8,
    )
