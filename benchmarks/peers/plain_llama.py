"""The peer of the training step: a plain Llama as a good engineer writes it for torch.compile.

Fused query/key/value and gate/up projections, `nn.RMSNorm`, RoPE on halves of a head, PyTorch's
`scaled_dot_product_attention`, logits inside the compiled graph and `F.cross_entropy` on them in
fp32. Nothing here is ours: every operation is PyTorch's own. It follows Touvron et al. 2023
("LLaMA") with the sizes of the model that it is compared with.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class PlainLlamaConfig:
    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    context_length: int
    rope_theta: float = 10_000.0
    eps: float = 1e-5


class Attention(nn.Module):
    def __init__(self, config: PlainLlamaConfig):
        super().__init__()
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, seq, d_model = x.shape
        qkv = self.qkv(x).view(batch, seq, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = qkv.transpose(1, 3).unbind(dim=2)  # each [batch heads seq d_head]
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, seq, d_model))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    rotated = torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
    return rotated.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, config: PlainLlamaConfig):
        super().__init__()
        self.gate_up = nn.Linear(config.d_model, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, config: PlainLlamaConfig):
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        return x + self.feed_forward(self.feed_forward_norm(x))


class PlainLlama(nn.Module):
    """Return the mean cross-entropy of `targets`: the logits never leave the compiled graph."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: PlainLlamaConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model, eps=config.eps)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        d_head = config.d_model // config.n_heads
        frequencies = config.rope_theta ** (-torch.arange(0, d_head, 2).float() / d_head)
        angles = torch.outer(torch.arange(config.context_length).float(), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        x = self.embedding(inputs)
        seq = inputs.shape[1]
        for block in self.blocks:
            x = block(x, self.cos[:seq], self.sin[:seq])
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
