"""Files that are written whole or not at all: write beside the target, fsync, rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from course.errors import UserError


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path` that takes its place if the block ends without an error.

    Readers see the old file or the new one, never a part. `mode` is "wb" or "w" (UTF-8 with "\\n"
    line ends). A full disk or an interrupt leaves the old file as it was and removes the temporary.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def existing_file(path: Path | str, what: str) -> Path:
    """Return `path` if it is a readable file; else raise a `UserError` that names `what`."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{what} {str(path)!r} is a folder; a file is needed")
    if not path.is_file():
        raise UserError(f"{what} {str(path)!r} does not exist")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} {str(path)!r} cannot be read: permission denied")
    return path
