"""Geometry: the shape of a volume and its affine, as one value. Nothing else touches an affine.

World coordinates are in mm, RAS+: x grows towards the patient's right, y towards anterior, z
towards superior. The *model grid* is the one order in which slices reach the networks: axial
slices from inferior to superior, rows from anterior to posterior, columns from the patient's right
to the left, the way a radiologist sees an axial slice (LPS+).
"""

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnisyn.errors import InputError

Affine = NDArray[np.float64]

_SAME_PLACE_MM = 1e-3


class Geometry:
    """A grid in space: voxel index (i, j, k) to world mm. An immutable value.

    Args:
        shape: number of voxels along the three axes of the array.
        affine: 4×4, voxel index to RAS+ world coordinates in mm.

    Raises:
        InputError: the shape is not three positive numbers, or the affine is not finite and
            invertible.
    """

    def __init__(self, shape: Sequence[int], affine: ArrayLike) -> None:
        self.shape: tuple[int, int, int] = _three(shape)
        matrix = np.array(affine, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise InputError("the affine is not a finite 4×4 matrix")
        if not np.array_equal(matrix[3], [0, 0, 0, 1]):
            raise InputError("the affine's last row is not 0 0 0 1")
        # Relative to the voxel's edges, so that tiny voxels are not mistaken for flat ones.
        edges = np.linalg.norm(matrix[:3, :3], axis=0)
        if (edges == 0).any() or abs(np.linalg.det(matrix[:3, :3] / edges)) < 1e-6:
            raise InputError("the affine cannot be inverted: two of its axes fall together")
        matrix.setflags(write=False)
        self.affine: Affine = matrix

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Geometry):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    def __repr__(self) -> str:
        spacing = " × ".join(f"{value:g}" for value in self.spacing)
        size = " × ".join(str(value) for value in self.shape)
        return f"Geometry({size} voxels of {spacing} mm, {self.orientation})"

    @classmethod
    def axial(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        first_voxel_mm: tuple[float, float, float] | None = None,
    ) -> "Geometry":
        """The geometry of a volume made on the model grid.

        Args:
            shape: (slices, rows, columns).
            spacing: mm between (slices, rows, columns).
            first_voxel_mm: RAS+ position of the first voxel (inferior, anterior, right); by default
                the volume's middle lies at the origin.

        Returns:
            a geometry with voxel axes (column, row, slice), LPS+.
        """
        size = np.array(shape[::-1], dtype=np.float64)
        steps = np.array([-spacing[2], -spacing[1], spacing[0]])
        affine = np.diag([*steps, 1.0])
        affine[:3, 3] = -(size - 1) / 2 * steps if first_voxel_mm is None else first_voxel_mm
        return cls(shape[::-1], affine)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """mm between voxels along the array's three axes."""
        return _floats(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def origin(self) -> tuple[float, float, float]:
        """RAS+ world position in mm of voxel (0, 0, 0)."""
        return _floats(self.affine[:3, 3])

    @cached_property
    def orientation(self) -> str:
        """The anatomical directions in which the axes grow, as "RAS" or "LPS"."""
        letters = ("LR", "PA", "IS")
        return "".join(letters[world][int(grows)] for world, grows in zip(*self._axes, strict=True))

    def corners(self) -> NDArray[np.float64]:
        """RAS+ world positions in mm of the eight corner voxels' centres, [8, 3]."""
        last = np.array(self.shape) - 1
        indices = np.array(list(np.ndindex(2, 2, 2))) * last
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    def matches(self, other: "Geometry") -> bool:
        """Whether both grids have the same shape and, within a thousandth of a mm, corners."""
        return self.shape == other.shape and bool(
            np.abs(self.corners() - other.corners()).max() <= _SAME_PLACE_MM
        )

    def indices_from(self, other: "Geometry") -> Affine:
        """4×4: voxel index on the other grid to the (fractional) voxel index here."""
        mapping: Affine = np.linalg.inv(self.affine) @ other.affine
        return mapping

    def to_slices(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """An array on this grid, in file order, as a new array (slices, rows, columns)."""
        if voxels.shape != self.shape:
            raise ValueError(f"array of shape {voxels.shape} on a grid of shape {self.shape}")
        turned = voxels.transpose(self._model_axes[::-1])[self._flips]
        return np.array(turned, order="C")

    def from_slices(self, slices: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`to_slices`: a new array in the file's own axis order."""
        if slices.shape != self.slices_shape:
            raise ValueError(f"slices of shape {slices.shape}, expected {self.slices_shape}")
        back = slices[self._flips].transpose(np.argsort(self._model_axes[::-1]))
        return np.array(back, order="C")

    @cached_property
    def slices_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of this grid's arrays on the model grid."""
        return _three(np.array(self.shape)[self._model_axes][::-1])

    @cached_property
    def slice_spacing(self) -> tuple[float, float, float]:
        """mm between (slices, rows, columns) on the model grid."""
        return _floats(np.array(self.spacing)[self._model_axes][::-1])

    def slice_centres(self) -> NDArray[np.float64]:
        """RAS+ world positions in mm of the middles of the model grid's slices, [slices, 3]."""
        axis = self._model_axes[2]
        indices = np.tile((np.array(self.shape) - 1) / 2, (self.shape[axis], 1))
        indices[:, axis] = np.arange(self.shape[axis])[self._flips[0]]
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    @cached_property
    def _axes(self) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """For each file axis: the world axis it runs along, and whether it grows with it.

        Of the six ways to pair the axes, the one with the largest cosines in all.
        """
        cosines = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        worlds = max(
            itertools.permutations(range(3)),
            key=lambda order: float(np.abs(cosines[list(order), range(3)]).sum()),
        )
        return worlds, tuple(bool(cosines[world, axis] > 0) for axis, world in enumerate(worlds))

    @cached_property
    def _model_axes(self) -> NDArray[np.intp]:
        """The file axis that runs along each axis (column, row, slice) of the model grid."""
        return np.argsort(self._axes[0])

    @cached_property
    def _flips(self) -> tuple[slice, slice, slice]:
        """Steps along (slices, rows, columns): x and y must fall on the model grid, z must grow."""
        grows = np.array(self._axes[1])[self._model_axes]
        column, row, plane = grows[0], grows[1], not grows[2]
        return (
            slice(None, None, -1 if plane else 1),
            slice(None, None, -1 if row else 1),
            slice(None, None, -1 if column else 1),
        )


def _three(values: Sequence[int] | NDArray[Any]) -> tuple[int, int, int]:
    numbers = [int(value) for value in values]
    if len(numbers) != 3 or min(numbers) < 1:
        raise InputError(f"a volume has three axes of at least one voxel, not {numbers}")
    return (numbers[0], numbers[1], numbers[2])


def _floats(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
