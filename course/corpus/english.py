"""English paragraphs out of docstrings, reStructuredText and Markdown: keep prose, drop the rest.

A paragraph is a run of lines that belong together, joined into one line. It is kept if it reads as
English: enough words, most of them plain words, a fifth of them function words ("the", "of", "is"),
and few characters that only code has. The rules are those of Gopher and C4 (Rae et al. 2021,
appendix A; Raffel et al. 2020, section 2.2), with thresholds set by reading what they keep and drop
among docstrings. Tables, code, signatures, base64 and other languages fail them.
"""

import re
from collections.abc import Iterator

_FUNCTION_WORDS = """
    a about after all also an and any are as at be because been before between both but by can
    could do does each either every for from has have he her his how i if in into is it its itself
    may more most must no not of on one only or other our out over same she should since so some
    such than that the their them then there these they this those through to under until up use
    used was we were what when where whether which while who will with without would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
MIN_WORDS = 7

_FENCE = re.compile(r"^ *(?:```|~~~).*?(?:^ *(?:```|~~~) *$|\Z)", re.M | re.S)
_BLANK_LINES = re.compile(r"\n\s*\n")
# A list item, a field (":param x:") or a definition ("x (int): text") may hang its later lines.
_ITEM = re.compile(r"(?:[-*+•] |\(?\d{1,2}[.)] |:[a-z]+\b[^:\n]*: |\**\w+(?: ?\([^)\n]*\))?: )")
_RULE = re.compile(r"[-=~*^#+_.|: ]{3,}$")  # an underline, or a rule of a table
_MARKUP = [
    (re.compile(r":[a-z:]+:`~?!?([^`<]+?)(?: ?<[^>`]*>)?`"), r"`\1`"),  # :class:`~torch.Tensor`
    (re.compile(r"`([^`<]+?) ?<[^>`]*>`__?"), r"\1"),  # `text <target>`_
    (re.compile(r"``([^`]*)``"), r"`\1`"),
    (re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)"), r"\1"),  # [text](target)
    (re.compile(r" ?\[#?\w+\]_|(?<=\w)_(?=[\s.,])"), ""),  # footnote[1]_, target_
    (re.compile(r"</?[a-zA-Z][^>]*>"), ""),
    (re.compile(r"\*\*([^*\s][^*]*)\*\*"), r"\1"),
    (re.compile(r"^[\\@][a-z]+(?:\[[a-z, ]+\])? |\\[a-z]+ "), ""),  # \brief, @param[in]
]
_MAY_HAVE_MARKUP = re.compile(r"[`\]<_\\@]|\*\*")
_WORD = re.compile(r"""["'(`]*[A-Za-z]+(?:[-'][a-z]+)*[`"').,;:!?]*""")
_CODE = re.compile(r"[{}<>=|\\_$@#~^]|\(\)|::|\]\[|[a-z]\.[a-z]")


def paragraphs(text: str) -> Iterator[str]:
    """Yield the English paragraphs of a docstring or document, each as one line."""
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("\n\n", text)
    for block in _BLANK_LINES.split(text.expandtabs()):
        for lines in _split_block(block):
            paragraph = " ".join(lines)
            # Cheap tests first: markup is cleaned only where there may be something to keep.
            if paragraph.count(" ") < MIN_WORDS - 1 or len(paragraph) > 5000:
                continue
            if _function_words(paragraph) < 0.15 * paragraph.count(" "):
                continue
            if _MAY_HAVE_MARKUP.search(paragraph):
                for pattern, replacement in _MARKUP:
                    paragraph = pattern.sub(replacement, paragraph)
            paragraph = " ".join(paragraph.split())
            if is_prose(paragraph):
                yield paragraph


def _split_block(block: str) -> Iterator[list[str]]:
    """Split lines without a blank one between them where an item starts or the indent changes."""
    lines: list[str] = []
    indent, hanging = 0, False
    for raw in block.split("\n"):
        line = raw.strip()
        if not line:
            continue
        if line.startswith((">>>", "...", "In [", "Out[", ".. ", "$ ")):  # an example
            break
        if _RULE.match(line):
            if len(lines) > 1:  # one line above an underline is a title
                yield lines
            lines = []
            continue
        depth = len(raw) - len(raw.lstrip())
        item = _ITEM.match(line) is not None
        if lines and (item or (depth != indent and not (hanging and depth > indent))):
            yield lines
            lines = []
        if not lines:
            indent, hanging = depth, item
        elif hanging:
            indent = min(indent, depth)
        lines.append(line)
    if lines:
        yield lines


def is_prose(paragraph: str) -> bool:
    """Say whether a paragraph (one line, no markup) reads as English prose."""
    tokens = paragraph.split(" ")
    count = len(tokens)
    if count < MIN_WORDS or not 3.2 <= len(paragraph) / count <= 9:
        return False
    if len(_CODE.findall(paragraph)) > count / 8:
        return False
    if _function_words(paragraph) < 0.2 * count:
        return False
    plain = sum(map(bool, map(_WORD.fullmatch, tokens)))
    return plain >= 0.75 * count


def _function_words(paragraph: str) -> int:
    return sum(map(FUNCTION_WORDS.__contains__, paragraph.lower().split(" ")))
