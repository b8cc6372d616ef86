"""FLIRT's matrix: by FSL's own definition, for images stored either way around."""

import numpy as np
import pytest

from omnisyn.geometry import Geometry
from omnisyn.preparation.flirt_matrix import from_flirt, scaled_voxels
from omnisyn.preparation.images import TO_LPS

RADIOLOGICAL = Geometry(
    (40, 50, 20), [[-2.0, 0, 0, 60], [0, 1.5, 0, -30], [0, 0, 4, 10], [0, 0, 0, 1]]
)
NEUROLOGICAL = Geometry(
    (36, 44, 30), [[1.0, 0, 0, -15], [0, 2.5, 0, -40], [0, 0, 3, -7], [0, 0, 0, 1]]
)


def test_first_axis_counts_from_its_other_end_where_the_determinant_is_positive():
    np.testing.assert_allclose(scaled_voxels(RADIOLOGICAL) @ [3, 4, 5, 1], [6, 6, 20, 1])
    np.testing.assert_allclose(scaled_voxels(NEUROLOGICAL) @ [3, 4, 5, 1], [32, 10, 15, 1])


@pytest.mark.parametrize("fixed", [RADIOLOGICAL, NEUROLOGICAL])
@pytest.mark.parametrize("moving", [RADIOLOGICAL, NEUROLOGICAL])
def test_voxels_that_the_matrix_pairs_are_paired_in_the_world(fixed: Geometry, moving: Geometry):
    matrix = np.array(
        [[0.98, -0.17, 0.05, 3], [0.17, 0.98, 0.02, -2], [-0.05, -0.01, 1.0, 5], [0, 0, 0, 1]]
    )
    world = from_flirt(matrix, fixed, moving)
    index = np.array([12.0, 7, 9, 1])
    # img2imgcoord: input voxel → scaled → matrix → reference's scaled coordinates → its voxel.
    partner = np.linalg.inv(scaled_voxels(fixed)) @ matrix @ scaled_voxels(moving) @ index
    in_moving, in_fixed = TO_LPS @ moving.affine @ index, TO_LPS @ fixed.affine @ partner
    np.testing.assert_allclose(world @ in_fixed, in_moving, atol=1e-9)


def test_images_that_share_a_world_have_the_identity_where_their_positions_agree():
    matrix = (
        scaled_voxels(RADIOLOGICAL)
        @ np.linalg.inv(RADIOLOGICAL.affine)
        @ NEUROLOGICAL.affine
        @ np.linalg.inv(scaled_voxels(NEUROLOGICAL))
    )
    np.testing.assert_allclose(from_flirt(matrix, RADIOLOGICAL, NEUROLOGICAL), np.eye(4), atol=1e-9)
