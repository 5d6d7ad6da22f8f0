"""FLOPs of a forward pass, against PyTorch's own counter."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from course.grading import check


def counted_flops(vocab_size, d_model, num_layers, d_ff, batch, seq) -> int:
    """Run every matrix product of the model on the meta device under PyTorch's counter."""
    x = torch.empty(batch * seq, d_model, device="meta")
    with FlopCounterMode(display=False) as counter:
        for _ in range(num_layers):
            for _ in range(4):  # query, key, value, output projection
                x @ torch.empty(d_model, d_model, device="meta")
            q = x.view(batch, seq, d_model)  # heads do not change the count
            scores = q @ q.transpose(1, 2)
            scores @ q
            hidden = x @ torch.empty(d_model, d_ff, device="meta")
            x @ torch.empty(d_model, d_ff, device="meta")
            hidden @ torch.empty(d_ff, d_model, device="meta")
        x @ torch.empty(d_model, vocab_size, device="meta")
    return counter.get_total_flops()


@pytest.mark.problem("forward_flops", points=2)
@given(
    vocab_size=st.integers(257, 60_000),
    d_model=st.integers(1, 64).map(lambda n: 16 * n),
    num_layers=st.integers(1, 12),
    d_ff=st.integers(1, 100).map(lambda n: 32 * n),
    batch_size=st.integers(1, 9),
    seq_len=st.integers(1, 3000),
)
@example(vocab_size=1000, d_model=64, num_layers=3, d_ff=192, batch_size=3, seq_len=50)
def test_flops(adapters, vocab_size, d_model, num_layers, d_ff, batch_size, seq_len):
    check.equal(
        adapters.run_count_forward_flops(
            vocab_size, d_model, num_layers, d_ff, batch_size, seq_len
        ),
        counted_flops(vocab_size, d_model, num_layers, d_ff, batch_size, seq_len),
        what=f"FLOPs for vocab_size={vocab_size}, d_model={d_model}, num_layers={num_layers}, "
        f"d_ff={d_ff}, batch_size={batch_size}, seq_len={seq_len}",
        hint="2 m k n a product: four projections, scores, weighted values, three feed-forward "
        "products a layer, and the head",
    )
