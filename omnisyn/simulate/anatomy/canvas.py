"""Painting structures into the voxel grid, each inside its own bounding box."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.grid import Grid, rotation_matrix
from omnisyn.simulate.anatomy.noise import NoiseField
from omnisyn.simulate.anatomy.shapes import Point
from omnisyn.simulate.anatomy.structures import structure_index

COARSE_STEP_MM = 2.5


@dataclass(frozen=True)
class Deformation:
    """How one head differs from the template: size, pose and a smooth warp.

    Attributes:
        size: multipliers for (x, y, z).
        pose_degrees: rotation of the head in the field about x, y, z.
        shift_mm: displacement of the head in the field (x, y, z).
        warps: pairs of noise field (3 channels) and its amplitude (mm).
    """

    size: Point
    pose_degrees: Point
    shift_mm: Point
    warps: tuple[tuple[NoiseField, float], ...]


@dataclass(frozen=True)
class Region:
    """A box of the canvas: model coordinates (mm) and a writable view of the structures."""

    x: Tensor
    y: Tensor
    z: Tensor
    structures: Tensor
    slices: tuple[slice, slice, slice]

    def paint(self, mask: Tensor, name: str, only: Iterable[str] | None = None) -> None:
        """Write a structure where `mask`, where given only over the structures in `only`."""
        if only is not None:
            mask = mask & self.among(only)
        self.structures.masked_fill_(mask, structure_index(name))

    def among(self, names: Iterable[str]) -> Tensor:
        """Voxels that hold one of the named structures."""
        table = torch.zeros(256, dtype=torch.bool, device=self.structures.device)
        table[[structure_index(name) for name in names]] = True
        return table[self.structures.int()]


class Canvas:
    """Structure map under construction, with the model coordinates of every voxel.

    Attributes:
        structures: uint8 [slices, rows, columns].
        x, y, z: model coordinates (mm), same shape.
        coarse: x, y, z on an even lattice of about 2.5 mm over the same field, for smooth fields
            that `upsample` brings to the voxels.
    """

    def __init__(
        self, grid: Grid, deformation: Deformation, jitter: Tensor, device: torch.device
    ) -> None:
        self.grid = grid
        self.device = device
        self._jitter: list[list[list[float]]] = jitter.tolist()
        extents = [
            (size - 1) * step for size, step in zip(grid.shape, grid.spacing_mm, strict=True)
        ]
        slices, rows, columns = (
            min(size, max(2, math.ceil(extent / COARSE_STEP_MM) + 1))
            for size, extent in zip(grid.shape, extents, strict=True)
        )
        self.coarse_shape = (slices, rows, columns)
        self._weights = [
            _interpolation(size, count, device)
            for size, count in zip(grid.shape, self.coarse_shape, strict=True)
        ]
        z, y, x = (
            axis.reshape(shape)
            for axis, shape in zip(
                grid.axes(self.coarse_shape, device),
                ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
                strict=True,
            )
        )
        turn = rotation_matrix(deformation.pose_degrees).T @ grid.rotation()
        shift = torch.tensor(grid.centre_mm) - torch.tensor(deformation.shift_mm)
        shift = rotation_matrix(deformation.pose_degrees).T @ shift
        self._turn, self._shift = turn, shift
        self._size = deformation.size
        head = [
            (turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z + shift[axis])
            / deformation.size[axis]
            for axis in range(3)
        ]
        warp = torch.zeros(3, *self.coarse_shape, device=device)
        for field, amplitude in deformation.warps:
            warp += amplitude * field.at(*head)
        self._reach = float(warp.abs().amax()) + 1.0
        self.coarse = tuple(head[axis] + warp[axis] for axis in range(3))
        whole = tuple(slice(0, size) for size in grid.shape)
        self.x, self.y, self.z = (self.upsample(axis, whole) for axis in self.coarse)
        self.structures = torch.zeros(grid.shape, dtype=torch.uint8, device=device)

    def upsample(self, field: Tensor, box: Sequence[slice]) -> Tensor:
        """Trilinear values at the voxels of a box, of a field given on the coarse lattice."""
        for axis in (0, 1, 2):
            low, weight = self._weights[axis]
            low, weight = low[box[axis]], weight[box[axis]]
            shape = [1, 1, 1]
            shape[axis] = -1
            first = field.index_select(axis, low)
            field = torch.lerp(first, field.index_select(axis, low + 1), weight.reshape(shape))
        return field

    def box(self, low: Point, high: Point) -> tuple[slice, slice, slice] | None:
        """Voxel range that surely holds the model box; None where it lies outside the field."""
        corners = torch.tensor(
            [
                [(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
                for i in (0, 1)
                for j in (0, 1)
                for k in (0, 1)
            ]
        )
        head = corners + torch.sign(corners - corners.mean(0)) * self._reach
        field = (head * torch.tensor(self._size) - self._shift) @ self._turn
        ranges = []
        for axis, component in ((0, 2), (1, 1), (2, 0)):
            middle = 0.5 * (self.grid.shape[axis] - 1)
            index = field[:, component] / self.grid.spacing_mm[axis] + middle
            start = max(0, math.floor(float(index.min())))
            stop = min(self.grid.shape[axis], math.ceil(float(index.max())) + 1)
            if stop <= start:
                return None
            ranges.append(slice(start, stop))
        return ranges[0], ranges[1], ranges[2]

    def region(self, low: Point, high: Point) -> Region | None:
        """The part of the canvas around a model box (mm), or None outside the field."""
        box = self.box(low, high)
        return None if box is None else self.cut(box)

    def cut(self, box: tuple[slice, slice, slice]) -> Region:
        """The region of a voxel box."""
        return Region(self.x[box], self.y[box], self.z[box], self.structures[box], box)

    def whole(self) -> Region:
        """The whole canvas as a region."""
        return Region(
            self.x,
            self.y,
            self.z,
            self.structures,
            (slice(0, self.x.shape[0]), slice(0, self.x.shape[1]), slice(0, self.x.shape[2])),
        )

    def variation(self, name: str, side: int) -> list[float]:
        """Ten standard normal numbers of this head for a structure and side (-1, 0, +1)."""
        return self._jitter[structure_index(name)][side + 1]

    def ellipsoid(
        self,
        name: str,
        centre: Point,
        radii: Point,
        *,
        angles: Point = (0.0, 0.0, 0.0),
        exponent: float = 2.0,
        paired: bool = False,
        only: Iterable[str] | None = None,
        shells: Sequence[tuple[str, float]] = (),
        vary: str | None = None,
        fixed: bool = False,
    ) -> None:
        """Paint a superquadric, given on the patient's left and mirrored if `paired`.

        `shells` are painted first, each a structure and the thickness (mm) it adds around. The
        variation of `vary` (the structure itself by default) moves and reshapes it, unless it is
        `fixed`.
        """
        inner = None if only is None else (*only, *(shell for shell, _ in shells))
        for side in (1, -1) if paired else (0,):
            numbers = [0.0] * 10 if fixed else self.variation(vary or name, side)
            place = tuple(c + 0.7 * n for c, n in zip(centre, numbers[0:3], strict=True))
            if side == 0:
                place = (centre[0] + 0.3 * numbers[0], place[1], place[2])
            sizes = tuple(
                r * math.exp(0.06 * max(-2.5, min(2.5, n)))
                for r, n in zip(radii, numbers[3:6], strict=True)
            )
            spread = tuple(a + 2.0 * n for a, n in zip(angles, numbers[6:9], strict=True))
            rotation = rotation_matrix((spread[0], spread[1], spread[2]))
            outer = max((thickness for _, thickness in shells), default=0.0) + 1.0
            reach = (rotation.abs() @ torch.tensor(sizes)).tolist()
            low = [c - r - outer for c, r in zip(place, reach, strict=True)]
            high = [c + r + outer for c, r in zip(place, reach, strict=True)]
            for region, x in self._sided(low, high, side):
                distance = shapes.ellipsoid(
                    x,
                    region.y,
                    region.z,
                    (place[0], place[1], place[2]),
                    (sizes[0], sizes[1], sizes[2]),
                    exponent,
                    rotation,
                )
                for shell, thickness in shells:
                    region.paint(distance < thickness, shell, only)
                region.paint(distance < 0, name, inner)

    def tube(
        self,
        name: str,
        points: Sequence[Point],
        radii: Sequence[float],
        *,
        squash: Point = (1.0, 1.0, 1.0),
        paired: bool = False,
        only: Iterable[str] | None = None,
        shells: Sequence[tuple[str, float]] = (),
        vary: str | None = None,
    ) -> None:
        """Paint a swept tube through `points` with a radius at each; see `ellipsoid`."""
        layers = [*shells, (name, 0.0)]
        allowed = None if only is None else (*only, *(shell for shell, _ in shells))
        for side in (1, -1) if paired else (0,):
            numbers = self.variation(vary or name, side)
            scale = math.exp(0.08 * max(-2.5, min(2.5, numbers[3])))
            moved = [
                (
                    p[0] + (0.6 if side else 0.3) * numbers[0],
                    p[1] + 0.7 * numbers[1],
                    p[2] + 0.7 * numbers[2],
                )
                for p in points
            ]
            for layer, thickness in layers:
                for index in range(len(points) - 1):
                    start, end = moved[index], moved[index + 1]
                    first = radii[index] * scale + thickness
                    last = radii[index + 1] * scale + thickness
                    reach = [max(first, last) * factor + 1.0 for factor in squash]
                    low = [min(a, b) - r for a, b, r in zip(start, end, reach, strict=True)]
                    high = [max(a, b) + r for a, b, r in zip(start, end, reach, strict=True)]
                    for region, x in self._sided(low, high, side):
                        distance = shapes.capsule(
                            x, region.y, region.z, start, end, first, last, squash
                        )
                        region.paint(distance < 0, layer, allowed)

    def _sided(
        self, low: Sequence[float], high: Sequence[float], side: int
    ) -> Iterator[tuple[Region, Tensor]]:
        if side < 0:
            low, high = [-high[0], *low[1:]], [-low[0], *high[1:]]
        region = self.region((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        if region is not None:
            yield region, (-region.x if side < 0 else region.x)


def _interpolation(size: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    position = torch.linspace(0, count - 1, size, device=device)
    low = position.floor().long().clamp_max(count - 2)
    return low, position - low
