"""`course corpus` as a user calls it."""

import pytest

from course.cli import main
from course.corpus import END_OF_TEXT, parallel, stories


def test_stories(tmp_path, capsys):
    out = tmp_path / "stories.txt"
    assert main(["corpus", str(out), "--source", "stories", "--count", "30", "--seed", "5"]) == 0
    assert out.read_text().split(END_OF_TEXT) == list(stories(30, seed=5))
    assert "30 documents" in capsys.readouterr().out


def test_stories_by_size_with_a_held_out_file(tmp_path):
    out, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    arguments = ["--source", "stories", "--max-megabytes", "0.1"]
    arguments += ["--held-out", str(valid), "--held-out-fraction", "0.2"]
    assert main(["corpus", str(out), *arguments]) == 0
    total = out.stat().st_size + valid.stat().st_size
    assert 97_000 < total < 102_000
    assert valid.stat().st_size > 5_000


def test_files(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 " * 10)
    out = str(tmp_path / "out.txt")
    arguments = ["corpus", out, "--source", "files", "--files", str(tmp_path / "a.txt")]
    assert main(arguments) == 2
    assert "offset 3" in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()
    assert main([*arguments, "--replace-bad-bytes"]) == 0
    assert "10 bytes were not UTF-8" in capsys.readouterr().err
    assert "caf\ufffd" in (tmp_path / "out.txt").read_text(encoding="utf-8")


def test_prose(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "MAX_PROCESSES", 1)
    out = tmp_path / "prose.txt"
    assert main(["corpus", str(out), "--max-megabytes", "0.05"]) == 0
    assert 40_000 < out.stat().st_size < 51_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "files"], "no input files"),
        (["--source", "hugging-face"], "needs --dataset"),
        (["--source", "stories", "--files", "a.txt"], "needs --source files"),
        (["--count", "5"], "needs --source stories"),
        (["--source", "stories", "--count", "-5"], "at least 1"),
        (["--max-megabytes", "0"], "above 0"),
        (["--max-megabytes", "nan"], "above 0"),
        (["--source", "files", "--files", "missing.txt"], "does not exist"),
    ],
)
def test_bad_options(tmp_path, capsys, arguments, message):
    assert main(["corpus", str(tmp_path / "out.txt"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
