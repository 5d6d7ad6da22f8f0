"""Which keys a query sees, as a band around the diagonal, and which tiles of scores hold any.

Every mask here is a band: query i sees key j when i + first <= j <= i + last. Causal attention is
last = keys - queries (the triangle leans on the lower right corner, as `causal_mask` of assignment
1 does), a sliding window of w keys adds first = last - (w - 1) (Beltagy et al. 2020, "Longformer",
section 3.1, looking back only). Two integers therefore say all, and a kernel never reads a mask.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from course.errors import UserError


@dataclass(frozen=True)
class Band:
    """Query i sees key j when i + first <= j <= i + last; None: no limit on that side."""

    first: int | None = None
    last: int | None = None

    def transposed(self) -> "Band":
        """Return the same band seen from the keys: which queries a key is seen by."""
        first, last = self.first, self.last
        return Band(None if last is None else -last, None if first is None else -first)

    def mask(
        self,
        queries: int,
        keys: int,
        query_start: int = 0,
        key_start: int = 0,
        device: torch.device | str | None = None,
    ) -> Bool[Tensor, "queries keys"]:
        """Return the mask of a rectangle of scores, True where the key is visible."""
        rows = torch.arange(query_start, query_start + queries, device=device)[:, None]
        columns = torch.arange(key_start, key_start + keys, device=device)[None, :]
        visible = torch.ones(queries, keys, dtype=torch.bool, device=device)
        if self.first is not None:
            visible &= columns >= rows + self.first
        if self.last is not None:
            visible &= columns <= rows + self.last
        return visible


def make_band(queries: int, keys: int, causal: bool, window: int | None = None) -> Band:
    """Return the band of an attention.

    Args:
        queries: how many; the last one stands at the last key.
        keys: how many.
        causal: no query sees a key after its own position.
        window: every query sees this many of the newest keys up to its own position, itself
            included; None: all.

    Raises:
        UserError: a window without `causal`, or of no key.
    """
    check_window(causal, window)
    if not causal:
        return Band()
    last = keys - queries
    return Band(None if window is None else last - (window - 1), last)


def check_window(causal: bool, window: int | None) -> None:
    """Raise UserError if there is a window without `causal`, or one of no key."""
    if window is not None and not causal:
        raise UserError(f"window is {window}, and a window looks back: set causal, too")
    if window is not None and window < 1:
        raise UserError(f"window is {window}: a query sees at least itself, so 1 or more")
