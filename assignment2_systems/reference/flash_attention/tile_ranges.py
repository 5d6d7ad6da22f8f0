"""Which tiles of scores a band makes empty, full or partial.

A tile of scores is empty (nothing visible: never visited), full (everything visible: no mask
arithmetic) or partial. Along a row of tiles they come as: empty, partial, full, partial, empty.
With square tiles and n of them to a side, causal attention visits n (n + 1) / 2 of n^2 tiles and
masks n; at 16k tokens and tiles of 128 that is 50.4% visited and 0.8% masked.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl  # noqa: F401  the interpreter wants it beside a function that it runs


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
