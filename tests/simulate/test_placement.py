import numpy as np
import pytest
import torch

from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.fields import texture
from omnisyn.simulate.placement import Rigid, grid_of, header_geometry, seen_from
from omnisyn.simulate.scanner import draw_exam

OWN = Grid((30, 64, 64), (5.0, 3.5, 3.5), (1.0, 9.0, -50.0), (4.0, -1.0, 2.0))


@pytest.mark.parametrize("degrees", [(10.0, -3.0, 5.0), (-90.0, 0.0, 0.0), (-90.0, 0.0, 90.0)])
def test_the_angles_of_a_rotation_make_it_again(degrees):
    rigid = Rigid.of(degrees, (1.0, 2.0, 3.0))
    assert np.allclose(Rigid.of(rigid.degrees).rotation, rigid.rotation, atol=1e-6)


def test_a_map_and_its_inverse_lead_back():
    rigid = Rigid.of((10.0, -3.0, 5.0), (1.0, 2.0, 3.0))
    both = rigid.inverse.after(rigid)
    assert np.allclose(both.rotation, np.eye(3), atol=1e-6)
    assert np.allclose(both.shift_mm, 0.0, atol=1e-5)


def test_without_a_rotation_the_header_says_what_a_field_of_view_says():
    grid = Grid((5, 8, 9), (4.0, 1.0, 1.5), (2.0, 3.0, -40.0))
    geometry = header_geometry(grid, Rigid.of((0.0, 0.0, 0.0), grid.centre_mm))
    assert (geometry.shape, geometry.orientation) == ((9, 8, 5), "LPS")
    assert geometry.origin == pytest.approx((6.0 - 2.0, 3.5 - 3.0, -40.0 - 8.0))


def test_the_middle_of_the_field_stays_where_the_header_says():
    slices = Rigid.of((8.0, 2.0, -3.0), (2.0, 3.0, -40.0))
    geometry = header_geometry(Grid((5, 9, 9), (4.0, 1.0, 1.0)), slices)
    middle = geometry.affine @ [4.0, 4.0, 2.0, 1.0]
    assert middle[:3] == pytest.approx((-2.0, -3.0, -40.0))


def test_the_grid_of_the_anatomy_is_turned_as_the_map():
    rigid = Rigid.of((8.0, 2.0, -3.0), (2.0, 3.0, -40.0))
    grid = grid_of((5, 9, 9), (4.0, 1.0, 1.0), rigid)
    assert np.allclose(grid.rotation().numpy(), rigid.rotation, atol=1e-6)
    assert grid.centre_mm == pytest.approx((2.0, 3.0, -40.0))


def test_the_variation_inside_tissue_goes_with_the_head():
    effects = load_cohort("hospitals").profiles["hospital08"].effects
    extent = [size * step for size, step in zip(OWN.shape, OWN.spacing_mm, strict=True)]
    exam = draw_exam(effects, extent, torch.Generator().manual_seed(1))
    still = Rigid.of((0.0, 0.0, 0.0))
    # Two voxels to the left, one to the back, two up: an exact shift of the grid.
    moved = Rigid.of((0.0, 0.0, 0.0), (7.0, 3.5, 10.0))
    seen = seen_from(exam, OWN, OWN, of_scanner=still, of_head=moved)
    for before, after in zip(exam.textures, seen.textures, strict=True):
        first, second = (texture(stack, OWN.shape, "cpu") for stack in (before, after))
        first, second = first[2:, 1:, 2:], second[:-2, :-1, :-2]
        alike = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
        assert alike > 0.97
    # The coil stays.
    one, other = (
        texture([lattice], OWN.shape, "cpu") for lattice in (exam.receive_log, seen.receive_log)
    )
    assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.99
