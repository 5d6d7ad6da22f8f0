"""What accelerators can do at most: memory and dense matrix rates from the vendors' datasheets.

The rates are those without sparsity; sustained ones are lower (a large bf16 product reached 750 to
790 TFLOP/s on an NVIDIA H200, 0.76 to 0.80 of the datasheet's figure). MFU is quoted against the
datasheet, by convention (Chowdhery et al. 2022, "PaLM", appendix B).
"""

from dataclasses import dataclass

from assignment1_basics.reference.accounting.formats import NumberFormat

GB = 10**9
TFLOP = 10**12


@dataclass(frozen=True)
class Accelerator:
    """One accelerator: bytes of memory, and FLOP/s of its matrix units by number format."""

    name: str
    memory_bytes: int
    tflops: dict[str, float]

    def peak_flops_per_second(self, format: NumberFormat) -> float | None:
        """Return the dense peak rate in `format`, None where the chip lacks the format."""
        rate = self.tflops.get(format.name.split()[0])
        return None if rate is None else rate * TFLOP


ACCELERATORS = {
    "a100": Accelerator(
        "NVIDIA A100 80GB", 80 * GB, {"fp32": 19.5, "tf32": 156, "bf16": 312, "fp16": 312}
    ),
    "h100": Accelerator(
        "NVIDIA H100 SXM",
        80 * GB,
        {"fp32": 67, "tf32": 494.5, "bf16": 989, "fp16": 989, "fp8": 1979},
    ),
    "h200": Accelerator(
        "NVIDIA H200",
        141 * GB,
        {"fp32": 67, "tf32": 494.5, "bf16": 989, "fp16": 989, "fp8": 1979},
    ),
    "b200": Accelerator(
        "NVIDIA B200",
        180 * GB,
        {"fp32": 75, "tf32": 1100, "bf16": 2250, "fp16": 2250, "fp8": 4500},
    ),
    "rtx4090": Accelerator(
        "NVIDIA RTX 4090",
        24 * GB,
        {"fp32": 82.6, "tf32": 82.6, "bf16": 165.2, "fp16": 165.2, "fp8": 330.3},
    ),
}
