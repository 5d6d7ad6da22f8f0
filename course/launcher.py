"""Run a command's function here, or as jobs on a Slurm cluster through submitit.

A command calls `launch(options.launch, function, options)`. On Slurm the function and its options
are pickled and a job calls them; the command returns once the job is queued. Before a preemption or
the time limit Slurm signals the job: the function saves its work and raises `PreemptedError`
(`course.stop`), and the job goes back into the queue with `resume=True` in its options. A job that
Slurm itself queues again, after a node failure, resumes in the same way.
"""

import dataclasses
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from course.errors import PreemptedError, UserError, require
from course.stop import preemption_signal

JOBS = Path("runs") / ".jobs"
MAX_HOURS = 24 * 365


@dataclass(frozen=True)
class Launch:
    """Where a command runs, and with `--cluster slurm` what its job asks for.

    In a command's options: `launch: Annotated[Launch, tyro.conf.arg(name="")]`, so that the flags
    have no prefix.
    """

    cluster: Literal["local", "slurm", "debug"] = "local"
    """local: in this process; slurm: submit a job and return; debug: in this process as a submitit
    job would, with a debugger on an exception"""
    partition: str | None = None
    """Slurm partition; None: the cluster's default"""
    account: str | None = None
    """Slurm account"""
    qos: str | None = None
    """Slurm quality of service"""
    hours: float = 4.0
    """time limit of a job; one that can resume is queued again when it gets there"""
    nodes: int = 1
    """machines"""
    gpus: int = 1
    """GPUs on each machine"""
    cpus: int = 8
    """CPU cores on each machine"""
    memory_gib: int = 32
    """memory of each machine, in GiB"""

    def __post_init__(self) -> None:
        in_range = 0 < self.hours <= MAX_HOURS
        require(in_range, "hours", self.hours, f"above 0 and at most {MAX_HOURS}")
        for name, least in {"nodes": 1, "gpus": 0, "cpus": 1, "memory_gib": 1}.items():
            value = getattr(self, name)
            require(value >= least, name, value, f"at least {least}")


def launch(
    where: Launch, function: Callable[[Any], Any], options: Any, *, name: str = "course"
) -> Any:
    """Call `function(options)` where `where` says.

    Returns its result, or for Slurm submitit's job, after printing its number and its log file.
    """
    return launch_array(where, function, [options], name=name)[0]


def launch_array(
    where: Launch,
    function: Callable[[Any], Any],
    options: Sequence[Any],
    *,
    name: str = "course",
    parallel: int | None = None,
) -> list[Any]:
    """Call the function once for each of `options`: one after the other here, as an array on Slurm.

    `parallel` limits how many jobs of an array run at a time. Returns results or submitit's jobs.
    """
    if where.cluster == "local":
        return [function(one) for one in options]
    executor = make_executor(where, name, parallel or len(options))
    resumes = "resume" in _field_names(options[0])
    jobs = _submit(executor, _Resumable(function) if resumes else function, list(options))
    if where.cluster == "debug":
        return [job.result() for job in jobs]
    for job in jobs:
        print(f"submitted job {job.job_id}; its output: {job.paths.stdout}")
    return list(jobs)


def _submit(executor: Any, function: Callable[[Any], Any], options: list[Any]) -> list[Any]:
    from submitit.core.utils import FailedJobError

    try:
        return executor.map_array(function, options)
    except FailedJobError as error:  # sbatch says why: a partition that is not there, no quota
        raise UserError(f"Slurm refused the job: {' '.join(str(error).split())}") from None


def make_executor(where: Launch, name: str = "course", parallel: int = 1) -> Any:
    """Build submitit's executor for `where`."""
    import submitit

    try:
        executor = submitit.AutoExecutor(
            JOBS.absolute() / "%j",
            cluster=where.cluster,
            slurm_max_num_timeout=100,  # a run may take many time limits
        )
    except RuntimeError as error:  # there is no sbatch
        raise UserError(
            f"--cluster {where.cluster}: {error} Without Slurm leave --cluster out"
        ) from None
    executor.update_parameters(
        name=name.replace("/", "-"),
        nodes=where.nodes,
        tasks_per_node=1,
        gpus_per_node=where.gpus,
        cpus_per_task=where.cpus,
        mem_gb=where.memory_gib,
        timeout_min=max(1, round(where.hours * 60)),
        slurm_partition=where.partition,
        slurm_account=where.account,
        slurm_qos=where.qos,
        slurm_array_parallelism=parallel,
        slurm_signal_delay_s=120,  # time to finish a step and write a checkpoint
        slurm_additional_parameters={"requeue": True},  # after a node's failure too
    )
    return executor


class _Resumable:
    """A job whose options have `resume`: submitit asks `checkpoint` how to continue it."""

    def __init__(self, function: Callable[[Any], Any], resume: bool = False):
        self.function, self.resume = function, resume

    def __call__(self, options: Any) -> Any:
        restarted = int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
        if self.resume or restarted:
            options = dataclasses.replace(options, resume=True)
        try:
            return self.function(options)
        except PreemptedError as error:
            print(f"{error}; back into the queue", flush=True)
            # The work is saved. Submitit's own handler, in place again, queues the job and exits.
            signal.raise_signal(preemption_signal())
            raise

    def checkpoint(self, options: Any) -> Any:
        """Say what the requeued job calls."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(_Resumable(self.function, resume=True), options)


def _field_names(options: Any) -> set[str]:
    if not dataclasses.is_dataclass(options):
        return set()
    return {field.name for field in dataclasses.fields(options)}
