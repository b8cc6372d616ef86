"""Takes away the receiving coil's smooth shading of a scan, by N4."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK

from omnisyn.preparation.images import to_array, to_image
from omnisyn.volumes.normalize import HEAD_THRESHOLD, scale_divisor
from omnisyn.volumes.volume import Volume

_SHRUNK_MM = 4.0
_ITERATIONS = (50, 50, 50)
_CONTROL_POINTS = 4


def correct_bias(volume: Volume) -> Volume:
    """The scan divided by its bias field, which is found on a coarse grid, in the head alone.

    The field's mean in the head is 1 (geometric), so that a.u. keep their scale. A scan whose head
    is too small for the method is returned as it is.

    Source: Tustison et al., N4ITK, IEEE Trans Med Imaging 29 (2010) 1310; SimpleITK's filter.
    """
    head = volume.voxels > HEAD_THRESHOLD * scale_divisor(volume.voxels, volume.provenance.name)
    image, mask = (
        to_image(array, volume.geometry) for array in (volume.voxels, head.astype(np.uint8))
    )
    shrink = [max(1, round(_SHRUNK_MM / step)) for step in volume.geometry.spacing]
    coarse = SimpleITK.Shrink(image, shrink)
    coarse_mask = SimpleITK.Shrink(mask, shrink)
    if min(coarse.GetSize()) < _CONTROL_POINTS or not to_array(coarse_mask).any():
        return volume
    method = SimpleITK.N4BiasFieldCorrectionImageFilter()
    # Sums of several threads depend on how many there are.
    method.SetNumberOfWorkUnits(1)
    method.SetMaximumNumberOfIterations(_ITERATIONS)
    # Its logarithm needs intensities above zero.
    floor = float(np.finfo(np.float32).eps) * float(volume.voxels.max())
    method.Execute(SimpleITK.Maximum(coarse, floor), coarse_mask)
    logarithm = to_array(method.GetLogBiasFieldAsImage(image))
    level = float(logarithm[head].mean())
    corrected = volume.voxels * np.exp(level - logarithm)
    return replace(volume, voxels=corrected.astype(np.float32))
