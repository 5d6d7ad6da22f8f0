"""Mistakes in linear, embedding, rmsnorm, silu, swiglu and softmax."""

from functools import partial

import torch
from torch import Tensor

from tests.assignment1_basics.parts import rmsnorm, softmax, swiglu, wrong


def bad_rmsnorm(title: str, says: str, **part):
    return wrong("rmsnorm", title, says, run_rmsnorm=partial(rmsnorm, **part))


def bad_swiglu(title: str, says: str, gate):
    return wrong("swiglu", title, says, run_swiglu=partial(swiglu, gate=gate))


def bad_softmax(title: str, says: str, run_softmax):
    return wrong("softmax", title, says, run_softmax=run_softmax)


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class GradientOfTheLastOccurrence(torch.autograd.Function):
    """A lookup whose gradient overwrites rows where it should add."""

    @staticmethod
    def forward(ctx, weights, ids):
        ctx.save_for_backward(ids)
        ctx.rows = len(weights)
        return weights[ids]

    @staticmethod
    def backward(ctx, gradient):
        (ids,) = ctx.saved_tensors
        total = gradient.new_zeros(ctx.rows, gradient.shape[-1])
        total[ids.flatten()] = gradient.flatten(0, -2)
        return total, None


LINEAR = [
    wrong(
        "linear",
        "the weights are not transposed",
        "weights are [d_out d_in], one row per output: y = x W^T, not x W",
        run_linear=lambda d_in, d_out, w, x: x @ w,
    ),
    wrong(
        "linear",
        "the weights are reshaped instead of transposed",
        "reshape to [d_in d_out] keeps the numbers in reading order; .T exchanges the axes",
        run_linear=lambda d_in, d_out, w, x: x @ w.reshape(d_in, d_out),
    ),
    wrong(
        "linear",
        "a bias is added",
        "this layer has no bias: y = W x and nothing else",
        run_linear=lambda d_in, d_out, w, x: x @ w.T + 0.01,
    ),
    wrong(
        "linear",
        "the given weights are not used",
        "copy `weights` into your layer; this result comes from freshly drawn ones",
        run_linear=lambda d_in, d_out, w, x: (
            x @ torch.randn(d_in, d_out, generator=torch.Generator().manual_seed(0))
        ),
    ),
    wrong(
        "linear",
        "the leading dimensions are merged",
        "only the last dimension changes: [... d_in] becomes [... d_out]",
        run_linear=lambda d_in, d_out, w, x: x.reshape(-1, d_in) @ w.T,
    ),
    wrong(
        "linear",
        "the result has no gradient",
        "no detach, .data or torch.no_grad in forward: training needs the graph",
        run_linear=lambda d_in, d_out, w, x: (x @ w.T).detach(),
    ),
    wrong(
        "linear",
        "the weights are detached",
        "`.data` and `.detach()` cut the graph: the weights would never be trained",
        run_linear=lambda d_in, d_out, w, x: (
            # A second copy that is in the graph but gets nothing.
            x @ w.detach().T + 0 * (x @ w.T)
        ),
    ),
]

EMBEDDING = [
    wrong(
        "embedding",
        "the ids are off by one",
        "ids count from 0: id i is row i",
        run_embedding=lambda vocab_size, d_model, w, ids: w[ids - 1],
    ),
    wrong(
        "embedding",
        "columns are looked up instead of rows",
        "weights are [vocab_size d_model]: index the first dimension, weights[ids]",
        run_embedding=lambda vocab_size, d_model, w, ids: w.T.reshape(vocab_size, d_model)[ids],
    ),
    wrong(
        "embedding",
        "the embeddings are scaled by sqrt(d_model)",
        "the original Transformer scales its embeddings, this one does not",
        run_embedding=lambda vocab_size, d_model, w, ids: w[ids] * d_model**0.5,
    ),
    wrong(
        "embedding",
        "id 0 is taken for padding",
        "no id is special here: id 0 has a row like any other",
        run_embedding=lambda vocab_size, d_model, w, ids: w[ids] * (ids != 0)[..., None],
    ),
    wrong(
        "embedding",
        "the leading dimensions are merged",
        "ids of any shape [...] give [... d_model]; do not flatten them",
        run_embedding=lambda vocab_size, d_model, w, ids: w[ids.reshape(-1)],
    ),
    wrong(
        "embedding",
        "the result has no gradient",
        "index the parameter itself, not .data or a detached copy",
        run_embedding=lambda vocab_size, d_model, w, ids: w.detach()[ids],
    ),
    wrong(
        "embedding",
        "a repeated id gets one gradient only",
        "the gradients of all occurrences of an id add up in its row",
        run_embedding=lambda vocab_size, d_model, w, ids: GradientOfTheLastOccurrence.apply(w, ids),
    ),
]

RMSNORM = [
    bad_rmsnorm(
        "eps is left out",
        "divide by sqrt(mean(x^2) + eps): without eps a row near zero explodes",
        size=lambda x, eps: x.square().mean(-1, keepdim=True).sqrt(),
    ),
    bad_rmsnorm(
        "eps is added outside the root",
        "sqrt(mean(x^2) + eps), not sqrt(mean(x^2)) + eps",
        size=lambda x, eps: x.square().mean(-1, keepdim=True).sqrt() + eps,
    ),
    bad_rmsnorm(
        "eps is always 1e-5",
        "use the argument eps; 1e-5 is only its usual value",
        size=lambda x, eps: (x.square().mean(-1, keepdim=True) + 1e-5).sqrt(),
    ),
    bad_rmsnorm(
        "eps is a lower bound of the mean square",
        "eps is added to the mean square; max(mean square, eps) is another function",
        size=lambda x, eps: x.square().mean(-1, keepdim=True).clamp(min=eps).sqrt(),
    ),
    bad_rmsnorm(
        "the mean is subtracted",
        "that is LayerNorm: RMSNorm takes the mean of x^2 and subtracts nothing",
        size=lambda x, eps: (
            (x.var(-1, keepdim=True, correction=0) + eps).sqrt()
            * x
            / (x - x.mean(-1, keepdim=True))
        ),
    ),
    bad_rmsnorm(
        "the standard deviation is used for the root mean square",
        "the mean of x^2, without subtracting the mean of x inside",
        size=lambda x, eps: (x.var(-1, keepdim=True) + eps).sqrt(),
    ),
    bad_rmsnorm(
        "squares are summed instead of averaged",
        "divide the sum of squares by d_model: it is a root MEAN square",
        size=lambda x, eps: (x.square().sum(-1, keepdim=True) + eps).sqrt(),
    ),
    bad_rmsnorm(
        "the root is missing",
        "divide by the square root of mean(x^2) + eps",
        size=lambda x, eps: x.square().mean(-1, keepdim=True) + eps,
    ),
    bad_rmsnorm(
        "the mean runs over the whole tensor",
        "every vector of the last dimension is normalised by itself: mean(-1, keepdim=True)",
        size=lambda x, eps: (x.square().mean() + eps).sqrt(),
    ),
    bad_rmsnorm(
        "the mean runs over the first dimension",
        "the mean is over the last dimension, d_model",
        size=lambda x, eps: (x.square().mean(0, keepdim=True) + eps).sqrt(),
    ),
    bad_rmsnorm(
        "the gain is ignored",
        "multiply the normalised vector by `weights`",
        gain=lambda x, w: x,
    ),
    bad_rmsnorm(
        "the gain is 1 + weights",
        "the weights are the gain itself (1 + weights is Gemma's form)",
        gain=lambda x, w: x * (1 + w),
    ),
    bad_rmsnorm(
        "nothing is upcast",
        "convert the input to float32 before squaring: float16 overflows above 256",
        compute_dtype=None,
    ),
    wrong(
        "rmsnorm",
        "the result stays in float32",
        "cast the result back to the dtype of in_features",
        run_rmsnorm=lambda d_model, eps, w, x: rmsnorm(d_model, eps, w.float(), x.float()),
    ),
    wrong(
        "rmsnorm",
        "bfloat16 is not upcast",
        "squares, mean and root need float32 for bfloat16 inputs as well",
        run_rmsnorm=lambda d_model, eps, w, x: rmsnorm(
            d_model,
            eps,
            w,
            x,
            compute_dtype=torch.float32 if x.dtype == torch.float16 else x.dtype,
        ),
    ),
    bad_rmsnorm(
        "the root mean square is detached",
        "the gradient also flows through the root mean square: do not detach it",
        size=lambda x, eps: (x.detach().square().mean(-1, keepdim=True) + eps).sqrt(),
    ),
]

SILU = [
    wrong("silu", "this is ReLU", "SiLU(x) = x sigmoid(x) is smooth, and negative below 0",
          run_silu=lambda x: x.clamp(min=0)),
    wrong("silu", "this is the sigmoid", "multiply the sigmoid by x",
          run_silu=lambda x: torch.sigmoid(x)),
    wrong("silu", "this is GELU", "the gate of SiLU is sigmoid(x), not the normal distribution's",
          run_silu=lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))),
    wrong("silu", "this is x sigmoid(1.702 x)", "that approximates GELU; SiLU has the factor 1",
          run_silu=lambda x: x * torch.sigmoid(1.702 * x)),
    wrong("silu", "this is x tanh(x)", "sigmoid(x) = 1 / (1 + exp(-x)), not tanh(x)",
          run_silu=lambda x: x * torch.tanh(x)),
    wrong("silu", "the exponent has the wrong sign", "sigmoid(x) = 1 / (1 + exp(-x))",
          run_silu=lambda x: x / (1 + torch.exp(x))),
    wrong("silu", "exp(-x) overflows and its gradient is NaN",
          "x / (1 + exp(-x)) has a NaN gradient below -88; use torch.sigmoid",
          run_silu=lambda x: x / (1 + torch.exp(-x))),
    wrong("silu", "the gate is detached", "the gradient flows through both factors of x sigmoid(x)",
          run_silu=lambda x: x * torch.sigmoid(x).detach()),
]  # fmt: skip

SWIGLU = [
    wrong(
        "swiglu",
        "w1 and w3 are exchanged",
        "SiLU goes on the W1 branch; W3 x is multiplied as it is",
        run_swiglu=lambda d, f, w1, w2, w3, x: swiglu(d, f, w3, w2, w1, x),
    ),
    wrong(
        "swiglu",
        "w2 and w3 are exchanged",
        "w1 and w3 go up to d_ff; w2 [d_model d_ff] comes last and goes back down",
        run_swiglu=lambda d, f, w1, w2, w3, x: swiglu(d, f, w1, w3, w2, x),
    ),
    wrong(
        "swiglu",
        "the last matrix is not transposed",
        "rows are outputs in all three matrices: the last product is also h W2^T",
        run_swiglu=lambda d, f, w1, w2, w3, x: swiglu(d, f, w1, w2.T.reshape(d, f), w3, x),
    ),
    bad_swiglu("SiLU is missing", "apply SiLU to W1 x", lambda a, b: a * b),
    bad_swiglu(
        "SiLU comes after the product",
        "SiLU(W1 x) * (W3 x): the product comes after SiLU, on one branch",
        lambda a, b: silu(a * b),
    ),
    bad_swiglu(
        "SiLU is applied to both branches",
        "only W1 x goes through SiLU",
        lambda a, b: silu(a) * silu(b),
    ),
    bad_swiglu(
        "the gate is a sigmoid",
        "GLU gates with the sigmoid, SwiGLU with SiLU(a) = a sigmoid(a)",
        lambda a, b: torch.sigmoid(a) * b,
    ),
    bad_swiglu(
        "the gate is GELU",
        "that is GEGLU; SwiGLU gates with SiLU",
        lambda a, b: a * 0.5 * (1 + torch.erf(a / 2**0.5)) * b,
    ),
    bad_swiglu("W3 is not used", "multiply SiLU(W1 x) by W3 x", lambda a, b: silu(a)),
    bad_swiglu(
        "the branches are added", "SiLU(W1 x) * (W3 x) is a product", lambda a, b: silu(a) + b
    ),
    bad_swiglu(
        "the gate is detached",
        "both branches are trained: do not detach the gate",
        lambda a, b: silu(a).detach() * b,
    ),
]

SOFTMAX = [
    bad_softmax(
        "no maximum is subtracted",
        "exp overflows above 88: subtract the maximum along dim first",
        lambda x, dim: x.exp() / x.exp().sum(dim, keepdim=True),
    ),
    bad_softmax(
        "one maximum for the whole tensor",
        "rows far below the overall maximum vanish: take amax(dim, keepdim=True)",
        lambda x, dim: (x - x.max()).exp() / (x - x.max()).exp().sum(dim, keepdim=True),
    ),
    bad_softmax(
        "the inputs are clamped",
        "clamping changes the result; subtracting the maximum does not",
        lambda x, dim: softmax(x.clamp(-80, 80), dim),
    ),
    bad_softmax(
        "dim is ignored",
        "normalise along `dim`, which is not always the last",
        lambda x, dim: softmax(x, -1),
    ),
    bad_softmax(
        "the maximum runs along the last dimension, the sum along dim",
        "both the maximum and the sum run along `dim`",
        lambda x, dim: (
            (x - x.amax(-1, keepdim=True)).exp()
            / (x - x.amax(-1, keepdim=True)).exp().sum(dim, keepdim=True)
        ),
    ),
    bad_softmax(
        "the sum runs over the whole tensor",
        "every slice along dim sums to 1 by itself",
        lambda x, dim: (x - x.max()).exp() / (x - x.max()).exp().sum(),
    ),
    bad_softmax(
        "this is log-softmax",
        "return the probabilities, not their logarithms",
        lambda x, dim: softmax(x, dim).log(),
    ),
    bad_softmax(
        "the base is 2", "the base is e: torch.exp", lambda x, dim: softmax(x * 0.6931472, dim)
    ),
    bad_softmax(
        "a constant is added to the sum",
        "after the maximum is subtracted the sum is at least 1: add nothing to it",
        lambda x, dim: (
            (x - x.amax(dim, keepdim=True)).exp()
            / ((x - x.amax(dim, keepdim=True)).exp().sum(dim, keepdim=True) + 1e-3)
        ),
    ),
    bad_softmax(
        "the input is changed in place",
        "x -= max changes the caller's tensor; write x - max",
        lambda x, dim: softmax(x.sub_(x.amax(dim, keepdim=True)), dim),
    ),
    bad_softmax(
        "the result is float64",
        "a result has the dtype of its input: no .double(), or .to(x.dtype) at the end",
        lambda x, dim: softmax(x.double(), dim),
    ),
    bad_softmax(
        "the sum is detached",
        "the gradient also flows through the sum",
        lambda x, dim: (
            (e := (x - x.amax(dim, keepdim=True)).exp()) / e.sum(dim, keepdim=True).detach()
        ),
    ),
]
