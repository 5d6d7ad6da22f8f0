"""Generation: draw token after token until a stop token or the limit."""

import pytest
import torch

from course.grading import check
from tests.assignment1_basics.tensors import normal

PROBLEM = "generate"
NEEDS = ["next_token_distribution"]
VOCAB = 7


def follower(ids: list[int]) -> torch.Tensor:
    """A model that is almost sure that the token after n is n + (the number of tokens so far)."""
    logits = torch.zeros(VOCAB)
    logits[(ids[-1] + len(ids)) % VOCAB] = 50.0
    return logits


def followed(prompt: list[int], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append((ids[-1] + len(ids)) % VOCAB)
    return ids[len(prompt) :]


def ids_of(new) -> list[int]:
    """Return the result, if it is a list of ints."""
    kinds = sorted({type(token).__name__ for token in new}) if isinstance(new, list) else []
    check.true(
        isinstance(new, list) and kinds in ([], ["int"]),
        f"generate: the result is a {type(new).__name__}{' of ' * bool(kinds)}{', '.join(kinds)}, "
        "not a list of ints",
        hint="int(token) makes an int of a tensor; a tensor is in no set, so it never stops",
    )
    return new


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The model depends on the whole text so far, so leaving out any of it shows.
@pytest.mark.problem(PROBLEM, points=0.5, needs=NEEDS)
@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "sampled"])
def test_generate_stops(adapters, temperature):
    for prompt in ([3], [1, 4, 4, 0]):
        eight = followed(prompt, 8)
        for count in (1, 5, 8, 0):
            given = list(prompt)
            new = adapters.run_generate(follower, given, count, temperature, set(), seeded(0))
            check.equal(
                ids_of(new),
                eight[:count],
                what=f"generate: wrong tokens, {count} after {prompt} without stop tokens",
                hint="exactly max_new_tokens new ids, without the prompt; the model sees the "
                "prompt and all new ids each time",
            )
            check.equal(
                given, prompt, what="generate: prompt_ids was changed", hint="copy it first"
            )
        # Tokens of the prompt do not stop. There are several stop tokens, and 99 is never drawn.
        first = next(n for n, token in enumerate(eight) if token not in prompt and n > 0)
        several = {eight[first], eight[-1], prompt[0], 99} - set(eight[:first])
        for stops in ({eight[first]}, several):
            new = adapters.run_generate(follower, list(prompt), 8, temperature, stops, seeded(0))
            check.equal(
                ids_of(new),
                eight[: first + 1],
                what=f"generate: wrong tokens after {prompt} with stop tokens {sorted(stops)}",
                hint="stop after the first stop token that is drawn; it is the last id returned",
            )


# 1000 draws: a frequency strays five standard deviations once in two million runs.
@pytest.mark.problem(PROBLEM, points=0.5, needs=NEEDS)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_generate_draws_from_the_distribution(adapters, temperature):
    logits, draws = normal(VOCAB, seed=5), 1000

    def generate(count: int, seed: int) -> list[int]:
        new = adapters.run_generate(
            lambda ids: logits.clone(), [0], count, temperature, set(), seeded(seed)
        )
        return ids_of(new)

    before = torch.random.get_rng_state()
    new = generate(draws, 2)
    hint = "torch.multinomial(probabilities, 1, generator=generator)"
    check.true(
        bool(torch.equal(before, torch.random.get_rng_state())),
        "generate: the global random state was used",
        hint=f"draw from `generator` only: {hint}",
    )
    p = torch.softmax(logits.double() / temperature, -1)
    check.close(
        torch.bincount(torch.tensor(new), minlength=VOCAB) / draws,
        p,
        what=f"generate: wrong frequencies of tokens at temperature {temperature}",
        hint="draw every token from softmax(logits / temperature), with one generator for all",
        rtol=0,
        atol=5 * float((p * (1 - p)).max() / draws) ** 0.5,
    )
    once, again, other = generate(40, 2), generate(40, 2), generate(40, 3)
    check.true(once == again, "generate: one seed gives two results", hint=hint)
    check.true(once != other, "generate: two seeds give one result", hint=hint)
