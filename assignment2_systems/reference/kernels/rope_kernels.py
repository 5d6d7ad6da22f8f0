"""The kernel of `rope.py`: a few tokens to a program, all of their heads one after the other."""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl


@triton.jit
def rotate_heads(
    x_ptr, y_ptr, batch, position, pair_cos, pair_sin, inside,
    x_batch, x_seq, x_head, x_feature, y_batch, y_seq, y_head,
    HEADS: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Rotate all heads of some tokens, one head after the other."""
    feature = tl.arange(0, BLOCK_D)
    mask = inside[:, None] & (feature < D)[None, :]
    x_at = (batch * x_batch + position * x_seq)[:, None] + feature[None, :] * x_feature
    y_at = (batch * y_batch + position * y_seq)[:, None] + feature[None, :]
    for head in range(HEADS):
        x = tl.load(x_ptr + x_at + head * x_head, mask=mask, other=0.0).to(tl.float32)
        even, odd = tl.split(tl.reshape(x, [x.shape[0], BLOCK_D // 2, 2]))
        rotated = tl.join(even * pair_cos - odd * pair_sin, even * pair_sin + odd * pair_cos)
        y = tl.reshape(rotated, [x.shape[0], BLOCK_D])
        tl.store(y_ptr + y_at + head * y_head, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def rope_kernel(
    q_ptr, k_ptr, cos_ptr, sin_ptr, q_out_ptr, k_out_ptr, n_tokens, seq,
    q_batch, q_seq, q_head, q_feature, k_batch, k_seq, k_head, k_feature,
    q_out_batch, q_out_seq, q_out_head, k_out_batch, k_out_seq, k_out_head,
    N_HEADS: tl.constexpr, N_KV_HEADS: tl.constexpr, D: tl.constexpr, BLOCK_D: tl.constexpr,
    TOKENS: tl.constexpr, INVERSE: tl.constexpr,
):  # fmt: skip
    """Rotate queries and keys of some tokens; backward if `INVERSE`."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    inside = token < n_tokens
    batch, position = (token // seq).to(tl.int64), token % seq
    pair = tl.arange(0, BLOCK_D // 2)
    table_at = position[:, None] * (D // 2) + pair[None, :]
    table_mask = inside[:, None] & (pair < D // 2)[None, :]
    cos = tl.load(cos_ptr + table_at, mask=table_mask, other=0.0)
    sin = tl.load(sin_ptr + table_at, mask=table_mask, other=0.0)
    if INVERSE:
        sin = -sin
    rotate_heads(
        q_ptr, q_out_ptr, batch, position, cos, sin, inside, q_batch, q_seq, q_head, q_feature,
        q_out_batch, q_out_seq, q_out_head, N_HEADS, D, BLOCK_D,
    )  # fmt: skip
    rotate_heads(
        k_ptr, k_out_ptr, batch, position, cos, sin, inside, k_batch, k_seq, k_head, k_feature,
        k_out_batch, k_out_seq, k_out_head, N_KV_HEADS, D, BLOCK_D,
    )  # fmt: skip
