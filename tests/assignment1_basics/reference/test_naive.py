"""The naive algorithm against examples worked out by hand: the other tokenizer tests rest on it."""

from assignment1_basics.reference.tokenizer import naive


def test_merges_of_the_example_of_sennrich_et_al():
    """The corpus of their section 3.2; ties go to the greater pair ("st" over "es")."""
    words = ["low"] * 5 + ["lower"] * 2 + ["widest"] * 3 + ["newest"] * 6
    vocab, merges = naive.train_bpe("\n".join(words), 256 + 12)
    expected = "s t, e st, o w, l ow, w est, n e, ne west, w i, wi d, wid est, low e, lowe r"
    assert merges == [tuple(pair.encode().split()) for pair in expected.split(", ")]
    assert vocab[256] == b"st"
    assert vocab[267] == b"lower"


def test_encoding_replays_the_merges_in_order():
    vocab = dict(
        enumerate([*(bytes([i]) for i in range(256)), b"th", b" c", b" a", b"the", b" at"])
    )
    merges = [(b"t", b"h"), (b" ", b"c"), (b" ", b"a"), (b"th", b"e"), (b" a", b"t")]
    ids = naive.encode("the cat ate", vocab, merges)
    assert [vocab[i] for i in ids] == [b"the", b" c", b"a", b"t", b" at", b"e"]


def test_special_tokens_cut_the_text_and_get_the_first_ids():
    text = "ab<|x|>ab<|x|><|y|>b"
    vocab, merges = naive.train_bpe(text, 259, ["<|x|>", "<|y|>"])
    assert merges == [(b"a", b"b")]
    assert (vocab[0], vocab[1], vocab[2], vocab[258]) == (b"<|x|>", b"<|y|>", b"\x00", b"ab")
    ids = naive.encode(text, vocab, merges, ["<|x|>", "<|y|>"])
    assert ids == [258, 0, 258, 0, 1, 2 + ord("b")]


def test_of_overlapping_special_tokens_the_longest_wins():
    parts = naive.split_at_special_tokens("a<|x|><|x|>b<|x|>", ["<|x|>", "<|x|><|x|>"])
    assert parts == ["a", "<|x|><|x|>", "b", "<|x|>"]


def test_overlapping_occurrences_are_merged_from_left_to_right():
    assert naive.merge([b"a", b"a", b"a"], (b"a", b"a")) == [b"aa", b"a"]


def test_training_ends_when_no_pair_is_left():
    vocab, merges = naive.train_bpe("ab ab", 1000)
    assert merges == [(b"a", b"b"), (b" ", b"ab")]
    assert len(vocab) == 258
