import pytest
import torch

from omnisyn.simulate.acquisition import SignalTable
from omnisyn.simulate.rendering import (
    Displacement,
    displace,
    mix,
    shift_pixels,
    slice_profile,
)
from omnisyn.studies.pixels import pixel_average

SAME = torch.eye(3)


def _table(values: list[float]) -> SignalTable:
    water = torch.tensor([values])
    zero = torch.zeros_like(water)
    return SignalTable(water, zero, (zero, zero, zero, zero))


def test_a_slice_without_gap_takes_all_its_layers_alike():
    weights = slice_profile(4, spacing_mm=5.0, thickness_mm=5.0, shift_mm=0.0)
    torch.testing.assert_close(weights, torch.tensor([0, 0.25, 0.25, 0.25, 0.25, 0]))


def test_a_gap_leaves_the_outer_layers_out():
    weights = slice_profile(5, spacing_mm=5.0, thickness_mm=3.0, shift_mm=0.0)
    torch.testing.assert_close(weights, torch.tensor([0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0]))


def test_a_displaced_slice_reaches_into_its_neighbour():
    weights = slice_profile(4, spacing_mm=4.0, thickness_mm=4.0, shift_mm=0.5)
    assert weights.sum() == pytest.approx(1)
    centres = torch.arange(-1, 5) - 1.5
    assert float((weights * centres).sum()) == pytest.approx(0.5)


def test_a_voxel_is_the_mean_of_the_tissues_in_it():
    labels = torch.zeros(8, 3, 3, dtype=torch.uint8)
    labels[:2] = 1
    mixture = mix(labels, _table([0.0, 1.0]), 4, slice_profile(4, 4.0, 4.0, 0.0), SAME)
    assert mixture.water.shape == (2, 3, 3)
    assert bool((mixture.water[0] == 0.5).all())
    assert bool((mixture.water[1] == 0).all())
    assert mixture.fat.abs().max() == 0
    assert mixture.slopes == (None, None, None, None)


def test_an_edge_between_pixels_fills_them_by_its_share():
    labels = torch.zeros(2, 6, 6, dtype=torch.uint8)
    labels[:, :, :2] = 1
    pixels = pixel_average(4, 6)
    mixture = mix(labels, _table([0.0, 1.0]), 2, slice_profile(2, 2.0, 2.0, 0.0), pixels)
    torch.testing.assert_close(mixture.water[0, 0], torch.tensor([1.0, 1 / 3, 0.0, 0.0]))


def test_a_table_per_depth_is_read_at_the_layer_it_belongs_to():
    labels = torch.ones(4, 2, 2, dtype=torch.uint8)
    water = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0]])
    zero = torch.zeros_like(water)
    table = SignalTable(water, zero, (zero,) * 4)
    mixture = mix(labels, table, 2, slice_profile(2, 2.0, 2.0, 0.0), torch.eye(2))
    assert mixture.water[:, 0, 0].tolist() == [1.5, 3.5]


def test_a_displaced_head_moves_by_that_many_millimetres():
    image = torch.zeros(1, 40, 50)
    image[0, 10:20, 15:30] = 1
    moved = displace(image, Displacement(rows_mm=4.0, columns_mm=-6.0), (2.0, 2.0))
    torch.testing.assert_close(moved[0], image[0].roll((2, -3), (0, 1)), atol=1e-4, rtol=0)


def test_a_rotated_head_turns_about_the_middle():
    image = torch.zeros(1, 41, 41)
    image[0, 20, 30:36] = 1
    turned = displace(image, Displacement(degrees=90.0), (1.0, 1.0))
    assert turned.sum() == pytest.approx(float(image.sum()), rel=0.01)
    assert max(turned[0, 5:11, 20].sum(), turned[0, 30:36, 20].sum()) > 5.9


def test_no_displacement_returns_the_very_image():
    image = torch.rand(1, 8, 8)
    assert displace(image, Displacement(slices_mm=1.0), (1.0, 1.0)) is image


def test_chemical_shift_moves_by_a_fraction_of_a_pixel():
    image = torch.zeros(1, 4, 8)
    image[:, :, 2] = 1
    shifted = shift_pixels(image, 1.25, -1)
    assert shifted[0, 0].tolist() == [0, 0, 0, 0.75, 0.25, 0, 0, 0]
