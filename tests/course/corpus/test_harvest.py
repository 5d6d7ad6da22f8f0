"""Prose from installed software: from a small made-up installation, and from this one."""

import os
import time

import pytest

from course.corpus import harvest, prose

LONG = "This sentence says what the {0} function of the module does with its first argument. "


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Two roots with a few files, in place of the real ones."""
    library, packages = tmp_path / "lib", tmp_path / "packages"

    def add(root, name, text, encoding="utf-8"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)

    docstring = '"""' + LONG.format("alpha") + "\n\n" + _story("docstring") + '"""\n'
    add(library, "alpha.py", docstring + 'x = "not a docstring"\n')
    comment = "".join(f"# {line}\n" for line in _story("comment").split(". "))
    add(library, "beta.py", "import os\n\n" + comment)
    add(library, "test/alpha.py", '"""' + _story("tests") + '"""')
    add(library, "pydoc_data/topics.py", "# made\ntopics = {'if': '" + _story("topic") + "'}\n")
    add(packages, "pack/header.h", "/** " + _story("header") + " */ int f(void);\n")
    add(packages, "pack/README.md", _story("readme") + "\n\n```\ncode\n```\n")
    add(packages, "pack/latin.py", '"""' + _story("latin") + ' \xe9"""', "latin-1")
    add(packages, "pack-1.dist-info/METADATA", "Name: pack\n\n" + _story("metadata"))
    add(packages, "pack-1.dist-info/LICENSE", _story("readme"))  # a copy
    add(packages, "own-1.dist-info/METADATA", "Name: own\n\n" + _story("own"))
    add(packages, "own-1.dist-info/direct_url.json", "{}")
    monkeypatch.setattr(harvest, "_roots", lambda: [library, packages])
    return packages


def test_a_file_name_may_be_any_bytes(installed):
    name = os.fsdecode(b"pack/\xff.md")
    (installed / name).write_text(_story("bytes"))
    assert any("the bytes of the first" in document for document in prose())
    assert harvest.fingerprint()


def _story(kind):
    numbers = ("first", "second", "third", "fourth", "fifth")
    return " ".join(
        f"The {number} line of the {kind} tells us about the {kind} of the {number} {kind} there."
        for number in numbers
    )


def test_sources(installed):
    text = "\n".join(prose())
    for kind in ("docstring", "comment", "topic", "header", "metadata", "readme"):
        assert f"first line of the {kind}" in text, kind
    for kind in ("tests", "latin", "own"):
        assert f"first line of the {kind}" not in text, kind
    assert "not a docstring" not in text
    assert "code" not in text


def test_copies_are_left_out(installed):
    assert "\n".join(prose()).count("first line of the readme") == 1


def test_max_bytes_takes_a_prefix(installed):
    whole = list(prose())
    part = list(prose(max_bytes=1000))
    assert part == whole[: len(part)]
    assert 0 < len(part) < len(whole)
    assert sum(len(document.encode()) for document in part) <= 1000


def test_a_prefix_is_a_sample_of_all_packages(installed):
    for name in "ab":
        (installed / name).mkdir()
        for i in range(20):
            (installed / name / f"{i}.md").touch()
    first = [name for name, _ in harvest._files([installed])][:20]
    assert {"a", "b"} <= {name.partition("/")[0] for name in first}


def test_order_does_not_come_from_the_file_system(installed, monkeypatch):
    whole = list(prose())
    walk = harvest.os.walk

    def backwards(root):
        for folder, subfolders, names in walk(root):
            subfolders.reverse()
            yield folder, subfolders, names[::-1]

    monkeypatch.setattr(harvest.os, "walk", backwards)
    assert list(prose()) == whole


def test_fingerprint_changes_with_the_files(installed):
    before = harvest.fingerprint()
    assert before == harvest.fingerprint()
    (installed / "new.py").write_text("x = 1\n")
    assert harvest.fingerprint() != before


def test_strings_and_comments_shadow_each_other():
    source = r"""a = "# no comment"  # no 'docstring'
b = 'it\'s # no comment'; c = "" + ''
'''A docstring # with a hash, an \"escape\" and "quotes", over
two lines.'''
r'''A raw docstring, in which \n stays as it is written.'''
f'''No docstring: {a} of these {b} are filled in at run time'''
b'''No docstring: bytes, which are seldom prose, as in here'''
x = 1  # one line only is no prose, but two, three and more are
y = 'an unclosed string ends with its line
# two lines that follow each other
# are a comment of two lines
"""
    assert list(harvest._python_texts(source)) == [
        'A docstring # with a hash, an \\"escape\\" and "quotes", over\ntwo lines.',
        "A raw docstring, in which \\n stays as it is written.",
        " two lines that follow each other\n are a comment of two lines",
    ]


def test_lexing_takes_linear_time():
    for piece in ("x = 1\n", "'", '"', '"" ', "# \n", "'\\\n", '"""'):
        start = time.perf_counter()
        list(harvest._python_texts(piece * (300_000 // len(piece))))
        assert time.perf_counter() - start < 5, piece


def test_what_is_installed_here():
    documents = list(prose(max_bytes=400_000))
    size = sum(len(document.encode()) for document in documents)
    assert 300_000 < size <= 400_000
    assert all(len(document) >= harvest.MIN_DOCUMENT for document in documents)
    lines = [line for document in documents for line in document.split("\n") if line]
    assert len(set(lines)) == len(lines)
    ascii_share = sum(c.isascii() for d in documents for c in d) / sum(map(len, documents))
    assert ascii_share > 0.98


def test_processes_read_the_same():
    one = list(prose(max_bytes=150_000))
    assert list(prose(max_bytes=150_000, processes=2)) == one
