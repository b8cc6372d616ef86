import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.volumes.normalize import (
    head_boxes,
    head_fraction,
    head_mask,
    head_slices,
    scale,
    scale_divisor,
)


def test_the_divisor_is_the_foregrounds_99_5_percentile():
    # 10000 voxels: 6000 of background at 1, then 1 ... 4000. The 99.9 percentile is about 3991,
    # 2 % of it about 79.8: foreground are 80 ... 4000, whose 99.5 percentile is 3980.395.
    voxels = np.concatenate([np.ones(6000), np.arange(1, 4001)]).astype(np.float32)

    assert scale_divisor(voxels.reshape(10, 10, 100)) == pytest.approx(80 + 0.995 * 3920)


def test_background_does_not_move_the_scale():
    signal = np.linspace(500, 1000, 4000, dtype=np.float32)
    little, much = np.append(signal, np.zeros(1000)), np.append(signal, np.zeros(9000))

    assert scale_divisor(little) == pytest.approx(scale_divisor(much), rel=1e-6)


def test_one_very_bright_voxel_does_not_move_the_scale():
    voxels = np.linspace(0, 1000, 100_000, dtype=np.float32)
    spiked = voxels.copy()
    spiked[0] = 1e6

    assert scale_divisor(spiked) == pytest.approx(scale_divisor(voxels), rel=1e-3)


def test_scaled_values_lie_between_zero_and_one_whatever_the_gain():
    voxels = np.random.default_rng(1).gamma(2.0, 100.0, (8, 9, 10)).astype(np.float32) - 20

    scaled = scale(voxels)

    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1
    np.testing.assert_allclose(scale(voxels * 37), scaled, rtol=1e-5, atol=1e-7)
    inside = (voxels > 0) & (scaled < 1)
    np.testing.assert_allclose(scaled[inside], voxels[inside] / scale_divisor(voxels), rtol=1e-6)


def test_scaling_leaves_its_input_alone():
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    before = voxels.copy()

    scale(voxels)

    np.testing.assert_array_equal(voxels, before)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_volume_without_signal_cannot_be_scaled(value):
    with pytest.raises(InputError, match="no signal"):
        scale(np.full((4, 4, 4), value, np.float32))


def test_a_volume_with_nan_cannot_be_scaled():
    voxels = np.ones((4, 4, 4), np.float32)
    voxels[0, 0, 0] = np.nan

    with pytest.raises(InputError, match="not finite"):
        scale(voxels)


def ring(slices=3):
    """A frame of 20×20 with a bright ring, hollow inside."""
    image = np.zeros((slices, 20, 20), np.float32)
    image[:, 4:16, 4:16] = 0.5
    image[:, 8:12, 8:12] = 0.0
    return image


def test_the_mask_is_filled_inside_the_head():
    mask = head_mask([ring()])

    assert mask.dtype == bool
    assert mask[:, 8:12, 8:12].all()
    assert not mask[:, :4].any()
    # Opening with the cross takes the four corners of the square, and nothing else.
    assert mask.sum() == 3 * (144 - 4)


def test_single_bright_voxels_outside_are_opened_away():
    image = ring()
    image[1, 1, 1] = 1.0

    assert not head_mask([image])[1, 1, 1]


def test_a_cavity_open_to_another_slice_is_filled_because_slices_stand_alone():
    image = ring()
    image[2, 8:12, :] = 0.0

    mask = head_mask([image])

    assert mask[1, 8:12, 8:12].all()
    assert not mask[2, 8:12, 8:12].any()


def test_a_thin_head_in_one_slice_is_not_opened_away_by_its_neighbours():
    image = ring(1)

    assert head_mask([image]).any()


def test_the_threshold_is_above_not_at_five_percent():
    image = np.full((1, 10, 10), 0.05, np.float32)
    image[:, :, 5:] = np.float32(0.051)

    mask = head_mask([image])

    assert not mask[:, :, :5].any()
    assert mask[:, 4:6, 6:9].all()


def test_the_mask_is_the_union_over_contrasts():
    left, right = np.zeros((1, 12, 12), np.float32), np.zeros((1, 12, 12), np.float32)
    left[:, 2:10, 2:6] = right[:, 2:10, 6:10] = 1.0

    both = head_mask([left, right])

    assert both[:, 3:9, 2:10].all()


def test_a_mask_of_nothing_is_a_fault_of_the_caller():
    with pytest.raises(ValueError, match="at least one"):
        head_mask([])


def test_the_head_fraction_is_counted_per_slice():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, :2] = True
    mask[2] = True

    np.testing.assert_array_equal(head_fraction(mask), [0.0, 0.5, 1.0])


def test_slices_count_from_a_twentieth_of_head_on():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 0, 0] = mask[2, 0, :2] = True

    assert head_slices(mask).tolist() == [1, 2]
    assert head_slices(np.zeros((2, 4, 6), bool)).tolist() == []


def test_the_head_boxes_end_after_the_head_and_are_zero_without_one():
    mask = np.zeros((2, 6, 8), dtype=bool)
    mask[1, 2:4, 3:8] = True
    assert head_boxes(mask) == ((0, 0, 0, 0), (2, 4, 3, 8))
