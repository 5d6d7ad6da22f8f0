"""The guard counts how deep it is: what goes up first comes down last."""

import pytest

from course.grading.guard import ForbiddenImportError, Guard
from course.grading.rules import Rules


def test_a_guard_within_a_guard_leaves_the_outer_one_up(tmp_path):
    guard = Guard(Rules(packages=("tiktoken",)), tmp_path)
    code = compile("import tiktoken", str(tmp_path / "student.py"), "exec")
    with guard:
        with guard:
            pass
        with pytest.raises(ForbiddenImportError):
            exec(code, {})
    exec(code, {})
    guard.close()
