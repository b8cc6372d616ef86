"""Registers one scan of a patient to another: a rigid motion, found by mutual information.

The same samples and starts are taken every time, so that a scan registers alike whenever it is
registered. A result is never worse, by the metric, than trusting the positions in the files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.normalize import FOREGROUND_FRACTION
from omnisyn.volumes.volume import Volume

INTERPOLATION = "cubic B-spline"
WORKING_SPACING_MM = 2.0
"""Of the isotropic grid on which the metric is taken."""

_BINS = 32
_SAMPLES = 15_000
_SEED = 1
_LEAST_SMOOTHED = 4
# Shrink factor of the working grid → smoothing in mm.
_COARSE, _FINE = {4: 4.0, 2: 2.0}, {1: 0.0}
# Beyond this percentile lie fat near the coil and vessels, which would leave tissue a few bins.
_BRIGHTEST_PERCENTILE = 98.0
_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Registration:
    """A rigid motion from the points of one scan to those of another.

    Attributes:
        transform: SimpleITK's, points of the fixed scan to points of the moving one (mm, LPS+).
        metric_before: negative mutual information where the positions in the files are trusted;
            lower is better.
        metric_after: the same with the transform.
        motion_mm: mean displacement of the eight corners of the fixed head's box.
    """

    transform: Any
    metric_before: float
    metric_after: float
    motion_mm: float


def register(fixed: Volume, moving: Volume) -> Registration:
    """Finds where the head of one scan lies in another scan of the same patient.

    Raises:
        InputError: the two scans share no place, or hardly any, by the positions in their files.
    """
    target, source = on_working_grid(fixed), on_working_grid(moving)
    corners = head_corners(fixed)
    identity = SimpleITK.Euler3DTransform()
    identity.SetCenter(corners.mean(axis=0).tolist())
    by_mass = SimpleITK.Euler3DTransform(identity)
    by_mass.SetTranslation((mass_centre(moving) - mass_centre(fixed)).tolist())
    before = _metric(target, source, identity)
    if not math.isfinite(before):
        raise InputError(
            "two scans of one patient share no place",
            where=moving.provenance.name,
            why=f"it hardly overlaps with {fixed.provenance.name}, or not at all",
            remedy="check that both are scans of one patient, in one scanner space",
        )
    best, after = identity, before
    for start, levels in ((identity, _COARSE), (by_mass, _COARSE), (None, _FINE)):
        found = _moved(target, source, start or best, levels)
        metric = _metric(target, source, found)
        if metric < after:
            best, after = found, metric
    moved = np.array([best.TransformPoint(corner) for corner in corners.tolist()])
    motion = float(np.linalg.norm(moved - corners, axis=1).mean())
    return Registration(best, before, after, motion)


def resample(moving: Volume, registration: Registration, onto: Geometry) -> Volume:
    """The moving scan on the fixed scan's grid: interpolated once, none below 0, 0 outside it."""
    resampled = SimpleITK.Resample(
        to_image(moving.voxels, moving.geometry),
        empty_image(onto),
        registration.transform,
        SimpleITK.sitkBSpline,
        0.0,
        SimpleITK.sitkFloat32,
    )
    return replace(moving, voxels=np.maximum(to_array(resampled), 0.0), geometry=onto)


def registration_method(fixed: Any, levels: Mapping[int, float]) -> Any:
    """Mattes mutual information over several resolutions, on samples that never change.

    Args:
        fixed: SimpleITK's image on which the samples are taken.
        levels: shrink factor → smoothing in mm, coarsest first.
    """
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    voxels = [fixed.GetNumberOfPixels() / factor**3 for factor in levels]
    method.SetMetricSamplingPercentagePerLevel(
        [min(1.0, _SAMPLES / number) for number in voxels], _SEED
    )
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(levels))
    method.SetSmoothingSigmasPerLevel(list(levels.values()))
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    return method


def on_working_grid(volume: Volume) -> Any:
    """A scan on an isotropic grid along its own axes, its brightest fat and vessels clipped."""
    steps = np.array(volume.geometry.spacing)
    shape = np.maximum(np.round(np.array(volume.geometry.shape) * steps / WORKING_SPACING_MM), 1)
    ratios = WORKING_SPACING_MM / steps
    scaling = np.diag([*ratios, 1.0])
    # The first voxel's outer faces stay where they are.
    scaling[:3, 3] = (ratios - 1) / 2
    grid = Geometry(shape.astype(int).tolist(), volume.geometry.affine @ scaling)
    image = to_image(volume.voxels, volume.geometry)
    blur = np.sqrt(np.maximum(WORKING_SPACING_MM**2 - steps**2, 0.0)) / 2
    # The filter refuses scans of fewer slices; unsmoothed they are registered a little worse.
    if blur.any() and min(volume.geometry.shape) >= _LEAST_SMOOTHED:
        image = SimpleITK.SmoothingRecursiveGaussian(image, np.maximum(blur, 1e-3).tolist())
    image = SimpleITK.Resample(
        image, empty_image(grid), SimpleITK.Transform(), SimpleITK.sitkLinear
    )
    return SimpleITK.Clamp(image, lowerBound=0.0, upperBound=_brightest(volume.voxels))


def head_corners(volume: Volume) -> NDArray[np.float64]:
    """The corners of the box around what is no air: mm in LPS+, [8, 3]."""
    inside = volume.voxels > FOREGROUND_FRACTION * np.percentile(volume.voxels, 99.9)
    places = np.nonzero(inside)
    if not places[0].size:
        places = np.nonzero(np.ones_like(inside))
    ends = np.array([(axis.min(), axis.max()) for axis in places])
    indices = np.array([ends[range(3), pick] for pick in np.ndindex(2, 2, 2)])
    return _points(indices, volume.geometry)


def mass_centre(volume: Volume) -> NDArray[np.float64]:
    """Of the clipped intensities: mm in LPS+."""
    mass = np.clip(volume.voxels, 0.0, _brightest(volume.voxels)).astype(np.float64)
    total = mass.sum() or 1.0
    centre = [
        (mass.sum(axis=tuple({0, 1, 2} - {axis})) * np.arange(size)).sum() / total
        for axis, size in enumerate(mass.shape)
    ]
    return _points(np.array(centre), volume.geometry)


def to_image(voxels: NDArray[Any], geometry: Geometry) -> Any:
    """SimpleITK's image of an array in file order."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    return _placed(image, geometry)


def to_array(image: Any) -> NDArray[Any]:
    """The array of SimpleITK's image, in file order."""
    array: NDArray[Any] = np.ascontiguousarray(SimpleITK.GetArrayFromImage(image).T)
    return array


def empty_image(geometry: Geometry) -> Any:
    """SimpleITK's image of a grid."""
    return _placed(SimpleITK.Image(list(geometry.shape), SimpleITK.sitkUInt8), geometry)


def _placed(image: Any, geometry: Geometry) -> Any:
    axes = _FROM_RAS @ geometry.affine[:3, :3]
    image.SetSpacing(geometry.spacing)
    image.SetDirection((axes / geometry.spacing).ravel().tolist())
    image.SetOrigin((_FROM_RAS @ geometry.affine[:3, 3]).tolist())
    return image


def _points(indices: NDArray[Any], geometry: Geometry) -> NDArray[np.float64]:
    world = indices @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    return np.asarray(world @ _FROM_RAS)


def _brightest(voxels: NDArray[np.float32]) -> float:
    """The intensity above which all is alike, from what is no air."""
    inside = voxels[voxels > FOREGROUND_FRACTION * np.percentile(voxels, 99.9)]
    return float(np.percentile(inside, _BRIGHTEST_PERCENTILE)) if inside.size else 1.0


def _moved(fixed: Any, moving: Any, start: Any, levels: Mapping[int, float]) -> Any:
    """The motion that is found from a start; the start where that leads out of the moving scan."""
    found = SimpleITK.Euler3DTransform(start)
    method = registration_method(fixed, levels)
    method.SetOptimizerAsConjugateGradientLineSearch(
        learningRate=1.0, numberOfIterations=15, lineSearchMaximumIterations=10
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(found, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start
    return found


def _metric(fixed: Any, moving: Any, transform: Any) -> float:
    """Negative mutual information; infinite where hardly anything overlaps."""
    # Every second voxel along each axis tells as much.
    fixed = SimpleITK.Shrink(fixed, [2, 2, 2])
    method = registration_method(fixed, {1: 0.0})
    method.SetInitialTransform(transform)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return math.inf
