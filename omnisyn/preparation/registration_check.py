"""What speaks for and against a registration: edges that meet, the motion, a second opinion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.preparation.images import moved_points, points, to_array
from omnisyn.volumes.normalize import FOREGROUND_FRACTION
from omnisyn.volumes.volume import Volume

# No patient who lies still in a head coil gets farther than this between two series.
MOST_MOTION_MM = 45.0
MOST_ROTATION_DEGREES = 25.0
MOST_DISAGREEMENT_MM = 1.5
LEAST_INFORMATION = 0.1
LEAST_SHARED = 0.4
# Below this, fewer edges that meet are chance.
_FEWER_EDGES = 0.03
_EDGE_SHARE = 0.1
_EDGE_SMOOTHING_MM = 2.0
_SURROUNDINGS_MM = 12.0
# Per voxel: weaker changes than this are noise in what is flat.
_FLAT = 0.02
_EDGE_REACH_MM = 2.0


def head_corners(volume: Volume) -> NDArray[np.float64]:
    """The corners of the box around what is no air: mm in LPS+, [8, 3]."""
    inside = volume.voxels > FOREGROUND_FRACTION * np.percentile(volume.voxels, 99.9)
    places = np.nonzero(inside)
    if not places[0].size:
        places = np.nonzero(np.ones_like(inside))
    ends = np.array([(axis.min(), axis.max()) for axis in places])
    indices = np.array([ends[range(3), pick] for pick in np.ndindex(2, 2, 2)])
    return points(indices, volume.geometry)


def motion_between(one: Any, other: Any, corners: NDArray[np.float64]) -> float:
    """Mean distance (mm) between where two transforms take the corners of a head's box."""
    apart = moved_points(one, corners) - moved_points(other, corners)
    return float(np.linalg.norm(apart, axis=1).mean())


def rotation_degrees(matrix: NDArray[np.float64]) -> float:
    """The angle of the rotation nearest to a 3×3 matrix, by its singular value decomposition."""
    left, _, right = np.linalg.svd(matrix)
    turn = left @ right
    return math.degrees(math.acos(float(np.clip((np.trace(turn) - 1) / 2, -1.0, 1.0))))


def edge_overlap(fixed: Any, moving: Any, transform: Any) -> tuple[float, float]:
    """How well the edges of two images meet, and how much of the fixed head the other one shows.

    Edges are the tenth of the voxels of the shared place, air left out, where the smoothed root of
    the image changes most for its surroundings.

    Args:
        fixed: SimpleITK's image on the working grid, as ``moving``.
        transform: points of the fixed image to points of the moving one.

    Returns:
        The mean of two shares: of either image's edges that lie within 2 mm of one of the other's;
        and the share of the fixed head that lies in the moving image's field of view. 0 to 1.
    """
    spacing = fixed.GetSpacing()
    carried = to_array(SimpleITK.Resample(moving, fixed, transform, SimpleITK.sitkLinear, -1.0))
    still = to_array(fixed)
    seen = carried >= 0
    head = still > FOREGROUND_FRACTION * still.max()
    shared = seen & head
    if not shared.any():
        return 0.0, 0.0
    # The border of the field of view is no edge.
    inner = ndimage.binary_erosion(seen, iterations=2, border_value=0)
    edges = [_edges(image, spacing, inner) for image in (still, np.maximum(carried, 0.0))]
    distances = [ndimage.distance_transform_edt(~each, sampling=spacing) for each in edges]
    meeting = [
        float((distances[1 - each][edges[each]] <= _EDGE_REACH_MM).mean())
        if edges[each].any()
        else 0.0
        for each in (0, 1)
    ]
    return sum(meeting) / 2, float(shared.sum() / head.sum())


def doubts(
    *,
    motion_mm: float,
    rotation: float,
    information: float,
    edges_before: float,
    edges_after: float,
    shared: float,
    disagreements: Sequence[tuple[str, float]],
) -> tuple[str, ...]:
    """Why somebody should look at a registration; empty where nothing speaks against it.

    Args:
        motion_mm: mean displacement of the head's corners.
        rotation: degrees.
        information: mutual information with the transform, nat.
        edges_before, edges_after: from ``edge_overlap``.
        shared: from ``edge_overlap``, with the transform.
        disagreements: other ways to the same place and how far from it each ended, mm.
    """
    found = [
        f"{way} ends {apart:.1f} mm apart"
        for way, apart in disagreements
        if apart > MOST_DISAGREEMENT_MM
    ]
    if motion_mm > MOST_MOTION_MM:
        found.append(f"moved by {motion_mm:.0f} mm")
    if rotation > MOST_ROTATION_DEGREES:
        found.append(f"turned by {rotation:.0f} degrees")
    if information < LEAST_INFORMATION:
        found.append("the two scans tell little about each other")
    if edges_after < edges_before - _FEWER_EDGES:
        found.append("edges overlap less than before")
    if shared < LEAST_SHARED:
        found.append(f"only {100 * shared:.0f} % of the head is in both scans")
    return tuple(found)


def _edges(
    image: NDArray[np.float32], spacing: Sequence[float], inner: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The voxels where an image changes most, of those within the shared place and near no air."""

    def voxels(smoothing_mm: float) -> list[float]:
        return [smoothing_mm / step for step in spacing]

    # The root, and the surroundings, keep fat from having all the edges.
    change = ndimage.gaussian_gradient_magnitude(
        np.sqrt(image / max(float(image.max()), 1e-6)), voxels(_EDGE_SMOOTHING_MM)
    )
    strength = change / (ndimage.gaussian_filter(change, voxels(_SURROUNDINGS_MM)) + _FLAT)
    place = inner & (image > FOREGROUND_FRACTION * image.max())
    if not place.any():
        return np.zeros_like(place)
    strongest: NDArray[np.bool_] = place & (
        strength >= np.quantile(strength[place], 1 - _EDGE_SHARE)
    )
    return strongest
