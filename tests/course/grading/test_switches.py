"""PyTorch's global switches stay as a student's code found them."""

import re

import pytest
import torch

from course.grading.guard.errors import SwitchError
from course.grading.guard.switches import kept


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: torch.set_grad_enabled(False), "torch.set_grad_enabled(False) behind, for the"),
        (lambda: torch.set_default_dtype(torch.float64), "torch.set_default_dtype(torch.float64)"),
        (lambda: torch.set_default_device("meta"), "torch.set_default_device(meta) behind"),
    ],
)
def test_what_stays_changed_is_put_back_and_named(change, says):
    with pytest.raises(SwitchError, match=re.escape(f"run_silu leaves {says}")), kept("run_silu"):
        change()
    assert torch.is_grad_enabled()
    assert torch.ones(1).dtype == torch.float32
    assert torch.ones(1).device.type == "cpu"


def _switch_and_fail():
    torch.set_grad_enabled(False)
    raise ZeroDivisionError


def test_the_error_of_the_block_goes_first():
    with pytest.raises(ZeroDivisionError), kept("run_silu"):
        _switch_and_fail()
    assert torch.is_grad_enabled()


def test_blocks_that_put_them_back_are_fine():
    with torch.no_grad(), kept("run_silu"), torch.enable_grad(), torch.device("meta"):
        assert torch.ones(2).device.type == "meta"
