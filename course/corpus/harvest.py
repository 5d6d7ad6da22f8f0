"""English prose that is on every machine with this project: the texts that software carries.

Docstrings, comments and documentation of the standard library and the installed packages, Python's
own documentation topics, package descriptions and licences: about 25 MB with this project's
dependencies. Nothing is imported or run: one regular expression finds string literals and comments
(95 MB/s, twelve times as fast as `ast.parse`, and indifferent to the file's Python version).

The result depends on the installed packages only, not on paths, times or the file system's order:
files come in the order of a hash of their names, so that any prefix is a sample of all packages.
"""

import ast
import email
import hashlib
import os
import re
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from inspect import cleandoc
from pathlib import Path

from course.corpus.deduplicate import SeenText
from course.corpus.english import paragraphs
from course.corpus.parallel import parallel_map

MIN_DOCUMENT = 200  # characters; what is shorter says too little about anything
MIN_TEXT = 40  # characters of a comment or docstring; the shortest paragraph has seven words
MAX_FILE = 4_000_000  # bytes; longer files are generated tables
TOPICS = "pydoc_data/topics.py"

_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"}
_PYTHON, _C, _TEXT = (".py", ".pyi"), (".h", ".hpp", ".cuh"), (".md", ".rst", ".txt")
_TEXT_NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "README", "METADATA")

# Python source: what is of no interest is swallowed first (code, short strings, one-line comments),
# so that a match ends in a comment of two lines and more, in a triple-quoted string, or nowhere.
_PYTHON_TEXT = re.compile(
    r"""(?:[^"'\#]++|"(?!"")[^"\\\n]*+(?:\\.[^"\\\n]*+)*+(?:"|(?=\n))"""
    r"""|'(?!'')[^'\\\n]*+(?:\\.[^'\\\n]*+)*+(?:'|(?=\n))|\#[^\n]*+(?!\n[ \t]*\#))*+"""
    r"""(?:(\#[^\n]*(?:\n[ \t]*\#[^\n]*)*+)"""
    r"""|(\"{3}[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+\"{3}|'{3}[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+'{3}))?""",
    re.S,
)
_PREFIX = re.compile(r"[a-zA-Z]*$")
_PYTHON_MARGIN = re.compile(r"^[ \t]*#+:?", re.M)
_C_TEXT = re.compile(r"/\*.*?\*/|(?:^[ \t]*//.*\n){2,}", re.S | re.M)
_C_MARGIN = re.compile(r"^[ \t]*(?:/?\*+[/!<]?|//+[!<]?)", re.M)


def prose(
    max_bytes: int | None = None,
    processes: int = 1,
) -> Iterator[str]:
    """Yield documents of English prose found in the installed software, one per file.

    Paragraphs that nearly repeat an earlier one are left out, so that documents held out for
    evaluation share no text with the others.

    Args:
        max_bytes: stop before the document that would make the total (UTF-8) exceed this.
        processes: read files in so many processes; the result is the same. Above 1, the calling
            script needs the usual `if __name__ == "__main__"` guard.
    """
    seen = SeenText()
    total = 0
    for found in parallel_map(_read, _files(_roots()), processes, chunk=64):
        document = _join(seen.new(found))
        if len(document) < MIN_DOCUMENT:
            continue
        size = len(document.encode())
        if max_bytes is not None and total + size > max_bytes:
            return
        total += size
        yield document


def fingerprint() -> str:
    """Return a hash of the names and sizes of the files that `prose` reads."""
    digest = hashlib.sha256()
    for name, path in _files(_roots()):
        with suppress(OSError):
            digest.update(os.fsencode(f"{name} {path.stat().st_size}\n"))
    return digest.hexdigest()[:16]


def _roots() -> list[Path]:
    """Return the folders of the standard library and of installed packages."""
    paths = sysconfig.get_paths()
    return [
        Path(folder) for folder in dict.fromkeys(paths[k] for k in ("stdlib", "purelib", "platlib"))
    ]


def _files(roots: Iterable[Path]) -> list[tuple[str, Path]]:
    """Return (name relative to its root, path) of every file to read, in the order of a hash."""
    found: dict[str, Path] = {}
    for root in roots:
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
            if (
                "direct_url.json" in names
            ):  # installed from a folder or repository: work in progress
                continue
            for name in names:
                if name.endswith(_PYTHON + _C + _TEXT) or name.startswith(_TEXT_NAMES):
                    path = Path(folder, name)
                    found.setdefault(path.relative_to(root).as_posix(), path)
    return sorted(found.items(), key=lambda item: (zlib.crc32(os.fsencode(item[0])), item[0]))


def _read(file: tuple[str, Path]) -> list[str]:
    """Return the English paragraphs of one file; none if it cannot be read as UTF-8."""
    name, path = file
    try:
        if path.stat().st_size > MAX_FILE:
            return []
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    if name == TOPICS:
        texts = _topics(source)
    elif name.endswith(_PYTHON):
        texts = _python_texts(source)
    elif name.endswith(_C):
        comments = [comment for comment in _C_TEXT.findall(source) if len(comment) >= MIN_TEXT]
        texts = (_C_MARGIN.sub("", comment) for comment in comments)
    elif name.endswith("METADATA"):
        texts = iter([str(email.message_from_string(source).get_payload())])
    else:
        texts = iter([source])
    return [paragraph for text in texts for paragraph in paragraphs(text)]


def _topics(source: str) -> Iterator[str]:
    """Yield Python's documentation topics: the values of one dict of literals."""
    assignment = next(node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    yield from ast.literal_eval(assignment.value).values()


def _python_texts(source: str) -> Iterator[str]:
    """Yield docstrings (all triple-quoted strings) and comments of two lines and more."""
    for match in _PYTHON_TEXT.finditer(source):
        comment, quoted = match.groups()
        if len(comment or quoted or "") < MIN_TEXT:
            continue
        if comment:
            yield _PYTHON_MARGIN.sub("", comment)
            continue
        start = match.start(2)
        prefix = _PREFIX.search(source, max(0, start - 2), start)
        raw = prefix is not None and prefix[0].lower() == "r"
        if prefix is None or prefix[0].lower() in ("", "r", "u"):
            text = quoted[3:-3]
            if "\\" in text and not raw:
                text = text.replace("\\\n", "").replace("\\n", "\n").replace("\\\\", "\\")
            yield cleandoc(text)


def _join(parts: list[str]) -> str:
    """Join paragraphs with blank lines between, list items without."""
    text = "".join(("\n" if part.startswith("- ") else "\n\n") + part for part in parts)
    return text.strip()
