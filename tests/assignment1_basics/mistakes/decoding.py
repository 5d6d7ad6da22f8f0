"""Mistakes in next_token_distribution and generate."""

from functools import partial

import torch
from torch import Tensor

from tests.assignment1_basics.decoding_parts import (
    generate,
    keep_top_k,
    keep_top_p,
    next_token_distribution,
    normalised,
    ranked,
)
from tests.assignment1_basics.parts import softmax, wrong


def bad_distribution(title: str, says: str, **part):
    run = partial(next_token_distribution, **part)
    return wrong("next_token_distribution", title, says, run_next_token_distribution=run)


def bad_generate(title: str, says: str, **part):
    return wrong("generate", title, says, run_generate=partial(generate, **part))


def before_temperature(logits: Tensor, temperature: float = 1.0, *args, top_p=None, **options):
    """Top-p on the probabilities at temperature 1, then the temperature."""
    if top_p is not None and temperature != 0:
        kept = keep_top_p(softmax(logits), top_p) > 0
        logits = logits.masked_fill(~kept, -torch.inf)
    return next_token_distribution(logits, temperature, *args, **options)


def unsorted(p: Tensor, top_p: float) -> Tensor:
    values, _ = ranked(p)
    return normalised(values * (values.cumsum(-1) - values < top_p))


def zeroed(logits: Tensor, temperature: float = 1.0, top_k=None, **options) -> Tensor:
    """Logits outside the top k become 0 instead of -inf."""
    if top_k is not None:
        logits = logits * (logits >= logits.topk(top_k, -1).values[..., -1:])
    return next_token_distribution(logits, temperature, **options)


def masked_in_place(logits: Tensor, temperature: float = 1.0, top_k=None, **options) -> Tensor:
    if top_k is not None:
        logits[logits < logits.topk(top_k, -1).values[..., -1:]] = -torch.inf
    return next_token_distribution(logits, temperature, **options)


def unnormalised_top_k(p: Tensor, k: int) -> Tensor:
    return p * (keep_top_k(p, k) > 0)


def first_row(cut):
    """Decide on the first row, apply to all."""

    def run(p: Tensor, limit) -> Tensor:
        flat = p.reshape(-1, p.shape[-1])
        return normalised(flat * (cut(flat[:1], limit) > 0)).reshape(p.shape)

    return run


DISTRIBUTION = [
    bad_distribution(
        "the temperature multiplies",
        "divide the logits by the temperature: below 1 the distribution sharpens",
        warm=lambda x, t: softmax(x * t),
    ),
    bad_distribution(
        "the temperature is ignored",
        "divide the logits by the temperature",
        warm=lambda x, t: softmax(x),
    ),
    bad_distribution(
        "the temperature divides probabilities",
        "divide the logits, before the softmax: p / t normalises back to p",
        warm=lambda x, t: softmax(softmax(x) / t),
    ),
    bad_distribution(
        "the softmax overflows",
        "use your softmax, which subtracts the maximum",
        warm=lambda x, t: (x / t).exp() / (x / t).exp().sum(-1, keepdim=True),
    ),
    bad_distribution(
        "temperature 0 divides by zero",
        "temperature 0 is a case of its own: probability 1 for the largest logit",
        greedy=lambda x: softmax(x / 0.0),
    ),
    bad_distribution(
        "temperature 0 is taken for 1",
        "temperature 0 puts all probability on the largest logit (in Python 0 is false)",
        greedy=softmax,
    ),
    bad_distribution(
        "temperature 0 returns the token",
        "return probabilities: 1 at the largest logit, 0 elsewhere",
        greedy=lambda x: x.argmax(-1),
    ),
    bad_distribution(
        "top_k is ignored", "keep the top_k most probable tokens", cut_k=lambda p, k: p
    ),
    bad_distribution(
        "top_k keeps the least probable tokens",
        "sort in descending order",
        cut_k=lambda p, k: normalised(p * (p <= p.topk(k, -1, largest=False).values[..., -1:])),
    ),
    bad_distribution(
        "top_k keeps one token too few",
        "the k-th token is kept: compare with >=",
        cut_k=lambda p, k: normalised(p * (p > p.topk(k, -1).values[..., -1:])),
    ),
    bad_distribution(
        "top_k is taken over the whole batch",
        "every row keeps its own k tokens: topk along the last dimension",
        cut_k=lambda p, k: normalised(p * (p >= p.flatten().topk(k).values[-1])),
    ),
    bad_distribution(
        "the first row decides for all",
        "every row keeps its own tokens",
        cut_k=first_row(keep_top_k),
        cut_p=first_row(keep_top_p),
    ),
    wrong(
        "next_token_distribution",
        "hidden logits become 0 instead of -inf",
        "exp(0) = 1 is a high probability: use -inf",
        run_next_token_distribution=zeroed,
    ),
    wrong(
        "next_token_distribution",
        "the logits are changed in place",
        "mask a copy: the caller's logits must stay",
        run_next_token_distribution=masked_in_place,
    ),
    bad_distribution(
        "what top_k leaves is not renormalised",
        "the result sums to 1",
        cut_k=unnormalised_top_k,
    ),
    bad_distribution(
        "top_p is ignored", "keep the most probable tokens up to top_p", cut_p=lambda p, limit: p
    ),
    bad_distribution(
        "the token that crosses top_p is left out",
        "the set reaches top_p: keep tokens while the sum BEFORE them is below it",
        cut_p=partial(keep_top_p, inside=lambda values, sums, top_p: sums <= top_p),
    ),
    bad_distribution(
        "top_p keeps one token too many",
        "the token that reaches top_p is the last one",
        cut_p=partial(
            keep_top_p,
            inside=lambda v, sums, top_p: (sums - v - v.roll(1, -1) * (sums > v)) < top_p,
        ),
    ),
    bad_distribution(
        "top_p is a threshold for each probability",
        "top_p limits the SUM of the most probable tokens (min_p is the one for each token)",
        cut_p=lambda p, top_p: normalised(p * (p >= 1 - top_p)),
    ),
    bad_distribution(
        "what top_p leaves is not renormalised",
        "the result sums to 1",
        cut_p=lambda p, top_p: p * (keep_top_p(p, top_p) > 0),
    ),
    bad_distribution(
        "probabilities are returned in sorted order",
        "scatter them back: entry i belongs to token i",
        cut_p=unsorted,
    ),
    wrong(
        "next_token_distribution",
        "top_p comes before the temperature",
        "temperature first: top_p sums the probabilities that will be drawn from",
        run_next_token_distribution=before_temperature,
    ),
    bad_distribution(
        "top_p comes before top_k",
        "top_p counts what top_k left as one: first top_k, then renormalise, then top_p",
        order=("p", "k", "min"),
    ),
    bad_distribution(
        "min_p is ignored", "drop tokens below min_p times the largest", cut_min=lambda p, limit: p
    ),
    bad_distribution(
        "min_p is absolute",
        "the limit is min_p times the largest probability",
        cut_min=lambda p, m: normalised(p * (p >= m)),
    ),
    bad_distribution(
        "min_p is relative to the largest probability of the whole batch",
        "the limit of a row is min_p times the row's own largest probability",
        cut_min=lambda p, m: normalised(p * (p >= m * p.max())),
    ),
    bad_distribution(
        "what min_p leaves is not renormalised",
        "the result sums to 1",
        cut_min=lambda p, m: p * (p >= m * p.amax(-1, keepdim=True)),
    ),
]


def fixed_seed(p: Tensor, generator: torch.Generator) -> Tensor:
    return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))


def checked_before_adding(
    next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator
):
    """Looks at the last id before drawing, so stop tokens of the prompt stop at once."""
    if prompt_ids[-1] in stop_token_ids or prompt_ids[0] in stop_token_ids:
        return []
    return generate(
        next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator
    )


def prompt_extended(
    next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator
):
    new = generate(
        next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator
    )
    prompt_ids += new
    return new


GENERATE = [
    bad_generate(
        "the prompt is part of the result",
        "return the new ids only",
        result=lambda ids, prompt, stopped: ids,
    ),
    bad_generate(
        "the stop token is left out",
        "a stop token that was drawn is the last id of the result",
        result=lambda ids, prompt, stopped: ids[len(prompt) : len(ids) - stopped],
    ),
    bad_generate(
        "stop tokens do not stop",
        "end after the first id in stop_token_ids",
        stops=lambda token, stop: False,
    ),
    bad_generate(
        "only one of the stop tokens stops",
        "stop_token_ids is a set: any of them stops",
        stops=lambda token, stop: token == max(stop, default=None),
    ),
    wrong(
        "generate",
        "a stop token in the prompt stops",
        "only tokens that were drawn stop the generation",
        run_generate=checked_before_adding,
    ),
    wrong(
        "generate",
        "one token too many",
        "at most max_new_tokens new ids",
        run_generate=lambda f, ids, n, t, stop, g: generate(f, ids, n + 1, t, stop, g),
    ),
    wrong(
        "generate",
        "one token is drawn even if none is asked for",
        "max_new_tokens = 0 gives no token: test the limit before the first draw",
        run_generate=lambda f, ids, n, t, stop, g: generate(f, ids, max(n, 1), t, stop, g),
    ),
    wrong(
        "generate",
        "max_new_tokens counts the prompt",
        "max_new_tokens counts new ids only",
        run_generate=lambda f, ids, n, t, stop, g: generate(f, ids, n - len(ids), t, stop, g),
    ),
    bad_generate(
        "the model sees the last token only",
        "next_token_logits gets the prompt and all new ids",
        see=lambda ids, prompt: ids[-1:],
    ),
    bad_generate(
        "the model sees the prompt only",
        "append every new id before the next call",
        see=lambda ids, prompt: list(prompt),
    ),
    bad_generate(
        "the model sees the new tokens only",
        "next_token_logits gets the prompt and all new ids",
        see=lambda ids, prompt: ids[len(prompt) :] or list(prompt),
    ),
    wrong(
        "generate",
        "the prompt list is changed",
        "ids = list(prompt_ids) makes a copy; += on the argument changes the caller's list",
        run_generate=prompt_extended,
    ),
    bad_generate(
        "the global random state is used",
        "pass generator= to torch.multinomial",
        draw=lambda p, generator: torch.multinomial(p, 1),
    ),
    bad_generate(
        "the generator is made anew for every token",
        "draw all tokens from the one generator that was given",
        draw=fixed_seed,
    ),
    bad_generate(
        "the most likely token is always taken",
        "draw from the distribution (temperature 0 alone takes the maximum)",
        draw=lambda p, generator: p.argmax(-1),
    ),
    bad_generate(
        "every token is equally likely",
        "the weights of the draw are the probabilities",
        draw=lambda p, generator: torch.multinomial((p > 1e-3).float(), 1, generator=generator),
    ),
    wrong(
        "generate",
        "the ids are tensors",
        "int(token): a tensor equals no stop token",
        run_generate=lambda f, ids, n, t, stop, g: [
            torch.tensor(token) for token in generate(f, ids, n, t, stop, g)
        ],
    ),
    wrong(
        "generate",
        "the ids are yielded",
        "return a list; a caller may go through it twice",
        run_generate=lambda *args: iter(generate(*args)),
    ),
    wrong(
        "generate",
        "the temperature is ignored",
        "pass the temperature on to the distribution",
        run_generate=lambda f, ids, n, t, stop, g: generate(f, ids, n, 1.0 if t else 0.0, stop, g),
    ),
]
