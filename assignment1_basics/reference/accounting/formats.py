"""Number formats: what a few bits can hold, and which format holds what during training.

A binary floating-point number is a sign, an exponent and a mantissa. The exponent's bits set the
range, the mantissa's bits the precision: bf16 keeps the range of fp32 and two to three decimal
digits, fp16 keeps one more digit and overflows at 65504. Training holds what needs range or many
small additions (weights, moments) in fp32 and multiplies in a short format.

Sources: IEEE 754-2019 section 3; Micikevicius et al. 2018, "Mixed precision training" (fp32 master
weights); Kalamkar et al. 2019, "A study of bfloat16 for deep learning training"; Micikevicius et
al. 2022, "FP8 formats for deep learning" (e4m3 without infinities).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NumberFormat:
    """One floating-point format; `bits` is what a number takes in memory."""

    name: str
    bits: int
    exponent_bits: int
    mantissa_bits: int
    has_infinity: bool = True  # e4m3 spends the top exponent on numbers; only mantissa 111 is NaN

    @property
    def bytes(self) -> int:
        """Bytes of one stored number."""
        return self.bits // 8

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest(self) -> float:
        """The largest finite number."""
        if self.has_infinity:  # the top exponent means infinity or NaN
            return 2.0**self.bias * (2 - 2.0**-self.mantissa_bits)
        return 2.0 ** (self.bias + 1) * (2 - 2.0 ** (1 - self.mantissa_bits))

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number with full precision."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest(self) -> float:
        """The smallest positive number at all (subnormal)."""
        return self.smallest_normal * self.epsilon

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-self.mantissa_bits

    @property
    def decimal_digits(self) -> float:
        """Decimal digits that survive rounding: log10(2 / epsilon)."""
        return (self.mantissa_bits + 1) * 0.30103


FP32 = NumberFormat("fp32", bits=32, exponent_bits=8, mantissa_bits=23)
TF32 = NumberFormat("tf32", bits=32, exponent_bits=8, mantissa_bits=10)
"""fp32 in memory; the matrix units read 10 bits of its mantissa."""
BF16 = NumberFormat("bf16", bits=16, exponent_bits=8, mantissa_bits=7)
FP16 = NumberFormat("fp16", bits=16, exponent_bits=5, mantissa_bits=10)
FP8_E4M3 = NumberFormat("fp8 e4m3", bits=8, exponent_bits=4, mantissa_bits=3, has_infinity=False)
FP8_E5M2 = NumberFormat("fp8 e5m2", bits=8, exponent_bits=5, mantissa_bits=2)

FORMATS = (FP32, TF32, BF16, FP16, FP8_E4M3, FP8_E5M2)


@dataclass(frozen=True)
class Precision:
    """A training recipe: the format of everything that stays in memory between two operations.

    `matmul` is what the matrix units multiply (it sets the peak rate, and the bytes of what a
    product keeps for its backward pass). `activations` is the format of everything else inside a
    block, `residual` that of the stream between blocks and of the norms. Under autocast the stream
    stays in fp32, because the embedding's output is fp32 and autocast changes products only.
    """

    name: str
    weights: NumberFormat
    gradients: NumberFormat
    optimizer: NumberFormat
    matmul: NumberFormat
    activations: NumberFormat
    residual: NumberFormat


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", FP32, FP32, FP32, FP32, FP32, FP32),
        Precision("tf32", FP32, FP32, FP32, TF32, FP32, FP32),
        Precision("bf16-mixed", FP32, FP32, FP32, BF16, BF16, FP32),  # autocast
        Precision("fp16-mixed", FP32, FP32, FP32, FP16, FP16, FP32),  # autocast + loss scaling
        Precision("bf16", BF16, BF16, BF16, BF16, BF16, BF16),  # 2 bytes for everything
        # Products read e4m3 (forward) and e5m2 (gradients); all else as in bf16-mixed.
        Precision("fp8-mixed", FP32, FP32, FP32, FP8_E4M3, BF16, FP32),
    )
}
