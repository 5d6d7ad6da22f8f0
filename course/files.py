"""Files that are written whole or not at all: write beside the target, fsync, rename."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from course.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO]:
    """Open a temporary file beside `path` that takes its place if the block ends without an error.

    Readers see the old file or the new one, never a part. `mode` is "wb" or "w" (UTF-8). A full
    disk or an interrupt leaves the old file as it was and removes the temporary.

    A symbolic link stays one: the file that it points to is replaced.

    Raises a `UserError` if the folder cannot be written, the disk is full, or `path` is no file but
    a folder or a device: /dev/null itself would be replaced.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    encoding = None if "b" in mode else "utf-8"
    opened = False
    try:
        _require_replaceable(target, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode, encoding=encoding) as file:
            opened = True
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        # Once it is open, what the caller does may fail for reasons of its own.
        if opened and error.errno not in _FULL:
            raise
        kept = "; the old file is as it was" if os.path.exists(target) else ""
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}{kept}") from error
    finally:
        with suppress(OSError):  # gone, or there is no such folder
            temporary.unlink()


def require_writable(path: Path | str) -> Path:
    """Return `path` if a file can be written there, so that a wrong path fails before the work.

    Leaves nothing behind. Raises a `UserError` as `atomic_write` would at the end.
    """
    target = Path(os.path.realpath(path))
    try:
        _require_replaceable(target, path)
        folder = next(folder for folder in target.parents if folder.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    return Path(path)


def _require_replaceable(target: Path, path: Path | str) -> None:
    if target.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name a file to write")
    if target.exists() and not target.is_file():
        raise UserError(f"{str(path)!r} is a device or a pipe; name a file to write")


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
        problem = "is a device or a pipe; a file is needed" if path.exists() else "does not exist"
        raise UserError(f"{what} {str(path)!r} {problem}")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} {str(path)!r} cannot be read: permission denied")
    return path
