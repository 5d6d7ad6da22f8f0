"""The guard: while a student's code runs, what the handout forbids raises a line that says so.

`fence_torch` stops functions and classes of PyTorch, `fence_imports` packages and the reference
solution. Both are up only inside a call into the student's code (`with guard:`), so that the tests'
oracles use PyTorch freely. `boundary` keeps them up for what such a call returns: an optimizer, a
tokenizer, a generator.

Code counts as the student's unless a library or a test makes the call for itself (the forward of a
`torch.nn.Linear` that the test passed in, an iterator that the test passed in). Costs about 1 us to
enter and 1 us for each call of PyTorch. It stops accidents and temptation, not a determined cheat:
a process cannot hide its own memory from the code it runs.
"""

import threading
from pathlib import Path

from course.grading.guard.errors import ForbiddenError, ForbiddenImportError
from course.grading.guard.fence_imports import ImportFence
from course.grading.guard.fence_torch import TorchFence
from course.grading.guard.provenance import Provenance
from course.grading.rules import Rules

__all__ = ["ForbiddenError", "ForbiddenImportError", "Guard", "Provenance"]


_MAIN_THREAD = threading.main_thread().ident


class Guard:
    """The fences of one assignment; a reentrant context manager around calls.

    Args:
        rules: what the handout forbids.
        root: the repository.
        reference_from: refuse the reference solutions of assignments with this number or a higher
            one; None allows them all.
    """

    def __init__(self, rules: Rules, root: Path, reference_from: int | None = None) -> None:
        self.provenance = Provenance(root)
        self.imports = ImportFence(rules, self.provenance, root, reference_from, self.is_inside)
        self._torch = TorchFence(rules, self.provenance, self.is_inside)
        self._thread = threading.local()

    def is_inside(self) -> bool:
        """Whether this thread runs the student's code just now."""
        return getattr(self._thread, "depth", 0) > 0

    def refuse_class(self, cls: type) -> None:
        """Raise `ForbiddenError` if `cls` is, or builds on, a class that the handout forbids."""
        self._torch.refuse_class(cls)

    def close(self) -> None:
        """Take down what stands between calls."""
        self._torch.close()
        self.imports.close()

    def __enter__(self) -> None:
        depth = getattr(self._thread, "depth", 0)
        self._thread.depth = depth + 1
        if depth == 0:
            self._torch.up()
            if threading.get_ident() == _MAIN_THREAD:
                self.imports.up()  # for all threads: they are the student's meanwhile

    def __exit__(self, *_: object) -> None:
        depth = self._thread.depth - 1
        self._thread.depth = depth
        if depth == 0:
            if threading.get_ident() == _MAIN_THREAD:
                self.imports.down()
            self._torch.down()
