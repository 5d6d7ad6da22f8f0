"""Token files: the ids of a corpus, nothing else, so that training can map them into memory.

`corpus.tok` holds little-endian integers of 16 bits if the vocabulary fits, else 32 (the format of
nanoGPT's `train.bin`). `corpus.tok.json` beside it says which, how many, and by which tokenizer, so
that a truncated file or one of another tokenizer is an error before training, not bad text after.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Integer

from course.errors import UserError
from course.files import atomic_write, existing_file


@dataclass(frozen=True)
class TokenFile:
    """An open token file.

    `source_bytes` is the size of the text in UTF-8, for bits per byte; None where nobody knows.
    """

    tokens: Integer[np.ndarray, "tokens"]
    vocab_size: int
    tokenizer_hash: str
    source_bytes: int | None


@dataclass(frozen=True)
class _Sidecar:
    dtype: str
    count: int
    vocab_size: int
    tokenizer_hash: str
    source_bytes: int | None


class TokenFileWriter:
    """Appends ids to a token file that `writing_token_file` opened."""

    def __init__(self, file: IO[bytes], vocab_size: int) -> None:
        self._file = file
        self.dtype = token_dtype(vocab_size)
        self.count = 0
        self.source_bytes: int | None = None
        """to be set before the end if it is known"""

    def append(self, ids: npt.ArrayLike) -> None:
        """Write ids, all of which must be less than the size of the vocabulary."""
        array = np.asarray(ids).astype(self.dtype, copy=False)
        self._file.write(array.data)
        self.count += len(array)


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest unsigned type that holds all ids: uint16 up to 65,536 of them."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


@contextmanager
def writing_token_file(
    path: Path | str | os.PathLike[str], *, vocab_size: int, tokenizer_hash: str
) -> Iterator[TokenFileWriter]:
    """Open a token file for writing; it appears, with its sidecar, when the block ends well.

    After an error, an interrupt or a full disk the old file, if any, is as it was. A kill between
    the writing of the two leaves a token file without a sidecar, which `open_token_file` refuses.
    """
    path = Path(path)
    with atomic_write(path) as file:
        writer = TokenFileWriter(file, vocab_size)
        yield writer
        # Never an old sidecar beside a new file.
        file.flush()
        os.fsync(file.fileno())
        _sidecar_path(path).unlink(missing_ok=True)
    sidecar = _Sidecar(
        writer.dtype.name, writer.count, vocab_size, tokenizer_hash, writer.source_bytes
    )
    with atomic_write(_sidecar_path(path), "w") as text:
        json.dump(asdict(sidecar), text, indent=2)
        text.write("\n")


def write_token_file(
    path: Path | str | os.PathLike[str],
    ids: npt.ArrayLike,
    *,
    vocab_size: int,
    tokenizer_hash: str,
    source_bytes: int | None = None,
) -> None:
    """Write ids that are in memory; `Tokenizer.encode_file` writes those of a file of any size."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or not (len(ids) == 0 or np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(f"ids must be a list of integers; got {ids.dtype} of shape {ids.shape}")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(
            f"ids are from {ids.min()} to {ids.max()}; with vocab_size {vocab_size} they must be "
            f"from 0 to {vocab_size - 1}"
        )
    with writing_token_file(path, vocab_size=vocab_size, tokenizer_hash=tokenizer_hash) as writer:
        writer.append(ids)
        writer.source_bytes = source_bytes


def open_token_file(
    path: Path | str | os.PathLike[str], tokenizer_hash: str | None = None
) -> TokenFile:
    """Map a token file into memory.

    Args:
        path: the token file; its sidecar is `path` + ".json".
        tokenizer_hash: `Tokenizer.hash` that the file must have been written with, if not None.

    Raises:
        UserError: a file is missing, was truncated or changed, or comes from another tokenizer.
    """
    path = existing_file(Path(path), "token file")
    sidecar = _read_sidecar(path)
    dtype = np.dtype(sidecar.dtype).newbyteorder("<")
    size, wanted = path.stat().st_size, sidecar.count * dtype.itemsize
    if size != wanted:
        raise UserError(
            f"token file {str(path)!r} has {size:,} bytes; its sidecar says {wanted:,}: it was "
            f"truncated or replaced. {_ENCODE_AGAIN}"
        )
    if tokenizer_hash is not None and sidecar.tokenizer_hash != tokenizer_hash:
        raise UserError(
            f"token file {str(path)!r} was written with tokenizer {sidecar.tokenizer_hash}, not "
            f"with {tokenizer_hash}. {_ENCODE_AGAIN}, or give the tokenizer that wrote it"
        )
    tokens: Any = np.memmap(path, dtype, "r") if size else np.empty(0, dtype)
    return TokenFile(tokens, sidecar.vocab_size, sidecar.tokenizer_hash, sidecar.source_bytes)


_ENCODE_AGAIN = "Encode the text again (`course tokenizer encode`)"


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_sidecar(path: Path) -> _Sidecar:
    file = _sidecar_path(path)
    if not file.is_file():
        raise UserError(
            f"token file {str(path)!r} has no sidecar {file.name!r}: it is no token file, or was "
            f"not finished. {_ENCODE_AGAIN}"
        )
    try:
        sidecar = _Sidecar(**json.loads(file.read_bytes()))
        valid = (
            sidecar.dtype in ("uint16", "uint32")
            and isinstance(sidecar.count, int)
            and isinstance(sidecar.vocab_size, int)
            and isinstance(sidecar.tokenizer_hash, str)
            and isinstance(sidecar.source_bytes, int | None)
        )
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise UserError(
            f"sidecar {str(file)!r} is damaged or not that of a token file. {_ENCODE_AGAIN}"
        )
    return sidecar
