"""Points, status, blame and order."""

import pytest

from course.grading.failure import Failure
from course.grading.graded import Graded, in_order
from course.grading.scores import Outcome, score
from course.grading.session import Grading

NEEDS = {"block": {"attention", "norm"}, "attention": {"softmax"}, "lm": {"block"}}


def outcome(problem, status="passed", points=1.0, kind="check", reason="wrong"):
    failure = None if status == "passed" else Failure(kind, reason)
    return Outcome(f"t::{problem}", Graded("assignment1_toy", problem, points, (), None), status,
                   failure)  # fmt: skip


def rows(*outcomes):
    return {row.name: row for row in score(outcomes, NEEDS)}


def test_partial_credit():
    row = rows(outcome("norm", points=0.1), outcome("norm", "failed"), outcome("norm", points=0.2))
    assert (row["norm"].points, row["norm"].possible) == (0.3, 1.3)
    assert row["norm"].status == "failed"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "skipped"], "skipped"),
        (["passed", "not run"], "not run"),
        (["skipped", "not started"], "not started"),
        (["not started", "passed"], "not started"),
        (["not started", "failed"], "failed"),
    ],
)
def test_the_worst_counts(statuses, expected):
    row = rows(*(outcome("norm", s, reason="not started") for s in statuses))["norm"]
    assert row.status == expected


def test_the_earliest_cause_is_blamed():
    table = rows(
        outcome("softmax", "failed"),
        outcome("norm"),
        outcome("attention", "failed"),
        outcome("block", "failed"),
        outcome("lm", "failed"),
    )
    assert [row.blocked_by for row in table.values()] == [None, None, *["softmax"] * 3]


def test_nobody_is_blamed_for_success_or_for_an_empty_stub():
    table = rows(
        outcome("softmax", "failed"),
        outcome("attention"),
        outcome("block", "not started", reason="not started"),
        outcome("lm", "not started", reason="not started: softmax raises NotImplementedError"),
    )
    assert [row.blocked_by for row in table.values()] == [None, None, None, "softmax"]


def test_needed_problems_outside_of_the_run_are_not_blamed():
    assert rows(outcome("attention", "failed"))["attention"].status == "failed"
    assert rows(outcome("norm"), outcome("block", "failed"))["block"].status == "failed"


def test_broken_adapters_block_nothing():
    table = rows(outcome("softmax", "failed", kind="broken"),
                 outcome("attention", "failed", kind="broken"))  # fmt: skip
    assert [row.status for row in table.values()] == ["failed", "failed"]


def test_order_of_the_handout_and_of_needs():
    handout = ["norm", "softmax", "attention", "block", "lm"]
    mixed = ["lm", "block", "extra", "softmax", "attention", "norm"]
    assert in_order(mixed, NEEDS, handout) == [*handout, "extra"]
    assert in_order(mixed, NEEDS, []) == ["softmax", "attention", "norm", "block", "lm", "extra"]
    assert in_order(["lm", "softmax"], NEEDS, ["lm"]) == ["softmax", "lm"]
    with pytest.raises(pytest.UsageError, match="a -> b -> a"):
        in_order(["a", "b"], {"a": {"b"}, "b": {"a"}}, [])


def test_endless_loops_cost_less_and_less(tmp_path):
    """Thirty tests of a tokenizer that hangs must not take thirty minutes."""
    grading = Grading(tmp_path, ("assignment1_toy",), 60.0)
    limits = []
    for number in range(4):
        slow = outcome("norm", "failed", kind="too slow")
        limits.append(grading.limit(slow.graded))
        grading.outcomes[f"{number}"] = slow
    assert limits == [60, 10, 5, 5]
    assert grading.limit(outcome("softmax").graded) == 60
    assert Grading(tmp_path, (), 0.0).limit(outcome("norm").graded) == 0
