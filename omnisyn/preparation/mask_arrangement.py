"""How the array of a mask may lie on its series: turned, mirrored, its slices reversed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry

_ON_GRID = 0.1
"""Largest distance, in voxels, of a mask's grid from its series', where its affine is believed."""


@dataclass(frozen=True, order=True)
class Arrangement:
    """How the array of a mask becomes one in the order of its series: columns, rows, slices.

    Attributes:
        transposed: the first two axes change places, before all else.
        quarter_turns: 0 to 3 turns by 90° from the first axis to the second.
        reversed_slices: the slices are counted from the other end.
        by_affine: masks whose affines lie on their series are placed by these, and only the others
            by the three above.
    """

    transposed: bool = False
    quarter_turns: int = 0
    reversed_slices: bool = False
    by_affine: bool = False

    def __str__(self) -> str:
        words = ["by its affine, or else"] if self.by_affine else []
        if self.transposed:
            words.append("transposed")
        if self.quarter_turns:
            words.append(f"turned by {90 * self.quarter_turns}°")
        if self.reversed_slices:
            words.append("slices reversed")
        if not (self.transposed or self.quarter_turns or self.reversed_slices):
            words.append("as stored")
        return ", ".join(words).replace("else,", "else")

    def of(self, mask: Geometry | None, series: Geometry) -> Arrangement:
        """The arrangement of one mask, by its affine where this one says so."""
        own = stated(mask, series) if self.by_affine and mask is not None else None
        return own or replace(self, by_affine=False)

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that an array of the shape `stored` gets."""
        swapped = self.transposed != bool(self.quarter_turns % 2)
        return (stored[1], stored[0], stored[2]) if swapped else (stored[0], stored[1], stored[2])

    def placed(self, mask_voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """The mask in the order of its series' file axes: bool, (columns, rows, slices).

        Args:
            mask_voxels: as stored, (x, y, z); what is above the middle of the smallest and the
                largest value belongs to the mask, so that it may be of any scale.
        """
        inside = inside_of(mask_voxels)
        if self.transposed:
            inside = inside.transpose(1, 0, 2)
        inside = np.rot90(inside, self.quarter_turns, axes=(0, 1))
        return np.ascontiguousarray(inside[:, :, ::-1] if self.reversed_slices else inside)


ARRANGEMENTS = tuple(
    Arrangement(transposed, turns, reverse)
    for transposed in (False, True)
    for turns in range(4)
    for reverse in (False, True)
)


def place(
    mask_voxels: NDArray[np.floating],
    mask_geometry: Geometry,
    arrangement: Arrangement,
    onto: Geometry,
    where: str,
) -> NDArray[np.bool_]:
    """The mask on its series' grid: bool, ``onto.shape``, file order.

    Args:
        mask_voxels: as stored, finite, of any scale.
        mask_geometry: what its own header says.
        arrangement: the joint one of its dataset.
        onto: the grid of the series that it was drawn on.
        where: what the mask is called in messages.

    Raises:
        InputError: its shape is not that of the series, or it marks nothing.
    """
    arrangement = arrangement.of(mask_geometry, onto)
    if arrangement.shape(mask_voxels.shape) != onto.shape:
        raise InputError(
            "the mask does not have the shape of its series",
            where=where,
            why=f"{sizes_of(mask_voxels.shape)} placed {arrangement} against "
            f"{sizes_of(onto.shape)}",
            remedy="leave it out, or draw it again on this series",
        )
    placed = arrangement.placed(mask_voxels)
    if not placed.any():
        raise InputError("the mask is empty", where=where, remedy="leave it out")
    return placed


def stated(mask: Geometry, series: Geometry) -> Arrangement | None:
    """The arrangement that a mask's affine says, or None where it lies on another grid."""
    mapping = series.indices_from(mask)
    for arrangement in ARRANGEMENTS:
        if arrangement.shape(mask.shape) != series.shape:
            continue
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.shape) - 1)
        meant = corners @ mapping[:3, :3].T + mapping[:3, 3]
        placed, _ = moved(corners, np.zeros((8, 2)), mask.shape, arrangement)
        if np.abs(meant - placed).max() <= _ON_GRID:
            return arrangement
    return None


def moved(
    places: NDArray[np.intp],
    directions: NDArray[np.float64],
    stored: tuple[int, ...],
    arrangement: Arrangement,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Indices [n, 3] and directions in the plane [n, 2] after what `Arrangement.placed` does."""
    (x, y, z), (dx, dy) = places.T, directions.T
    width, height = stored[0], stored[1]
    if arrangement.transposed:
        x, y, dx, dy, width, height = y, x, dy, dx, height, width
    for _ in range(arrangement.quarter_turns):
        x, y, dx, dy, width, height = height - 1 - y, x, -dy, dx, height, width
    if arrangement.reversed_slices:
        z = stored[2] - 1 - z
    return np.stack([x, y, z], axis=-1), np.stack([dx, dy], axis=-1)


def inside_of(mask_voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
    """What of a stored mask, of any scale, lies above the middle of its values."""
    low, high = float(mask_voxels.min()), float(mask_voxels.max())
    inside: NDArray[np.bool_] = mask_voxels > (low + high) / 2
    return inside


def sizes_of(shape: tuple[int, ...]) -> str:
    """A shape as it stands in sentences."""
    return " × ".join(map(str, shape))
