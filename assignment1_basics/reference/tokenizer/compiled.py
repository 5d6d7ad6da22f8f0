"""How the inner loops are compiled: by numba, at their first call, once per machine.

A `kernel` is called from Python, releases the GIL and is cached on disk; a `helper` is called from
kernels and becomes a part of them. Compiling takes seconds, so it is announced on stderr, and only
when no cached code is found.

numba's own cache (`cache=True`) is not enough here for two reasons. It looks only at the file that
a kernel stands in, so that after a change to a helper in another file the old code would go on
running; ours is keyed by the content of every file of this folder. And it fails where neither the
package nor the home folder can be written (a grading container); ours falls back to the temporary
folder, and to no cache at all.
"""

import contextlib
import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile `function` at its first call; keep the result on disk; release the GIL in it.

    Division by zero is not checked for (it gives 0 or infinity, as in C).
    """
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if _cache_folder() is not None:
        dispatcher._cache = _KernelCache(function)  # what `cache=True` does, with our cache
    return cast(Function, dispatcher)


def helper(function: Function) -> Function:
    """Mark a small function for use inside kernels; LLVM puts it into its callers.

    Its arguments should be numbers (addresses for memory), not arrays: handing on an array costs
    two atomic updates of its reference count, more than most helpers do. See `memory`.
    """
    return cast(Function, numba.njit(forceinline=True, error_model="numpy")(function))


def cold_helper(function: Function) -> Function:
    """Mark a helper that is rarely called: it stays a call, which keeps its callers small."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@functools.cache
def _announce() -> None:
    """Say once per process why nothing seems to happen."""
    print("compiling the tokenizer kernels (once, ~10 s)...", file=sys.stderr, flush=True)


@functools.cache
def _source_hash() -> str:
    """Hash the sources of all kernels and helpers: any change makes the cached code stale."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _cache_folder() -> str | None:
    """Return the first folder that can be written, or None."""
    here = Path(__file__).parent
    name = f"{here.name}_{hashlib.sha256(str(here).encode()).hexdigest()[:16]}"
    user_cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folders = [
        here / "__pycache__",
        # A user whom the system does not know has no home: "~" stays as it is.
        *([Path(user_cache, "numba", name)] if os.path.isabs(user_cache) else []),
        Path(tempfile.gettempdir(), f"numba-{os.getuid()}", name),
    ]
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        folders.insert(0, Path(chosen, name))
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid in (os.getuid(), here.stat().st_uid):
                tempfile.TemporaryFile(dir=folder).close()
                return str(folder)
        except OSError:  # read-only, full, or not ours: try the next one
            continue
    return None


class _Locator(caching._CacheLocator):
    """Tells numba where the code of a kernel is cached and which sources it was made from."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func)

    def get_cache_path(self) -> str | None:
        return _cache_folder()

    def get_source_stamp(self) -> str:
        return _source_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)


class _KernelCacheImpl(caching.CompileResultCacheImpl):
    _locator_classes: Any = (_Locator,)


class _KernelCache(caching.FunctionCache):
    _impl_class = _KernelCacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached code, or None after saying that compilation comes next."""
        try:
            code = super().load_overload(sig, target_context)
        except Exception:  # torn by a full disk or a kill, or of another numba: compile anew
            code = None
            with contextlib.suppress(OSError):
                self.flush()
        if code is None:
            _announce()
        return code

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store the code; a full disk only means that the next process compiles again."""
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()
