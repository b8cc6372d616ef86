"""Brings the contrasts of one patient onto one grid and, where asked for, to the brain alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnisyn.errors import InputError
from omnisyn.listeners import Note, unheard
from omnisyn.studies.patient import Patient
from omnisyn.volumes.read import read_sidecar
from omnisyn.volumes.write import write_volume

if TYPE_CHECKING:
    from omnisyn.preparation.brain import Atlas


def read_atlases(paths: Sequence[Path]) -> list[Atlas]:
    """Reads label maps of heads. Errors as in ``brain.read_atlas``."""
    if not paths:
        return []
    from omnisyn.preparation.brain import read_atlas

    return [read_atlas(path) for path in paths]


def align_patient(patient: Patient, atlases: Sequence[Atlas] = (), note: Note = unheard) -> None:
    """Registers a patient's volumes to its first contrast, in place, where their grids differ.

    With atlases, all of its volumes are set to 0 outside the brain. A volume that is on the
    reference grid and keeps its surroundings is not written.

    Raises:
        InputError: a volume is damaged or shares no place with the first, or no brain is found.
        ResourceError: the disk is full or read-only.
    """
    volumes = {name: patient.volume(name) for name in patient.contrasts()}
    reference, *others = volumes
    facts: dict[str, dict[str, Any]] = {name: {} for name in volumes}
    fixed = volumes[reference]
    moved = []
    for name in others:
        if volumes[name].geometry.matches(fixed.geometry):
            continue
        # Heavy, and not needed where everything is aligned.
        from omnisyn.preparation.register import INTERPOLATION, register, resample

        with _told_of(patient, name):
            found = register(fixed, volumes[name])
        volumes[name] = resample(volumes[name], found, fixed.geometry)
        facts[name] = {
            "RegisteredTo": reference,
            "MotionMillimetres": round(found.motion_mm, 3),
            "MutualInformationBefore": round(-found.metric_before, 4),
            "MutualInformationAfter": round(-found.metric_after, 4),
            "Interpolation": INTERPOLATION,
        }
        moved.append(f"{name} by {found.motion_mm:.1f} mm")
    if moved:
        note(f"{patient.identifier}: registered to {reference}: {', '.join(moved)}")
    if atlases:
        from omnisyn.preparation.brain import brain_mask

        with _told_of(patient, reference):
            mask = brain_mask(fixed, atlases)
        for name, volume in volumes.items():
            alone = np.where(mask, volume.voxels, np.float32(0))
            volumes[name] = replace(volume, voxels=alone)
            facts[name]["BrainOnly"] = True
    for name, added in facts.items():
        if added:
            path = patient.file(name)
            write_volume(
                path,
                volumes[name].voxels,
                volumes[name].geometry,
                sidecar={**read_sidecar(path), **added},
                like=fixed,
                overwrite=True,
            )


@contextmanager
def _told_of(patient: Patient, name: str) -> Iterator[None]:
    """Among many patients the name of a file alone would not say whose it is."""
    try:
        yield
    except InputError as error:
        raise InputError(
            error.what, where=f"{patient.label}/{name}", why=error.why, remedy=error.remedy
        ) from error
