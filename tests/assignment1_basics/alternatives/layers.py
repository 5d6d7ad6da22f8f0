"""Other right ways to linear, embedding, rmsnorm, silu, swiglu and softmax."""

import math

import torch
from einops import einsum, reduce

from course.grading.catalogue import alternative


@alternative("linear", "a module that loads the weights with load_state_dict")
def module_linear():
    class Linear(torch.nn.Module):
        def __init__(self, d_in, d_out):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(d_out, d_in))
            torch.nn.init.trunc_normal_(self.weight)

        def forward(self, x):
            return einsum(x, self.weight, "... i, o i -> ... o")

    def run_linear(d_in, d_out, weights, in_features):
        layer = Linear(d_in, d_out)
        layer.load_state_dict({"weight": weights})
        return layer(in_features)

    return {"run_linear": run_linear}


@alternative("linear", "products summed without a matrix product, weights stored transposed")
def broadcast_linear():
    def run_linear(d_in, d_out, weights, in_features):
        transposed = torch.nn.Parameter(weights.T.contiguous())
        return (in_features[..., :, None] * transposed).sum(-2)

    return {"run_linear": run_linear}


@alternative("embedding", "a one-hot product")
def one_hot_embedding():
    def run_embedding(vocab_size, d_model, weights, token_ids):
        one_hot = (token_ids[..., None] == torch.arange(vocab_size)).to(weights.dtype)
        return one_hot @ weights

    return {"run_embedding": run_embedding}


@alternative("embedding", "index_select of the flattened ids")
def index_select_embedding():
    def run_embedding(vocab_size, d_model, weights, token_ids):
        flat = weights.index_select(0, token_ids.reshape(-1))
        return flat.reshape(*token_ids.shape, d_model)

    return {"run_embedding": run_embedding}


@alternative("rmsnorm", "vector_norm / sqrt(d_model)")
def norm_of_vector():
    def run_rmsnorm(d_model, eps, weights, in_features):
        x = in_features.float()
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return (x / (norm * norm / d_model + eps) ** 0.5 * weights).to(in_features.dtype)

    return {"run_rmsnorm": run_rmsnorm}


@alternative("rmsnorm", "einsum, and the gain in the input's dtype as in Hugging Face's Llama")
def norm_with_late_gain():
    def run_rmsnorm(d_model, eps, weights, in_features):
        x = in_features.to(torch.float32)
        mean_square = einsum(x, x, "... d, ... d -> ...") / d_model
        normed = x * torch.rsqrt(mean_square + eps).unsqueeze(-1)
        return weights * normed.to(in_features.dtype)

    return {"run_rmsnorm": run_rmsnorm}


@alternative("rmsnorm", "in float64, through exp and log")
def norm_in_float64():
    def run_rmsnorm(d_model, eps, weights, in_features):
        x = in_features.double()
        mean_square = reduce(x * x, "... d -> ... 1", "mean")
        scale = torch.exp(-0.5 * torch.log(mean_square + eps))
        return (x * scale * weights.double()).to(in_features.dtype)

    return {"run_rmsnorm": run_rmsnorm}


@alternative("silu", "through tanh")
def silu_by_tanh():
    return {"run_silu": lambda in_features: in_features * (1 + torch.tanh(in_features / 2)) / 2}


@alternative("silu", "exp of the negative magnitude only")
def silu_by_exp():
    def run_silu(in_features):
        small = torch.exp(-in_features.abs())
        return (
            in_features * torch.where(in_features >= 0, torch.ones_like(small), small) / (1 + small)
        )

    return {"run_silu": run_silu}


@alternative("swiglu", "one product for both branches")
def fused_swiglu():
    def run_swiglu(d_model, d_ff, w1_weight, w2_weight, w3_weight, in_features):
        both = torch.cat((w1_weight, w3_weight)) @ in_features.unsqueeze(-1)
        gate, value = both.squeeze(-1).split(d_ff, -1)
        return (gate * torch.sigmoid(gate) * value) @ w2_weight.T

    return {"run_swiglu": run_swiglu}


@alternative("swiglu", "einsum")
def einsum_swiglu():
    def run_swiglu(d_model, d_ff, w1_weight, w2_weight, w3_weight, in_features):
        gate = einsum(in_features, w1_weight, "... d, f d -> ... f")
        value = einsum(in_features, w3_weight, "... d, f d -> ... f")
        hidden = gate / (1 + torch.exp(-gate.clamp(min=-80))) * value
        return einsum(hidden, w2_weight, "... f, d f -> ... d")

    return {"run_swiglu": run_swiglu}


@alternative("softmax", "exp of the log-softmax")
def softmax_by_logsumexp():
    def run_softmax(in_features, dim):
        return torch.exp(in_features - torch.logsumexp(in_features, dim, keepdim=True))

    return {"run_softmax": run_softmax}


@alternative("softmax", "dim moved to the end, powers of two")
def softmax_of_moved_dim():
    def run_softmax(in_features, dim):
        x = in_features.movedim(dim, -1) * math.log2(math.e)
        powers = torch.exp2(x - x.max(-1, keepdim=True).values)
        return (powers / reduce(powers, "... n -> ... 1", "sum")).movedim(-1, dim)

    return {"run_softmax": run_softmax}


@alternative("softmax", "one slice after the other, in float64, maximum detached")
def softmax_by_slices():
    def run_softmax(in_features, dim):
        slices = []
        moved = in_features.double().movedim(dim, -1)
        for row in moved.reshape(-1, moved.shape[-1]):
            e = torch.exp(row - row.detach().max())
            slices.append(e / e.sum())
        result = torch.stack(slices).reshape(moved.shape).movedim(-1, dim)
        return result.to(in_features.dtype)

    return {"run_softmax": run_softmax}
