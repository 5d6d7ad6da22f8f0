"""Right answers by other roads pass, behind the same guard as a student's code."""

from collections import Counter

import pytest

from course.grading.catalogue import load_alternatives

ALTERNATIVES = load_alternatives("assignment1_basics")
# Of these there are many ways to write them, and each has at least three in the catalogue.
CORE = (
    "train_bpe",
    "tokenizer",
    "rope",
    "softmax",
    "scaled_dot_product_attention",
    "multihead_self_attention",
    "transformer_lm",
    "cross_entropy",
    "adamw",
)


@pytest.mark.parametrize("alternative", ALTERNATIVES, ids=lambda a: f"{a.problem}: {a.title}")
def test_alternative_passes(suite, alternative):
    assert [f"{o.name}: {o.failure}" for o in suite.failures(alternative)] == []


def test_core_problems_have_three():
    counts = Counter(alternative.problem for alternative in ALTERNATIVES)
    print(f"{len(ALTERNATIVES)} alternatives: {dict(counts)}")
    assert {problem: counts[problem] for problem in CORE if counts[problem] < 3} == {}
