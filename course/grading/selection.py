"""`pytest assignment1_basics` means: the graded tests of that assignment, on its own stubs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from course.grading.graded import ASSIGNMENT


@dataclass(frozen=True)
class Selection:
    """What to collect, and the assignments whose stubs are graded (none: the references)."""

    arguments: list[str]
    students: tuple[str, ...]


def select(arguments: Sequence[str], folder: Path, root: Path) -> Selection:
    """Replace folders of assignments by their graded tests; raise UsageError for a mixture.

    Args:
        arguments: what pytest was told to collect.
        folder: where pytest was called, for relative paths.
        root: the repository.
    """
    collect: list[str] = []
    students: list[str] = []
    for argument in arguments:
        assignment = _student_assignment(folder / argument, root)
        if assignment is None:
            collect.append(argument)
        elif assignment not in students:
            students.append(assignment)
    if not students:
        return Selection(collect, ())
    if collect:
        raise pytest.UsageError(
            f"{students[0]} stands for your stubs and cannot be graded together with {collect[0]}; "
            "choose tests with --problem NAME or -k"
        )
    files: list[str] = []
    for assignment in students:
        if not (root / assignment / "adapters.py").is_file():
            raise pytest.UsageError(f"{assignment}/adapters.py does not exist: nothing to grade")
        tests = sorted((root / "tests" / assignment).glob("test_*.py"))
        if not tests:
            raise pytest.UsageError(f"{assignment} has no graded tests yet")
        files += map(str, tests)
    return Selection(files, tuple(students))


def _student_assignment(path: Path, root: Path) -> str | None:
    path = path.resolve()
    if path.name == "adapters.py":
        path = path.parent
    is_one = path.parent == root.resolve() and ASSIGNMENT.fullmatch(path.name) and path.is_dir()
    return path.name if is_one else None
