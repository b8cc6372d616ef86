"""The patients of a folder of real heads, held in memory slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.evaluation.controls import CurveSums
from omnisyn.evaluation.lesions import Lesion, find_lesions, label_lesions
from omnisyn.evaluation.results import Direction
from omnisyn.evaluation.scoring import REGIONS, subject_of
from omnisyn.studies.patient import Patient
from omnisyn.studies.site import SITE_FILE, Site, site_at
from omnisyn.volumes.normalize import head_mask, head_slices

SINGLE = tuple(
    Direction((source,), target)
    for source, target in (
        ("T1", "T2"),
        ("T2", "T1"),
        ("T1", "FLAIR"),
        ("FLAIR", "T1"),
        ("T2", "FLAIR"),
        ("FLAIR", "T2"),
        ("T1", "T1c"),
        ("T1c", "T1"),
        ("T2", "T1c"),
    )
)
PAIRED = tuple(
    Direction(sources, target)
    for sources, target in (
        (("T1", "T2"), "FLAIR"),
        (("T1", "FLAIR"), "T2"),
        (("T2", "FLAIR"), "T1"),
        (("T1", "T2"), "T1c"),
    )
)


@dataclass(frozen=True)
class Head:
    """One patient.

    Attributes:
        site, patient, subject: names; studies of one subject are never each other's controls.
        simulated: whether it comes from the simulator.
        scaled: contrast → (slices, rows, columns) in [0, 1], the slices that are looked at.
        places: the number of each of these slices in the volume.
        regions: mask name → bool of the same shape.
        lesions: mask name → its lesions, each with its ring.
        spacing: mm between slices, rows and columns.
    """

    site: str
    patient: str
    subject: str
    simulated: bool
    scaled: Mapping[str, NDArray[np.float32]]
    places: tuple[int, ...]
    regions: Mapping[str, NDArray[np.bool_]]
    lesions: Mapping[str, tuple[Lesion, ...]]
    spacing: tuple[float, float, float]

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        """Those that the patient has the contrasts for."""
        return tuple(
            each for each in (*SINGLE, *PAIRED) if each.contrasts <= frozenset(self.scaled)
        )

    @cached_property
    def masks(self) -> dict[frozenset[str], NDArray[np.bool_]]:
        """The head by the contrasts of a direction."""
        wanted = {direction.contrasts for direction in self.directions}
        return {names: head_mask([self.scaled[name] for name in names]) for names in wanted}

    @cached_property
    def sums(self) -> dict[Direction, dict[str, CurveSums]]:
        """What curves are fitted from, by direction and source."""
        return {direction: self._sums(direction) for direction in self.directions}

    def _sums(self, direction: Direction) -> dict[str, CurveSums]:
        truth, mask = self.scaled[direction.target], self.masks[direction.contrasts]
        return {
            name: CurveSums.measure(self.scaled[name], truth, mask) for name in direction.sources
        }


def sites_in(root: Path) -> list[Site]:
    """The folders of a root that are sites, or hold a folder of contrasts for each patient."""
    return [
        site_at(folder)
        for folder in sorted(path for path in root.iterdir() if path.is_dir())
        if (folder / SITE_FILE).is_file() or any(folder.glob("*/T1.nii.gz"))
    ]


def read_heads(patients: Iterable[Patient], every: int) -> list[Head]:
    """Read patients; of the slices with enough head every n-th is kept."""
    return [_read(patient, every) for patient in patients]


def _read(patient: Patient, every: int) -> Head:
    study = patient.study(masks=[name for name in REGIONS if name in patient.masks()])
    scaled = {name: study.scaled(name) for name in study.volumes}
    whole = head_mask(list(scaled.values()))
    places = head_slices(whole)[::every]
    masks = {name: study.mask_slices(name) for name in study.masks}
    return Head(
        site=patient.site,
        patient=patient.identifier,
        subject=subject_of(patient),
        simulated=patient.simulated,
        scaled={name: array[places] for name, array in scaled.items()},
        places=tuple(places.tolist()),
        regions={name: mask[places] for name, mask in masks.items()},
        lesions={
            name: find_lesions(label_lesions(mask)[places], mask[places], whole[places])
            for name, mask in masks.items()
        },
        spacing=study.geometry.slice_spacing,
    )
