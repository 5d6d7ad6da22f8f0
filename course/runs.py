"""The folder of a run: `runs/<name>/` with its config, metrics, plots and checkpoints.

`metrics.jsonl` has one JSON object a line, `{"step": 12, "loss": 4.56, ...}`. Lines are appended
and handed to the kernel at once, so a killed process loses none; a line torn by a power cut is
dropped when it is read. A run that resumes at step k first drops what was logged after k: the file
is then that of a run which never stopped.

Metrics are mirrored to Weights & Biases as WANDB_MODE says: "offline" by default (`wandb sync`
uploads later), "online" if the user is logged in, "disabled" for none. It never asks anything.
Starting it takes 2 seconds.
"""

import fcntl
import json
import math
import netrc
import os
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from course import config as configs
from course.errors import UserError
from course.files import atomic_write, existing_file

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"


def open_run(folder: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Make the folder of a run, or check that it may be continued or replaced; return it.

    Without `resume` or `overwrite` an existing run is an error. `resume` takes an existing run or
    starts a new one, so the same command line serves for both. `overwrite` deletes an existing run.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"run folder {str(folder)!r} is a file; choose another --name")
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        if not (folder / CONFIG).exists():
            raise UserError(
                f"folder {str(folder)!r} is not empty and not a run; choose another --name"
            )
        if overwrite and not resume:
            _lock(folder).close()  # not under a process that is at work in it
            _clear(folder)
        elif not resume:
            raise UserError(
                f"run {str(folder)!r} exists; choose another --name, or --resume to continue it, "
                "or --overwrite to delete it"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror
        raise UserError(f"run folder {str(folder)!r} cannot be written: {reason}") from None
    return folder


def _clear(folder: Path) -> None:
    """Delete what is in the folder of a run; the folder itself may be a link to another disk.

    The config goes last: what a kill leaves is still a run, and can be overwritten again.
    """
    for path in sorted(folder.iterdir(), key=lambda path: path.name == CONFIG):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """Return the logged objects of a run folder or a metrics file, without a torn last line."""
    path = Path(path)
    path = existing_file(path / METRICS if path.is_dir() else path, "metrics file")
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # torn by a crash in the middle of a write
            continue
    return rows


def column(rows: list[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Return the steps and the values of one metric, where it was logged: a curve to plot."""
    found = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]


class RunLog:
    """Writes a run's config and metrics; use as a context manager.

    Args:
        folder: the run's folder.
        config: a frozen dataclass, written as `config.yaml`.
        resume_step: the step at which a resumed run continues; metrics of later steps are dropped.
        wandb: mirror to Weights & Biases as WANDB_MODE says (offline if it is not set).
    """

    def __init__(
        self, folder: Path, config: Any, resume_step: int | None = None, *, wandb: bool = True
    ):
        self.folder = folder
        self._held = _lock(folder)
        configs.save(config, folder / CONFIG)
        metrics = folder / METRICS
        rows = read_metrics(metrics) if resume_step is not None and metrics.exists() else []
        with atomic_write(metrics, "w") as file:
            for row in rows:
                if row["step"] <= (resume_step or 0):
                    file.write(json.dumps(row) + "\n")
        self._file = open(metrics, "a", encoding="utf-8")  # noqa: SIM115 - open as long as the run
        self._wandb = _start_wandb(folder, configs.to_dict(config)) if wandb else None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # a full disk again: `log_many` has said so
            self._file.close()
        self._held.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if error[0] is None else 1)

    def log(self, step: int, **numbers: float) -> None:
        """Append one line; `step` counts finished steps. A number that is not finite is null."""
        self.log_many([{"step": step, **numbers}])

    def log_many(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Append several lines at once; each has a "step"."""
        try:
            self._file.writelines(_line(row) for row in rows)
            self._file.flush()
        except OSError as error:
            path = self.folder / METRICS
            raise UserError(
                f"{str(path)!r} cannot be written: {error.strerror}; free some space, then --resume"
            ) from None
        if self._wandb is not None and rows:  # 0.5 ms a call: only the newest line of many
            numbers = {name: n for name, n in rows[-1].items() if name != "step"}
            self._wandb.log(numbers, step=int(rows[-1]["step"]))


def _line(row: Mapping[str, float]) -> str:
    """Write one row as JSON, which knows no NaN and no infinity."""
    return json.dumps({name: n if math.isfinite(n) else None for name, n in row.items()}) + "\n"


def _lock(folder: Path) -> IO[str]:
    """Hold the run for this process; the kernel lets go of it however the process ends."""
    file = open(folder / ".lock", "w")  # noqa: SIM115 - held as long as the run
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError(f"run {str(folder)!r} is in use by another process") from None
    except OSError:  # a cluster's file system without locks
        pass
    return file


def _start_wandb(folder: Path, config: dict[str, Any]) -> Any:
    """Start a run of Weights & Biases without output or questions; None if that cannot be done."""
    mode = os.environ.get("WANDB_MODE", "offline")
    if mode == "disabled":
        return None
    try:
        import wandb

        if mode == "online" and not _logged_in():
            print("wandb: not logged in (`wandb login`); logging offline", file=sys.stderr)
            mode = "offline"
        identity = folder / "wandb-id"
        if not identity.exists():
            with atomic_write(identity, "w") as file:
                file.write(uuid.uuid4().hex[:12])
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lm-from-scratch"),
            name=folder.name,
            id=identity.read_text(),
            resume="allow",
            dir=folder,
            mode="online" if mode == "online" else "offline",
            config=config,
            settings=wandb.Settings(silent=True, console="off"),
        )
    except Exception as error:  # a mirror that fails must not stop the run
        print(f"wandb: {error}; this run is not mirrored", file=sys.stderr)
        return None


def _logged_in() -> bool:
    """Tell whether there is a key: wandb itself would ask for one on a terminal."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
