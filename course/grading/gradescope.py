"""The scores as Gradescope's `results.json`.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course.files import atomic_write
from course.grading.report import explanation, verdict
from course.grading.scores import ProblemScore


def results(scores: Sequence[ProblemScore], seconds: float) -> dict[str, Any]:
    """Return the scores in Gradescope's format: one entry a problem."""
    tests = [
        {
            "name": row.name,
            "score": row.points,
            "max_score": row.possible,
            "status": "passed" if row.status == "passed" else "failed",
            "output": "\n".join(explanation(row) or [verdict(row)]),
            "visibility": "visible",
        }
        for row in scores
    ]
    return {
        "score": round(sum(row.points for row in scores), 6),
        "execution_time": round(seconds),
        "output": _summary(scores),
        "visibility": "visible",
        "stdout_visibility": "visible",
        "tests": tests,
    }


def _summary(scores: Sequence[ProblemScore]) -> str:
    if not scores:
        return "nothing was graded"
    return f"{sum(row.status == 'passed' for row in scores)} of {len(scores)} problems pass"


def write_results(path: Path, scores: Sequence[ProblemScore], seconds: float) -> None:
    """Write the scores to a file, whole or not at all."""
    _write(path, results(scores, seconds))


def write_unfinished(path: Path) -> None:
    """Write a score of 0, to be replaced in the end: a process that dies leaves no older score."""
    _write(path, {**results([], 0), "output": "the grader was ended before it was done"})


def _write(path: Path, document: dict[str, Any]) -> None:
    with atomic_write(path, "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
