import torch

from omnisyn.simulate.fields import draw_textures, interpolate_lattice, lattice_shape, texture


def test_a_texture_has_about_unit_variance_and_is_smooth():
    generator = torch.Generator().manual_seed(0)
    field = texture(draw_textures(generator, (150, 220, 220), (12.0,), 1)[0], (30, 110, 110), "cpu")
    assert field.shape == (30, 110, 110)
    assert 0.7 < float(field.std()) < 1.3
    assert field.diff(dim=2).std() < 0.5 * field.std()


def test_longer_periods_need_fewer_nodes():
    assert lattice_shape((100, 200, 200), 50) == (3, 5, 5)
    assert lattice_shape((10, 10, 10), 50) == (2, 2, 2)


def test_interpolation_keeps_the_corner_values():
    lattice = torch.arange(8.0).reshape(2, 2, 2)
    field = interpolate_lattice(lattice, (5, 6, 7))
    assert field[0, 0, 0] == 0
    assert field[-1, -1, -1] == 7
