"""Whose code is it: a library's, the course's (tests, grader), or the student's?"""

import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_SEPARATOR = str(Path("/"))
_CATALOGUE = re.compile(r"[\\/]assignment\d+_\w+[\\/](mistakes|alternatives)\b")


class Provenance:
    """Tells by its file whose code it is.

    The student's is what is neither a library's nor given: anything below the repository except
    `tests` and `course`, and anything elsewhere. The entries of the catalogue
    (`tests/<assignment>/mistakes` and `alternatives`) stand for students' and count as theirs.
    """

    def __init__(self, root: Path) -> None:
        paths = sysconfig.get_paths()
        keys = ("stdlib", "platstdlib", "purelib", "platlib")
        self._libraries = tuple({paths[key] + _SEPARATOR for key in keys} | {"<frozen"})
        course = str(Path(__file__).parents[2])
        self._given = tuple(folder + _SEPARATOR for folder in (str(root / "tests"), course))
        self._known: dict[str, bool] = {"": False}

    def is_library(self, file: str) -> bool:
        """Whether the file is part of Python or of an installed package."""
        return file.startswith(self._libraries)

    def is_students(self, file: str) -> bool:
        """Whether the file is the student's."""
        known = self._known.get(file)
        if known is None:
            given = file.startswith(self._given) and not _CATALOGUE.search(file)
            known = self._known[file] = not (given or self.is_library(file))
        return known

    def is_students_class(self, cls: type) -> bool:
        """Whether the class is defined in a file of the student's."""
        module = sys.modules.get(cls.__module__)
        return self.is_students(getattr(module, "__file__", None) or "")


def callers() -> Iterator[FrameType]:
    """Yield the frames that led here, the nearest first, those of this package left out."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(__package__):
            yield frame
        frame = frame.f_back
