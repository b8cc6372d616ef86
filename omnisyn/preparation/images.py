"""Scans as SimpleITK's images and back; SimpleITK's world is LPS+, in mm."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from omnisyn.geometry import Geometry

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""4×4, between RAS+ and LPS+; its own inverse."""


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


def points(indices: NDArray[Any], geometry: Geometry) -> NDArray[np.float64]:
    """Where voxel indices [n, 3] or [3] lie: mm in LPS+, of the same shape."""
    matrix = TO_LPS @ geometry.affine
    return np.asarray(indices @ matrix[:3, :3].T + matrix[:3, 3])


def moved_points(transform: Any, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where SimpleITK's transform takes points [n, 3] (mm, LPS+)."""
    return np.array([transform.TransformPoint(place) for place in places.tolist()])


def _placed(image: Any, geometry: Geometry) -> Any:
    affine = TO_LPS @ geometry.affine
    image.SetSpacing(geometry.spacing)
    image.SetDirection((affine[:3, :3] / geometry.spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image
