"""The sampling grid of a simulated patient: slices, rows and columns in the LPS+ model grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a field of view over the head.

    The head model has its origin near the anterior commissure; its axes are x to the patient's
    left, y to the back, z to the top (mm). Slice 0 is inferior, row 0 anterior, column 0 the
    patient's right.

    Attributes:
        shape: slices, rows, columns.
        spacing_mm: distance of slices, rows, columns (mm).
        centre_mm: (x, y, z) of the field's middle in the head frame (mm).
        tilt_degrees: rotation of the field about x (pitch), y (roll) and z (yaw), degrees.
    """

    shape: tuple[int, int, int] = (100, 240, 240)
    spacing_mm: tuple[float, float, float] = (2.4, 1.0, 1.0)
    centre_mm: tuple[float, float, float] = (0.0, 8.0, -28.0)
    tilt_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if min(self.shape) < 2 or min(self.spacing_mm) <= 0:
            raise ValueError(f"a grid needs two voxels per axis and spacings > 0, got {self}")

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel (ml)."""
        return math.prod(self.spacing_mm) / 1000.0

    def axes(self, steps: tuple[int, int, int], device: torch.device) -> list[Tensor]:
        """Field coordinates (mm, before tilt and centring) of `steps` even samples per axis.

        Returns three vectors for slices (z), rows (y) and columns (x), each from the centre of
        the first voxel to that of the last.
        """
        halves = [
            0.5 * (size - 1) * spacing
            for size, spacing in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return [
            torch.linspace(-half, half, count, device=device)
            for half, count in zip(halves, steps, strict=True)
        ]

    def rotation(self) -> Tensor:
        """Field (x, y, z) → head (x, y, z), 3 x 3, float32."""
        return rotation_matrix(self.tilt_degrees)


def rotation_matrix(degrees: tuple[float, float, float]) -> Tensor:
    """Rotation about x, then y, then z (degrees) as a 3 x 3 float32 matrix for (x, y, z)."""
    (cx, sx), (cy, sy), (cz, sz) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in degrees
    )
    about_x = torch.tensor([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = torch.tensor([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_z = torch.tensor([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    return about_z @ about_y @ about_x
