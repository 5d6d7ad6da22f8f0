"""The user's own files: kinds, order, encodings, damage."""

import gzip
import json

import pytest

from course.corpus import END_OF_TEXT, files
from course.corpus.files import find_files, read_files
from course.errors import UserError


def read(*patterns, **options):
    return list(read_files([str(pattern) for pattern in patterns], **options))


def test_kinds(tmp_path):
    (tmp_path / "a.txt").write_text(f"one\n{END_OF_TEXT}\ntwo{END_OF_TEXT}")
    (tmp_path / "b.md").write_text(f"# Title\n\nthree {END_OF_TEXT}\n")
    lines = [json.dumps({"text": "four"}), "", json.dumps({"text": "five\nlines", "id": 5})]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress("sechs é".encode()))
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b'{"text": "seven"}\n'))
    (tmp_path / "f.py").write_text("no text")
    assert read(tmp_path) == [
        *("one", "two", "", f"# Title\n\nthree {END_OF_TEXT}"),
        *("four", "five\nlines", "sechs é", "seven"),
    ]


def test_order_and_repeats(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.txt"):
        (tmp_path / name).write_text(name)
    assert read(tmp_path / "**/*.txt") == ["a.txt", "b.txt", "sub/c.txt"]
    assert read(tmp_path / "b.txt", tmp_path) == ["b.txt", "a.txt", "sub/c.txt"]


@pytest.mark.parametrize("size", [1, 3, 7, 13, 1000])
def test_separator_across_reads(tmp_path, monkeypatch, size):
    monkeypatch.setattr(files, "_READ_SIZE", size)
    (tmp_path / "a.txt").write_text(f"one{END_OF_TEXT}<|end{END_OF_TEXT}{END_OF_TEXT}four")
    assert read(tmp_path / "a.txt") == ["one", "<|end", "", "four"]


def test_windows_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read(tmp_path / "a.txt") == ["one\ntwo"]


@pytest.mark.parametrize("suffix", [".txt", ".md"])
def test_bad_bytes_are_refused_with_their_place(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"fine\xc3\xa9" + b"caf\xe9 au lait")
    with pytest.raises(UserError, match=r"byte 0xe9 at offset 9"):
        read(path)


def test_offset_counts_from_the_start_of_the_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one<|endoftext|>tw\xff")
    with pytest.raises(UserError, match="offset 18"):
        read(tmp_path / "a.txt")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "one"}\n{"text": "\xff"}\n')
    with pytest.raises(UserError, match="offset 26"):
        read(tmp_path / "b.jsonl")


def test_bad_bytes_are_replaced_and_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 \xff \xef\xbf\xbd")  # the last one was there
    notes = []
    assert read(tmp_path, replace_bad_bytes=True, notify=notes.append) == [
        "caf\ufffd \ufffd \ufffd"
    ]
    assert len(notes) == 1
    assert "2 bytes" in notes[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "one"', "line 1: not JSON"),
        ('{"body": "one"}', "no text under 'text'; the line has body"),
        ('{"text": 5}', "no text under 'text'"),
        ("[1]", "the line has list"),
    ],
)
def test_bad_json(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.jsonl")


def test_another_field(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": "one"}\n')
    assert read(tmp_path / "a.jsonl", field="body") == ["one"]


def test_damaged_gzip(tmp_path):
    data = gzip.compress(b"some text" * 1000)
    (tmp_path / "cut.txt.gz").write_bytes(data[:-20])
    (tmp_path / "not.txt.gz").write_bytes(b"plain text")
    for name in ("cut", "not"):
        with pytest.raises(UserError, match="damaged gzip"):
            read(tmp_path / f"{name}.txt.gz")


def test_nothing_to_read(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(UserError, match="no input files"):
        find_files([])
    with pytest.raises(UserError, match="does not exist"):
        find_files([str(tmp_path / "missing.txt")])
    with pytest.raises(UserError, match=r"has no \.txt"):
        find_files([str(tmp_path)])
    with pytest.raises(UserError, match=r"has no \.txt"):
        find_files([str(tmp_path / "*.txt")])
    with pytest.raises(UserError, match=r"a\.csv' is none of"):
        find_files([str(tmp_path / "a.csv")])
