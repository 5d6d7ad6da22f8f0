"""The kernels of `cross_entropy.py`: a row of logits to a program."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl


@triton.jit
def _update(high, total, x):
    """Add a block to a running maximum and sum of exponentials."""
    new_high = tl.maximum(high, tl.max(x, axis=0))
    # While everything was -inf there is nothing to rescale, and -inf - -inf is no number.
    shift = tl.where(new_high == float("-inf"), 0.0, new_high)
    return new_high, total * tl.exp(high - shift) + tl.sum(tl.exp(x - shift), axis=0)


@triton.jit
def log_sum_exp(row_ptr, lead, width, BLOCK: tl.constexpr):
    """Return the log-sum-exp of a row that starts `lead` elements after `row_ptr`."""
    at = tl.arange(0, BLOCK)
    end = lead + width
    first = tl.load(row_ptr + at, mask=(at >= lead) & (at < end), other=float("-inf"))
    high, total = _update(float("-inf"), 0.0, first.to(tl.float32))
    full = end // BLOCK * BLOCK
    for start in range(BLOCK, full, BLOCK):
        high, total = _update(high, total, tl.load(row_ptr + start + at).to(tl.float32))
    if (full < end) & (full > 0):
        last = tl.load(row_ptr + full + at, mask=full + at < end, other=float("-inf"))
        high, total = _update(high, total, last.to(tl.float32))
    return tl.where(high == float("-inf"), high, high + tl.log(total))


@triton.jit
def _gradient(x, position, target, lse, scale, out_ptr):
    probability = tl.exp(x.to(tl.float32) - lse)
    gradient = tl.where(position == target, probability - 1.0, probability) * scale
    return gradient.to(out_ptr.dtype.element_ty)


@triton.jit
def write_gradient(x_ptr, out_ptr, lead, width, target, lse, scale, BLOCK: tl.constexpr):
    """Write one row's gradient; `out_ptr` may be `x_ptr`. `target` counts from `x_ptr`, as at."""
    at = tl.arange(0, BLOCK)
    end = lead + width
    mask = (at >= lead) & (at < end)
    x = tl.load(x_ptr + at, mask=mask, other=0.0)
    tl.store(out_ptr + at, _gradient(x, at, target, lse, scale, out_ptr), mask=mask)
    full = end // BLOCK * BLOCK
    for start in range(BLOCK, full, BLOCK):
        x = tl.load(x_ptr + start + at)
        tl.store(out_ptr + start + at, _gradient(x, start + at, target, lse, scale, out_ptr))
    if (full < end) & (full > 0):
        mask = full + at < end
        x = tl.load(x_ptr + full + at, mask=mask, other=0.0)
        gradient = _gradient(x, full + at, target, lse, scale, out_ptr)
        tl.store(out_ptr + full + at, gradient, mask=mask)


@triton.jit
def loss_kernel(
    x_ptr, gradient_ptr, target_ptr, scale_ptr, loss_ptr, lse_ptr, stride, width, ignore_index,
    BLOCK: tl.constexpr, VECTOR: tl.constexpr, WRITE: tl.constexpr,
):  # fmt: skip
    """Write the loss and log-sum-exp of a row and, with `WRITE`, its gradient times a scale."""
    row = tl.program_id(0)
    start = row.to(tl.int64) * stride
    aligned = start // VECTOR * VECTOR
    lead = (start - aligned).to(tl.int32)
    target = tl.load(target_ptr + row)
    counts = target != ignore_index
    # An id outside the vocabulary gives NaN, not a number from another row.
    known = counts & (target >= 0) & (target < width)
    # Read before the row is overwritten; the barrier below keeps it so between warps.
    at_target = tl.load(x_ptr + start + target, mask=known, other=float("nan")).to(tl.float32)
    lse = log_sum_exp(x_ptr + aligned, lead, width, BLOCK)
    tl.store(loss_ptr + row, tl.where(counts, lse - at_target, 0.0))
    tl.store(lse_ptr + row, lse)
    if WRITE:
        scale = tl.where(counts, tl.load(scale_ptr), 0.0)
        tl.debug_barrier()
        write_gradient(
            x_ptr + aligned, gradient_ptr + aligned, lead, width, target + lead, lse, scale, BLOCK
        )


@triton.jit
def gradient_kernel(
    x_ptr, gradient_ptr, target_ptr, scale_ptr, lse_ptr, stride, width, ignore_index,
    BLOCK: tl.constexpr, VECTOR: tl.constexpr,
):  # fmt: skip
    """Write the gradient of a row whose log-sum-exp is known, times the scale of the row."""
    row = tl.program_id(0)
    start = row.to(tl.int64) * stride
    aligned = start // VECTOR * VECTOR
    lead = (start - aligned).to(tl.int32)
    target = tl.load(target_ptr + row)
    scale = tl.where(target != ignore_index, tl.load(scale_ptr + row).to(tl.float32), 0.0)
    write_gradient(
        x_ptr + aligned, gradient_ptr + aligned, lead, width, target + lead,
        tl.load(lse_ptr + row), scale, BLOCK,
    )  # fmt: skip


@triton.jit
def scale_kernel(x_ptr, scale_ptr, stride, width, BLOCK: tl.constexpr):
    """Multiply a row in place by a number; if it is 1, leave at once."""
    scale = tl.load(scale_ptr).to(tl.float32)
    if scale != 1.0:
        row_ptr = x_ptr + tl.program_id(0).to(tl.int64) * stride
        for start in range(0, width, BLOCK):
            at = start + tl.arange(0, BLOCK)
            x = tl.load(row_ptr + at, mask=at < width, other=0.0).to(tl.float32)
            tl.store(row_ptr + at, (x * scale).to(x_ptr.dtype.element_ty), mask=at < width)
