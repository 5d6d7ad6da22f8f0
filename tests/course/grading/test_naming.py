"""Recognising mistakes: by the same check and the same value, not by mere failure."""

import pytest
import torch

from course.grading.catalogue import Mistake
from course.grading.failure import Failure
from course.grading.graded import Graded
from course.grading.naming import distance, recognise
from course.grading.scores import Outcome

GRADED = Graded("assignment1_toy", "double", 1.0, (), None)
PASSED = Outcome("t", GRADED, "passed")


def failed(observed=None, expected=None, reason="twice 3", line=1, kind="check") -> Outcome:
    site = (("tests/test_double.py", line),)
    failure = Failure(kind, reason, site=site, observed=observed, expected=expected)
    return Outcome("t", GRADED, "failed", failure)


def make(title: str) -> Mistake:
    return Mistake("double", title, "double it", dict)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_same_value():
    assert distance(failed(9, 6), failed(9, 6)) == 0
    assert distance(failed(9, 6), failed(5, 6)) == 1
    assert distance(failed([1, 2], [3]), failed([1, 2], [3])) == 0
    assert distance(PASSED, PASSED) == 0
    assert distance(PASSED, failed(9, 6)) == 1


def test_same_check():
    assert distance(failed(9, 6), failed(9, 6, line=2)) == 1
    assert distance(failed(9, 6), failed(9, 6, reason="twice 4")) == 1
    assert distance(failed(9, 6), failed(9, 6, kind="error")) == 1
    slow = failed(kind="too slow")
    assert distance(slow, slow) == 1, "says nothing about how"


def test_exceptions_by_their_message():
    assert distance(failed(kind="error"), failed(kind="error")) == 0
    assert distance(failed(kind="error"), failed(kind="error", reason="IndexError")) == 1


def test_numbers_relative_to_the_error():
    expected = tensor(1.0, 2.0, 3.0)
    mine = failed(tensor(1.1, 2.0, 3.0), expected)
    assert distance(mine, failed(tensor(1.1 + 1e-5, 2.0, 3.0), expected)) == pytest.approx(1e-4)
    assert distance(mine, failed(tensor(1.0, 2.1, 3.0), expected)) > 1
    # Two mistakes as small as 1e-6 are told apart, whatever the tolerance of the check was.
    small = failed(expected + tensor(1e-6, 0, 0), expected)
    assert distance(small, failed(expected + tensor(0, 1e-6, 0), expected)) > 1
    assert distance(small, failed(expected + tensor(1e-6, 1e-12, 0), expected)) < 1e-5
    assert distance(failed(1.5, 1.0), failed(1.5 + 1e-9, 1.0)) < 1e-6


def test_not_finite_numbers():
    expected = tensor(1.0, 2.0)
    nan, inf = failed(tensor(torch.nan, 2.0), expected), failed(tensor(torch.inf, 2.0), expected)
    assert distance(nan, nan) == 0
    assert distance(nan, inf) == 1
    assert distance(nan, failed(expected, expected)) == 1


def test_shapes():
    expected = torch.ones(2, 2)
    assert distance(failed(torch.ones(4), expected), failed(torch.ones(4), expected)) == 0
    assert distance(failed(torch.ones(4), expected), failed(torch.zeros(4), expected)) > 0.01
    assert distance(failed(torch.ones(4), expected), failed(torch.ones(1, 4), expected)) == 1


def test_measured_numbers_may_differ():
    a, b = failed(reason="took 12.5 ms for 3"), failed(reason="took 80 ms for 3")
    assert 0 < distance(a, b) <= 0.01
    assert distance(failed(1, 2, reason="3 times"), failed(1, 2, reason="4 times")) == 1


def run(mine: dict[str, Outcome], theirs: dict[str, dict[str, Outcome]]) -> tuple | None:
    mistakes = {title: make(title) for title in theirs}
    found = recognise(
        list(mine),
        mine.__getitem__,
        lambda test, mistake: theirs[mistake.title][test],
        list(mistakes.values()),
    )
    return found and (found.outcome, [mistake.title for mistake in found.mistakes])


def test_one_of_many():
    mine = {"a": PASSED, "b": failed(9, 6)}
    theirs = {"+2": {"a": PASSED, "b": failed(5, 6)}, "square": {"a": PASSED, "b": failed(9, 6)}}
    assert run(mine, theirs) == (mine["b"], ["square"])


def test_none():
    assert run({"a": failed(9, 6)}, {"+2": {"a": failed(5, 6)}}) is None
    assert run({"a": failed(9, 6)}, {}) is None
    assert run({"a": PASSED}, {"+2": {"a": failed(5, 6)}}) is None


def test_other_tests_decide_between_equals():
    mine = {"a": failed(9, 6), "b": failed(1, 2), "c": PASSED}
    theirs = {
        "fails elsewhere": {"a": failed(9, 6), "b": failed(1, 2), "c": failed(0, 0)},
        "passes b": {"a": failed(9, 6), "b": PASSED, "c": PASSED},
        "the one": {"a": failed(9, 6), "b": failed(1, 2), "c": PASSED},
    }
    assert run(mine, theirs) == (mine["a"], ["the one"])
    del theirs["the one"]
    assert run(mine, theirs) == (mine["a"], ["fails elsewhere"])


def test_equals_are_all_named():
    mine = {"a": failed(9, 6)}
    assert run(mine, {"x": mine, "y": mine}) == (mine["a"], ["x", "y"])


def test_a_second_mistake_does_not_hide_the_first():
    mine = {"a": failed(100, 6), "b": failed(1, 2)}
    theirs = {"known": {"a": PASSED, "b": failed(1, 2)}}
    assert run(mine, theirs) == (mine["b"], ["known"])


def test_what_fails_before_is_another_mistake():
    mine = {"a": PASSED, "b": failed(9, 6), "c": failed(1, 2)}
    split = {"a": failed(3, 4), "b": failed(9, 6), "c": failed(1, 3)}
    assert run(mine, {"split": split}) is None, "its author would have failed a, too"
    strip = {"a": PASSED, "b": failed(9, 6), "c": failed(0, 2)}
    assert run(mine, {"split": split, "strip": strip}) == (mine["b"], ["strip"])


def test_the_nearest_of_close_ones():
    expected = tensor(1.0, 2.0)
    mine = {"a": failed(tensor(1.5, 2.0), expected)}
    theirs = {
        "eps 1e-5": {"a": failed(tensor(1.5 + 1e-5, 2.0), expected)},
        "no eps": {"a": failed(tensor(1.5 + 1e-12, 2.0), expected)},
    }
    assert run(mine, theirs) == (mine["a"], ["no eps"])


def test_a_failure_that_has_a_name_is_shown_first_with_the_students_value(toy):
    toy.stubs("""
        def run_double(x):
            return "abab" if x == "ab" else 7 if x == 0 else x + 2
        """)
    run = toy.pytest("assignment1_toy", "--problem", "double")
    first, *block = run.output.partition("double: ")[2].splitlines()[1:]
    assert first.split() == ["twice", "3"]
    assert any("added instead of doubled" in line for line in block)
    received = next(line for line in block if "received" in line)
    assert received.split()[-1] == "5"
