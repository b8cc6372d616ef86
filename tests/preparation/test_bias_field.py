"""Bias correction: smooth shading goes, tissue and scale stay."""

from dataclasses import replace

import numpy as np

from omnisyn.geometry import Geometry
from omnisyn.preparation.bias_field import correct_bias
from omnisyn.volumes.volume import Volume
from tests.preparation.balls import T1_LIKE, head

GRID = Geometry((60, 72, 40), np.diag([-1.75, -1.75, 2.0, 1.0]))


def test_shading_goes_and_scale_stays():
    clean = head(GRID, np.eye(4), T1_LIKE)
    rows = np.linspace(-1.0, 1.0, GRID.shape[1])[:, np.newaxis]
    shaded = replace(clean, voxels=(clean.voxels * np.exp(0.5 * rows)).astype(np.float32))
    corrected = correct_bias(shaded)
    white = clean.voxels > 450
    before, after = (each.voxels[white].std() / each.voxels[white].mean() for each in
                     (shaded, corrected))  # fmt: skip
    assert after < 0.5 * before
    assert 0.8 < corrected.voxels[white].mean() / shaded.voxels[white].mean() < 1.25
    assert corrected.voxels.dtype == np.float32
    assert corrected.geometry == shaded.geometry
    np.testing.assert_array_equal(correct_bias(shaded).voxels, corrected.voxels)


def test_scan_too_small_for_the_method_is_left_alone():
    small = Volume(np.ones((6, 6, 2), np.float32), Geometry((6, 6, 2), np.eye(4)))
    assert correct_bias(small) is small
