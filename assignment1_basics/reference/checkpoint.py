"""Checkpoints: files that are either whole and right, or refused with a message.

`save_checkpoint` and `load_checkpoint` are the pair of the handout: model, optimizer, iteration.
`write_verified` and `read_verified` are what training uses. A flipped bit in a weight would train
on without a word, so the file carries a SHA-256 of itself (1.4 GB/s on one core), as the comment
that a zip archive may have at its end: `torch.load` reads the file as usual.

All files load with `weights_only=True`: they hold tensors and plain values, and no code.
"""

import hashlib
import os
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import nn

from course.errors import UserError
from course.files import atomic_write, existing_file

Target = str | os.PathLike[str] | BinaryIO | IO[bytes]

MARK = b"sha256:"
COMMENT_BYTES = len(MARK) + 64
END_OF_ARCHIVE_BYTES = 22  # the record that ends in the length of the comment
CHUNK_BYTES = 1 << 24


def save_checkpoint(
    model: nn.Module, optimizer: torch.optim.Optimizer, iteration: int, out: Target
) -> None:
    """Write the model's and the optimizer's state and the iteration to a path or a binary file."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "iteration": iteration,
    }
    if isinstance(out, str | os.PathLike):
        with atomic_write(Path(out)) as file:
            torch.save(state, file)
    else:
        torch.save(state, out)


def load_checkpoint(src: Target, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore a checkpoint into `model` and `optimizer`; return its iteration."""
    state = torch.load(src, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["iteration"]


class DamagedCheckpointError(UserError):
    """The file is not what was written: truncated, or changed by so much as a bit."""


def write_verified(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors and plain values) with its checksum, whole or not at all.

    Raises a `UserError` if the disk is full or the folder cannot be written; what was at `path`
    stays as it was.
    """
    with atomic_write(path) as file:
        digest = _Digest(file)
        try:
            torch.save(state, cast(IO[bytes], digest))
        except Exception as error:  # torch reports a failed write as a RuntimeError of its own
            raise (digest.error or error) from None
        comment = MARK + digest.sha256.hexdigest().encode()
        file.seek(-2, os.SEEK_END)  # the last field of a zip is the length of its comment
        file.write(len(comment).to_bytes(2, "little") + comment)


def read_verified(path: Path | str, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `write_verified` wrote; a `DamagedCheckpointError` if one byte of it differs."""
    path = existing_file(path, "checkpoint")
    if not _is_intact(path):
        raise DamagedCheckpointError(
            f"checkpoint {str(path)!r} is truncated or damaged, or no checkpoint of a run (its "
            "checksum differs); use an older one, or copy it again from where it came"
        )
    return torch.load(path, map_location=map_location, weights_only=True)


class _Digest:
    """A binary file that remembers the SHA-256 of what went through it and why it failed."""

    def __init__(self, file: IO[bytes]):
        self.file, self.sha256 = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _is_intact(path: Path) -> bool:
    """Compare the file with its own checksum: the hash of the zip before it had a comment."""
    archive_bytes = path.stat().st_size - COMMENT_BYTES
    if archive_bytes < END_OF_ARCHIVE_BYTES:
        return False
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        left = archive_bytes - 2
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                return False
            sha256.update(chunk)
            left -= len(chunk)
        sha256.update(b"\0\0")
        tail = file.read()
    expected = COMMENT_BYTES.to_bytes(2, "little") + MARK + sha256.hexdigest().encode()
    return tail == expected
