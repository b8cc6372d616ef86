"""Simulated heads that were scanned again after a known motion, each contrast on its own grid.

The head is built anew on the moved grid, so that no image is interpolated; the header says that
nothing moved. The second scan has slices, pixels, coil, noise and shading of its own. Within a
series nobody moves, and no series is off the first by more than the motion that is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.geometry import Affine
from omnisyn.simulate.anatomy import build_anatomy, draw_anatomy
from omnisyn.simulate.anatomy.grid import rotation_matrix
from omnisyn.simulate.anatomy.tumour import TumourSettings
from omnisyn.simulate.cohort import load_cohort, patient_generator
from omnisyn.simulate.patient import (
    ExamPlan,
    FieldOfView,
    SimulatedPatient,
    child,
    draw_exam_plan,
    draw_field_of_view,
    scan,
)
from omnisyn.simulate.protocols import SiteProfile, draw
from omnisyn.volumes.volume import Provenance, Volume

CONTRASTS = ("T1", "T1c", "T2", "FLAIR", "PD", "MRA")
REFERENCE = "T1"
# Brain, head and neck; 1.5 and 3 T; every one makes all six contrasts.
PROFILES = (
    "hospital11", "hospital07", "external10", "hospital12",
    "external13", "hospital13", "hospital10", "hospital08",
)  # fmt: skip
MOST_MM, MOST_DEGREES = 15.0, 15.0
_TRUTH_POINTS = 2000


@dataclass(frozen=True)
class DisplacedScan:
    """One contrast, and where the head had gone.

    Attributes:
        motion: 4×4, mm in LPS+, points of the reference scan to points of this one.
    """

    contrast: str
    volume: Volume
    motion: Affine


@dataclass(frozen=True)
class DisplacedHead:
    """A patient: the reference scan, points in the head (mm, LPS+, [n, 3]) and further scans."""

    name: str
    tumour: bool
    reference: Volume
    points: NDArray[np.float64]
    scans: tuple[DisplacedScan, ...]


def displaced_heads(
    patients: int, seed: int, *, chemical_shift: bool = True
) -> Iterator[DisplacedHead]:
    """Patients one after the other, every second one with a tumour.

    Args:
        chemical_shift: whether the readout displaces fat, which then has no place in common with
            water; the truth is that of water.
    """
    for number in range(patients):
        profile = PROFILES[number % len(PROFILES)]
        generator = patient_generator(seed, "sim-displaced", number)
        tumour = number % 2 == 0
        name = f"{number + 1:02d} {profile}"
        yield _head(name, _still(profile), tumour, chemical_shift, generator)


def _still(name: str) -> SiteProfile:
    """A shipped profile, of whole heads that keep still, so that the motion is the known one."""
    profile = load_cohort("hospitals").profiles[name]
    effects = profile.effects.model_copy(
        update={
            "misregistration_mm": (0.0, 0.0),
            "misregistration_degrees": (0.0, 0.0),
            "motion_probability": 0.0,
        }
    )
    return profile.model_copy(update={"effects": effects, "brain_extracted": 0.0})


def _head(
    name: str,
    profile: SiteProfile,
    tumour: bool,
    chemical_shift: bool,
    generator: torch.Generator,
) -> DisplacedHead:
    view = draw_field_of_view(profile, child(generator))
    anatomy = draw_anatomy(child(generator), tumour=TumourSettings() if tumour else None)
    plan = draw_exam_plan(profile, view, child(generator), [REFERENCE])
    plan = plan if chemical_shift else _without_shift(plan)
    first = scan(build_anatomy(anatomy, view.fine), view, plan)
    # The patient stays on one machine.
    profile = profile.model_copy(update={"scanners": (plan.scanner,)})
    scans = []
    for contrast in CONTRASTS:
        header = draw_field_of_view(profile, child(generator))
        motion = _motion(np.array(view.grid.centre_mm), generator)
        moved = _moved(header, view, motion)
        again = draw_exam_plan(profile, header, child(generator), [contrast])
        again = replace(again, tissues=plan.tissues)
        again = again if chemical_shift else _without_shift(again)
        second = scan(build_anatomy(anatomy, moved.fine), moved, again)
        volume = _volume(replace(second, geometry=header.geometry), contrast)
        scans.append(DisplacedScan(contrast, volume, motion))
    return DisplacedHead(
        name, tumour, _volume(first, REFERENCE), _points_in_head(first), tuple(scans)
    )


def _without_shift(plan: ExamPlan) -> ExamPlan:
    """So wide a bandwidth that fat lies where it is."""
    series = {name: replace(each, bandwidth_hz=1e9) for name, each in plan.series.items()}
    return replace(plan, series=series)


def _motion(centre: NDArray[np.float64], generator: torch.Generator) -> Affine:
    """A turn about a random axis through a point and a shift along each axis."""
    axis = torch.randn(3, generator=generator, dtype=torch.float64).numpy()
    x, y, z = axis / np.linalg.norm(axis)
    angle = math.radians(draw((-MOST_DEGREES, MOST_DEGREES), generator))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    motion = np.eye(4)
    # Rodrigues' formula.
    motion[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    shift = np.array([draw((-MOST_MM, MOST_MM), generator) for _ in range(3)])
    motion[:3, 3] = centre + shift - motion[:3, :3] @ centre
    return motion


def _moved(header: FieldOfView, first: FieldOfView, motion: Affine) -> FieldOfView:
    """Where the second scan's grid lies in the head, if its header is `header`.

    A point of the first header lies in the head at `turn (point - centre) + centre`, with the
    first grid's own turn and centre.
    """
    turn = rotation_matrix(first.grid.tilt_degrees).double().numpy()
    centre = np.array(first.grid.centre_mm)
    back = np.linalg.inv(motion)
    place = back[:3, :3] @ np.array(header.grid.centre_mm) + back[:3, 3]
    x, y, z = (turn @ (place - centre) + centre).tolist()
    grid = replace(header.grid, centre_mm=(x, y, z), tilt_degrees=_tilt(turn @ back[:3, :3]))
    return replace(header, grid=grid)


def _tilt(turn: NDArray[np.float64]) -> tuple[float, float, float]:
    """The degrees about x, then y, then z, of which `rotation_matrix` makes this rotation."""
    return (
        math.degrees(math.atan2(turn[2, 1], turn[2, 2])),
        math.degrees(-math.asin(turn[2, 0])),
        math.degrees(math.atan2(turn[1, 0], turn[0, 0])),
    )


def _volume(patient: SimulatedPatient, contrast: str) -> Volume:
    voxels = patient.geometry.from_slices(patient.images[contrast].numpy())
    return Volume(voxels, patient.geometry, provenance=Provenance(name=contrast))


def _points_in_head(patient: SimulatedPatient) -> NDArray[np.float64]:
    """Even samples of the head's voxels, air in it included, and of the tumour: mm, LPS+."""
    chosen = []
    for mask in (patient.head, patient.tumour):
        indices = np.argwhere(patient.geometry.from_slices(mask.numpy()))
        chosen.append(indices[:: max(1, len(indices) // _TRUTH_POINTS)])
    affine = patient.geometry.affine
    world = np.concatenate(chosen) @ affine[:3, :3].T + affine[:3, 3]
    return np.asarray(world * [-1.0, -1.0, 1.0])
