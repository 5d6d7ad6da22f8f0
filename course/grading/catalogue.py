"""The catalogue: classic mistakes, which the tests must fail, and right answers by other roads.

A suite that has never failed anything proves nothing, so each assignment keeps, beside its graded
tests, implementations that are wrong in exactly one way that real students get wrong
(`tests/<assignment>/mistakes/`), and structurally different right ones
(`tests/<assignment>/alternatives.py`, or a package of that name). A test proves that the suite
fails every mistake and passes every alternative; and when a submission fails just as a mistake
does, the message names the mistake. Mutation testing (DeMillo, Lipton and Sayward, 1978) with
mutants chosen by hand: slower to write than generated ones, but each has a name that teaches.

    @mistake("softmax", "no maximum subtracted", says="exp overflows: subtract the maximum first")
    def no_maximum():
        def run_softmax(in_features, dim):
            return in_features.exp() / in_features.exp().sum(dim, keepdim=True)

        return {"run_softmax": run_softmax}

The decorated function returns adapters by name; the other adapters are the reference's. A module
of the catalogue holds its entries as names of their own or in lists.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

Entry = TypeVar("Entry")
Overlay = Mapping[str, Callable]


@dataclass(frozen=True)
class Mistake:
    """An implementation wrong in one way; `says` tells its author what to change."""

    problem: str
    title: str
    says: str
    build: Callable[[], Overlay]


@dataclass(frozen=True)
class Alternative:
    """A right implementation with another structure than the reference's."""

    problem: str
    title: str
    build: Callable[[], Overlay]


def mistake(problem: str, title: str, *, says: str) -> Callable[[Callable[[], Overlay]], Mistake]:
    """Turn a function that returns wrong adapters into a `Mistake` of `problem`."""
    return lambda build: Mistake(problem, title, says, build)


def alternative(problem: str, title: str) -> Callable[[Callable[[], Overlay]], Alternative]:
    """Turn a function that returns right adapters into an `Alternative` for `problem`."""
    return lambda build: Alternative(problem, title, build)


def load_mistakes(assignment: str, *, skip_broken: bool = False) -> list[Mistake]:
    """Return the mistakes of `tests/<assignment>/mistakes`, in the order in which they stand.

    `skip_broken` leaves out modules that cannot be imported: where the reference is not released,
    what is built from it cannot be had.
    """
    return list(_entries(f"tests.{assignment}.mistakes", Mistake, skip_broken))


def load_alternatives(assignment: str) -> list[Alternative]:
    """Return the alternatives of `tests/<assignment>/alternatives`, in the order they stand in."""
    return list(_entries(f"tests.{assignment}.alternatives", Alternative, skip_broken=False))


def _entries(name: str, kind: type[Entry], skip_broken: bool) -> Iterator[Entry]:
    """Yield the entries that are variables of the modules, or stand in lists that are."""
    seen: set[int] = set()
    for module in _modules(name, skip_broken):
        for value in vars(module).values():
            for entry in value if isinstance(value, list | tuple) else (value,):
                if isinstance(entry, kind) and id(entry) not in seen:
                    seen.add(id(entry))
                    yield entry


def _modules(name: str, skip_broken: bool) -> Iterator[ModuleType]:
    """Import a module, and if it is a package the modules in it; nothing where there is none."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        absent = error.name is not None and f"{name}.".startswith(f"{error.name}.")
        if skip_broken or absent:
            return
        raise
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda m: m.name):
        try:
            yield importlib.import_module(f"{name}.{info.name}")
        except ImportError:
            if not skip_broken:
                raise
