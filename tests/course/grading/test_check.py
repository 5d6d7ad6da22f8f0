"""Comparisons: what passes, what fails, and what the message shows."""

import numpy as np
import pytest
import torch

from course.grading import check
from course.grading.check import CheckFailed


def failure(function, *args, **kwargs) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        function(*args, **kwargs)
    return caught.value


def details(error: CheckFailed) -> dict[str, str]:
    return dict(error.lines)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0], dtype=torch.float64)),
        (torch.tensor([1.0, 2.0]), [1, 2]),
        (np.array([0.5]), torch.tensor([0.5])),
        (0.1 + 0.2, 0.3),
        ([[1.0, torch.nan]], torch.tensor([[1.0, torch.nan]])),
        ([torch.inf], [torch.inf]),
        (torch.ones(2, requires_grad=True), [1.0, 1.0]),
        (torch.ones(2, dtype=torch.bfloat16) * 1.004, [1.004, 1.004]),
        (torch.ones(2) * (1 + 3e-6), [1.0, 1.0]),
    ],
)
def test_close_passes(actual, expected):
    check.close(actual, expected, what="equal")


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (torch.ones(2) * 1.0001, [1.0, 1.0]),
        (torch.ones(2, 1), torch.ones(2)),  # would broadcast
        (torch.tensor([torch.nan]), [1.0]),
        (torch.tensor([torch.inf]), [-torch.inf]),
        (1.0 + 1e-9, 1.0),
        ("1.0", 1.0),
        (None, 1.0),
        ({}, [1.0]),
    ],
)
def test_close_fails(actual, expected):
    error = failure(check.close, actual, expected, what="the claim")
    assert str(error).startswith("the claim")


def test_close_shows_the_first_difference():
    actual, expected = torch.zeros(2, 3), torch.zeros(2, 3)
    actual[1, 0], actual[1, 2] = 0.5, 2.0
    error = failure(check.close, actual, expected, what="zeros", hint="be zero", atol=0.1, rtol=0)
    assert error.hint == "be zero"
    assert details(error)["received"].startswith("float32 [2, 3]")
    assert details(error)["difference"] == (
        "first at [1, 0]: 0.5, expected 0; 2 of 6 elements are off, by at most 2 "
        "(tolerance: 0.1 + 0 x expected)"
    )
    assert torch.equal(error.observed, actual)


def test_close_says_shapes():
    error = failure(check.close, torch.ones(2, 3), torch.ones(3, 2), what="x")
    assert details(error) == {"received": "shape [2, 3]", "expected": "shape [3, 2]"}


def test_forgotten_return():
    for compare in (check.close, check.equal):
        error = failure(compare, None, 1, what="x", hint="other")
        assert error.what == "x: the result is None: is a `return` missing?"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ((x for x in [1.0]), "the result is a generator: `return` the numbers, do not `yield`"),
        ((torch.ones(2, 3),), "the result is a tuple of one element: is there a comma behind it?"),
        (torch.nn.Identity(), "the result is Identity() itself, not what it makes of the input"),
        ("1", "the result is of type str, not numbers"),
    ],
)
def test_what_is_no_tensor(result, says):
    error = failure(check.close, result, torch.ones(2), what="x", hint="other")
    assert error.what.startswith(f"x: {says}")
    assert not error.hint


def test_a_tuple_of_one_is_shown_as_such():
    assert check.show((torch.ones(9),)) == "(float32 [9],)"


def test_equal():
    check.equal([1, (2, 3)], [1, (2, 3)], what="x")
    check.equal(torch.tensor([1, 2]), torch.tensor([1, 2]), what="x")
    for actual, expected, difference in [
        ([1, 2, 3, 4, 5], [1, 2, 9, 4, 5], "first at [2]: ... [1, 2, 3, 4, 5], expected"),
        ([1, 2, 3, 4], [1, 2, 3, 4, 5], "received 4 elements, expected 5"),
        ("the cat sat", "the cut sat", "first at [5]: ... ' cat s', expected ... ' cut s'"),
        ({"a": 1}, {"a": 1, "b": 2}, "key 'b' is missing"),
        ({"a": 1, "b": 2}, {"a": 1}, "key 'b' should not be there"),
        ({"a": [1]}, {"a": [2]}, "at key 'a': [1], expected [2]"),
        ((1, 2), [1, 2], "received tuple, expected list"),
    ]:
        error = failure(check.equal, actual, expected, what="x")
        assert details(error)["difference"].startswith(difference)
    assert "difference" not in details(failure(check.equal, 3, 4, what="x"))


def test_equal_survives_strange_values():
    class Strange:
        def __eq__(self, other):
            raise RuntimeError

        def __repr__(self):
            raise RuntimeError

        __hash__ = None

    assert "Strange" in details(failure(check.equal, Strange(), 1, what="x"))["received"]
    meta = torch.ones(2, device="meta")
    failure(check.equal, [meta], [1], what="x")


def test_true():
    check.true(torch.tensor(True), "fine")
    error = failure(check.true, [], "nothing came out", observed=3, inputs={"x": 2})
    assert details(error) == {"input": "x = 2", "received": "3"}


def test_raises():
    with check.raises(ValueError, what="refuse it"):
        raise ValueError
    with pytest.raises(KeyError), check.raises(ValueError, what="refuse it"):
        raise KeyError
    with pytest.raises(CheckFailed, match="refuse it"), check.raises(ValueError, what="refuse it"):
        pass


def test_long_values_stay_short():
    for value in (
        torch.randn(100, 100),
        list(range(10**5)),
        "x" * 10**5,
        {i: i for i in range(99)},
    ):
        error = failure(check.equal, value, 0, what="x")
        assert len(str(error)) < 1200
