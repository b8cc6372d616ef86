"""The interior: what lies deeper in the head than the fat under the skin."""

import numpy as np

from omnisyn.geometry import Geometry
from omnisyn.preparation.images import to_array
from omnisyn.preparation.interior import DEPTH_MM, interior
from omnisyn.preparation.similarity import on_working_grid
from omnisyn.volumes.volume import Volume


def ball(radius_mm: float, shape: tuple[int, int, int] = (40, 40, 40)) -> Volume:
    geometry = Geometry(shape, np.diag([2.5, 2.5, 2.5, 1.0]))
    places = 2.5 * (np.indices(shape).T - (np.array(shape) - 1) / 2)
    distance = np.linalg.norm(places, axis=-1).T
    return Volume((100.0 * (distance <= radius_mm)).astype(np.float32), geometry)


def test_mask_is_the_ball_without_its_rind():
    volume = ball(45.0)
    mask = interior(volume, on_working_grid(volume))
    assert mask is not None
    millilitres = to_array(mask).sum() * np.prod(mask.GetSpacing()) / 1000
    expected = 4 / 3 * np.pi * (4.5 - DEPTH_MM / 10) ** 3
    assert abs(millilitres - expected) < 0.2 * expected


def test_head_goes_on_where_the_scan_ends():
    slab = ball(45.0, (40, 40, 12))
    mask = interior(slab, on_working_grid(slab))
    assert mask is not None
    deep = to_array(mask)
    assert deep[:, :, 0].any()
    assert deep[:, :, -1].any()


def test_small_head_has_none():
    volume = ball(15.0)
    assert interior(volume, on_working_grid(volume)) is None
