"""FLIRT's matrix as a transform between scanner positions, and back.

FLIRT's coordinates are voxel indices times voxel sizes (mm); where the affine's determinant is
positive, the first axis counts from its other end, so that all images are stored alike. Its matrix
takes points of the input image to points of the reference. Source: FSL's wiki, "FLIRT: what is the
format of the matrix used by FLIRT, and how does it relate to the transformation parameters?", and
`newimage::sampling_mat` and `newimage_vox2newimage_mm` as used by `img2imgcoord`.
"""

from __future__ import annotations

import numpy as np

from omnisyn.geometry import Affine, Geometry
from omnisyn.preparation.images import TO_LPS


def scaled_voxels(geometry: Geometry) -> Affine:
    """4×4, voxel index to FLIRT's coordinates (mm)."""
    scaling = np.diag([*geometry.spacing, 1.0])
    if np.linalg.det(geometry.affine[:3, :3]) > 0:
        scaling[0, 0] = -geometry.spacing[0]
        scaling[0, 3] = (geometry.shape[0] - 1) * geometry.spacing[0]
    return scaling


def from_flirt(matrix: Affine, fixed: Geometry, moving: Geometry) -> Affine:
    """4×4 in LPS+, points of the fixed scan to points of the moving one.

    Args:
        matrix: of FLIRT, whose input was the moving scan and whose reference was the fixed one.
    """
    to_fixed = fixed.affine @ np.linalg.inv(scaled_voxels(fixed)) @ matrix
    moving_to_fixed = to_fixed @ scaled_voxels(moving) @ np.linalg.inv(moving.affine)
    world: Affine = TO_LPS @ np.linalg.inv(moving_to_fixed) @ TO_LPS
    return world
