"""Documents of a Hugging Face dataset, streamed: nothing is stored but what the corpus takes.

Names: `owner/name` for a dataset with a text column, `owner/name/file.txt.gz` for one file of it
(.txt, .md, .jsonl, as in files.py). The corpora of the Stanford course have short names.
"""

import gzip
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import BinaryIO

from course.corpus.files import Decoder, read_documents
from course.errors import UserError

SHORT_NAMES = {
    "tinystories": "roneneldan/TinyStories/TinyStoriesV2-GPT4-train.txt",
    "tinystories-valid": "roneneldan/TinyStories/TinyStoriesV2-GPT4-valid.txt",
    "openwebtext": "stanford-cs336/owt-sample/owt_train.txt.gz",
    "openwebtext-valid": "stanford-cs336/owt-sample/owt_valid.txt.gz",
}
TIMEOUT = 10.0  # seconds


def read_dataset(
    name: str, split: str = "train", field: str = "text", replace_bad_bytes: bool = False
) -> Iterator[str]:
    """Yield the documents of a dataset or of one of its files.

    Args:
        name: `owner/name`, `owner/name/path/to/file`, or one of `SHORT_NAMES`.
        split: which part of a dataset (files have none).
        field: the column that holds the text.
        replace_bad_bytes: as for files.

    Raises:
        UserError: no network, or no such dataset, split, file or column.
    """
    name = SHORT_NAMES.get(name.lower(), name)
    parts = name.split("/")
    if len(parts) < 2 or not all(parts):
        short = ", ".join(SHORT_NAMES)
        raise UserError(f"dataset {name!r}: write owner/name, owner/name/file, or one of {short}")
    repository, file = "/".join(parts[:2]), "/".join(parts[2:])
    _check_reachable(repository)
    if file:
        yield from _read_file(repository, file, replace_bad_bytes, field)
    else:
        yield from _read_rows(repository, split, field)


def _check_reachable(repository: str) -> None:
    """Fail at once without a network, where the libraries would retry for minutes."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    request = urllib.request.Request(f"{endpoint}/api/datasets/{repository}")
    if token := os.environ.get("HF_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404):
            raise UserError(
                f"dataset {repository!r} is not at {endpoint} (HTTP {error.code}): "
                "check the name; a private or gated one needs HF_TOKEN"
            ) from None
        raise UserError(f"{endpoint} answered HTTP {error.code} for {repository!r}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"dataset {repository!r} needs a network: {endpoint} cannot be reached ({reason}); "
            "--source prose, stories and files work without one"
        ) from None


def _read_file(repository: str, file: str, replace_bad_bytes: bool, field: str) -> Iterator[str]:
    from huggingface_hub import HfFileSystem

    path = f"datasets/{repository}/{file}"
    try:
        raw = HfFileSystem().open(path, "rb")
    except FileNotFoundError:
        raise UserError(f"dataset {repository!r} has no file {file!r}") from None
    with raw:
        stream: BinaryIO = gzip.GzipFile(fileobj=raw) if file.endswith(".gz") else raw  # type: ignore[assignment]
        yield from read_documents(stream, file, Decoder(path, replace_bad_bytes), field)


def _read_rows(repository: str, split: str, field: str) -> Iterator[str]:
    import datasets

    try:
        rows = iter(datasets.load_dataset(repository, split=split, streaming=True))
        first = next(rows, None)
    except ValueError as error:  # no such split or configuration; the message lists those there are
        raise UserError(f"dataset {repository!r}, split {split!r}: {error}") from None
    if first is None:
        return
    if not isinstance(first.get(field), str):
        raise UserError(f"dataset {repository!r} has no text in {field!r}, but {', '.join(first)}")
    yield first[field]
    for row in rows:
        yield row[field]
