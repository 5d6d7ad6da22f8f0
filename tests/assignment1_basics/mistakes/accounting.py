"""Classic mistakes in counting parameters, FLOPs and bytes."""

from collections.abc import Callable

from course.grading.catalogue import Mistake, mistake

MISTAKES: list[Mistake] = []


def _parameters(vocab, d, layers, ff, tied=False, *, matrices=3, norms=2, final=True, heads=True):
    block = 4 * d * d + matrices * d * ff + norms * d
    return vocab * d * (2 if heads and not tied else 1) + layers * block + (d if final else 0)


def wrong_count(title: str, says: str, function: Callable[..., int]) -> None:
    def run_count_parameters(vocab_size, d_model, num_layers, d_ff, tie_embeddings=False):
        return function(vocab_size, d_model, num_layers, d_ff, tie_embeddings)

    MISTAKES.append(
        mistake("count_parameters", title, says=says)(
            lambda: {"run_count_parameters": run_count_parameters}
        )
    )


wrong_count(
    "norms are forgotten",
    "every layer has two norms of d_model gains, and one norm comes last",
    lambda *size: _parameters(*size, norms=0, final=False),
)
wrong_count(
    "the final norm is forgotten",
    "d_model gains of the norm before the head",
    lambda *size: _parameters(*size, final=False),
)
wrong_count(
    "one norm a layer",
    "a block has two norms",
    lambda *size: _parameters(*size, norms=1),
)
wrong_count(
    "two feed-forward matrices",
    "SwiGLU has three matrices: W1, W2 and W3",
    lambda *size: _parameters(*size, matrices=2),
)
wrong_count(
    "the head is forgotten",
    "the head is a matrix of its own unless it is tied",
    lambda *size: _parameters(*size, heads=False),
)
wrong_count(
    "tied weights count twice",
    "with tie_embeddings the head is the embedding itself",
    lambda vocab, d, layers, ff, tied: _parameters(vocab, d, layers, ff),
)


def _flops(vocab, d, layers, ff, batch, seq, *, pairs=2, factor=2, matrices=3, head=True):
    tokens = batch * seq
    block = tokens * (4 * d * d + matrices * d * ff) + pairs * batch * seq * seq * d
    return factor * (layers * block + (tokens * d * vocab if head else 0))


def wrong_flops(title: str, says: str, function: Callable[..., int]) -> None:
    def run_count_forward_flops(vocab_size, d_model, num_layers, d_ff, batch_size, seq_len):
        return function(vocab_size, d_model, num_layers, d_ff, batch_size, seq_len)

    MISTAKES.append(
        mistake("forward_flops", title, says=says)(
            lambda: {"run_count_forward_flops": run_count_forward_flops}
        )
    )


wrong_flops(
    "multiplications alone are counted",
    "a multiply and an add are two FLOPs: 2 m k n",
    lambda *size: _flops(*size, factor=1),
)
wrong_flops(
    "attention scores are forgotten",
    "Q K^T and the weighted sum of values each take 2 seq^2 d_model a layer and sequence",
    lambda *size: _flops(*size, pairs=0),
)
wrong_flops(
    "the weighted sum of values is forgotten",
    "attention has two seq x seq products: scores, and scores times values",
    lambda *size: _flops(*size, pairs=1),
)
wrong_flops(
    "two feed-forward matrices",
    "SwiGLU multiplies by three matrices",
    lambda *size: _flops(*size, matrices=2),
)
wrong_flops(
    "the head is forgotten",
    "the head multiplies by a d_model x vocab_size matrix",
    lambda *size: _flops(*size, head=False),
)
wrong_flops(
    "the embedding counts as a product",
    "looking a row up multiplies nothing",
    lambda vocab, d, layers, ff, batch, seq: (
        _flops(vocab, d, layers, ff, batch, seq) + 2 * batch * seq * vocab * d
    ),
)
wrong_flops(
    "scores across the batch",
    "a sequence attends to itself alone: batch * seq^2, not (batch * seq)^2",
    lambda vocab, d, layers, ff, batch, seq: _flops(vocab, d, layers, ff, 1, batch * seq),
)
wrong_flops(
    "the batch is ignored",
    "all sequences of the batch count",
    lambda vocab, d, layers, ff, batch, seq: _flops(vocab, d, layers, ff, 1, seq),
)
wrong_flops(
    "the backward pass is included",
    "the forward pass alone is asked for",
    lambda *size: 3 * _flops(*size),
)


def wrong_memory(
    title: str, says: str, bytes_of: Callable[[int, int, int, int], int] | None = None
) -> None:
    def run_training_memory_bytes(
        num_parameters, parameter_bytes=4, gradient_bytes=4, state_bytes=4
    ):
        return bytes_of(num_parameters, parameter_bytes, gradient_bytes, state_bytes)

    MISTAKES.append(
        mistake("training_memory", title, says=says)(
            lambda: {"run_training_memory_bytes": run_training_memory_bytes}
        )
    )


def wrong_utilization(title: str, says: str, factor: float) -> None:
    def run_model_flops_utilization(tokens_per_second, flops_per_token, peak_flops_per_second):
        return factor * tokens_per_second * flops_per_token / peak_flops_per_second

    MISTAKES.append(
        mistake("training_memory", title, says=says)(
            lambda: {"run_model_flops_utilization": run_model_flops_utilization}
        )
    )


wrong_memory(
    "one moment",
    "AdamW keeps two moments for each parameter",
    lambda count, parameter, gradient, state: count * (parameter + gradient + state),
)
wrong_memory(
    "gradients are forgotten",
    "gradients take as many elements as the weights",
    lambda count, parameter, gradient, state: count * (parameter + 2 * state),
)
wrong_memory(
    "every element takes four bytes",
    "each part has its own format: use the three widths",
    lambda count, parameter, gradient, state: 16 * count,
)
wrong_memory(
    "the moments have the width of the weights",
    "the moments take state_bytes each",
    lambda count, parameter, gradient, state: count * (3 * parameter + gradient),
)
wrong_utilization(
    "the backward pass is not counted",
    "training does three times the work of a forward pass",
    1,
)
wrong_utilization(
    "the backward pass costs as much as the forward",
    "backward multiplies twice for every product of the forward pass: three times in all",
    2,
)
wrong_utilization("utilisation in percent", "return a share from 0 to 1", 300)
