"""Where the brain is: label maps of other heads, warped onto a scan, vote.

An atlas is a whole-head label map with FreeSurfer's values; 100 and above is tissue outside the
brain. It is painted like a T1-weighted scan, registered to the patient's by mutual information
(affine, then a coarse B-spline), and its brain is carried along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.images import empty_image, to_array, to_image
from omnisyn.preparation.similarity import (
    WORKING_SPACING_MM,
    mass_centre,
    on_working_grid,
    registration_method,
)
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.nifti import load_nifti
from omnisyn.volumes.volume import Provenance, Volume

CONTROL_POINTS_MM = 35.0
RIM_MM = 3.0
"""Fluid this near to the brain is kept, as skull-stripped scans keep it."""

_FIRST_LABEL_OUTSIDE = 100
_FLUID = (24,)
_CAVITIES = (4, 5, 14, 15, 24, 43, 44)
_WHITE = (2, 7, 16, 28, 41, 46, 60)
_MARGIN_MM = 30.0
_BONE_MM = 6.0
_NEAR_BRAIN_MM = 12.0
_CLOSING_MM = 4.0
_REACH_MM = 8.0
_BRIDGE_MM = 2.0
_SHADING_MM = 15.0
_ALIKE = (0.75, 1.3)


@dataclass(frozen=True)
class Atlas:
    """A head whose brain is known.

    Attributes:
        painted: its label map, painted like a T1-weighted scan, cropped around the brain.
        brain: 1 inside, 0 outside; float32 on the same grid.
    """

    painted: Volume
    brain: NDArray[np.float32]


def read_atlas(path: Path) -> Atlas:
    """Reads a whole-head label map with FreeSurfer's values.

    Raises:
        InputError: damaged, or without a brain or the tissue around it.
    """
    file = load_nifti(read_file(path))
    step = np.maximum(np.round(WORKING_SPACING_MM / np.array(file.geometry.spacing)), 1).astype(int)
    coarse = file.voxels[tuple(slice(None, None, every) for every in step)]
    affine = file.geometry.affine @ np.diag([*step, 1.0])
    labels, geometry = _around_brain(coarse, Geometry(coarse.shape, affine), path)
    tissue = (labels > 0) & (labels < _FIRST_LABEL_OUTSIDE)
    brain = tissue & ~np.isin(labels, _FLUID)
    spacing = geometry.spacing
    brain |= tissue & (ndimage.distance_transform_edt(~brain, sampling=spacing) <= RIM_MM)
    bone = ndimage.distance_transform_edt(~tissue, sampling=spacing) <= _BONE_MM
    painted = np.where(labels > 0, 0.9, 0.0)
    painted[bone & ~tissue & (labels > 0)] = 0.15
    painted[tissue] = 0.7
    painted[np.isin(labels, _WHITE)] = 1.0
    painted[np.isin(labels, _CAVITIES)] = 0.3
    provenance = Provenance(name=path.name)
    volume = Volume(painted.astype(np.float32), geometry, provenance=provenance)
    return Atlas(volume, brain.astype(np.float32))


def brain_mask(scan: Volume, atlases: Sequence[Atlas]) -> NDArray[np.bool_]:
    """The brain and the fluid around it: what most atlases say, grown into what looks alike,
    closed and without holes.

    Args:
        scan: of a whole head, T1-weighted or any other contrast.
        atlases: one or more.

    Returns:
        bool, the scan's shape, file axis order.

    Raises:
        InputError: the atlases find no brain.
    """
    votes = np.mean([_warped_brain(scan, atlas) for atlas in atlases], axis=0)
    mask: NDArray[np.bool_] = votes > 0.5
    parts, number = ndimage.label(mask)
    if not number:
        raise InputError(
            "no brain was found",
            where=scan.provenance.name,
            why="no atlas could be registered to it",
            remedy="check that the scan shows a whole head and the atlases are label maps of heads",
        )
    mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    box = _box(mask, _REACH_MM + _CLOSING_MM, scan.geometry)
    mask[box] = _grown(scan.voxels[box], mask[box], scan.geometry.spacing)
    return mask


def _grown(
    voxels: NDArray[np.float32], mask: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """The mask with what looks like brain next to it: atlases shrink at the vertex and the poles.

    The dark inner table of the skull stops it; thin bridges across it are cut.
    """

    def depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = ndimage.distance_transform_edt(inside, sampling=spacing)
        return distances

    # The receiver's shading makes a scalp voxel near the coil look like brain farther away.
    wide = [_SHADING_MM / step for step in spacing]
    share = ndimage.gaussian_filter(mask.astype(np.float32), wide)
    local = ndimage.gaussian_filter(np.where(mask, voxels, np.float32(0)), wide)
    ratio = voxels / np.maximum(local / np.maximum(share, 1e-3), 1e-6)
    alike = (ratio > _ALIKE[0]) & (ratio < _ALIKE[1])
    candidates = mask | (alike & (depth(~mask) <= _REACH_MM))
    parts, _ = ndimage.label(mask | (depth(candidates) > _BRIDGE_MM))
    core = np.isin(parts, np.unique(parts[mask]))
    grown = mask | (candidates & (depth(~core) <= _BRIDGE_MM))
    # Beyond the edge of the scan, too, counts as brain: it is the scan that ends there.
    closed = depth(depth(~grown) <= _CLOSING_MM) > _CLOSING_MM
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(closed | grown)
    return filled


def _warped_brain(scan: Volume, atlas: Atlas) -> NDArray[np.float32]:
    """The atlas's brain on the scan's grid, from 0 to 1; none where it cannot be registered."""
    brain = to_image(atlas.brain, atlas.painted.geometry)
    try:
        warp = _warp(scan, atlas.painted, brain)
    except RuntimeError:
        return np.zeros(scan.geometry.shape, np.float32)
    onto = empty_image(scan.geometry)
    return to_array(
        SimpleITK.Resample(brain, onto, warp, SimpleITK.sitkLinear, 0.0, SimpleITK.sitkFloat32)
    )


def _warp(scan: Volume, painted: Volume, brain: Any) -> Any:
    """SimpleITK's transform, points of the scan to points of the atlas (mm, LPS+).

    Raises RuntimeError where the two have nothing in common.
    """
    fixed, moving = on_working_grid(scan), on_working_grid(painted)
    affine = SimpleITK.AffineTransform(3)
    affine.SetCenter(mass_centre(scan).tolist())
    affine.SetTranslation((mass_centre(painted) - mass_centre(scan)).tolist())
    method = registration_method(fixed, {4: 4.0, 2: 2.0})
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.02, numberOfIterations=50, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(fixed, moving)

    rough = to_array(
        SimpleITK.Resample(brain, fixed, affine, SimpleITK.sitkLinear, 0.0, SimpleITK.sitkFloat32)
    )
    distance = ndimage.distance_transform_edt(rough < 0.5, sampling=fixed.GetSpacing())
    near = SimpleITK.GetImageFromArray((distance <= _NEAR_BRAIN_MM).astype(np.uint8).T)
    near.CopyInformation(fixed)
    size = np.array(fixed.GetSize()) * fixed.GetSpacing()
    meshes = np.maximum(np.round(size / CONTROL_POINTS_MM), 1).astype(int)
    warp = SimpleITK.BSplineTransformInitializer(fixed, meshes.tolist())
    method = registration_method(fixed, {2: 2.0})
    method.SetMetricFixedMask(near)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(warp, inPlace=True)
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-5, numberOfIterations=25, maximumNumberOfCorrections=5
    )
    method.Execute(fixed, moving)
    return SimpleITK.CompositeTransform([affine, warp])


def _around_brain(
    labels: NDArray[Any], geometry: Geometry, path: Path
) -> tuple[NDArray[Any], Geometry]:
    """The label map without what lies far from the brain, such as the neck."""
    brain = (labels > 0) & (labels < _FIRST_LABEL_OUTSIDE) & ~np.isin(labels, _FLUID)
    if not brain.any() or not (labels >= _FIRST_LABEL_OUTSIDE).any():
        raise InputError(
            "the atlas is no label map of a whole head",
            where=path.name,
            why=f"it needs labels of the brain and, from {_FIRST_LABEL_OUTSIDE} up, of what is "
            "around it",
            remedy="give a whole-head label map with FreeSurfer's values",
        )
    box = _box(brain, _MARGIN_MM, geometry)
    cropped = labels[box]
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return cropped, Geometry(cropped.shape, affine)


def _box(mask: NDArray[np.bool_], margin_mm: float, geometry: Geometry) -> tuple[slice, ...]:
    """The box around a mask, within its array."""
    margin = np.ceil(margin_mm / np.array(geometry.spacing)).astype(int)
    places = np.array(np.nonzero(mask))
    first = np.maximum(places.min(axis=1) - margin, 0)
    end = np.minimum(places.max(axis=1) + 1 + margin, mask.shape)
    return tuple(slice(int(low), int(high)) for low, high in zip(first, end, strict=True))
