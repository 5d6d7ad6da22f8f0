"""Which tiles are visited: against the mask itself, pair by pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference.model.attention import causal_mask
from assignment2_systems.reference.flash_attention.masks import Band, make_band
from assignment2_systems.reference.flash_attention.tile_ranges import tile_ranges
from course.errors import UserError
from tests.assignment2_systems.reference.attention_oracle import visible_pairs

lengths = st.integers(1, 40)
windows = st.none() | st.integers(1, 45)


def ranges(row, rows, columns, width, band: Band):
    limits = (band.first, band.last, band.first is not None, band.last is not None)
    return tile_ranges(row, rows, columns, width, *limits)


@given(lengths, lengths, st.booleans(), windows)
def test_band_is_the_mask(queries, keys, causal, window):
    band = make_band(queries, keys, causal, window if causal else None)
    mask = band.mask(queries, keys)
    assert mask.equal(visible_pairs(queries, keys, causal, window if causal else None))
    assert band.transposed().mask(keys, queries).equal(mask.mT)
    if causal and window is None:
        assert mask.equal(causal_mask(queries, keys))


@given(lengths, lengths, st.integers(0, 3), st.integers(0, 3), st.booleans(), windows)
def test_visited_tiles_hold_a_visible_pair_and_full_ones_only_such(
    queries, keys, height_log2, width_log2, causal, window
):
    band = make_band(queries, keys, causal, window if causal else None)
    height, width = 2**height_log2, 2**width_log2
    for side, rows, columns in (
        (band, queries, keys),
        (band.transposed(), keys, queries),
    ):
        mask = side.mask(rows, columns)
        for row in range(0, rows, height):
            some = min(height, rows - row)
            start, full_start, full_stop, stop = ranges(row, some, columns, width, side)
            assert 0 <= start <= full_start <= full_stop <= stop
            for tile in range(-(-columns // width)):
                part = mask[row : row + height, tile * width : (tile + 1) * width]
                assert (start <= tile < stop) == bool(part.any())
                whole = bool(part.all()) and part.shape[1] == width
                assert (full_start <= tile < full_stop) == whole


def test_causal_attention_visits_half_and_masks_the_diagonal():
    """16k tokens, tiles of 128: the figures in the docstring of `tile_ranges`."""
    band, side = make_band(16_384, 16_384, True), 128
    visited = masked = 0
    for row in range(0, 16_384, 128):
        start, full_start, full_stop, stop = ranges(row, 128, 16_384, 128, band)
        visited += stop - start
        masked += (full_start - start) + (stop - full_stop)
    assert (visited, masked) == (side * (side + 1) // 2, side)
    assert f"{visited / side**2:.1%} {masked / side**2:.1%}" == "50.4% 0.8%"


def test_a_window_of_no_key_or_without_causal_is_refused():
    with pytest.raises(UserError, match="window is 0"):
        make_band(4, 4, True, 0)
    with pytest.raises(UserError, match="set causal"):
        make_band(4, 4, False, 2)
