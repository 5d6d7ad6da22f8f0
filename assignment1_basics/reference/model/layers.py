"""The position-wise layers of a Transformer, from parameters and matrix products only.

Weights are stored [d_out d_in], one row per output, and there are no biases (Chowdhery et al. 2022,
"PaLM", section 2). Linear weights start from a normal distribution of variance 2 / (d_in + d_out)
(Glorot and Bengio 2010, equation 12), cut at three standard deviations so that no weight begins as
an outlier; norm gains start at 1.

Precision: a layer computes in the dtype of its input, except RMSNorm and softmax, whose sums need
float32; they return the input's dtype. Under autocast the products run in bfloat16 while the
residual stream stays float32.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def truncated_normal(*shape: int, std: float, generator: torch.Generator | None) -> nn.Parameter:
    """Draw a parameter from N(0, std^2) cut at three standard deviations."""
    weight = torch.empty(shape)
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std, generator=generator)
    return nn.Parameter(weight)


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for the short formats, float64 for itself."""
    return torch.promote_types(dtype, torch.float32)


class Linear(nn.Module):
    """y = W x without bias; `generator` draws the initial weights."""

    def __init__(self, d_in: int, d_out: int, generator: torch.Generator | None = None):
        super().__init__()
        std = (2 / (d_in + d_out)) ** 0.5
        self.weight = truncated_normal(d_out, d_in, std=std, generator=generator)

    def forward(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_out"]:
        """Return W x."""
        return x @ self.weight.mT


class Embedding(nn.Module):
    """One row of `weight` for every token id; rows start with standard deviation `std`."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        std: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.weight = truncated_normal(vocab_size, d_model, std=std, generator=generator)

    def forward(self, token_ids: Int[Tensor, "..."]) -> Float[Tensor, "... d_model"]:
        """Look up the row of every id; an id outside the vocabulary raises IndexError."""
        return self.weight[token_ids]


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * gain, over the last dimension, in float32.

    Zhang and Sennrich 2019, "Root mean square layer normalization", equation 4. Squares of
    bfloat16 numbers lose all but two digits, hence float32 inside whatever the input's dtype.
    """

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Return `x` at root mean square 1, times the gain."""
        wide = x.to(at_least_float32(x.dtype))
        scale = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return (wide * scale * self.weight).to(x.dtype)


class Identity(nn.Module):
    """Stands where an ablation has taken a layer out."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


def silu(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Apply x * sigmoid(x) (Hendrycks and Gimpel 2016; also called swish)."""
    return x * torch.sigmoid(x)


class SwiGLU(nn.Module):
    """W2 (SiLU(W1 x) * W3 x): a gated feed-forward network (Shazeer 2020, equation 6)."""

    def __init__(self, d_model: int, d_ff: int, generator: torch.Generator | None = None):
        super().__init__()
        self.w1 = Linear(d_model, d_ff, generator)
        self.w2 = Linear(d_ff, d_model, generator)
        self.w3 = Linear(d_model, d_ff, generator)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Return W2 (SiLU(W1 x) * W3 x)."""
        return self.w2(silu(self.w1(x)) * self.w3(x))


class SiLUFeedForward(nn.Module):
    """W2 SiLU(W1 x): the ungated network that the handout compares SwiGLU with."""

    def __init__(self, d_model: int, d_ff: int, generator: torch.Generator | None = None):
        super().__init__()
        self.w1 = Linear(d_model, d_ff, generator)
        self.w2 = Linear(d_ff, d_model, generator)

    def forward(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """Return W2 SiLU(W1 x)."""
        return self.w2(silu(self.w1(x)))


def softmax(x: Float[Tensor, "..."], dim: int) -> Float[Tensor, "..."]:
    """Normalise exp(x) to sum to 1 along `dim`, in float32; return the dtype of `x`.

    The maximum is subtracted first: the result is the same and exp cannot overflow. A slice that
    is -inf throughout has no distribution and gives NaN.
    """
    wide = x.to(at_least_float32(x.dtype))
    exponentials = torch.exp(wide - wide.amax(dim=dim, keepdim=True).detach())
    return (exponentials / exponentials.sum(dim=dim, keepdim=True)).to(x.dtype)
