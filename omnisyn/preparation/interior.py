"""What lies deep in a head: fat under the skin would pull a registration off the brain.

Fat's signal is displaced along the readout axis (chemical shift), by up to some millimetres and
differently in every series, so that no rigid motion is right for it and for water at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from scipy import ndimage

from omnisyn.preparation.images import to_array, to_image
from omnisyn.volumes.normalize import head_mask, scale
from omnisyn.volumes.volume import Volume

DEPTH_MM = 18.0
LEAST_SHARE = 0.02
"""Of the field of view: where less of it lies deep, all of it counts."""

_BEYOND = 12


def interior(volume: Volume, grid: Any) -> Any | None:
    """SimpleITK's mask, on the grid of an image, of what lies deeper than `DEPTH_MM` in the head.

    What ends with the field of view is taken to go on there. None where hardly anything is deep.

    Raises:
        InputError: the scan has no signal.
    """
    name = volume.provenance.name
    head = head_mask([volume.geometry.to_slices(scale(volume.voxels, name))])
    image = to_image(volume.geometry.from_slices(head).astype(np.uint8), volume.geometry)
    nearest = SimpleITK.sitkNearestNeighbor
    coarse = to_array(SimpleITK.Resample(image, grid, SimpleITK.Transform(), nearest)) > 0
    going_on = np.pad(coarse, _BEYOND, mode="edge")
    depth = ndimage.distance_transform_edt(going_on, sampling=grid.GetSpacing())
    inside = (slice(_BEYOND, -_BEYOND),) * 3
    deep = depth[inside] > DEPTH_MM
    if deep.mean() < LEAST_SHARE:
        return None
    mask = SimpleITK.GetImageFromArray(np.ascontiguousarray(deep.T).astype(np.uint8))
    mask.CopyInformation(grid)
    return mask
