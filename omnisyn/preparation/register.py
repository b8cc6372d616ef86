"""Registers one scan of a patient to another, checks the result, and resamples by it.

The same samples and starts are taken every time, so that a scan registers alike whenever it is
registered. A result of `sitk` is never worse, by the metric, than trusting the positions in the
files.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import SimpleITK
from numpy.typing import NDArray

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
    pair = _Pair.of(fixed, moving)
    if program != "sitk":
        linear = _by_program(fixed, moving, transform, program)
        return pair.checked(linear, linear, ())
    shift = mass_centre(moving) - mass_centre(fixed)
    by_mass = rigid_start(pair.corners.mean(axis=0), shift)
    search = searched(pair.target, pair.source, [pair.identity, by_mass], pair.target_interior)
    found = search.best
    if transform != "rigid":
        found = deformation.affine(pair.target, pair.source, found, pair.target_interior)
    if transform == "bspline":
        found = deformation.bspline(pair.target, pair.source, found)
    ways = [
        ("another start", registration_check.motion_between(end, search.approached, pair.corners))
        for end in search.others
    ]
    return pair.checked(found, search.best, ways)


def checked(fixed: Volume, moving: Volume, transform: Any) -> Registration:
    """What speaks for and against a linear transform, wherever it came from.

    Args:
        transform: SimpleITK's rigid or affine one, points of the fixed scan to points of the
            moving one (mm, LPS+).

    Raises:
        InputError: as in ``register``.
    """
    return _Pair.of(fixed, moving).checked(transform, transform, ())


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


@dataclass(frozen=True)
class _Pair:
    """Two scans on the working grid; the interiors are SimpleITK's masks, where there are any."""

    target: Any
    source: Any
    target_interior: Any | None
    source_interior: Any | None
    corners: NDArray[np.float64]
    identity: Any
    metric_before: float

    @classmethod
    def of(cls, fixed: Volume, moving: Volume) -> _Pair:
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
        interiors = interior(fixed, target), interior(moving, source)
        return cls(target, source, *interiors, corners, identity, before)

    def checked(
        self, found: Any, linear: Any, disagreements: Sequence[tuple[str, float]]
    ) -> Registration:
        """The registration with its doubts.

        Args:
            found: the transform.
            linear: its rigid part, or itself where it is linear.
            disagreements: other ways to the same place and how far from it each ended, mm.
        """
        back = refined(self.source, self.target, linear.GetInverse(), self.source_interior)
        apart = registration_check.motion_between(back.GetInverse(), linear, self.corners)
        after = metric(self.target, self.source, found)
        overlaps = [
            registration_check.edge_overlap(self.target, self.source, each)
            for each in (self.identity, found)
        ]
        motion = registration_check.motion_between(found, self.identity, self.corners)
        rotation = registration_check.rotation_degrees(np.reshape(linear.GetMatrix(), (3, 3)))
        (edges_before, _), (edges_after, shared) = overlaps
        return Registration(
            transform=found,
            metric_before=self.metric_before,
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
                disagreements=[*disagreements, ("the way back", apart)],
            ),
        )


def _by_program(fixed: Volume, moving: Volume, transform: Transform, program: Program) -> Any:
    """Errors as in ``register``."""
    if transform == "bspline":
        raise UsageError(
            f"{program} makes no B-spline transform here",
            remedy="choose rigid or affine, or register with sitk",
        )
    return (by_greedy if program == "greedy" else by_flirt)(fixed, moving, transform)
