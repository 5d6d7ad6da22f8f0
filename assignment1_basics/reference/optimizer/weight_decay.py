"""Which parameters decay: the matrices that mix features, not gains, biases or embeddings.

Weight decay is a prior that pulls weights towards zero. On a norm's gain, zero switches a feature
off; on an embedding, it shrinks the rows of rare tokens, which hardly ever get a gradient that
pushes back. GPT-3-style recipes decay only tensors of two or more dimensions (nanoGPT,
`configure_optimizers`).
"""

from typing import Any

from torch import nn


def weight_decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into two optimizer groups: decaying, then not decaying.

    Tensors of two or more dimensions decay unless their name contains "embedding". A parameter
    shared by two modules (tied weights) is taken once, under its first name.
    """
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and "embedding" not in name
            (decaying if decays else others).append(parameter)
    return [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
