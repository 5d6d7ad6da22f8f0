"""Mistakes in cross_entropy and bits_per_byte."""

import math

import torch
from torch import Tensor

from tests.assignment1_basics.parts import softmax, wrong


def of_targets(x: Tensor, targets: Tensor) -> Tensor:
    return x.gather(-1, targets[:, None])[:, 0]


def losses(x: Tensor, targets: Tensor) -> Tensor:
    return x.logsumexp(-1) - of_targets(x, targets)


def bad_cross_entropy(title: str, says: str, run_cross_entropy):
    return wrong("cross_entropy", title, says, run_cross_entropy=run_cross_entropy)


def bad_bits_per_byte(title: str, says: str, run_bits_per_byte):
    return wrong("bits_per_byte", title, says, run_bits_per_byte=run_bits_per_byte)


CROSS_ENTROPY = [
    bad_cross_entropy(
        "the losses are summed", "take the mean over the batch", lambda x, t: losses(x, t).sum()
    ),
    bad_cross_entropy(
        "the mean also runs over the vocabulary",
        "divide by the batch size; each row has one target",
        lambda x, t: losses(x, t).mean() / x.shape[-1],
    ),
    bad_cross_entropy(
        "one loss per row is returned",
        "return one number, the mean over the batch",
        losses,
    ),
    bad_cross_entropy(
        "the sign is wrong",
        "the loss is MINUS the log-probability",
        lambda x, t: -losses(x, t).mean(),
    ),
    bad_cross_entropy(
        "the logarithm has base 2",
        "nats: the natural logarithm (bits come with bits_per_byte)",
        lambda x, t: losses(x, t).mean() / math.log(2),
    ),
    bad_cross_entropy(
        "no maximum is subtracted",
        "exp overflows above 88: subtract each row's maximum first",
        lambda x, t: (x.exp().sum(-1).log() - of_targets(x, t)).mean(),
    ),
    bad_cross_entropy(
        "one maximum for the whole batch",
        "rows far below the overall maximum have a sum of 0: subtract each row's own maximum",
        lambda x, t: ((x - x.max()).exp().sum(-1).log() + x.max() - of_targets(x, t)).mean(),
    ),
    bad_cross_entropy(
        "the logarithm of an underflowed softmax",
        "log(softmax(x)) is -inf once the probability is 0: cancel log and exp",
        lambda x, t: -of_targets(softmax(x), t).log().mean(),
    ),
    bad_cross_entropy(
        "a constant inside the logarithm",
        "log(p + eps) is capped near 20 or so and has no gradient there: cancel log and exp",
        lambda x, t: -(of_targets(softmax(x), t) + 1e-9).log().mean(),
    ),
    bad_cross_entropy(
        "the probability is clamped",
        "clamping p stops the gradient where the model is most wrong: cancel log and exp",
        lambda x, t: -of_targets(softmax(x), t).clamp(min=1e-12).log().mean(),
    ),
    bad_cross_entropy(
        "softmax along the batch",
        "normalise each row over the vocabulary (the last dimension)",
        lambda x, t: -of_targets(softmax(x, 0), t).log().mean(),
    ),
    bad_cross_entropy(
        "the inputs are taken for probabilities",
        "the inputs are logits: normalise them first",
        lambda x, t: -of_targets(x, t).abs().log().mean(),
    ),
    bad_cross_entropy(
        "softmax is applied twice",
        "log_softmax of probabilities: pass the logits themselves",
        lambda x, t: losses(softmax(x), t).mean(),
    ),
    bad_cross_entropy(
        "the logits of the targets are not subtracted",
        "loss = logsumexp(logits) - logits[target]",
        lambda x, t: x.logsumexp(-1).mean(),
    ),
    bad_cross_entropy(
        "the maximum is not put back",
        "log(sum(exp(x - max))) - (x[target] - max): subtract it from the target's logit too",
        lambda x, t: ((x - x.amax(-1, keepdim=True)).exp().sum(-1).log() - of_targets(x, t)).mean(),
    ),
    bad_cross_entropy(
        "target 0 is ignored",
        "no id is padding here: every row counts",
        lambda x, t: (losses(x, t) * (t != 0)).sum() / (t != 0).sum().clamp(min=1),
    ),
    bad_cross_entropy(
        "the targets are off by one",
        "targets count from 0",
        lambda x, t: losses(x, (t + 1) % x.shape[-1]).mean(),
    ),
    bad_cross_entropy(
        "every row is compared with every target",
        "x[:, targets] is batch x batch; take x[arange(batch), targets]",
        lambda x, t: (x.logsumexp(-1)[:, None] - x[:, t]).mean(),
    ),
    bad_cross_entropy(
        "the input is changed in place",
        "inputs -= max changes the caller's logits",
        lambda x, t: losses(x.sub_(x.amax(-1, keepdim=True)), t).mean(),
    ),
    bad_cross_entropy(
        "the loss has no gradient",
        "return a tensor of the graph: no .item(), no detach",
        lambda x, t: torch.tensor(losses(x, t).mean().item()),
    ),
    bad_cross_entropy(
        "the normaliser is detached",
        "the gradient flows through logsumexp as well: it is softmax - one_hot",
        lambda x, t: (x.logsumexp(-1).detach() - of_targets(x, t)).mean(),
    ),
]

BITS_PER_BYTE = [
    bad_bits_per_byte(
        "nats instead of bits",
        "divide the nats by ln 2",
        lambda x, t, n: float(losses(x, t).sum() / n),
    ),
    bad_bits_per_byte(
        "multiplied by ln 2",
        "one nat is 1 / ln 2 = 1.44 bits: divide by ln 2",
        lambda x, t, n: float(losses(x, t).sum() * math.log(2) / n),
    ),
    bad_bits_per_byte(
        "bits per token",
        "divide by num_bytes, not by the number of tokens",
        lambda x, t, n: float(losses(x, t).mean() / math.log(2)),
    ),
    bad_bits_per_byte(
        "the mean over tokens is divided by the bytes",
        "the information of the text is the SUM over its tokens",
        lambda x, t, n: float(losses(x, t).mean() / math.log(2) / n),
    ),
    bad_bits_per_byte(
        "bits are taken for bytes",
        "bits per byte: no factor 8",
        lambda x, t, n: float(losses(x, t).sum() / math.log(2) / n / 8),
    ),
    bad_bits_per_byte(
        "bytes per token the wrong way round",
        "bits per token times tokens per byte: fewer tokens per byte make the number smaller",
        lambda x, t, n: float(losses(x, t).mean() / math.log(2) * n / len(t)),
    ),
    bad_bits_per_byte(
        "this is the perplexity",
        "exp(loss) is perplexity; bits per byte is total nats / ln 2 / num_bytes",
        lambda x, t, n: float(losses(x, t).mean().exp()),
    ),
]
