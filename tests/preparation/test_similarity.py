"""Mutual information: best where the scans truly meet, to a fraction of a voxel."""

import math

import numpy as np
import pytest

from omnisyn.preparation.registration_programs import affine_transform
from omnisyn.preparation.similarity import WORKING_SPACING_MM, mass_centre, metric, on_working_grid
from tests.preparation.balls import FIXED, MIDDLE, MOVING, T1_LIKE, T2_LIKE, head


def shifted(axis: int, millimetres: float):
    matrix = np.eye(4)
    matrix[axis, 3] = millimetres
    return affine_transform(matrix)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_metric_is_best_where_the_scans_meet(axis: int):
    fixed = on_working_grid(head(FIXED, np.eye(4), T1_LIKE))
    moving = on_working_grid(head(MOVING, np.eye(4), T2_LIKE))
    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)
    values = [metric(fixed, moving, shifted(axis, step)) for step in steps]
    assert steps[int(np.argmin(values))] == 0.0
    assert metric(fixed, moving, shifted(axis, 2000.0)) == math.inf


def test_working_grid_is_isotropic_and_keeps_the_place():
    volume = head(FIXED, np.eye(4), T1_LIKE)
    image = on_working_grid(volume)
    assert image.GetSpacing() == pytest.approx([WORKING_SPACING_MM] * 3)
    middle = (MIDDLE * [-1, -1, 1]).tolist()
    np.testing.assert_allclose(mass_centre(volume), middle, atol=1.5)
    assert image.GetPixel(image.TransformPhysicalPointToIndex(middle)) > 0
