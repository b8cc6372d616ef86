"""Sources of one patient that lie on different grids are brought onto the first one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.volume import Volume

# Below this, two scans show so little of the same anatomy that a synthesis from both is guesswork.
_MINIMUM_OVERLAP = 0.1


@dataclass(frozen=True)
class Regridded:
    """Volumes on one grid, and a sentence for each that was moved onto it."""

    volumes: dict[str, Volume]
    notes: tuple[str, ...]


def onto_first_grid(volumes: Mapping[str, Volume]) -> Regridded:
    """Bring every volume onto the first one's grid, trusting the positions in the files.

    Nothing is registered: a patient who moved between two scans stays moved.

    Raises:
        InputError: two scans of the patient do not overlap.
    """
    names = list(volumes)
    reference = volumes[names[0]]
    regridded, notes = {names[0]: reference}, []
    for name in names[1:]:
        volume = volumes[name]
        if volume.geometry.matches(reference.geometry):
            regridded[name] = volume
            continue
        overlap = overlap_fraction(volume.geometry, reference.geometry)
        if overlap < _MINIMUM_OVERLAP:
            raise InputError(
                f"does not overlap with {reference.provenance.name}",
                where=volume.provenance.name,
                why=f"{overlap:.0%} of the first scan's grid lies inside it",
                remedy="give scans of one patient in one position, or register them first",
            )
        regridded[name] = replace(
            volume,
            voxels=resample(volume.voxels, volume.geometry, reference.geometry),
            geometry=reference.geometry,
        )
        notes.append(
            f"{name} ({volume.provenance.name}) was resampled onto the grid of {names[0]} "
            f"({reference.provenance.name}), {overlap:.0%} of which it covers; nothing was "
            "registered"
        )
    return Regridded(regridded, tuple(notes))


def resample(
    voxels: NDArray[np.float32], geometry: Geometry, onto: Geometry
) -> NDArray[np.float32]:
    """Linear interpolation onto another grid; zero outside.

    Args:
        voxels: shape `geometry.shape`, file order.

    Returns:
        float32, shape `onto.shape`, file order.
    """
    resampled: NDArray[np.float32] = ndimage.affine_transform(
        voxels, geometry.indices_from(onto), output_shape=onto.shape, order=1, output=np.float32
    )
    return resampled


def overlap_fraction(geometry: Geometry, onto: Geometry) -> float:
    """The part of `onto`'s voxel centres that lie inside `geometry`, on a coarse sample."""
    axes = [np.linspace(0, extent - 1, min(extent, 24)) for extent in onto.shape]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    onto_to_here = geometry.indices_from(onto)
    there = centres @ onto_to_here[:3, :3].T + onto_to_here[:3, 3]
    inside = (there > -0.5) & (there < np.array(geometry.shape) - 0.5)
    return float(inside.all(axis=1).mean())
