"""The KV cache: keys and values of past tokens, kept so that each is computed once.

Decoding a token then costs one token's work in every projection instead of the whole sequence's;
the price is memory, 2 * n_layers * n_kv_heads * d_head numbers a token (Shazeer 2019, "Fast
Transformer decoding: one write-head is all you need", section 2.4). All of it is allocated at the
start, so appending copies a chunk into place and nothing that is held moves.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from assignment1_basics.reference.model.config import TransformerConfig
from course.errors import UserError


class LayerCache:
    """The keys and values of one attention layer, `length` of `capacity` positions filled."""

    def __init__(
        self,
        batch_size: int,
        n_kv_heads: int,
        capacity: int,
        d_head: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        shape = (batch_size, n_kv_heads, capacity, d_head)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    @property
    def capacity(self) -> int:
        """The number of positions that fit."""
        return self.keys.shape[-2]

    def append(
        self,
        keys: Float[Tensor, "batch n_kv_heads chunk d_head"],
        values: Float[Tensor, "batch n_kv_heads chunk d_head"],
    ) -> tuple[Tensor, Tensor]:
        """Store a chunk; return the keys and values of all positions so far, as views."""
        end = self.length + keys.shape[-2]
        require_room(self.length, keys.shape[-2], self.capacity, "the KV cache")
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]


class KVCache:
    """One `LayerCache` per layer of a model, for up to `capacity` tokens (default: its context)."""

    def __init__(
        self,
        config: TransformerConfig,
        batch_size: int = 1,
        capacity: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        capacity = config.context_length if capacity is None else capacity
        require_room(0, capacity, config.context_length, "the model's context")
        self.layers = [
            LayerCache(batch_size, config.kv_heads, capacity, config.d_head, device, dtype)
            for _ in range(config.n_layers)
        ]

    @property
    def length(self) -> int:
        """The number of tokens held."""
        return self.layers[0].length

    @property
    def capacity(self) -> int:
        """The number of tokens that fit."""
        return self.layers[0].capacity

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens; memory stays allocated."""
        if not 0 <= length <= self.length:
            raise ValueError(f"length is {length}; it must be in 0 to {self.length}")
        for layer in self.layers:
            layer.length = length


def require_room(held: int, new: int, limit: int, where: str) -> None:
    """Raise `UserError` unless `held` + `new` tokens fit into `limit`."""
    if held + new > limit:
        raise UserError(
            f"{held} + {new} tokens do not fit into {where} of {limit} tokens; "
            "shorten the sequence or take a longer context"
        )
