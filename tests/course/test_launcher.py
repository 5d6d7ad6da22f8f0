import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from course import launcher
from course.errors import PreemptedError, UserError
from course.launcher import Launch, launch, launch_array
from course.stop import StopRequest


@dataclass(frozen=True)
class Options:
    folder: Path
    resume: bool = False


@dataclass(frozen=True)
class Plain:
    size: int = 1


def work(options):
    """A job that saves and stops when it is asked to; resumed, it ends well."""
    (options.folder / "pid").write_text(str(os.getpid()))
    if options.resume:
        return "resumed"
    with StopRequest() as stop:
        (options.folder / "ready").touch()
        deadline = time.monotonic() + 60
        while stop.requested is None and time.monotonic() < deadline:
            time.sleep(0.01)
        (options.folder / "saved").touch()
        stop.end("saved")


def double(options):
    return 2 * options.size


def test_local_is_a_call_in_this_process():
    assert launch(Launch(), double, Plain(4)) == 8
    assert launch_array(Launch(), double, [Plain(1), Plain(2)]) == [2, 4]


# Submitit leaves the two log files of its debug executor open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_debug_goes_through_submitit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launch(Launch(cluster="debug"), double, Plain(4)) == 8


SBATCH = """#!/bin/sh
for last; do :; done
cp "$last" "$RECORD"
echo "Submitted batch job 4321"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster of shell scripts: sbatch keeps what it was given."""
    for name in ("sbatch", "srun", "scontrol", "sacct", "squeue"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SBATCH if name == "sbatch" else "#!/bin/sh\nexit 0\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path / "script"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "script"


def test_a_slurm_job_asks_for_what_it_was_told(slurm, capsys):
    where = Launch(
        cluster="slurm", partition="gpu", account="course", qos="low", hours=1.5, gpus=2, cpus=6,
        memory_gib=48,
    )  # fmt: skip
    job = launch(where, double, Plain(4), name="train-a/b")
    assert job.job_id == "4321"
    assert "submitted job 4321; its output: " in capsys.readouterr().out
    script = slurm.read_text()
    for flag in (
        "--partition=gpu", "--account=course", "--qos=low", "--time=90", "--gpus-per-node=2",
        "--cpus-per-task=6", "--mem=48GB", "--nodes=1", "--job-name=train-a-b", "--requeue",
        "--open-mode=append",
    ):  # fmt: skip
        assert f"#SBATCH {flag}" in script, flag
    assert "--signal=USR2@" in script
    assert sys.executable in script


def test_a_sweep_is_one_array(slurm):
    jobs = launch_array(Launch(cluster="slurm"), double, [Plain(i) for i in range(5)], parallel=2)
    assert [job.job_id for job in jobs] == [f"4321_{i}" for i in range(5)]
    assert "#SBATCH --array=0-4%2" in slurm.read_text()


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"--cluster slurm: .*srun"):
        launch(Launch(cluster="slurm"), double, Plain(4))


def test_what_slurm_refuses_is_one_line(slurm):
    (slurm.parent / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpuu' >&2\nexit 1\n"
    )
    with pytest.raises(UserError, match=r"Slurm refused the job: .*invalid partition .* gpuu"):
        launch(Launch(cluster="slurm", partition="gpuu"), double, Plain(4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hours": float("nan")}, "hours is nan"),
        ({"gpus": -1}, "gpus is -1; it must be at least 0"),
    ],
)
def test_wrong_sizes_are_named(wrong, message):
    with pytest.raises(UserError, match=message):
        Launch(**wrong)


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Submitit's executor that runs a job as a process, with the signals and requeues of Slurm."""
    import submitit

    def make_executor(where, name, parallel):
        executor = submitit.LocalExecutor(tmp_path / "jobs" / "%j")
        executor.update_parameters(timeout_min=2, signal_delay_s=10)
        return executor

    monkeypatch.setattr(launcher, "make_executor", make_executor)
    # Jobs unpickle `work` from this module.
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", root)


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_a_preempted_job_saves_and_resumes(tmp_path, processes):
    job = launch(Launch(cluster="slurm"), work, Options(tmp_path))
    wait_for(tmp_path / "ready")
    first = int((tmp_path / "pid").read_text())
    os.kill(first, signal.SIGUSR2)
    assert job.result() == "resumed"
    assert (tmp_path / "saved").exists()
    assert int((tmp_path / "pid").read_text()) != first
    assert "back into the queue" in job.stdout()


def test_sigterm_in_a_job_is_left_to_submitit(tmp_path, processes):
    job = launch(Launch(cluster="slurm"), work, Options(tmp_path))
    wait_for(tmp_path / "ready")
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGTERM)  # Slurm sends it together with the signal that counts
    time.sleep(0.3)
    assert not (tmp_path / "saved").exists()
    os.kill(pid, signal.SIGUSR2)
    assert job.result() == "resumed"


def test_a_job_that_slurm_started_again_resumes(tmp_path, monkeypatch):
    resumable = launcher._Resumable(work)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert resumable(Options(tmp_path)) == "resumed"


def test_what_a_requeued_job_calls(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    again = launcher._Resumable(work).checkpoint(Options(tmp_path))
    assert again.function(*again.args) == "resumed"


def test_outside_of_a_job_a_preemption_stays_one(tmp_path, monkeypatch):
    def preempted(options):
        raise PreemptedError("saved")

    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    with pytest.raises(PreemptedError):
        launch(Launch(), preempted, Options(tmp_path))


def test_importing_the_module_imports_no_submitit():
    code = "import sys, course.launcher; assert 'submitit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
