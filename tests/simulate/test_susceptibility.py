import pytest
import torch

from omnisyn.simulate.susceptibility import (
    AIR_TISSUE_DIFFERENCE_PPM,
    coarse_air,
    dipole_field_ppm,
    failure,
    static_field_ppm,
)


def _ball(size: int, radius: float) -> torch.Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return (z.square() + y.square() + x.square()) <= radius**2


def test_a_ball_of_air_makes_the_dipole_field_of_the_textbook():
    size, radius = 48, 8
    tissue = (~_ball(size, radius)).float()
    # A ball of tissue in air: no cut surface of the body disturbs the comparison.
    field = dipole_field_ppm(tissue, (1.0, 1.0, 1.0))
    middle = size // 2
    distance = 14.5
    dipole = -AIR_TISSUE_DIFFERENCE_PPM / 3 * (radius / distance) ** 3
    along = float(field[middle + 14, middle, middle])
    across = float(field[middle, middle, middle + 14])
    assert along == pytest.approx(2 * dipole, rel=0.15)
    assert across == pytest.approx(-dipole, rel=0.15)


def test_the_field_is_worst_beside_a_cavity():
    air = torch.zeros(24, 24, 24)
    air[10:14, 10:14, 10:14] = 1
    field = static_field_ppm(air, (4.0, 4.0, 4.0)).abs()
    beside = field[14, 10:14, 10:14].mean()
    away = field[12, 3:6, 3:6].mean()
    assert beside > 3 * away


def test_fat_escapes_where_the_field_is_off():
    escaped = failure(torch.tensor([0.0, 1.5, -4.0]), bandwidth_ppm=1.5)
    assert escaped[0] < 0.01
    assert escaped[1] == pytest.approx(0.5)
    assert escaped[2] > 0.99


def test_coarse_air_is_a_share():
    labels = torch.zeros(2, 8, 8, dtype=torch.uint8)
    labels[:, :, 4:] = 3
    air = coarse_air(labels, air_index=0, factor=8)
    assert air.shape == (2, 1, 1)
    assert air[0, 0, 0] == 0.5
