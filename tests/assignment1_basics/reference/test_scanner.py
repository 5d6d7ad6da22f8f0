"""The compiled scanner finds the pre-tokens that the `regex` module finds, on any text."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer import compiled, naive, scanner
from assignment1_basics.reference.tokenizer.memory import address_of
from assignment1_basics.reference.tokenizer.unicode_tables import BYTES, character_classes

# Each class in each length of UTF-8, the parts of contractions, and characters at the edges.
CHARACTERS = [
    *(" ", "\n", "\t", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u3000"),
    *("a", "Z", "é", "ß", "中", "ﬁ", "𝒳", "\u0301", "ª", "ǅ"),
    *("0", "9", "²", "٣", "Ⅷ", "½", "𝟗"),
    *("!", "_", "—", "€", "😀", "\x00", "\x7f", "\ufeff", "\U0010ffff"),
    *("'", "'s", "'d", "'m", "'t", "'l", "'ll", "'v", "'ve", "'r", "'re", "'S", "’s"),
    *("abcdefghijklmno", "abcdefghijklmnop", "abcdefghijklmnopq", "              ", "@[`{"),
]

texts = st.one_of(
    st.lists(st.sampled_from(CHARACTERS), max_size=12).map("".join),
    st.text(max_size=40),
)


@given(texts)
@settings(max_examples=1000)
def test_equals_regex(text):
    assert scanner.pretokens(text) == naive.pretokens(text)


def test_equals_regex_on_every_short_text():
    """All texts of up to five of these: every order of classes, with and without a space."""
    for length in range(6):
        for characters in itertools.product([" ", "\n", "a", "é", "1", "'", "s"], repeat=length):
            text = "".join(characters)
            assert scanner.pretokens(text) == naive.pretokens(text)


def test_equals_regex_on_every_character():
    every = "".join(chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000)
    assert scanner.pretokens(every) == naive.pretokens(every)
    spaced = " ".join(every[i] for i in range(0, len(every), 7))
    assert scanner.pretokens(spaced) == naive.pretokens(spaced)


def test_character_classes_are_those_of_regex():
    classes = character_classes()
    generator = np.random.default_rng(0)
    for code_point in [*range(0x3100), *generator.integers(0x3100, 0x110000, size=3000)]:
        expected = [not 0xD800 <= code_point < 0xE000 and bool(regex.match(kind, chr(code_point)))
                    for kind in (r"\p{L}", r"\p{N}", r"\s")]  # fmt: skip
        kind = classes[BYTES + code_point]
        assert [kind == 1, kind == 2, kind == 3] == expected


def first_wrong_byte(data):
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


EDGES = (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
         0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF, *b"a 's")  # fmt: skip


@given(st.one_of(st.binary(max_size=12), st.lists(st.sampled_from(EDGES), max_size=9).map(bytes)))
@settings(max_examples=1500)
def test_refuses_what_python_refuses_as_utf8_and_says_where(data):
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.zeros(len(data) + 1, dtype=np.int64)
    classes = character_classes()
    count = scanner._scan(address_of(text), len(data), address_of(classes), address_of(ends))
    wrong = first_wrong_byte(data)
    if wrong is not None:
        assert ends[count - 1] == ~wrong
    elif data:
        assert ends[count - 1] == len(data)


def test_reads_nothing_behind_the_end():
    """The end may be that of a part of the text: what follows must not matter."""
    whole = np.frombuffer("it's caf\u00e9  x".encode() * 3, dtype=np.uint8)
    ends = np.zeros(len(whole), dtype=np.int64)
    classes = character_classes()
    for end in range(1, len(whole)):
        part = whole[:end].tobytes()
        wrong = first_wrong_byte(part)
        count = scanner._scan(address_of(whole), end, address_of(classes), address_of(ends))
        if wrong is not None:
            assert ends[count - 1] == ~wrong
        else:
            words = naive.pretokens(part.decode())
            assert np.diff(ends[:count], prepend=0).tolist() == list(map(len, words))


@pytest.mark.parametrize("unit", ["a", " ", "\n", "!", "1", "é", "\u3000", "'"])
def test_time_is_linear_in_the_length_of_a_run(unit):
    """Quadratic work on 2 MB would be 10**12 steps."""
    assert b"".join(scanner.pretokens(unit * 1_000_000 + "x")).endswith(b"x")


def run_a_small_kernel_in_a_new_process(cache):
    code = (
        "from assignment1_basics.reference.tokenizer import word_table\n"
        "word_table._word_lengths(0, 0, 0, 0)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stderr


def test_compiling_is_announced_once_and_cached(tmp_path):
    first = run_a_small_kernel_in_a_new_process(tmp_path)
    assert first == "compiling the tokenizer kernels (once, ~10 s)...\n"
    assert run_a_small_kernel_in_a_new_process(tmp_path) == ""
    for file in tmp_path.rglob("*.nb?"):
        file.write_bytes(b"torn")
    assert run_a_small_kernel_in_a_new_process(tmp_path) == first
    assert run_a_small_kernel_in_a_new_process(tmp_path) == ""


def test_a_user_without_a_home_gets_no_folder_called_tilde(tmp_path, monkeypatch):
    """As in a container that runs under any number: `expanduser` then changes nothing."""
    monkeypatch.setattr(compiled.os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(compiled, "__file__", "/proc/compiled.py")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path / "tmp"))
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    folder = compiled._cache_folder.__wrapped__()
    assert folder.startswith(str(tmp_path / "tmp"))
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


def test_a_change_to_any_file_of_the_folder_makes_the_cache_stale(tmp_path, monkeypatch):
    stamp = compiled._Locator(lambda: 0).get_source_stamp
    assert stamp() == compiled._source_hash()
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    for name in ("compiled.py", "memory.py"):
        before = compiled._source_hash.__wrapped__()
        (tmp_path / name).write_text("changed")
        assert compiled._source_hash.__wrapped__() != before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_trusted(tmp_path, monkeypatch):
    """What lies in it is unpickled."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    theirs = compiled._cache_folder.__wrapped__()
    assert theirs.startswith(str(tmp_path))
    os.chown(theirs, 4321, -1)
    assert not compiled._cache_folder.__wrapped__().startswith(str(tmp_path))


def test_kernels_work_where_no_folder_can_be_written(monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError

    monkeypatch.setattr(compiled.tempfile, "TemporaryFile", refuse)
    compiled._cache_folder.cache_clear()
    try:
        assert compiled._cache_folder() is None
        assert compiled.kernel(lambda x: x + 1)(2) == 3
    finally:
        compiled._cache_folder.cache_clear()
