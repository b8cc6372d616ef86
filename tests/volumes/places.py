"""Where voxels lie in the world, by our geometry and by SimpleITK."""

import numpy as np

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def world(geometry, index):
    """RAS+ mm of a voxel."""
    return geometry.affine[:3, :3] @ index + geometry.affine[:3, 3]


def corners_of_simpleitk(image):
    """RAS+ mm of the eight corner voxels."""
    last = np.array(image.GetSize()) - 1
    return np.array(
        [
            LPS_TO_RAS * image.TransformIndexToPhysicalPoint([int(i) for i in corner * last])
            for corner in np.array(list(np.ndindex(2, 2, 2)))
        ]
    )
