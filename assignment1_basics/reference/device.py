"""Where training runs: which device, how its host is prepared, and what its peak rate is."""

import ctypes

import torch

from assignment1_basics.reference.accounting.formats import BF16, TF32
from assignment1_basics.reference.accounting.hardware import ACCELERATORS
from course.errors import UserError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def choose_device(name: str) -> torch.device:
    """Return the named device; "auto" is a GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"device {name!r} is not available; use cpu, cuda or auto") from None
    return device


def prepare_host(device: torch.device) -> None:
    """Set what belongs to the process: TF32 for float32 products on a GPU, malloc on a CPU."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    elif device.type == "cpu":
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Ask malloc not to return large freed blocks to the kernel.

    By default every temporary above 32 MiB (the logits of a batch, say) is mapped afresh and the
    kernel clears it page by page: 0.11 of 0.80 s of a step of 4096 tokens with 4096 words in the
    vocabulary. Outside glibc this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 30)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(M_TOP_PAD, 64 << 20)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether PyTorch found no memory; on a CPU it has no class of its own for that."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def peak_flops_per_second(device: torch.device, bf16: bool) -> float | None:
    """Return the datasheet's dense rate of a known GPU in bf16 or TF32; None for others."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower().replace(" ", "")
    for key, accelerator in ACCELERATORS.items():
        if key in name:
            return accelerator.peak_flops_per_second(BF16 if bf16 else TF32)
    return None
