"""Which affine a NIfTI file means, and the quaternion that says the same.

The policy, in this order (the warnings say which step was taken):

1. `sform_code` > 0 and a usable sform: the sform.
2. `qform_code` > 0: the qform (quaternion, offsets and pixdim).
3. Neither: left and right cannot be known from the file. Axes are taken as stored right to left,
   posterior to anterior, inferior to superior, centred on the grid, as nibabel and FSL do.

Where both forms are set and differ, the sform wins with a warning; where one of them mirrors the
other, the file is refused, since one of the two would swap left and right.

Source of the formulas: the NIfTI-1.1 standard header (nifti1.h), methods 2 and 3.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError

_MILLIMETRES_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two voxel axes that still counts as a right angle."""
FARTHEST_MM = 1e5
"""Largest distance of the first voxel from the origin; beyond, float32 headers lose 0.01 mm."""


def header_fault(name: str, why: str) -> InputError:
    """The refusal of a header, in the one form that all of them have."""
    return InputError(
        "the NIfTI header cannot be trusted", where=name, why=why, remedy="export the file again"
    )


def affine_of(
    fields: Any, shape: tuple[int, ...], name: str, warnings: list[str]
) -> NDArray[np.float64]:
    """The affine in mm that a raw header means for a grid of `shape`.

    Args:
        fields: the raw header record.
        name: basename of the file, for the messages.
        warnings: sentences on what was odd are added here.

    Raises:
        InputError: no affine can be trusted: flat, sheared, not finite, or the two forms mirror
            each other.
    """
    unit = int(fields["xyzt_units"]) & 0x07
    if unit not in _MILLIMETRES_PER_UNIT:
        raise header_fault(name, f"the unit of length has the unknown code {unit}")
    scale = _MILLIMETRES_PER_UNIT[unit]
    if unit in (1, 3):
        warnings.append("lengths are stored in metres or micrometres and were turned into mm")
    spacing = _pixdim(fields, warnings)
    sform = _sform(fields, warnings) if int(fields["sform_code"]) > 0 else None
    qform = _qform(fields, spacing) if int(fields["qform_code"]) > 0 else None

    if sform is not None and qform is not None:
        _compare_forms(sform, qform, shape, scale, name, warnings)
    affine = sform if sform is not None else qform
    if affine is None:
        affine = _unstated(fields, spacing, shape, name)
        warnings.append(
            "neither qform nor sform is set: left and right cannot be known from this file, "
            "the first axis is taken to run from right to left"
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing is not None and sform is not None and not np.allclose(lengths, spacing, rtol=0.01):
        warnings.append(
            "the header's pixdim contradicts its sform: voxel sizes are taken from the sform"
        )
    if spacing is None:
        warnings.append("the header's pixdim is zero or not a number: sizes are from the affine")
    affine = affine.copy()
    affine[:3] *= scale
    check_affine(affine, name)
    return affine


def check_affine(affine: NDArray[np.float64], name: str) -> None:
    """Refuse an affine that is not finite, is flat, far away or sheared (`SHEAR_TOLERANCE`).

    Raises:
        InputError: see above.
    """
    if not np.isfinite(affine).all():
        raise header_fault(name, "its affine holds values that are not finite")
    if np.abs(affine).max() > FARTHEST_MM:
        raise header_fault(name, f"its affine has entries of up to {np.abs(affine).max():.3g} mm")
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if (lengths < 1e-6).any() or abs(np.linalg.det(axes)) < 1e-9 * lengths.prod():
        raise header_fault(
            name, "its affine is flat: a voxel axis has no length or lies in the others"
        )
    directions = axes / lengths
    cosines = np.abs(directions.T @ directions - np.eye(3)).max()
    if cosines > SHEAR_TOLERANCE:
        raise InputError(
            "the voxel axes are sheared",
            where=name,
            why=f"two axes are {np.degrees(np.arccos(min(cosines, 1))):.2f} degrees apart, not 90",
            remedy="resample the volume onto a right-angled grid",
        )


def _pixdim(fields: Any, warnings: list[str]) -> NDArray[np.float64] | None:
    spacing = np.asarray(fields["pixdim"][1:4], dtype=np.float64)
    if not np.isfinite(spacing).all() or (spacing == 0).any():
        return None
    if (spacing < 0).any():
        warnings.append("the header's pixdim is negative: its sign is ignored")
    return np.abs(spacing)


def _sform(fields: Any, warnings: list[str]) -> NDArray[np.float64] | None:
    sform = np.eye(4)
    sform[:3] = fields["srow"]
    if not np.isfinite(sform).all() or (np.linalg.norm(sform[:3, :3], axis=0) < 1e-6).any():
        warnings.append("the sform is set but unusable (zero or not finite): it is ignored")
        return None
    return sform


def _qform(fields: Any, spacing: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Quaternion to matrix, as nifti1.h's method 2."""
    b, c, d = (float(value) for value in fields["quatern"])
    squares = b * b + c * c + d * d
    if spacing is None or not np.isfinite(squares) or squares > 1.001:
        return None
    rounding = 3.0 * float(np.finfo(fields["quatern"].dtype).eps)
    if squares > 1.0 - rounding:
        # A half turn: what is left for `a` is rounding, and its root would tilt the image.
        b, c, d = (value / np.sqrt(squares) for value in (b, c, d))
        squares = 1.0
    a = np.sqrt(1.0 - squares)
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if float(fields["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing * [1.0, 1.0, handedness]
    affine[:3, 3] = fields["qoffset"]
    return affine


def _unstated(
    fields: Any, spacing: NDArray[np.float64] | None, shape: tuple[int, ...], name: str
) -> NDArray[np.float64]:
    if int(fields["sform_code"]) > 0 or int(fields["qform_code"]) > 0:
        raise header_fault(name, "its sform and qform are set but neither can be used")
    if spacing is None:
        raise header_fault(name, "it has no affine, and its pixdim is zero or not a number")
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2)
    return affine


def _compare_forms(
    sform: NDArray[np.float64],
    qform: NDArray[np.float64],
    shape: tuple[int, ...],
    scale: float,
    name: str,
    warnings: list[str],
) -> None:
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        raise InputError(
            "sform and qform contradict each other: one of them mirrors the image",
            where=name,
            remedy="find out which one is right and write it into both",
        )
    corners = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners[:, :3] *= np.array(shape[:3]) - 1
    apart = scale * float(np.linalg.norm(corners @ (sform - qform).T, axis=1).max())
    if apart > 0.1:
        warnings.append(f"sform and qform differ by up to {apart:.1f} mm: the sform is used")


def quaternion_of(affine: NDArray[np.float64]) -> tuple[tuple[float, float, float], float]:
    """(b, c, d) and qfac of the rotation nearest to the affine's directions (polar part)."""
    axes = affine[:3, :3]
    directions = axes / np.linalg.norm(axes, axis=0)
    handedness = -1.0 if np.linalg.det(directions) < 0 else 1.0
    left, _, right = np.linalg.svd(directions * [1.0, 1.0, handedness])
    r = left @ right
    # The unit eigenvector of Shepperd's symmetric matrix: stable for every rotation.
    matrix = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    a, b, c, d = np.linalg.eigh(matrix)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return (sign * b, sign * c, sign * d), handedness
