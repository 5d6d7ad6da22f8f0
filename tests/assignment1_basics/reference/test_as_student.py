"""The reference as a student would hand it in, and a fresh clone: full points, and none."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASSIGNMENT = "assignment1_basics"


@pytest.fixture
def clone(tmp_path):
    """A copy of what grading needs, without compiled files."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in (ASSIGNMENT, f"tests/{ASSIGNMENT}"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def grade(clone: Path) -> tuple[int, dict, str]:
    """Return the exit code, the results as Gradescope gets them, and the output."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", ASSIGNMENT, "--score-json", "results.json"],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    file = clone / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    return done.returncode, results, done.stdout + done.stderr


@pytest.mark.slow  # grades a whole assignment in a process of its own
def test_fresh_clone(clone):
    adapters = clone / ASSIGNMENT / "adapters.py"
    if adapters.read_text().count("    raise NotImplementedError") < 30:
        pytest.skip("the stubs are filled in")
    code, results, output = grade(clone)
    assert code == 1
    assert results["score"] == 0
    assert {test["output"] for test in results["tests"]} == {"not started"}
    assert sum(test["max_score"] for test in results["tests"]) == pytest.approx(100)
    assert re.search(r"^\d+ not started in ", output, re.MULTILINE), output


@pytest.mark.slow  # grades a whole assignment, and numba compiles the tokenizer for the new folder
def test_the_reference_copied_into_the_students_folder(clone):
    """Nothing in it is forbidden to students, and nothing reaches back to the reference."""
    mine = clone / ASSIGNMENT / "mine"
    shutil.copytree(clone / ASSIGNMENT / "reference", mine)
    for file in mine.rglob("*.py"):
        file.write_text(file.read_text().replace(f"{ASSIGNMENT}.reference", f"{ASSIGNMENT}.mine"))
    shutil.copy(mine / "adapters.py", clone / ASSIGNMENT / "adapters.py")
    code, results, output = grade(clone)
    assert results["score"] == 100, output
    assert code == 0, output
