"""What a search of a source found: patients, the scans and masks of each, and what was left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Form = Literal["NIfTI", "DICOM", "pictures"]


@dataclass(frozen=True)
class FoundScan:
    """One scan of a patient, as it lies in the source.

    Attributes:
        form: a NIfTI file, the files of one DICOM series, or a folder's slices as pictures.
        files: of NIfTI one; of DICOM those of the series, in no order; of
            pictures from inferior to superior.
        told_by: how its contrast is known, without words that may name the patient.
        part: what tells it from other images in the same DICOM files; empty where it is alone.
        spacing_mm: of pictures, which do not say it: between slices, rows, columns.
        simulated: whether it says that it comes from a simulator.
    """

    form: Form
    files: tuple[Path, ...]
    told_by: str
    part: str = ""
    spacing_mm: tuple[float, float, float] | None = None
    simulated: bool = False


@dataclass(frozen=True)
class FoundMask:
    """One mask of a patient.

    Attributes:
        file: a NIfTI file.
        drawn_on: the contrast on whose grid its voxels lie, where the file's own affine is not to
            be trusted; None where its affine says where it lies.
    """

    file: Path
    drawn_on: str | None = None


@dataclass(frozen=True)
class FoundPatient:
    """The scans of one patient.

    Attributes:
        identifier: names the folder to be made.
        subject: the person; several patients share it where one person was scanned repeatedly.
        scans: contrast name → scan, canonical order.
        masks: name → masks; of several, their union is taken.
        facts: what is known besides (T, N, M, stage, …): columns of ``patients.tsv``.
        left: what of this patient is not taken, one sentence each, without personal words.
    """

    identifier: str
    subject: str
    scans: Mapping[str, FoundScan]
    masks: Mapping[str, tuple[FoundMask, ...]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """Patients by identifier, and what belongs to none, one sentence each."""

    patients: tuple[FoundPatient, ...]
    passed_over: tuple[str, ...] = ()
