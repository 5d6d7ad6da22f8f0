"""The kernel of `adamw.py`: a piece of one tensor to a program, which looks up where that is."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl


@triton.jit
def _tensor(address_ptr, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    pointer = tl.load(address_ptr).to(tl.pointer_type(DTYPE))
    return tl.multiple_of(pointer, 16) if ALIGNED else pointer


@triton.jit
def _round(x, bits, DTYPE: tl.constexpr):
    """Round to bfloat16, up with the probability of what is cut off; float32 stays."""
    if DTYPE == tl.bfloat16:  # noqa: SIM300  a constant of the kernel, not of Python
        # Adding 16 random bits carries into the upper half as often as the lower half says.
        raised = (x.to(tl.uint32, bitcast=True) + (bits & 0xFFFF)) & 0xFFFF0000
        rounded = raised.to(tl.float32, bitcast=True).to(tl.bfloat16)
        finite = tl.abs(x) < float("inf")
        return tl.where(finite, rounded, x.to(tl.bfloat16))
    else:
        return x


@triton.jit
def _hash(x):
    """Mix the bits of a uint32 (Wellons 2018, "Prospecting for hash functions", lowbias32)."""
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def adamw_kernel(
    address_ptr, number_ptr, piece_ptr, scale_ptr, seed,
    WEIGHT: tl.constexpr, GRADIENT: tl.constexpr, MOMENT: tl.constexpr,
    N_ADDRESSES: tl.constexpr, N_NUMBERS: tl.constexpr, PIECE: tl.constexpr, BLOCK: tl.constexpr,
    MASTER: tl.constexpr, SCALE: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Update one piece of one tensor."""
    tensor = tl.load(piece_ptr + 2 * tl.program_id(0))
    first = tl.load(piece_ptr + 2 * tl.program_id(0) + 1).to(tl.int64) * PIECE
    address_ptr += tensor * N_ADDRESSES
    number_ptr += tensor * N_NUMBERS
    size = tl.load(address_ptr)
    gradients = _tensor(address_ptr + 1, GRADIENT, ALIGNED)
    means = _tensor(address_ptr + 2, MOMENT, ALIGNED)
    squares = _tensor(address_ptr + 3, MOMENT, ALIGNED)
    weights = _tensor(address_ptr + 4, tl.float32 if MASTER else WEIGHT, ALIGNED)
    copies = _tensor(address_ptr + 5, WEIGHT, ALIGNED)
    keep = tl.load(number_ptr)  # 1 - learning rate * weight decay
    rate = tl.load(number_ptr + 1)  # learning rate / (1 - beta1^t)
    correction = tl.load(number_ptr + 2)  # (1 - beta2^t)^-1/2
    eps = tl.load(number_ptr + 3)
    beta1, rest1 = tl.load(number_ptr + 4), tl.load(number_ptr + 5)
    beta2, rest2 = tl.load(number_ptr + 6), tl.load(number_ptr + 7)
    scale = tl.load(scale_ptr) if SCALE else 1.0
    for start in range(0, PIECE, BLOCK):
        at = first + start + tl.arange(0, BLOCK)
        # A mask would keep loads of whole tiles from being vectors of 16 bytes.
        if first + start + BLOCK <= size:
            g = tl.load(gradients + at).to(tl.float32)
            m = tl.load(means + at).to(tl.float32)
            v = tl.load(squares + at).to(tl.float32)
            w = tl.load(weights + at).to(tl.float32)
        else:
            g = tl.load(gradients + at, mask=at < size, other=0.0).to(tl.float32)
            m = tl.load(means + at, mask=at < size, other=0.0).to(tl.float32)
            v = tl.load(squares + at, mask=at < size, other=0.0).to(tl.float32)
            w = tl.load(weights + at, mask=at < size, other=0.0).to(tl.float32)
        if SCALE:
            g *= scale
        m = beta1 * m + rest1 * g
        v = beta2 * v + rest2 * g * g
        w = w * keep - rate * m / (tl.sqrt_rn(v) * correction + eps)
        bits = at.to(tl.uint32) * 0
        if MOMENT == tl.bfloat16:  # noqa: SIM300
            # Two tensors would share their random bits if the tensor were left out.
            bits = _hash(at.to(tl.uint32) ^ _hash(tensor.to(tl.uint32) * 0x9E3779B9 + seed))
        m, v = _round(m, bits, MOMENT), _round(v, bits >> 16, MOMENT)
        if first + start + BLOCK <= size:
            tl.store(means + at, m)
            tl.store(squares + at, v)
            tl.store(weights + at, w.to(weights.dtype.element_ty))
            if MASTER:
                tl.store(copies + at, w.to(WEIGHT))
        else:
            tl.store(means + at, m, mask=at < size)
            tl.store(squares + at, v, mask=at < size)
            tl.store(weights + at, w.to(weights.dtype.element_ty), mask=at < size)
            if MASTER:
                tl.store(copies + at, w.to(WEIGHT), mask=at < size)
