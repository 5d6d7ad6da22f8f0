"""Classic mistakes in encoding a stream: the plain tokenizer of `tokenizer`, read otherwise."""

from collections.abc import Callable
from dataclasses import replace

from course.grading.catalogue import Mistake, mistake
from tests.assignment1_basics.mistakes.tokenizer import Tokenizer, encode_iterable, safe_cut

MISTAKES: list[Mistake] = []


def _in_stream(title: str, says: str, stream: Callable) -> None:
    """Register the tokenizer with another way to read a stream."""
    MISTAKES.append(
        mistake("encode_iterable", title, says=says)(
            lambda: {
                "get_tokenizer": lambda vocab, merges, special_tokens=None: Tokenizer(
                    vocab, merges, special_tokens, stream=stream
                )
            }
        )
    )


_in_stream(
    "the whole stream is joined first",
    "encode_iterable is for texts larger than memory: yield the ids of a piece, then read on",
    lambda tokenizer, texts: iter(tokenizer.encode("".join(texts))),
)


def _collect(tokenizer, texts):
    ids = []
    for number in encode_iterable(tokenizer, texts):
        ids.append(number)  # noqa: PERF402 - the mistake itself
    return iter(ids)


_in_stream(
    "the ids are collected in a list",
    "use `yield from`, not a list that is returned at the end",
    _collect,
)


def _each_chunk_alone(tokenizer, texts):
    for text in texts:
        yield from tokenizer.encode(text)


_in_stream(
    "each chunk is encoded by itself",
    "a pre-token may continue in the next chunk: hold the last ones back",
    _each_chunk_alone,
)


def _buffer_cut_anywhere(tokenizer, texts):
    held = ""
    for text in texts:
        held += text
        if len(held) > 10_000:
            yield from tokenizer.encode(held)
            held = ""
    yield from tokenizer.encode(held)


_in_stream(
    "a full buffer is encoded to its end",
    "its last pre-token may go on in the next chunk, however long the buffer is: hold it back",
    _buffer_cut_anywhere,
)


def _strip_lines(tokenizer, texts):
    return encode_iterable(tokenizer, (text.rstrip("\n") for text in texts))


_in_stream(
    "line ends are stripped",
    "the newline at the end of a line is text too",
    _strip_lines,
)


def _never_flushed(tokenizer, texts):
    held = ""
    for text in texts:
        if held:
            yield from tokenizer.encode(held)
        held = text


_in_stream(
    "the last piece is never encoded",
    "when the stream ends, what you held back is still to be encoded",
    _never_flushed,
)


def _history(tokenizer, texts):
    held, done = "", 0
    for text in texts:
        held += text
        if (cut := safe_cut(held[done:])) > 0:
            yield from tokenizer.encode(held[done : done + cut])
            done += cut
    yield from tokenizer.encode(held[done:])


_in_stream(
    "what was encoded is never let go",
    "memory must not grow with the stream: drop the text whose ids were yielded",
    _history,
)


def _special_forgotten(tokenizer, texts):
    plain = replace(tokenizer, special=None, known={})
    return encode_iterable(plain, texts)


_in_stream(
    "special tokens are forgotten in streams",
    "encode_iterable knows the same special tokens as encode",
    _special_forgotten,
)
