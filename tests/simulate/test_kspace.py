import pytest
import torch

from omnisyn.simulate.kspace import Sampling, axis_operator, motion_operator, noise_gain, window

FULL = Sampling(acquired=1.0, taper=0.0)


@pytest.mark.parametrize("size", [32, 33])
def test_all_lines_without_taper_change_nothing(size):
    torch.testing.assert_close(axis_operator(size, FULL), torch.eye(size), atol=1e-6, rtol=0)


def test_the_window_keeps_the_centre_and_drops_what_was_not_measured():
    weights = window(64, Sampling(acquired=0.5, taper=0.4))
    assert weights[0] == 1
    assert weights[17:48].abs().max() == 0
    assert 0 < weights[14] < 1


def test_a_sharp_cut_rings_at_an_edge_and_a_tapered_one_rings_less():
    edge = torch.zeros(128)
    edge[40:90] = 1
    overshoot = [
        float((axis_operator(128, Sampling(0.5, taper)) @ edge).max()) - 1 for taper in (0.0, 0.8)
    ]
    assert overshoot[0] > 0.07
    assert overshoot[1] < 0.7 * overshoot[0]


def test_a_constant_displacement_shifts_the_image():
    image = torch.zeros(64)
    image[20:30] = 1
    real, imaginary = motion_operator(63, FULL, torch.full((63,), 3.0))
    moved = real @ image[:63]
    torch.testing.assert_close(moved, image[:63].roll(3), atol=1e-5, rtol=0)
    assert (imaginary @ image[:63]).abs().max() < 1e-5


def test_changing_displacement_leaves_ghosts_outside_the_object():
    image = torch.zeros(64)
    image[28:36] = 1
    path = 2 * torch.sin(torch.linspace(0, 60, 64))
    real, imaginary = motion_operator(64, FULL, path)
    ghost = ((real @ image).square() + (imaginary @ image).square()).sqrt()
    assert ghost[:20].max() > 0.02


def test_noise_gain_is_the_standard_deviation_that_remains():
    operator = axis_operator(128, Sampling(0.7, 0.3))
    noise = operator @ torch.randn(128, 4000, generator=torch.Generator().manual_seed(0))
    assert noise_gain(operator) == pytest.approx(float(noise.std()), rel=0.02)
