"""Values as a reader of a failure message wants them: short, shape and dtype first."""

import reprlib
import sys
from typing import Any

MAX_WIDTH = 160  # of what is not a tensor
_REPR = reprlib.Repr()
_REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxfrozenset = 12
_REPR.maxdict = 6
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxlevel = 4


def show(value: Any) -> str:
    """Return a value in a few short lines; tensors and arrays with dtype and shape."""
    array = as_array(value)
    if array is None:
        return _show_object(value)
    import numpy as np

    text = np.array2string(
        array, precision=5, threshold=32, edgeitems=3, separator=", ", max_line_width=76
    )
    if array.ndim == 0:
        return f"{text} ({dtype_name(value)})"
    gap = "\n" if "\n" in text else "  "
    return f"{dtype_name(value)} {list(array.shape)}{gap}{text}"


def as_array(value: Any) -> Any:
    """Return a tensor's or an array's numbers as a NumPy array, or None for anything else."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.device.type == "meta":
            return None
        value = value.detach().cpu()
        if value.dtype in (torch.bfloat16, torch.float16):
            value = value.float()
        return value.resolve_conj().resolve_neg().numpy()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value
    return None


def dtype_name(value: Any) -> str:
    """Return "float32" for a float32 tensor or array, the type's name for anything else."""
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else str(dtype).removeprefix("torch.")


def _show_object(value: Any) -> str:
    if isinstance(value, str | bytes) and len(value) <= 400:
        return repr(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if isinstance(value, list | tuple) and any(as_array(item) is not None for item in value):
        opening, closing = "[]" if isinstance(value, list) else "()"
        items = [brief(item) for item in value[:6]] + ["..."] * (len(value) > 6)
        comma = "," * (isinstance(value, tuple) and len(value) == 1)
        return opening + ", ".join(items) + comma + closing
    try:
        text = _REPR.repr(value)
        return text if len(text) <= MAX_WIDTH else text[: MAX_WIDTH - 4] + " ..."
    except Exception as error:  # a student's __repr__ may raise anything
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def brief(value: Any, width: int = 60) -> str:
    """Return a value on one line of at most `width` characters."""
    array = as_array(value)
    if array is None:
        text = " ".join(_show_object(value).split())
    elif array.ndim == 0 or array.size <= 6:
        text = " ".join(show(value).split())
    else:
        text = f"{dtype_name(value)} {list(array.shape)}"
    return text if len(text) <= width else text[: width - 4] + " ..."
