"""What the handout of an assignment forbids, and the order of its problems: data, no code.

Each assignment says its own in `tests/<assignment>/rules.py` as `RULES = Rules(...)`; the grader
makes the rest impossible while a student's code runs (`course.grading.guard`).
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rules:
    """The rules of one handout; the default forbids nothing.

    Attributes:
        handout: its name in messages, say "assignment 1".
        problems: all graded problems in the order of the handout; the tests run in this order.
        functions: dotted names of functions that students write themselves; `torch.ops.*` means
            every public function of that module.
        classes: base class -> those of PyTorch's own subclasses that are allowed all the same.
        packages: top-level packages that may not be imported.
    """

    handout: str = "the handout"
    problems: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


def load_rules(assignment: str) -> Rules:
    """Return the rules of `tests/<assignment>/rules.py`; no rules where there is no such file."""
    name = f"tests.{assignment}.rules"
    try:
        rules = importlib.import_module(name).RULES
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return Rules()
        raise
    assert isinstance(rules, Rules), f"{name}.RULES is no course.grading.rules.Rules"
    return rules
