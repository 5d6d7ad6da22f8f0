"""The suite fails every classic mistake of the catalogue, and its message names the mistake."""

from collections import Counter

import pytest

from course.grading.catalogue import load_mistakes

MISTAKES = load_mistakes("assignment1_basics")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.problem}: {m.title}")
def test_mistake_fails_and_is_named(suite, mistake):
    assert mistake.problem in suite.tests, f"no graded test has the problem {mistake.problem}"
    failed = suite.first_failure(mistake)
    assert failed is not None, "the suite passes this mistake"
    assert failed.status == "failed", f"{failed.name} does not fail: {failed.status}"
    assert failed.failure.kind in ("check", "error"), failed.failure.reason
    found = suite.recognise(mistake)
    named = [named.title for named in found.mistakes] if found else []
    assert named == [mistake.title], f"in {failed.name}: {failed.failure}"


def test_every_problem_has_mistakes(suite, record_property):
    counts = Counter(mistake.problem for mistake in MISTAKES)
    print(f"{len(MISTAKES)} mistakes: {dict(counts)}")
    record_property("mistakes", len(MISTAKES))
    assert len(MISTAKES) >= 70
    assert {problem: counts[problem] for problem in suite.tests if counts[problem] < 2} == {}


def test_titles_are_told_apart():
    titles = Counter((mistake.problem, mistake.title) for mistake in MISTAKES)
    assert [title for title, count in titles.items() if count > 1] == []


def test_messages_are_one_sentence_each():
    for mistake in MISTAKES:
        assert mistake.says, mistake
        assert "\n" not in mistake.title + mistake.says, mistake
        assert len(mistake.title) <= 70, mistake
