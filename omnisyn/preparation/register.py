"""Registers one scan of a patient to another, checks the result, and resamples by it.

The same samples and starts are taken every time, so that a scan registers alike whenever it is
registered. A result of `sitk` is never worse, by the metric, than trusting the positions in the
files.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import SimpleITK

from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.preparation import deformation, registration_check
from omnisyn.preparation.images import empty_image, to_array, to_image
from omnisyn.preparation.interior import interior
from omnisyn.preparation.registration_programs import by_flirt, by_greedy
from omnisyn.preparation.rigid import refined, rigid_start, searched
from omnisyn.preparation.similarity import mass_centre, metric, on_working_grid
from omnisyn.volumes.atomic import write_bytes_atomic
from omnisyn.volumes.volume import Volume

Transform = Literal["rigid", "affine", "bspline"]
Program = Literal["sitk", "greedy", "flirt"]
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
PROGRAMS: tuple[Program, ...] = get_args(Program)

INTERPOLATION = "cubic B-spline"
TRANSFORM_SUFFIX = ".tfm"
"""ITK's text format, which SimpleITK, ANTs and 3D Slicer read."""


@dataclass(frozen=True)
class Registration:
    """Where one scan lies in another, and what speaks for it.

    Attributes:
        transform: SimpleITK's, points of the fixed scan to points of the moving one (mm, LPS+).
        metric_before: negative mutual information (nat) where the positions in the files are
            trusted; lower is better.
        metric_after: the same with the transform.
        motion_mm: mean displacement of the eight corners of the fixed head's box.
        rotation_degrees: angle of the rigid part.
        edge_overlap_before, edge_overlap_after: how well the edges of the two meet, 0 to 1.
        doubts: why somebody should look at it, one short sentence each; empty where nothing speaks
            against it.
    """

    transform: Any
    metric_before: float
    metric_after: float
    motion_mm: float
    rotation_degrees: float
    edge_overlap_before: float
    edge_overlap_after: float
    doubts: tuple[str, ...] = ()


def register(
    fixed: Volume,
    moving: Volume,
    *,
    transform: Transform = "rigid",
    program: Program = "sitk",
) -> Registration:
    """Finds where the head of one scan lies in another scan of the same patient.

    Args:
        transform: what the head may do between the two scans: `bspline` is for necks that bend.
        program: that registers.

    Raises:
        InputError: the two scans share no place, or hardly any, by the positions in their files.
        UsageError: the program is not installed, or knows no such transform.
        ResourceError: the program fails.
    """
    target, source = on_working_grid(fixed), on_working_grid(moving)
    corners = registration_check.head_corners(fixed)
    identity = rigid_start(corners.mean(axis=0), np.zeros(3))
    before = metric(target, source, identity)
    if not math.isfinite(before):
        raise InputError(
            "two scans of one patient share no place",
            where=moving.provenance.name,
            why=f"it hardly overlaps with {fixed.provenance.name}, or not at all",
            remedy="check that both are scans of one patient, in one scanner space",
        )
    mask = interior(fixed, target)
    if program == "sitk":
        by_mass = rigid_start(corners.mean(axis=0), mass_centre(moving) - mass_centre(fixed))
        search = searched(target, source, [identity, by_mass], mask)
        linear = search.best
        disagreements = [
            ("another start", registration_check.motion_between(other, search.approached, corners))
            for other in search.others
        ]
    else:
        linear, disagreements = _by_program(fixed, moving, transform, program), []
    turned = np.array(linear.GetMatrix()).reshape(3, 3)
    back = refined(source, target, linear.GetInverse(), interior(moving, source))
    disagreements.append(
        ("the way back", registration_check.motion_between(back.GetInverse(), linear, corners))
    )
    found = linear
    if program == "sitk" and transform != "rigid":
        found = deformation.affine(target, source, linear, mask)
        if transform == "bspline":
            found = deformation.bspline(target, source, found)
    after = metric(target, source, found)
    edges_before, _ = registration_check.edge_overlap(target, source, identity)
    edges_after, shared = registration_check.edge_overlap(target, source, found)
    motion = registration_check.motion_between(found, identity, corners)
    rotation = registration_check.rotation_degrees(turned)
    return Registration(
        transform=found,
        metric_before=before,
        metric_after=after,
        motion_mm=motion,
        rotation_degrees=rotation,
        edge_overlap_before=edges_before,
        edge_overlap_after=edges_after,
        doubts=registration_check.doubts(
            motion_mm=motion,
            rotation=rotation,
            information=-after,
            edges_before=edges_before,
            edges_after=edges_after,
            shared=shared,
            disagreements=disagreements,
        ),
    )


def resample(moving: Volume, registration: Registration, onto: Geometry) -> Volume:
    """The moving scan on the fixed scan's grid: interpolated once, none below 0, 0 outside it."""
    return resample_by(registration.transform, moving, onto)


def resample_by(transform: Any | None, moving: Volume, onto: Geometry) -> Volume:
    """A scan on another grid: interpolated once, none below 0, 0 outside it.

    Args:
        transform: SimpleITK's, points of that grid to points of the scan (mm, LPS+); None where
            the positions in the files are trusted.
    """
    resampled = SimpleITK.Resample(
        to_image(moving.voxels, moving.geometry),
        empty_image(onto),
        SimpleITK.Transform() if transform is None else transform,
        SimpleITK.sitkBSpline,
        0.0,
        SimpleITK.sitkFloat32,
    )
    return replace(moving, voxels=np.maximum(to_array(resampled), 0.0), geometry=onto)


def write_transform(path: Path, registration: Registration) -> None:
    """Keeps a transform in ITK's text format; the name ends in `TRANSFORM_SUFFIX`.

    Raises:
        ResourceError: the disk is full, read-only or gone.
    """
    # SimpleITK writes to a name only, and not whole or not at all.
    with tempfile.TemporaryDirectory(prefix="omnisyn-") as folder:
        draft = Path(folder) / f"transform{TRANSFORM_SUFFIX}"
        SimpleITK.WriteTransform(registration.transform, str(draft))
        write_bytes_atomic(path, draft.read_bytes())


def _by_program(fixed: Volume, moving: Volume, transform: Transform, program: Program) -> Any:
    """Errors as in ``register``."""
    if transform == "bspline":
        raise UsageError(
            f"{program} makes no B-spline transform here",
            remedy="choose rigid or affine, or register with sitk",
        )
    return (by_greedy if program == "greedy" else by_flirt)(fixed, moving, transform)
