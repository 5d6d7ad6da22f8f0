"""Every test: seeded, on one thread, without network, the same examples in every run."""

import contextlib
import os
import random
import resource
import signal
import socket

# A shell that runs this in the background has it ignore Ctrl-C, and so would the commands that the
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before any library reads them: nothing is downloaded or uploaded, nothing asks for a login.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    WANDB_MODE="offline",
    WANDB_SILENT="true",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
)

import torch

# Without a GPU, Triton's kernels run in its interpreter, on the CPU. Triton looks when it is first
# imported and whenever a kernel is defined, so this has to come before both.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

import pytest
from hypothesis import HealthCheck, Phase, settings

# The first failing example is reported as it is found: shrinking costs time and makes different
# mistakes look alike. Derandomized, without a database: a failure is the same in every run.
settings.register_profile(
    "course",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("course")

# The tensors of the tests are tiny: a second thread never helps, and where other processes hold the
# cores it waits for them (the model's graded tests took 26 s with two threads, 12 s with one).
NUM_THREADS = 1


@pytest.fixture(autouse=True)
def _seeds():
    """Fixed seeds, so that what a test draws does not depend on the tests before it."""
    import numpy

    random.seed(0)
    numpy.random.seed(0)  # noqa: NPY002  a student's code may use the global generator
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _threads():
    """The same number of threads everywhere: timings and sums do not depend on the host."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(NUM_THREADS, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Connections leave this machine by accident only: fail at once and say so."""
    original = socket.socket.connect

    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not (host.startswith("127.") or host in ("localhost", "::1", "0.0.0.0")):
                raise OSError(f"tests run without network: something connects to {address}")
        return original(self, address)

    socket.socket.connect = connect
    yield
    socket.socket.connect = original


@pytest.fixture
def full_disk():
    """`with full_disk():` lets no file grow beyond 1000 bytes, as on a full disk.

    The limit holds for the block alone: pytest's own report may go to a file as well.
    """

    @contextlib.contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
