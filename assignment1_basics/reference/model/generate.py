"""Autoregressive generation: feed the tokens so far, draw the next one, repeat.

`generate_tokens` is the loop, `CachedLogits` makes each of its steps cost one token instead of the
whole sequence, and `stream_text` turns tokens into text that can be shown at once: a character
whose bytes are split over tokens waits for its last byte, and what may be the beginning of a stop
string waits until it is known not to be. `generate_batch` continues many prompts at once.
"""

import codecs
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from assignment1_basics.reference.model.sampling import Sampling, sample
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError


class CachedLogits:
    """A model as a function from all ids so far to the logits of the next token.

    Each call must continue the ids of the call before; only what is new goes through the model.
    """

    def __init__(self, model: Transformer, capacity: int | None = None):
        self.model = model
        self.cache = model.new_cache(capacity=capacity)

    @torch.inference_mode()
    def __call__(self, ids: Sequence[int]) -> Float[Tensor, "vocab"]:
        """Return the logits of the token after `ids`."""
        new = torch.tensor([ids[self.cache.length :]], device=self.model.device)
        hidden = self.model.hidden_states(new, self.cache)
        return self.model.lm_head(hidden[0, -1])


def generate_tokens(
    next_token_logits: Callable[[list[int]], Float[Tensor, "vocab"]],
    prompt_ids: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling,
    stop_token_ids: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """Draw up to `max_new_tokens` tokens; a stop token that was drawn is the last of them."""
    ids = list(prompt_ids)
    for _ in range(max_new_tokens):
        logits = next_token_logits(ids.copy())
        token = int(sample(logits.unsqueeze(0), sampling, generator))
        yield token
        if token in stop_token_ids:
            return
        ids.append(token)


def room_for_new_tokens(model: Transformer, prompt_ids: Sequence[int]) -> int:
    """Return how many tokens can be drawn after a prompt: until the context is full, and one more.

    The last token drawn is never fed back, so it needs no place in the context.
    """
    if not prompt_ids:
        raise UserError("the prompt is empty; at least one token is needed")
    context = model.config.context_length
    if len(prompt_ids) > context:
        raise UserError(
            f"the prompt has {len(prompt_ids)} tokens, the model's context {context}; shorten it"
        )
    return context - len(prompt_ids) + 1


def stream_text(
    tokens: Iterable[int], token_bytes: Mapping[int, bytes], stop_strings: Sequence[str] = ()
) -> Iterator[str]:
    """Yield the text of tokens as soon as it is certain; end before the first stop string.

    The stop string that is complete first ends the text (of two that end together the longer one).
    Bytes that are not UTF-8 become U+FFFD, as in `Tokenizer.decode`.
    """
    if "" in stop_strings:
        raise UserError("a stop string is empty; it would end the text at once")
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    waiting = ""
    for token in tokens:
        waiting += decoder.decode(token_bytes[token])
        stop = _find_stop(waiting, stop_strings)
        certain = len(waiting) - _possible_stop(waiting, stop_strings) if stop is None else stop
        if certain:
            yield waiting[:certain]
        if stop is not None:
            return
        waiting = waiting[certain:]
    waiting += decoder.decode(b"", final=True)
    if waiting:
        yield waiting[: _find_stop(waiting, stop_strings)]


def _find_stop(text: str, stop_strings: Sequence[str]) -> int | None:
    """Return where the first complete stop string begins, or None."""
    found = [
        (text.find(stop) + len(stop), text.find(stop)) for stop in stop_strings if stop in text
    ]
    return min(found)[1] if found else None


def _possible_stop(text: str, stop_strings: Sequence[str]) -> int:
    """Return the length of the longest end of `text` that a stop string begins with."""
    longest = min(len(text), max(map(len, stop_strings), default=1) - 1)
    for length in range(longest, 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stop_strings):
            return length
    return 0


@torch.inference_mode()
def generate_batch(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stop_token_ids: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """Continue many prompts at once; return only the new tokens of each.

    Prompts may differ in length. All rows stand at the same position: prefill ends with the
    shortest prompt, and a longer one takes its own next token in place of the drawn one (as in
    Meta's llama/generation.py). So no padding ever enters the attention, and each row gets the
    numbers that it would get alone.
    """
    room = min(room_for_new_tokens(model, prompt) for prompt in prompts)
    shortest, longest = min(map(len, prompts)), max(map(len, prompts))
    total = longest + min(max_new_tokens, room)
    ids = torch.zeros(len(prompts), total, dtype=torch.long)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    ids = ids.to(model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    stops = torch.tensor(list(stop_token_ids), dtype=torch.long, device=model.device)
    finished = torch.zeros(len(prompts), dtype=torch.bool, device=model.device)
    cache = model.new_cache(len(prompts), min(total, model.config.context_length))
    fed = 0
    for position in range(shortest, total):
        hidden = model.hidden_states(ids[:, fed:position], cache)
        drawn = sample(model.lm_head(hidden[:, -1]), sampling, generator)
        is_new = position >= lengths
        ids[:, position] = torch.where(is_new, drawn, ids[:, position])
        finished |= is_new & torch.isin(drawn, stops)
        finished |= position + 1 >= lengths + max_new_tokens
        if finished.all():
            break
        fed = position
    return [
        _until_stop(row[len(prompt) :][:max_new_tokens], stop_token_ids)
        for row, prompt in zip(ids.tolist(), prompts, strict=True)
    ]


def _until_stop(tokens: list[int], stop_token_ids: Collection[int]) -> list[int]:
    """Cut after the first stop token."""
    for i, token in enumerate(tokens):
        if token in stop_token_ids:
            return tokens[: i + 1]
    return tokens
