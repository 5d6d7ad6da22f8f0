"""The shape of a Transformer language model: a decoder-only Llama with switches for ablations.

The defaults are the architecture of Llama (Touvron et al., 2023): pre-norm RMSNorm, RoPE, SwiGLU,
no biases. `norm`, `position` and `feed_forward` take one of these pieces away at a time: so the
handout measures what each is worth. One frozen dataclass describes the model everywhere: on the
command line, in a checkpoint, in the accounting of parameters and FLOPs.
"""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from course.errors import require


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and switches of a `Transformer`; a combination that cannot work raises `UserError`."""

    vocab_size: int = 10_000
    """number of token ids"""
    context_length: int = 256
    """the longest sequence in tokens"""
    d_model: int = 512
    """width of the residual stream"""
    n_layers: int = 4
    n_heads: int = 16
    n_kv_heads: int | None = None
    """key and value heads, each shared by n_heads / n_kv_heads query heads; None: n_heads"""
    d_ff: int | None = None
    """hidden width of the feed-forward network; None: 8/3 d_model rounded up to a multiple of 64
    for SwiGLU, 4 d_model for SiLU: about as many parameters"""
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-5
    tie_embeddings: bool = False
    """one matrix for the input embedding and the output projection"""
    norm: Literal["pre", "post", "none"] = "pre"
    """normalise what enters a sub-layer, or what leaves its residual sum; none: no norms at all"""
    position: Literal["rope", "none"] = "rope"
    feed_forward: Literal["swiglu", "silu"] = "swiglu"
    attention: Literal["sdpa", "plain"] = "sdpa"
    """sdpa: PyTorch's kernel; plain: our own function (the same numbers, slower)"""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "d_model", "n_layers", "n_heads"):
            require(getattr(self, name) > 0, name, getattr(self, name), "at least 1")
        for name in ("n_kv_heads", "d_ff"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "at least 1, or None")
        require(
            self.d_model % self.n_heads == 0,
            "d_model",
            self.d_model,
            f"a multiple of n_heads = {self.n_heads}",
        )
        require(
            self.n_heads % self.kv_heads == 0,
            "n_kv_heads",
            self.kv_heads,
            f"a divisor of n_heads = {self.n_heads}",
        )
        require(
            self.position == "none" or self.d_head % 2 == 0,
            "d_model / n_heads",
            self.d_head,
            "even: RoPE rotates pairs",
        )
        require(self.rope_theta > 0, "rope_theta", self.rope_theta, "positive")
        require(self.rms_norm_eps >= 0, "rms_norm_eps", self.rms_norm_eps, "at least 0")
        for name in ("norm", "position", "feed_forward", "attention"):
            choices = get_args(get_type_hints(type(self))[name])
            require(getattr(self, name) in choices, name, getattr(self, name), f"one of {choices}")

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        """`n_kv_heads` with its default resolved."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def ff_width(self) -> int:
        """`d_ff` with its default resolved."""
        if self.d_ff is not None:
            return self.d_ff
        if self.feed_forward == "silu":
            return 4 * self.d_model
        return -(-8 * self.d_model // (3 * 64)) * 64
