from __future__ import annotations

import pytest
import torch

from omnisyn.simulate.anatomy.grid import Grid, rotation_matrix


def test_axes_run_from_first_to_last_voxel_centre_in_millimetres() -> None:
    grid = Grid(shape=(5, 3, 4), spacing_mm=(2.0, 1.0, 0.5))
    z, y, x = grid.axes((5, 3, 4), torch.device("cpu"))
    assert z.tolist() == [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert y.tolist() == [-1.0, 0.0, 1.0]
    assert x.tolist() == pytest.approx([-0.75, -0.25, 0.25, 0.75])


def test_voxel_volume_is_in_millilitres() -> None:
    assert Grid(spacing_mm=(5.0, 2.0, 1.0)).voxel_ml == pytest.approx(0.01)


def test_degenerate_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="two voxels per axis"):
        Grid(shape=(1, 10, 10))
    with pytest.raises(ValueError, match="spacings > 0"):
        Grid(spacing_mm=(1.0, 0.0, 1.0))


def test_rotation_is_orthogonal_and_right_handed() -> None:
    turn = rotation_matrix((10.0, -20.0, 35.0))
    assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-6)
    assert float(torch.linalg.det(turn)) == pytest.approx(1.0, abs=1e-5)


def test_rotation_about_z_turns_left_to_back() -> None:
    turned = rotation_matrix((0.0, 0.0, 90.0)) @ torch.tensor([1.0, 0.0, 0.0])
    assert torch.allclose(turned, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
