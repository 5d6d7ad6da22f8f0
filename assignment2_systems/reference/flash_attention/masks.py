"""Which keys a query sees, as a band around the diagonal, and which tiles of scores hold any.

Every mask here is a band: query i sees key j when i + first <= j <= i + last. Causal attention is
last = keys - queries (the triangle leans on the lower right corner, as `causal_mask` of assignment
1 does), a sliding window of w keys adds first = last - (w - 1) (Beltagy et al. 2020, "Longformer",
section 3.1, looking back only). Two integers therefore say all, and a kernel never reads a mask.

A tile of scores is empty (nothing visible: never visited), full (everything visible: no mask
arithmetic) or partial. Along a row of tiles they come as: empty, partial, full, partial, empty.
With square tiles and n of them to a side, causal attention visits n (n + 1) / 2 of n^2 tiles and
masks n; at 16k tokens and tiles of 128 that is 50.4% visited and 0.8% masked.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from dataclasses import dataclass

import torch
import triton
import triton.language as tl  # noqa: F401  the interpreter wants it beside a function that it runs
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
    if not causal:
        if window is not None:
            raise UserError(f"window is {window}, and a window looks back: set causal, too")
        return Band()
    last = keys - queries
    if window is None:
        return Band(last=last)
    if window < 1:
        raise UserError(f"window is {window}: a query sees at least itself, so 1 or more")
    return Band(last - (window - 1), last)


def tile_ranges(row, rows, columns, width, first, last, has_first, has_last):
    """Return which tiles of columns the rows [row, row + rows) have to visit.

    The same source runs in Python and, compiled, in the kernels: plain integers, and no division of
    a negative number, which Triton rounds towards zero and Python does not. For the queries that a
    key is seen by, swap rows and columns and pass the transposed band.

    Args:
        row: the first row of the tile.
        rows: how many rows it has; those beyond the matrix must not be counted.
        columns: of the whole matrix.
        width: columns in a tile.
        first: of the band; ignored unless `has_first`.
        last: of the band; ignored unless `has_last`.
        has_first: whether the band is limited on the left.
        has_last: whether the band is limited on the right.

    Returns:
        (start, full_start, full_stop, stop): tiles [start, full_start) and [full_stop, stop) are
        partial, [full_start, full_stop) full. A tile that sticks out of the matrix is partial.
    """
    seen_start = 0
    all_start = 0
    if has_first:
        # The first row sees columns from here on, the last row from there on.
        seen_start = min(max(row + first, 0), columns)
        all_start = min(max(row + rows - 1 + first, 0), columns)
    seen_stop = columns
    all_stop = columns
    if has_last:
        seen_stop = min(max(row + rows + last, 0), columns)
        all_stop = min(max(row + 1 + last, 0), columns)
    start = seen_start // width
    stop = max((seen_stop + width - 1) // width, start)
    full_start = min((all_start + width - 1) // width, stop)
    full_stop = min(max(all_stop // width, full_start), stop)
    return start, full_start, full_stop, stop


tile_ranges_in_kernel = triton.jit(tile_ranges)
