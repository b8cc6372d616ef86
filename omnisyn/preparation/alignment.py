"""Brings the contrasts of one patient onto the grid of one of them, interpolating each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnisyn.preparation.records import RegistrationRecord
from omnisyn.preparation.register import (
    Program,
    Registration,
    Transform,
    register,
    resample,
    resample_by,
)
from omnisyn.volumes.volume import Volume

LEAST_MOTION_MM = 0.5
"""A scan on the reference's grid that moved less than this stays as it is: interpolation would cost
more than so small a motion, which is within what a registration can tell."""


@dataclass(frozen=True)
class Aligned:
    """One contrast on the reference's grid.

    Attributes:
        volume: there.
        registration: how it came there; None where none was asked for and none was needed.
        resampled: whether its voxels were interpolated.
    """

    volume: Volume
    registration: Registration | None
    resampled: bool

    @property
    def applied(self) -> Registration | None:
        """The registration by which the voxels were interpolated, if they were by one."""
        return self.registration if self.resampled else None


def align(
    fixed: Volume, moving: Volume, *, transform: Transform, program: Program | None
) -> Aligned:
    """The moving scan on the fixed scan's grid.

    Args:
        program: that registers; None trusts the positions in the files.

    Raises:
        InputError: the two share no place.
        UsageError, ResourceError: the program is not installed, or fails.
    """
    same_grid = moving.geometry.matches(fixed.geometry)
    if program is None:
        return Aligned(
            moving if same_grid else resample_by(None, moving, fixed.geometry), None, not same_grid
        )
    found = register(fixed, moving, transform=transform, program=program)
    # On one grid the positions may be trusted: what is in doubt is not applied there.
    if same_grid and (found.doubts or found.motion_mm < LEAST_MOTION_MM):
        return Aligned(moving, found, False)
    return Aligned(resample(moving, found, fixed.geometry), found, True)


def record_of(
    aligned: Aligned, reference: str, *, transform: Transform, program: Program, file: str
) -> RegistrationRecord:
    """What is kept of it; `file` is that of the transform."""
    found = aligned.registration
    if found is None:
        raise ValueError("there was no registration")
    return RegistrationRecord(
        to=reference,
        program=program,
        transform=transform,
        file=file,
        resampled=aligned.resampled,
        motion_mm=round(found.motion_mm, 3),
        rotation_degrees=round(found.rotation_degrees, 3),
        mutual_information_before=round(-found.metric_before, 4),
        mutual_information_after=round(-found.metric_after, 4),
        edge_overlap_before=round(found.edge_overlap_before, 4),
        edge_overlap_after=round(found.edge_overlap_after, 4),
        doubts=found.doubts,
    )


def facts_of(record: RegistrationRecord | None) -> Mapping[str, Any]:
    """The same as entries of a sidecar."""
    if record is None:
        return {}
    return {
        "RegisteredTo": record.to,
        "RegistrationProgram": record.program,
        "RegistrationTransform": record.transform,
        "Resampled": record.resampled,
        "MotionMillimetres": record.motion_mm,
        "MutualInformationBefore": record.mutual_information_before,
        "MutualInformationAfter": record.mutual_information_after,
        "EdgeOverlapBefore": record.edge_overlap_before,
        "EdgeOverlapAfter": record.edge_overlap_after,
        "RegistrationDoubts": list(record.doubts),
    }
