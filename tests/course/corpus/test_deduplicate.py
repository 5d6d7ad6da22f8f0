"""Copies, exact and near, are seen; other texts are not."""

import random

from course.corpus.deduplicate import SeenText


def is_new(seen, paragraph):
    return seen.new([paragraph]) == [paragraph]


def words(count, seed):
    draw = random.Random(seed)
    return [f"word{draw.choice('abcdefghij')}{draw.choice('klmnopqrst')}" for _ in range(count)]


def test_copies():
    seen = SeenText()
    text = "The license text is the same in every package that has been installed here."
    assert is_new(seen, text)
    assert not is_new(seen, text)
    assert not is_new(seen, text.upper().replace(" ", "  "))
    assert not is_new(seen, text.replace("license", "licence"))  # five of ten shingles


def test_a_copy_with_a_changed_name_is_one():
    text = (
        "Constructs a {0} tokenizer. This tokenizer inherits from the base class which holds most "
        "of the main methods. Users should refer to this superclass for more on the {0} model."
    )
    seen = SeenText()
    assert is_new(seen, text.format("Alpha"))
    assert not is_new(seen, text.format("Beta"))


def test_share_of_known_shingles_decides():
    first = words(200, 1)
    for share, new in ((0.3, True), (0.7, False)):
        seen = SeenText()
        assert is_new(seen, " ".join(first))
        kept = int(200 * share)
        assert is_new(seen, " ".join(first[:kept] + words(200 - kept, 2))) is new


def test_patchwork_of_two_texts_is_a_copy():
    seen = SeenText()
    one, two = words(50, 3), words(50, 4)
    assert is_new(seen, " ".join(one))
    assert is_new(seen, " ".join(two))
    assert not is_new(seen, " ".join(one[:40] + two[:40]))


def test_different_texts_are_new_though_the_table_fills():
    seen = SeenText(table_bits=20)
    assert sum(is_new(seen, " ".join(words(60, seed))) for seed in range(10, 1010)) > 990


def test_short_and_empty():
    seen = SeenText()
    assert is_new(seen, "one two")
    assert not is_new(seen, "one two")
    assert is_new(seen, "one three")
    assert not is_new(seen, "123 456 --")


def test_copies_within_one_call():
    text = "The same paragraph occurs twice in this one document here."
    assert SeenText().new(
        [text, "12", "Another paragraph, which is new in the document.", text]
    ) == [
        text,
        "Another paragraph, which is new in the document.",
    ]
