import dataclasses

import pytest
import torch

from omnisyn.simulate.anatomy import Grid
from omnisyn.simulate.label_maps.warp import Warp, draw_warp, sample_nearest

GRID = Grid(shape=(30, 40, 40), spacing_mm=(2.0, 2.0, 2.0), centre_mm=(0.0, 0.0, 0.0))
STILL = Warp(torch.eye(3), ())


def lines(axis: int) -> torch.Tensor:
    """A map whose values count the voxels along one axis, from 1."""
    shape = [40, 60, 60]
    counts = torch.arange(1, shape[axis] + 1, dtype=torch.float32)
    view = [1, 1, 1]
    view[axis] = -1
    return counts.view(view).expand(shape)[None].contiguous()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_at_rest_a_grid_shows_the_maps_own_place(axis):
    origin = (20.0, 30.0, 30.0)
    found = sample_nearest(lines(axis), (2.0, 2.0, 2.0), origin, GRID, STILL, 1)[0].float()
    size = GRID.shape[axis]
    expected = torch.arange(size) - (size - 1) / 2 + origin[axis] + 1
    others = tuple(other for other in range(3) if other != axis)
    # Jitter moves single samples by up to half a voxel; their mean stays.
    assert torch.allclose(found.mean(dim=others), expected, atol=0.1)
    assert float((found.movedim(axis, -1) - expected).abs().max()) <= 1.0


def test_a_shifted_field_of_view_shows_what_lies_there():
    higher = dataclasses.replace(GRID, centre_mm=(0.0, 0.0, 10.0))
    rested = sample_nearest(lines(0), (2.0, 2.0, 2.0), (20.0, 30.0, 30.0), GRID, STILL, 1)[0]
    moved = sample_nearest(lines(0), (2.0, 2.0, 2.0), (20.0, 30.0, 30.0), higher, STILL, 1)[0]
    assert float((moved[10].float() - rested[15].float()).mean().abs()) < 0.05


def test_beyond_the_map_there_is_air():
    lower = dataclasses.replace(GRID, centre_mm=(0.0, 0.0, -80.0))
    found = sample_nearest(lines(0), (2.0, 2.0, 2.0), (20.0, 30.0, 30.0), lower, STILL, 1)[0]
    assert not found[:15].any()


def test_a_drawn_warp_moves_by_centimetres_and_not_by_more():
    generator = torch.Generator().manual_seed(2)
    warp = draw_warp(GRID, generator)
    assert 0.6 < float(torch.linalg.det(warp.matrix).abs()) < 1.6
    assert sum(float(lattice.abs().max()) for lattice in warp.bending) < 40


def unevenness(warp: Warp) -> float:
    """By how many voxels the left half of a head grows more than the right, where most."""
    columns = torch.arange(80, dtype=torch.float32).expand(1, 60, 80, 80).contiguous()
    found = sample_nearest(columns, (2.0, 2.0, 2.0), (30.0, 40.0, 40.0), GRID, warp, 1)[0].float()
    # Means over many samples: each is off by up to half a voxel.
    blocks = found.unflatten(0, (3, 10)).unflatten(2, (2, 20)).mean(dim=(1, 3))
    first, middle, last = blocks[..., :4], blocks[..., 18:22], blocks[..., 36:]
    left, right = (
        (upper.mean(dim=-1) - lower.mean(dim=-1)).abs()
        for upper, lower in ((middle, first), (last, middle))
    )
    return float((left - right).abs().max())


def test_bending_grows_the_two_sides_differently():
    drawn = [draw_warp(GRID, torch.Generator().manual_seed(seed)) for seed in range(4)]
    straight = [unevenness(dataclasses.replace(warp, bending=())) for warp in drawn]
    bent = [unevenness(dataclasses.replace(warp, matrix=torch.eye(3))) for warp in drawn]
    assert max(straight) < 0.2
    assert max(bent) > 0.5


def test_the_same_seed_draws_the_same_warp():
    first, second = (draw_warp(GRID, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first.matrix, second.matrix)
    assert all(torch.equal(a, b) for a, b in zip(first.bending, second.bending, strict=True))
