"""Shapes and types of the references are checked in every call, not only written down.

jaxtyping's import hook wraps each annotated function with beartype. Only modules that use jaxtyping
are wrapped: in others there is nothing about shapes to check, and numba cannot compile a wrapper.
Modules with Triton kernels are not wrapped either: Triton cannot compile what it finds there.
A student's code is not wrapped: annotations there are the student's own business. Nor are the
adapters: they take what a test gives them, such as an `io.BytesIO`, which beartype does not count
as a `BinaryIO`.
"""

from collections.abc import Callable
from pathlib import Path


def check_shapes(root: Path) -> None:
    """Install the hook for the references below `root`; to be called before they are imported."""
    sources = {
        file: file.read_text(encoding="utf-8")
        for file in sorted(root.glob("assignment*/reference/**/*.py"))
        if file.name != "adapters.py"
    }
    modules = [
        ".".join(file.relative_to(root).with_suffix("").parts)
        for file, source in sources.items()
        if "jaxtyping" in source and "triton.jit" not in source
    ]
    if modules:
        from jaxtyping import install_import_hook

        install_import_hook(modules, f"{__name__}.typechecker")


def typechecker(function: Callable) -> Callable:
    """Check a function's annotations by beartype, if it understands them (not all: PEP 673).

    An int is a float, as everywhere in Python's types (PEP 484, "the numeric tower").
    """
    from beartype import BeartypeConf, beartype
    from beartype.roar import BeartypeDecorHintException

    try:
        return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)
    except BeartypeDecorHintException:
        return function
