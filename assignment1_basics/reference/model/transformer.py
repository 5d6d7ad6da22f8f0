"""The decoder-only Transformer language model: token ids in, logits of the next token out.

Residual blocks that normalise their input (Xiong et al. 2020, "On layer normalization in the
Transformer architecture") around attention with RoPE and SwiGLU, as in Llama (Touvron et al. 2023).
The keys of the state dict are `token_embeddings.weight`, `ln_final.weight`, `lm_head.weight` and,
under `layers.{i}.`, `attn.{q_proj,k_proj,v_proj,output_proj}.weight`, `ffn.{w1,w2,w3}.weight`,
`{ln1,ln2}.weight`.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from assignment1_basics.reference.model.attention import MultiHeadSelfAttention
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.kv_cache import KVCache, LayerCache, require_room
from assignment1_basics.reference.model.layers import (
    Embedding,
    Identity,
    Linear,
    RMSNorm,
    SiLUFeedForward,
    SwiGLU,
)
from assignment1_basics.reference.model.rope import RoPE, Rotation
from course.errors import UserError

FEED_FORWARD = {"swiglu": SwiGLU, "silu": SiLUFeedForward}


class TransformerBlock(nn.Module):
    """Attention, then the feed-forward network, each added to the residual stream."""

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.post_norm = config.norm == "post"
        self.attn = MultiHeadSelfAttention(config, generator)
        self.ffn = FEED_FORWARD[config.feed_forward](config.d_model, config.ff_width, generator)
        self.ln1 = make_norm(config)
        self.ln2 = make_norm(config)

    def forward(
        self,
        x: Float[Tensor, "... seq d_model"],
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "... seq d_model"]:
        """Pass `x` on with what both sub-layers add; the arguments are those of the attention."""
        if self.post_norm:
            x = self.ln1(x + self.attn(x, rotation, cache))
            return self.ln2(x + self.ffn(x))
        x = x + self.attn(self.ln1(x), rotation, cache)
        return x + self.ffn(self.ln2(x))


class Transformer(nn.Module):
    """A language model over `config.vocab_size` tokens; `generator` draws the initial weights."""

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        # Embedding rows of standard deviation 1 enter the residual stream on the scale of what the
        # blocks add. A tied matrix is the head too, where that would give logits of standard
        # deviation sqrt(d_model); with 1 / sqrt(d_model) they start near 1. A small model on
        # TinyStories reached a loss of 4.19 with it, 4.36 with the head's sqrt(2 / (d_model +
        # vocab_size)), 4.46 with GPT-2's 0.02, 4.98 with 1; untied 3.81 (150 steps, 2 seeds).
        std = config.d_model**-0.5 if config.tie_embeddings else 1.0
        self.token_embeddings = Embedding(config.vocab_size, config.d_model, std, generator)
        self.layers = nn.ModuleList(
            TransformerBlock(config, generator) for _ in range(config.n_layers)
        )
        self.ln_final = make_norm(config)
        self.lm_head = Linear(config.d_model, config.vocab_size, generator)
        self._tie_embeddings()
        self.rope = (
            RoPE(config.d_head, config.rope_theta, config.context_length)
            if config.position == "rope"
            else None
        )

    @classmethod
    def from_weights(
        cls, config: TransformerConfig, weights: Mapping[str, Tensor]
    ) -> "Transformer":
        """Build a model around the tensors of a state dict: nothing is drawn, nothing copied.

        Raises `UserError` that names a weight that is missing, unknown or of another shape.
        """
        with torch.device("meta"):
            model = cls(config)
        expected = {name: list(weight.shape) for name, weight in model.state_dict().items()}
        for name in [*expected, *weights]:
            received = list(weights[name].shape) if name in weights else "missing"
            if received != expected.get(name):
                raise UserError(
                    f"weight {name!r} is {received}; the config wants {expected.get(name, 'none')}"
                )
        model.load_state_dict(weights, assign=True)
        model._tie_embeddings()
        return model

    def _tie_embeddings(self) -> None:
        if self.config.tie_embeddings:
            self.lm_head.weight = self.token_embeddings.weight

    def forward(
        self, token_ids: Int[Tensor, "batch seq"], cache: KVCache | None = None
    ) -> Float[Tensor, "batch seq vocab"]:
        """Return the logits of the token after each position.

        With a cache, `token_ids` continue the sequence that it holds, and are added to it. Raises
        `UserError` if the whole is longer than the context.
        """
        return self.lm_head(self.hidden_states(token_ids, cache))

    def hidden_states(
        self, token_ids: Int[Tensor, "batch seq"], cache: KVCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return what the head turns into logits, for callers that need few of them."""
        start, seq = 0 if cache is None else cache.length, token_ids.shape[-1]
        require_room(start, seq, self.config.context_length, "the model's context")
        rotation = None if self.rope is None else self.rope.between(start, start + seq)
        x = self.token_embeddings(token_ids)
        for i, layer in enumerate(self.layers):
            x = layer(x, rotation, None if cache is None else cache.layers[i])
        return self.ln_final(x)

    def new_cache(self, batch_size: int = 1, capacity: int | None = None) -> KVCache:
        """Allocate an empty cache that fits this model's dtype and device."""
        dtype = self.token_embeddings.weight.dtype
        return KVCache(self.config, batch_size, capacity, self.device, dtype)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_embeddings.weight.device


def make_norm(config: TransformerConfig) -> nn.Module:
    """Return the norm of the config; the ablation without norms gets the identity."""
    if config.norm == "none":
        return Identity()
    return RMSNorm(config.d_model, config.rms_norm_eps)
