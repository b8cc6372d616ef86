"""Where the slices of a series lie in the scanner, and the head among them: rigid maps.

Three frames, all with x to the patient's left, y to the back, z to the top (LPS+, mm): the *field*
of a series with its middle at the origin, the *scanner* in whose coordinates headers speak, and the
*head* of the anatomy. Head and scanner coincide up to a rotation while the patient lies still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from omnisyn.geometry import Geometry
from omnisyn.simulate.anatomy.grid import Grid, rotation_matrix
from omnisyn.simulate.fields import lattice_shape
from omnisyn.simulate.scanner import Exam

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Rigid:
    """A rotation and then a shift: point → ``rotation @ point + shift_mm``; 3 × 3 and 3."""

    rotation: NDArray[np.float64]
    shift_mm: NDArray[np.float64]

    @classmethod
    def of(cls, degrees: Triple, shift_mm: ArrayLike = (0.0, 0.0, 0.0)) -> Rigid:
        """Rotation about x, then y, then z (degrees), and a shift (mm)."""
        turn = rotation_matrix(degrees).double().numpy()
        return cls(turn, np.asarray(shift_mm, dtype=np.float64))

    def after(self, first: Rigid) -> Rigid:
        """The map that does ``first`` and then this one."""
        return Rigid(self.rotation @ first.rotation, self.rotation @ first.shift_mm + self.shift_mm)

    @property
    def inverse(self) -> Rigid:
        """The map back."""
        return Rigid(self.rotation.T, -self.rotation.T @ self.shift_mm)

    @property
    def degrees(self) -> Triple:
        """The angles of which ``of`` makes this rotation; its second one within ± 90."""
        turn = self.rotation
        roll = math.asin(float(np.clip(-turn[2, 0], -1.0, 1.0)))
        pitch = math.atan2(turn[2, 1], turn[2, 2])
        yaw = math.atan2(turn[1, 0], turn[0, 0])
        return math.degrees(pitch), math.degrees(roll), math.degrees(yaw)


def grid_of(shape: tuple[int, int, int], spacing_mm: Triple, field_to_head: Rigid) -> Grid:
    """The grid of the anatomy for a field whose middle the map takes to a place in the head."""
    x, y, z = (float(value) for value in field_to_head.shift_mm)
    return Grid(shape, spacing_mm, (x, y, z), field_to_head.degrees)


def header_geometry(grid: Grid, field_to_scanner: Rigid) -> Geometry:
    """What the header says of a field's images: voxel axes (column, row, slice), RAS+.

    Args:
        grid: whose shape and spacing count.
    """
    steps = np.array(grid.spacing_mm[::-1])
    shape = grid.shape[::-1]
    affine = np.eye(4)
    affine[:3, :3] = field_to_scanner.rotation * steps
    halves = 0.5 * (np.array(shape) - 1)
    affine[:3, 3] = field_to_scanner.shift_mm - affine[:3, :3] @ halves
    affine[:2] *= -1.0
    return Geometry(shape, affine + 0.0)


def seen_from(exam: Exam, own: Grid, other: Grid, of_scanner: Rigid, of_head: Rigid) -> Exam:
    """The exam as another field of view meets it.

    What belongs to the coil stays in the scanner, what belongs to the tissue goes with the head.

    Args:
        exam: drawn for the field ``own``.
        other: the other field.
        of_scanner: a point of the other field → the same place of the scanner in its own field.
        of_head: a point of the other field → the same place of the head in its own field.
    """

    def moved(lattice: Tensor, by: Rigid) -> Tensor:
        return _moved(lattice, _lengths(own), _lengths(other), by)

    def textures(stacks: Sequence[list[Tensor]]) -> tuple[list[Tensor], ...]:
        return tuple([moved(lattice, of_head) for lattice in stack] for stack in stacks)

    return replace(
        exam,
        receive_log=moved(exam.receive_log, of_scanner),
        transmit_log=moved(exam.transmit_log, of_scanner),
        shim_ppm=moved(exam.shim_ppm, of_scanner),
        textures=textures(exam.textures),
        grains=textures(exam.grains),
    )


def _lengths(grid: Grid) -> list[float]:
    """mm from the first to the last voxel along slices, rows and columns."""
    return [(size - 1) * spacing for size, spacing in zip(grid.shape, grid.spacing_mm, strict=True)]


def _moved(lattice: Tensor, own: Sequence[float], other: Sequence[float], by: Rigid) -> Tensor:
    """A lattice over one field sampled on one twice as fine over another.

    Beyond its own field the values at its edge go on.
    """
    step = min(length / (size - 1) for length, size in zip(own, lattice.shape, strict=True))
    shape = lattice_shape(other, step / 2)
    axes = [
        torch.linspace(-length / 2, length / 2, n) for length, n in zip(other, shape, strict=True)
    ]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    turn = torch.from_numpy(by.rotation).float()
    points = torch.stack([x, y, z], dim=-1) @ turn.T + torch.from_numpy(by.shift_mm).float()
    sampled = functional.grid_sample(
        lattice[None, None],
        points[None] / (torch.tensor(own[::-1]) / 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return sampled[0, 0]
