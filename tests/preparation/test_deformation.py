"""Looser transforms: a stretch and a bend are found that no rigid motion makes."""

from dataclasses import replace

import numpy as np

from omnisyn.preparation.deformation import affine, bspline
from omnisyn.preparation.rigid import rigid_start
from omnisyn.preparation.similarity import metric, on_working_grid
from tests.preparation.balls import FIXED, MIDDLE, T1_LIKE, head

CENTRE = MIDDLE * [-1, -1, 1]


def test_stretch_is_found():
    fixed = head(FIXED, np.eye(4), T1_LIKE)
    stretch = np.diag([1.08, 1.0, 1.0, 1.0])
    stretch[:3, 3] = MIDDLE - stretch[:3, :3] @ MIDDLE
    moving = head(FIXED, stretch, T1_LIKE)
    target, source = on_working_grid(fixed), on_working_grid(moving)
    found = affine(target, source, rigid_start(CENTRE, np.zeros(3)))
    assert abs(np.array(found.GetMatrix())[0] - 1.08) < 0.02


def test_bend_is_followed():
    straight = head(FIXED, np.eye(4), T1_LIKE)
    bent = np.empty_like(straight.voxels)
    for height in range(FIXED.shape[2]):
        bent[:, :, height] = np.roll(straight.voxels[:, :, height], (height - 10) // 4, axis=1)
    target = on_working_grid(head(FIXED, np.eye(4), T1_LIKE))
    source = on_working_grid(replace(straight, voxels=bent))
    still = rigid_start(CENTRE, np.zeros(3))
    found = bspline(target, source, still)
    assert metric(target, source, found) < metric(target, source, still) - 0.05
