"""Which parameters decay."""

import pytest
import torch
from torch import nn

from course.grading import check


def model(tied: bool) -> nn.Module:
    generator = torch.Generator().manual_seed(0)

    def parameter(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(shape, generator=generator))

    def module(**parameters: nn.Parameter) -> nn.Module:
        result = nn.Module()
        for name, value in parameters.items():
            result.register_parameter(name, value)
        return result

    root = nn.Module()
    root.token_embeddings = module(weight=parameter(9, 4))
    root.attn = module(weight=parameter(4, 4), bias=parameter(4))
    root.experts = module(weight=parameter(3, 4, 8))
    root.norm = module(weight=parameter(4))
    root.frozen = module(weight=parameter(4, 4))
    root.frozen.weight.requires_grad_(False)
    root.lm_head = module(weight=root.token_embeddings.weight if tied else parameter(9, 4))
    return root


@pytest.mark.problem("weight_decay_groups", points=1)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("weight_decay", [0.1, 0.3])
def test_groups(adapters, tied, weight_decay):
    network = model(tied)
    groups = adapters.run_get_weight_decay_groups(network, weight_decay)
    check.equal(
        [group["weight_decay"] for group in groups],
        [weight_decay, 0.0],
        what="weight_decay of the groups",
    )
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decay, no_decay = (sorted(names[id(p)] for p in group["params"]) for group in groups)
    check.equal(
        no_decay,
        ["attn.bias", "norm.weight", "token_embeddings.weight"],
        what="parameters without decay",
        hint="vectors, and weights whose name contains 'embedding', do not decay; frozen "
        "parameters are in no group",
    )
    expected = ["attn.weight", "experts.weight"] + ([] if tied else ["lm_head.weight"])
    check.equal(
        decay,
        expected,
        what=f"parameters with decay ({'tied' if tied else 'untied'} embeddings)",
        hint="matrices of two or more dimensions decay; a shared parameter appears once, under "
        "its first name",
    )
