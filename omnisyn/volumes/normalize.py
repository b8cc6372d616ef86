"""The one rule by which intensities are scaled, and the head mask that follows from it.

Foreground is every voxel above 2 % of the volume's 99.9 percentile; the volume is divided by the
foreground's 99.5 percentile and clipped to [0, 1]. It uses nothing but the volume itself: never a
partner contrast, never a single slice. Training, synthesis and scoring all use these functions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError

FOREGROUND_FRACTION = 0.02
HEAD_THRESHOLD = 0.05
MINIMUM_HEAD_FRACTION = 0.05
"""Slices in which the head covers a smaller part of the frame are left out everywhere."""


def scale_divisor(voxels: NDArray[np.floating], where: str | None = None) -> float:
    """The intensity (in the volume's own units) that becomes 1.0.

    Args:
        where: name of the volume, for the message.

    Raises:
        InputError: the volume has no signal, or holds NaN or infinity.
    """
    top = float(np.percentile(voxels, 99.9)) if voxels.size else 0.0
    if not np.isfinite(top):
        raise InputError(
            "the volume cannot be scaled",
            where=where,
            why="it holds values that are not finite",
            remedy="repair the volume first",
        )
    if top <= 0.0:
        raise InputError(
            "the volume cannot be scaled",
            where=where,
            why="it has no signal (its 99.9 percentile is not above zero)",
            remedy="check that the right file was given",
        )
    foreground = voxels[voxels > FOREGROUND_FRACTION * top]
    return float(np.percentile(foreground, 99.5))


def scale(voxels: NDArray[np.floating], where: str | None = None) -> NDArray[np.float32]:
    """The volume in [0, 1], float32, same shape. Arguments and errors as in `scale_divisor`."""
    factor = 1.0 / scale_divisor(voxels, where)
    scaled: NDArray[np.float32] = np.multiply(voxels, factor, dtype=np.float32)
    np.clip(scaled, 0.0, 1.0, out=scaled)
    return scaled


def head_mask(scaled_slices: Sequence[NDArray[np.floating]]) -> NDArray[np.bool_]:
    """Where the head is, from one or several scaled contrasts of one patient.

    The union of (scaled > 0.05) over the contrasts, opened once with the 4-neighbour cross and
    hole-filled, each axial slice by itself.

    Args:
        scaled_slices: arrays of one shape (slices, rows, columns), values in [0, 1].

    Returns:
        bool, (slices, rows, columns).
    """
    from scipy import ndimage

    if not scaled_slices:
        raise ValueError("a head mask needs at least one volume")
    union = np.zeros(scaled_slices[0].shape, dtype=bool)
    for scaled in scaled_slices:
        union |= scaled > HEAD_THRESHOLD
    in_plane = ndimage.generate_binary_structure(2, 1)
    mask: NDArray[np.bool_] = ndimage.binary_opening(union, structure=in_plane[np.newaxis])
    for plane in mask:
        ndimage.binary_fill_holes(plane, structure=in_plane, output=plane)
    return mask


def head_fraction(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The part of each slice that the head covers: (slices,), from 0 to 1."""
    fraction: NDArray[np.float64] = mask.mean(axis=(1, 2), dtype=np.float64)
    return fraction


def head_slices(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The slices with enough head to count, `MINIMUM_HEAD_FRACTION` of the frame or more: (n,)."""
    return np.flatnonzero(head_fraction(mask) >= MINIMUM_HEAD_FRACTION)


def head_boxes(mask: NDArray[np.bool_]) -> tuple[tuple[int, int, int, int], ...]:
    """The head's box in each slice of a mask (slices, rows, columns).

    Returns:
        Per slice the first row, end row, first column, end column, ends exclusive; four zeros
        where the slice shows no head.
    """
    boxes = []
    for plane in mask:
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        ends = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows.size else (0, 0, 0, 0)
        boxes.append((int(ends[0]), int(ends[1]), int(ends[2]), int(ends[3])))
    return tuple(boxes)
