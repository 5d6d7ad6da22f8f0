"""The byte n-gram model against the same formulas with dicts, and as a distribution."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from assignment1_basics.reference import ngram
from assignment1_basics.reference.ngram import train_ngram
from course.errors import UserError

TEXT = (
    b"the cat sat on the mat. the dog sat on the log. a cat and a dog ran to the mat, and then "
    b"they ran to the log.\0another text begins here: the bird sang on the tree.\0\xff\x00\xfe\xff"
)


class DictKneserNey:
    """Interpolated modified Kneser-Ney, as in Chen and Goodman (1998), section 3."""

    def __init__(self, data, order):
        self.order = order
        padded = b"\0" * order + data
        grams = Counter(padded[i : i + order + 1] for i in range(len(data)))
        self.counts = {order: grams}
        for length in range(order, 0, -1):
            # In how many longer n-grams does this one occur at the end?
            self.counts[length - 1] = Counter(gram[1:] for gram in self.counts[length])
        self.following = {}
        for length, counts in self.counts.items():
            self.following[length] = defaultdict(dict)
            for gram, count in counts.items():
                self.following[length][gram[:-1]][gram[-1]] = count

    def discount(self, length, count):
        n = Counter(self.counts[length].values())
        y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
        if count == 0:
            return 0.0
        count = min(count, 3)
        value = count - (count + 1) * y * n[count + 1] / n[count] if n[count] else 0.5
        return min(max(value, 0.01), count - 0.001)

    def probability(self, context, byte, length=None):
        length = self.order if length is None else length
        lower = 1 / 256 if length == 0 else self.probability(context[1:], byte, length - 1)
        following = self.following[length].get(context)
        if not following:
            return lower
        total = sum(following.values())
        count = following.get(byte, 0)
        left = sum(self.discount(length, c) for c in following.values()) / total
        return max(count - self.discount(length, count), 0) / total + left * lower


@pytest.mark.parametrize("order", [0, 1, 2, 5, 7])
def test_equals_the_formulas(order):
    model, oracle = train_ngram(TEXT, order), DictKneserNey(TEXT, order)
    held_out = b"the cat sang to the bird, and a new word: zebra.\xff\0the end"
    padded = b"\0" * order + held_out
    expected = [
        oracle.probability(padded[i : i + order], held_out[i]) for i in range(len(held_out))
    ]
    np.testing.assert_allclose(model.log2_probabilities(held_out), np.log2(expected), rtol=1e-9)
    np.testing.assert_allclose(model.bits_per_byte(held_out), -np.log2(expected).mean(), rtol=1e-9)


@pytest.mark.parametrize("order", [0, 3, 5])
@pytest.mark.parametrize(
    "context", [b"", b"t", b"the c", b"never seen", b"\0\0\0\0\0", b"\xff\xff"]
)
def test_probabilities_sum_to_one(order, context):
    p = train_ngram(TEXT, order).next_byte(context)
    assert p.shape == (256,)
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("text", [b"a", b"aaaaaaaaaa", b"abab" * 9, b"abcabdabc" * 20])
def test_nothing_is_impossible_after_a_tiny_text(text):
    bits = -train_ngram(text, 5).log2_probabilities(b"a new text, with \xff")
    assert np.isfinite(bits).all()
    assert (bits >= 0).all()


def test_next_byte_is_what_scoring_uses():
    model = train_ngram(TEXT, 4)
    p = model.next_byte(b"the ca")
    assert np.log2(p[ord("t")]) == pytest.approx(model.log2_probabilities(b"the cat")[-1])


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_do_not_matter(monkeypatch, block):
    whole = train_ngram(TEXT, 5)
    expected = whole.bits_per_byte(TEXT)
    monkeypatch.setattr(ngram, "_BLOCK", block)
    cut = train_ngram(TEXT, 5)
    for a, b in zip(whole.levels, cut.levels, strict=True):
        np.testing.assert_array_equal(a.grams, b.grams)
        np.testing.assert_array_equal(a.counts, b.counts)
    assert cut.bits_per_byte(TEXT) == pytest.approx(expected, rel=1e-12)


def test_more_context_and_more_text_help():
    rng = np.random.default_rng(0)
    # A Markov chain of order 2 over 4 letters, whose entropy rate is known.
    p = rng.dirichlet([0.3] * 4, size=(4, 4))
    letters = [0, 0]
    for u in rng.random(60_000):
        letters.append(int(np.searchsorted(p[letters[-2], letters[-1]].cumsum()[:-1], u)))
    data = bytes(b"abcd"[i] for i in letters)
    train, test = data[:50_000], data[50_000:]
    bits = [train_ngram(train, order).bits_per_byte(test) for order in range(4)]
    true = -np.mean(
        [
            np.log2(p[a, b, c])
            for a, b, c in np.lib.stride_tricks.sliding_window_view(letters[50_000:], 3)
        ]
    )
    assert bits[0] > bits[1] > bits[2]
    assert bits[2] == pytest.approx(true, abs=0.01)
    assert bits[3] == pytest.approx(true, abs=0.02)
    assert train_ngram(train[:2000], 2).bits_per_byte(test) > bits[2]


def test_bad_input():
    with pytest.raises(UserError, match="empty"):
        train_ngram(b"")
    with pytest.raises(UserError, match="empty"):
        train_ngram(b"abc").bits_per_byte(b"")
    for order in (-1, 8):
        with pytest.raises(
            UserError, match=f"order of the n-gram model is {order}; it must be from 0 to 7"
        ):
            train_ngram(b"abc", order)
