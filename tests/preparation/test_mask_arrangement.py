"""Stored masks are placed by their arrangement, which an affine may say."""

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.mask_arrangement import ARRANGEMENTS, Arrangement, place, stated
from tests.external2_miniature import saying, stored


def test_there_are_sixteen_arrangements_and_each_is_another():
    probe = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    placed = {arrangement.placed(probe).tobytes() for arrangement in ARRANGEMENTS}
    assert len(placed) == len(ARRANGEMENTS) == 16


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=str)
def test_an_arrangement_places_what_was_stored_by_it(arrangement: Arrangement):
    mask = np.random.default_rng(0).random((5, 4, 3)) > 0.5
    array = stored(mask, arrangement).astype(np.float32)
    assert arrangement.shape(array.shape) == mask.shape
    assert np.array_equal(arrangement.placed(array), mask)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=str)
def test_an_affine_on_the_grid_of_the_series_says_its_arrangement(arrangement: Arrangement):
    series = Geometry.axial((3, 5, 4), (6.0, 0.7, 0.7))
    mask = saying(series, arrangement)
    assert stated(mask, series) == arrangement
    shifted = mask.affine.copy()
    shifted[0, 3] += 0.5
    assert stated(Geometry(mask.shape, shifted), series) is None


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.7), (0, 255), (-1, 0)])
def test_the_middle_of_the_values_parts_the_mask(low: float, high: float):
    mask = np.random.default_rng(0).random((4, 4, 3)) > 0.5
    values = np.where(mask, high, low).astype(np.float32)
    assert np.array_equal(Arrangement().placed(values), mask)


def test_a_mask_that_cannot_be_placed_is_refused():
    grid = Geometry.axial((3, 4, 4), (6, 2, 2))
    turned = Arrangement(transposed=True, quarter_turns=3, reversed_slices=True)
    with pytest.raises(InputError, match=r"does not have the shape .*4 × 4 × 2 placed"):
        place(np.ones((4, 4, 2), np.float32), grid, turned, grid, "ROI-T1.nii")
    with pytest.raises(InputError, match="the mask is empty"):
        place(np.ones((4, 4, 3), np.float32), grid, turned, grid, "ROI-T1.nii")
