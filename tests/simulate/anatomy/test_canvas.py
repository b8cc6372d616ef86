from __future__ import annotations

import pytest
import torch

from omnisyn.simulate.anatomy.canvas import Canvas, Deformation
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.anatomy.noise import draw_noise
from omnisyn.simulate.anatomy.structures import STRUCTURES, structure_index

GRID = Grid((40, 50, 60), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
JITTER = torch.zeros(len(STRUCTURES), 3, 10)


def canvas(**changes: object) -> Canvas:
    plain = {
        "size": (1.0, 1.0, 1.0),
        "pose_degrees": (0.0, 0.0, 0.0),
        "shift_mm": (0.0, 0.0, 0.0),
        "warps": (),
    }
    return Canvas(GRID, Deformation(**{**plain, **changes}), JITTER, torch.device("cpu"))


def test_undeformed_coordinates_are_those_of_the_grid() -> None:
    plain = canvas()
    assert plain.x[0, 0, 0] == pytest.approx(-59.0, abs=1e-3)
    assert plain.y[0, -1, 0] == pytest.approx(49.0, abs=1e-3)
    assert plain.z[-1, 0, 0] == pytest.approx(39.0, abs=1e-3)


def test_upsampling_a_linear_field_is_exact() -> None:
    plain = canvas()
    field = 2.0 * plain.coarse[0] - plain.coarse[2]
    whole = plain.whole()
    assert torch.allclose(plain.upsample(field, whole.slices), 2 * whole.x - whole.z, atol=1e-3)


def test_a_ball_has_its_volume_and_place() -> None:
    plain = canvas()
    plain.ellipsoid("thalamus", (20.0, -10.0, 5.0), (12.0, 12.0, 12.0))
    mask = plain.structures == structure_index("thalamus")
    assert float(mask.sum()) * 8.0 == pytest.approx(4.0 / 3.0 * torch.pi * 12.0**3, rel=0.05)
    assert float(plain.x[mask].mean()) == pytest.approx(20.0, abs=0.3)


def test_boxes_hold_the_whole_shape_under_pose_warp_and_size() -> None:
    warp = draw_noise(torch.Generator().manual_seed(0), 60.0, channels=3)
    bent = canvas(
        size=(1.1, 0.9, 1.05),
        pose_degrees=(12.0, -8.0, 15.0),
        shift_mm=(4.0, -3.0, 5.0),
        warps=((warp, 3.0),),
    )
    bent.ellipsoid("thalamus", (15.0, 8.0, -6.0), (12.0, 9.0, 7.0), fixed=True)
    inside = ((bent.x - 15) / 12) ** 2 + ((bent.y - 8) / 9) ** 2 + ((bent.z + 6) / 7) ** 2 < 1
    assert torch.equal(bent.structures == structure_index("thalamus"), inside)


def test_paired_shapes_are_mirrored() -> None:
    plain = canvas()
    plain.ellipsoid("parotid", (30.0, 0.0, 0.0), (8.0, 8.0, 8.0), paired=True)
    mask = plain.structures == structure_index("parotid")
    assert torch.equal(mask, mask.flip(2))
    assert int(mask.sum()) > 0


def test_shells_surround_a_tube() -> None:
    plain = canvas()
    plain.tube("clivus", [(0, -10, 0), (0, 10, 0)], [5.0, 5.0], shells=(("clivus cortex", 3.0),))
    middle = plain.structures[20, 25]
    assert int(middle[30]) == structure_index("clivus")
    assert int(middle[33]) == structure_index("clivus cortex")


def test_paint_respects_what_it_may_cover() -> None:
    plain = canvas()
    plain.ellipsoid("clivus", (0, 0, 0), (10, 10, 10))
    plain.ellipsoid("parotid", (0, 0, 0), (10, 10, 10), only=("thalamus",))
    assert not (plain.structures == structure_index("parotid")).any()


def test_a_box_outside_the_field_is_none() -> None:
    assert canvas().region((500.0, 0.0, 0.0), (510.0, 5.0, 5.0)) is None
