"""The sentence about the first wrong merge, from which a student learns what went wrong."""

import pytest

from tests.assignment1_basics import bpe_oracle

TEXT = "ab ab ab cb cb"  # ("a", "b") once more often than any other pair, then only ties
EXPECTED = bpe_oracle.train(TEXT, 3)


@pytest.mark.parametrize(
    ("received", "says"),
    [
        ([(b"c", b"b")], "merge 0 is (b'c', b'b'), which occurs twice; (b'a', b'b') occurs 3"),
        ([(b"b", b"a")], "merge 0 is (b'b', b'a'), which no pre-token holds at that point; (b'a"),
        ([*EXPECTED[:1], (b" ", b"ab")], "merge 1 is (b' ', b'ab'), in a tie with (b'c', b'b')"),
        (EXPECTED[:1], "there is no merge 1, but (b'c', b'b') occurs twice"),
        ([*EXPECTED, (b"x", b"y")], "merge 3 is (b'x', b'y'), but the vocabulary is full after 3"),
    ],
)
def test_first_wrong_merge(received, says):
    assert bpe_oracle.first_wrong_merge(TEXT, received, EXPECTED).startswith(says)


def test_no_pair_is_left():
    wrong = bpe_oracle.first_wrong_merge("ab", [(b"a", b"b"), (b"a", b"b")], [(b"a", b"b")])
    assert wrong == "merge 1 is (b'a', b'b'), but no pair is left"
