from __future__ import annotations

import pytest
import torch

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.grid import rotation_matrix

ZERO = torch.zeros(1)


def test_sphere_distance_is_exact() -> None:
    x = torch.tensor([0.5, 5.0, 8.0])
    distance = shapes.ellipsoid(x, torch.zeros(3), torch.zeros(3), (0, 0, 0), (5, 5, 5))
    assert distance.tolist() == pytest.approx([-4.5, 0.0, 3.0], abs=1e-4)


def test_rotation_turns_the_long_axis_of_an_ellipsoid() -> None:
    turn = rotation_matrix((0.0, 0.0, 90.0))
    on_y = shapes.ellipsoid(ZERO, ZERO + 8.0, ZERO, (0, 0, 0), (10, 3, 3), rotation=turn)
    on_x = shapes.ellipsoid(ZERO + 8.0, ZERO, ZERO, (0, 0, 0), (10, 3, 3), rotation=turn)
    assert float(on_y) < 0 < float(on_x)


def test_high_exponent_fills_the_corners_of_the_box() -> None:
    corner = torch.tensor([0.9])
    box = shapes.ellipsoid(corner, corner, corner, (0, 0, 0), (1, 1, 1), exponent=12.0)
    ball = shapes.ellipsoid(corner, corner, corner, (0, 0, 0), (1, 1, 1))
    assert float(box) < 0 < float(ball)


def test_capsule_radius_changes_linearly_along_its_axis() -> None:
    middle = shapes.capsule(
        torch.tensor([5.0]), torch.tensor([3.0]), ZERO, (0, 0, 0), (10, 0, 0), 2.0, 4.0
    )
    assert float(middle) == pytest.approx(0.0, abs=1e-5)


def test_squash_widens_a_capsule_along_one_axis() -> None:
    def at(y: float, z: float) -> float:
        return float(
            shapes.capsule(
                ZERO, ZERO + y, ZERO + z, (-5, 0, 0), (5, 0, 0), 2.0, 2.0, (1.0, 2.0, 1.0)
            )
        )

    assert at(3.5, 0.0) < 0 < at(0.0, 3.5)


def test_smooth_union_lies_below_both_and_equals_the_minimum_far_away() -> None:
    near, far = torch.tensor([1.0, -3.0]), torch.tensor([1.2, 9.0])
    union = shapes.smooth_union(near, far, 2.0)
    assert float(union[0]) < 1.0
    assert float(union[1]) == pytest.approx(-3.0)


def test_smooth_intersection_lies_above_both() -> None:
    assert float(shapes.smooth_intersection(torch.tensor(1.0), torch.tensor(1.0), 2.0)) > 1.0
