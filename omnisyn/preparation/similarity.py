"""How alike two scans are: mutual information of samples that never change, over resolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from omnisyn.geometry import Geometry
from omnisyn.preparation.images import empty_image, points, to_image
from omnisyn.volumes.normalize import FOREGROUND_FRACTION
from omnisyn.volumes.volume import Volume

WORKING_SPACING_MM = 2.0
"""Of the isotropic grid on which the metric is taken."""
SAMPLES = 15_000

_BINS = 32
_SEED = 1
_LEAST_SMOOTHED = 4
# Beyond this percentile lie fat near the coil and vessels, which would leave tissue a few bins.
_BRIGHTEST_PERCENTILE = 98.0


def registration_method(
    fixed: Any, levels: Mapping[int, float], *, mask: Any | None = None, samples: int = SAMPLES
) -> Any:
    """Mattes mutual information over several resolutions, on samples that never change.

    Args:
        fixed: SimpleITK's image on which the samples are taken.
        levels: shrink factor → smoothing in mm, coarsest first.
        mask: SimpleITK's, of the fixed image's places that count; None for all.
        samples: at each level, or all voxels where those are fewer.
    """
    method = SimpleITK.ImageRegistrationMethod()
    # Sums of several threads depend on how many there are.
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    counting = fixed.GetNumberOfPixels()
    if mask is not None:
        method.SetMetricFixedMask(mask)
        counting *= float(SimpleITK.GetArrayViewFromImage(mask).mean())
    voxels = [counting / factor**3 for factor in levels]
    method.SetMetricSamplingPercentagePerLevel(
        [min(1.0, samples / number) for number in voxels], _SEED
    )
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(levels))
    method.SetSmoothingSigmasPerLevel(list(levels.values()))
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    return method


def metric(fixed: Any, moving: Any, transform: Any, mask: Any | None = None) -> float:
    """Negative mutual information (nat) of two images, on all voxels of the fixed one; infinite
    where hardly anything overlaps.

    Args:
        fixed: SimpleITK's image, as ``moving``.
        transform: SimpleITK's, points of the fixed image to points of the moving one.
        mask: SimpleITK's, of the fixed image's places that count; None for all.
    """
    # All voxels: a shrunken image's would lie half a voxel beside their places.
    method = registration_method(fixed, {1: 0.0}, mask=mask)
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return math.inf


def on_working_grid(volume: Volume, spacing_mm: float = WORKING_SPACING_MM) -> Any:
    """A scan on an isotropic grid along its own axes, its brightest fat and vessels clipped."""
    steps = np.array(volume.geometry.spacing)
    shape = np.maximum(np.round(np.array(volume.geometry.shape) * steps / spacing_mm), 1)
    ratios = spacing_mm / steps
    scaling = np.diag([*ratios, 1.0])
    # The first voxel's outer faces stay where they are.
    scaling[:3, 3] = (ratios - 1) / 2
    grid = Geometry(shape.astype(int).tolist(), volume.geometry.affine @ scaling)
    image = to_image(volume.voxels, volume.geometry)
    blur = np.sqrt(np.maximum(spacing_mm**2 - steps**2, 0.0)) / 2
    # The filter refuses scans of fewer slices; unsmoothed they are registered a little worse.
    if blur.any() and min(volume.geometry.shape) >= _LEAST_SMOOTHED:
        image = SimpleITK.SmoothingRecursiveGaussian(image, np.maximum(blur, 1e-3).tolist())
    image = SimpleITK.Resample(
        image, empty_image(grid), SimpleITK.Transform(), SimpleITK.sitkLinear
    )
    return SimpleITK.Clamp(image, lowerBound=0.0, upperBound=_brightest(volume.voxels))


def mass_centre(volume: Volume) -> NDArray[np.float64]:
    """Of the clipped intensities: mm in LPS+."""
    mass = np.clip(volume.voxels, 0.0, _brightest(volume.voxels)).astype(np.float64)
    total = mass.sum() or 1.0
    centre = [
        (mass.sum(axis=tuple({0, 1, 2} - {axis})) * np.arange(size)).sum() / total
        for axis, size in enumerate(mass.shape)
    ]
    return points(np.array(centre), volume.geometry)


def _brightest(voxels: NDArray[np.float32]) -> float:
    """The intensity above which all is alike, from what is no air."""
    inside = voxels[voxels > FOREGROUND_FRACTION * np.percentile(voxels, 99.9)]
    return float(np.percentile(inside, _BRIGHTEST_PERCENTILE)) if inside.size else 1.0
