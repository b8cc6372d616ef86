import math

import numpy as np
import pytest

from omnisyn.evaluation.lesions import (
    are_bright,
    bright_spots,
    contrast_kept,
    find_lesions,
    label_lesions,
    spot_heights,
)

SHAPE = (3, 64, 64)
LEVEL, BRIGHT, DARK = 0.5, 0.3, 0.2


def head():
    rows, columns = np.mgrid[:64, :64]
    return np.broadcast_to((rows - 32) ** 2 + (columns - 32) ** 2 < 28**2, SHAPE)


def box(row, column, size=4, slices=slice(1, 2)):
    mask = np.zeros(SHAPE, bool)
    mask[slices, row : row + size, column : column + size] = True
    return mask


BRIGHT_LESION, DARK_LESION = box(20, 20), box(40, 38)
MASK = BRIGHT_LESION | DARK_LESION


def phantom(bright=BRIGHT, dark=DARK):
    return (LEVEL + bright * BRIGHT_LESION - dark * DARK_LESION) * head()


def lesions(mask=MASK):
    return find_lesions(label_lesions(mask), mask, head())


def spots_of(truth, image):
    heights = [spot_heights(each, head()) for each in (truth, image)]
    return bright_spots(*heights, BRIGHT_LESION, head())


def test_contrast_is_that_of_the_phantom():
    found = [lesion.contrast(phantom()) for lesion in lesions()]
    assert found == pytest.approx([BRIGHT, -DARK])


def test_ratio_and_sign_follow_the_synthesis():
    kept = contrast_kept(lesions(), phantom(), phantom(bright=BRIGHT / 4, dark=-DARK / 2))
    assert kept.lesions == 2
    assert kept.ratio == pytest.approx((0.25 - 0.5) / 2)
    assert kept.right_sign == 0.5
    assert kept.half == 0


def test_lesion_that_the_truth_does_not_show_is_not_counted():
    kept = contrast_kept(lesions(), phantom(bright=0.01), phantom())
    assert kept.lesions == 1
    assert math.isnan(contrast_kept(lesions(), phantom(0, 0), phantom()).ratio)


def test_ring_touches_no_other_lesion_and_stays_in_the_head():
    # The neighbour has no number: it is too small, and still no part of the ring.
    neighbour = box(20, 26, size=2)
    mask = MASK | neighbour | box(31, 56, size=3)
    image = np.where(neighbour, 1.0, phantom())
    found = find_lesions(label_lesions(mask), mask, head())
    assert len(found) == 3
    assert found[0].contrast(image) == pytest.approx(BRIGHT)
    assert all(head().ravel()[lesion.ring].all() for lesion in found)


def test_ring_lies_two_to_four_voxels_away_in_plane():
    lesion = lesions()[0]
    slices, rows, columns = np.unravel_index(lesion.ring, SHAPE)
    assert set(slices) == {1}
    assert (rows.min(), rows.max()) == (20 - 4, 23 + 4)
    assert not np.any((abs(rows - 21.5) < 3) & (abs(columns - 21.5) < 3))


def test_lesions_are_one_through_slices_and_small_ones_have_no_number():
    through = box(20, 20, size=2, slices=slice(0, 2)) | box(22, 22, size=1, slices=slice(2, 3))
    assert label_lesions(through).max() == 1
    assert (label_lesions(through) > 0).sum() == 9
    assert label_lesions(box(20, 20, size=2)).max() == 0


def test_left_out_slices_do_not_split_a_lesion():
    through = box(20, 20, slices=slice(0, 3))
    labels, kept = label_lesions(through), [0, 2]
    assert len(find_lesions(labels[kept], through[kept], head()[kept])) == 1


def test_truth_finds_its_own_spots_and_invents_none():
    spots = spots_of(phantom(), phantom())
    assert spots.found == spots.found_in_truth
    assert spots.found > 0.5
    assert spots.invented == 0
    assert spots.invented_spots == 0


def test_erased_lesion_is_not_found_and_a_new_one_is_invented():
    new = box(32, 16, slices=slice(0, 1))
    spots = spots_of(phantom(), phantom(bright=0) + BRIGHT * new)
    assert spots.found == 0
    assert spots.invented_spots == 1
    voxels = spots.invented / 1000 * head().sum()
    assert 8 < voxels < 30


def test_what_the_truth_shows_outside_the_mask_is_not_invented():
    truth = phantom() + BRIGHT * box(32, 16)
    moved = phantom() + BRIGHT * box(33, 17)
    spots = spots_of(truth, moved)
    assert spots.invented == 0
    assert 8 < spots.elsewhere_in_truth / 1000 * head().sum() < 30


def test_brighter_or_shaded_head_is_no_spot():
    slope = np.linspace(0, 0.3, 64)
    spots = spots_of(phantom(), phantom() * 0.8 + slope * head())
    assert spots.invented == 0


def test_dark_lesions_and_none_at_all_are_not_bright():
    assert are_bright(lesions(BRIGHT_LESION), phantom())
    assert not are_bright(lesions(DARK_LESION), phantom())
    assert not are_bright((), phantom())


def test_rim_of_the_head_is_no_spot():
    assert spot_heights(LEVEL * head(), head()).max() == pytest.approx(0, abs=1e-6)
