"""How a story is told: templates with choices and slots, expanded to sentences with their grammar.

A template is a string: `{a|b|c}` chooses, also nested and with empty parts, `<slot>` inserts what
the story knows under that name (a person, a pronoun, a thing). The same slots serve a whole story,
so a kite stays a kite and a girl stays "she"; a slot that ends in `_is` introduces somebody once
("his cousin Tom") and is the bare name from then on. Articles, capitals and stops at quotes are set
at the end, on the whole text: templates say "a" everywhere and begin sentences in lower case.
"""

import re
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TypeVar

T = TypeVar("T")
# Text, a slot, or a choice between sequences of nodes.
Node = str | tuple[str] | list["list[Node]"]

_SYNTAX = re.compile(r"([{}|]|<\w+>)")
# "an" goes with the sound: an hour, but a unicorn, a used bicycle, a one-eyed cat.
_ARTICLE = re.compile(
    r"\b([Aa]) (?=[aeioAEIO](?!ne\b|nce\b|u[rgl])|[uU](?!n[ai]|s[eu]|kul)|hour|honest|8|11\b|18)"
)
_SENTENCE_START = re.compile(r'((?:^|[.!?]"? |\n)"?|(?:[,:] )")([a-z])')
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE = re.compile(r" ([,.!?])")
_QUOTE_BEFORE_STOP = re.compile(r'([^.!?,"\s])"([.,])')  # American style: the stop goes inside
_TWO_STOPS = re.compile(r'([.!?,])"[.,]')
_COMMA_BEFORE = re.compile(r",([,.!?])")


class Teller:
    """Tells one story: what it knows (`slots`) and the sentences so far.

    Args:
        random: decides every choice.
    """

    def __init__(self, random: Random) -> None:
        self._random = random.random
        self.slots: dict[str, str] = {}
        self._parts: list[str] = []

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, each equally likely."""
        return items[int(self._random() * len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return `count` different items."""
        rest = list(items)
        return [rest.pop(int(self._random() * len(rest))) for _ in range(count)]

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random() < probability

    def know(self, **slots: str) -> None:
        """Set slots; a value is itself a template, and its choices are made now."""
        for name, template in slots.items():
            self.slots[name] = self.expand(template)

    def say(self, *templates: str) -> None:
        """Add one of these sentences (or several sentences in one template)."""
        text = self.expand(self.pick(templates))
        start = 1 if text.startswith('"') else 0
        self._parts.append(text[:start] + text[start : start + 1].upper() + text[start + 1 :])

    def maybe(self, probability: float, *templates: str) -> None:
        """Add one of these sentences with a probability."""
        if self._random() < probability:
            self.say(*templates)

    def paragraph(self) -> None:
        """Start a new paragraph."""
        self._parts.append("\n\n")

    def expand(self, template: str) -> str:
        """Return the template with its choices made and its slots filled."""
        out: list[str] = []
        self._expand(_parse(template), out)
        return "".join(out)

    def _expand(self, nodes: "list[Node]", out: list[str]) -> None:
        for node in nodes:
            if isinstance(node, str):
                out.append(node)
            elif isinstance(node, tuple):
                name = node[0]
                out.append(self.slots[name])
                if name.endswith("_is"):  # introduced once, then called by name
                    self.slots[name] = self.slots[name.removesuffix("_is")]
            else:
                self._expand(node[int(self._random() * len(node))], out)

    def text(self) -> str:
        """Return the story so far as finished text."""
        return finish(" ".join(self._parts))


@cache
def _parse(template: str) -> "list[Node]":
    """Parse a template to nodes."""
    stack: list[list[list[Node]]] = [[[]]]  # open choices; the last sequence of each is growing
    for part in _SYNTAX.split(template):
        if part == "{":
            stack.append([[]])
        elif part == "|" and len(stack) > 1:
            stack[-1].append([])
        elif part == "}":
            choice = stack.pop()
            stack[-1][-1].append(choice)
        elif part.startswith("<") and part.endswith(">"):
            stack[-1][-1].append((part[1:-1],))
        elif part:
            stack[-1][-1].append(part)
    if len(stack) != 1:
        raise ValueError(f"braces do not match in {template!r}")
    return stack[0][0]


def finish(text: str) -> str:
    """Set spaces, articles and capitals."""
    text = _SPACES.sub(" ", text).replace(" \n\n ", "\n\n").strip()
    text = _SPACE_BEFORE.sub(r"\1", text)
    text = _COMMA_BEFORE.sub(r"\1", text)
    text = _TWO_STOPS.sub(r'\1"', _QUOTE_BEFORE_STOP.sub(r'\1\2"', text))
    text = _ARTICLE.sub(r"\1n ", text)
    return _SENTENCE_START.sub(_capital, text)


def _capital(match: re.Match[str]) -> str:
    before, letter = match.groups()
    if before in ('!" ', '?" '):  # "Look!" she said: the sentence goes on
        return match[0]
    return before + letter.upper()
