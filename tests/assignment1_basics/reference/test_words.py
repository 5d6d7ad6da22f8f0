"""Counting words: the same counts for every chunk size and number of threads; bounded memory."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import naive
from assignment1_basics.reference.tokenizer.words import count_words
from course.errors import UserError

PARTS = ["a", "b", "ab", " ", "  ", "\n", "\n\n", "\u3000", "\xa0", "é", "中文", "'s", "12", "!",
         "<|e|>", "<|e|><|e|>", "<|e", "|>", "x y", "word " * 9, "x" * 15, "x" * 16, "x" * 17, "\0",
         "a\0"]  # fmt: skip
SPECIAL = ["<|e|>", "<|e|><|e|>", "x y", "b\n", "\nb"]


def expected_counts(text, special_tokens=()):
    parts = naive.split_at_special_tokens(text, special_tokens)
    return Counter(
        word for part in parts if part not in special_tokens for word in naive.pretokens(part)
    )


@given(
    text=st.lists(st.sampled_from(PARTS), min_size=1, max_size=30).map("".join),
    special_tokens=st.lists(st.sampled_from(SPECIAL), unique=True),
    chunk_size=st.sampled_from([1, 2, 3, 5, 8, 13, 100]),
    n_threads=st.sampled_from([1, 2, 3]),
)
def test_equals_regex_however_the_file_is_cut(
    tmp_path_factory, text, special_tokens, chunk_size, n_threads
):
    path = tmp_path_factory.getbasetemp() / "text.txt"
    path.write_bytes(text.encode())
    words = count_words(path, special_tokens, n_threads, chunk_size=chunk_size)
    assert words.to_dict() == expected_counts(text, special_tokens)


def test_counts_many_words_of_all_lengths(tmp_path):
    """More words, and more bytes of long words, than the tables hold at first."""
    text = " ".join(f"{'z' * (i % 40)}q{i:x}" for i in range(60_000))
    (tmp_path / "text.txt").write_text(text)
    words = count_words(tmp_path / "text.txt", n_threads=2, chunk_size=100_000)
    assert words.to_dict() == expected_counts(text)


def test_most_frequent_words_come_first(tmp_path):
    (tmp_path / "text.txt").write_text("b a a a b c")
    words = count_words(tmp_path / "text.txt")
    assert words.counts.tolist() == [3, 1, 1, 1]
    assert words.data[: words.starts[1]].tobytes() == b" a"


def test_progress_ends_with_the_size_of_the_file(tmp_path):
    (tmp_path / "text.txt").write_text("some words " * 100)
    seen = []
    count_words(
        tmp_path / "text.txt", chunk_size=300, progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == sorted(seen)
    assert len(seen) == 4
    assert seen[-1] == ("counting", 1100, 1100)


@pytest.mark.parametrize("chunk_size", [4, 1000])
def test_refuses_bytes_that_are_not_utf8_and_names_the_first(tmp_path, chunk_size):
    path = tmp_path / "latin1.txt"
    path.write_bytes("one two trois \u00e9t\u00e9 six ".encode() + b"caf\xe9 na\xefve and so on")
    with pytest.raises(UserError, match=r"latin1.txt' is not UTF-8: byte 0xe9 at offset 27"):
        count_words(path, n_threads=2, chunk_size=chunk_size)


def test_refuses_missing_and_empty_files(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        count_words(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UserError, match="is empty"):
        count_words(tmp_path / "empty.txt")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 96 MB, all on one line, that has few distinct words, with chunks of 1 MB."""
    path = tmp_path / "large.txt"
    with open(path, "wb") as file:
        for _ in range(96):
            file.write(b"the same words once more " * 40_000)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from assignment1_basics.reference.tokenizer.words import count_words\n"
        "def peak():\n"
        "    return int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "small, large = sys.argv[1:]\n"
        "count_words(small)\n"
        "before = peak()\n"
        "words = count_words(large, n_threads=2, chunk_size=1 << 20)\n"
        "print(peak() - before, len(words))"
    )
    (tmp_path / "small.txt").write_text("the same words")
    command = [sys.executable, "-c", code, str(tmp_path / "small.txt"), str(path)]
    growth, n_words = map(int, subprocess.check_output(command, text=True).split())
    assert n_words == 7
    assert growth < 24 * 1024  # KiB: a chunk for each thread and what waits to be given back


def test_cuts_a_long_line_without_white_space_nowhere(tmp_path):
    text = "x" * 50_000 + "1" * 50_000 + "y z"
    (tmp_path / "text.txt").write_text(text)
    assert count_words(tmp_path / "text.txt", chunk_size=100).to_dict() == expected_counts(text)
