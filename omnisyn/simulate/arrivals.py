"""Simulated hospitals whose patients arrive as folders of DICOM, the way hospitals send them.

Three arrangements take turns among the sites: ``tidy`` (a folder a patient, a folder a series),
``export`` (a folder an exam, the files of all series under names without meaning) and ``heap``
(all files of all patients in one folder). At the top lies the ``prepare.toml`` that says which
folder is which site. Headers say nothing of how the head moved between series.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from omnisyn.errors import InputError
from omnisyn.listeners import Progress, unwatched
from omnisyn.paths import name_of
from omnisyn.settings import read_toml
from omnisyn.simulate.cohort import Cohort, PlannedSite, patient_generator, site_settings
from omnisyn.simulate.dicom_series import SeriesHeader, image_uids, write_series
from omnisyn.simulate.files import SCANNING_SEQUENCE
from omnisyn.simulate.patient import AnatomyModel, ProceduralAnatomy
from omnisyn.simulate.protocols import Scanner
from omnisyn.simulate.visit import (
    CORONAL,
    DIFFUSION,
    LOCALIZER,
    Recorded,
    draw_visit,
    record,
)
from omnisyn.studies.site import SIMULATED_PREFIX
from omnisyn.volumes.atomic import (
    atomic_directory,
    output_folder,
    refuse_existing_folder,
    write_text_atomic,
)

INSTRUCTIONS_FILE = "prepare.toml"
README_FILE = "SIMULATED.txt"
"""Lies in every hospital's folder, and tells it from what others have put there."""

_README = "SIMULATED patients, written by omnisyn: these images show nobody.\n"
_LARGEST_STORED = 32767
_IN_THREE_DIMENSIONS = ("mprage", "time_of_flight")
# Vendors whose stored values need a slope to be compared with each other.
_SCALED = ("Philips",)
# How each vendor's protocols are usually called: contrast and sequence, fat suppression, agent.
_WORDING = {
    "GE": ("Ax {} {}", " FS", " +C"),
    "Siemens": ("{}_{}_tra", "_fs", "_Gd"),
    "Philips": ("{}W_{}", "_SPIR", "_GD"),
    "United Imaging": ("{}_{}_tra", "_fs", "_gd"),
    "Canon": ("AX {} {}", " FATSAT", " CE"),
}
_SEQUENCES = {
    "spin_echo": "SE",
    "fast_spin_echo": "TSE",
    "inversion_recovery": "IR",
    "spoiled_gradient_echo": "GRE",
    "mprage": "MPRAGE",
    "time_of_flight": "TOF",
}
_OTHER_WORDING = {
    "FLAIR": "T2 FLAIR ax",
    "MRA": "3D TOF",
    LOCALIZER: "3-plane localizer",
    DIFFUSION: "DWI ax b0 b800",
    CORONAL: "T2 TSE cor",
}

Place = Callable[[SeriesHeader, Sequence[str], int], Path]
"""(header, UID of every image of the part, index of one among them) → where its file goes."""


@dataclass(frozen=True)
class Arrival:
    """A hospital's folder, and the site that it is to become."""

    path: Path
    site: PlannedSite


def write_arrivals(
    cohort: Cohort,
    out: Path,
    *,
    sites: Sequence[str] | None = None,
    patients: int | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    anatomy: AnatomyModel | None = None,
    progress: Progress = unwatched,
    overwrite: bool = False,
) -> list[Arrival]:
    """Write sites of a cohort as folders of SIMULATED DICOM, each whole or not at all.

    A patient is the one that ``simulate_cohort`` makes of the same seed, site and number, with the
    same T1; the other series lie on slices of their own, with the head moved since.

    Args:
        cohort: from ``load_cohort``.
        out: the folder of the arrivals; made where missing.
        sites: only these (names or roles); the training hospitals by default.
        patients: so many per site in place of the cohort's number.
        seed: other patients than the cohort's own.
        device: where to compute.
        anatomy: where heads come from; the procedural anatomy by default.
        progress: hears of every patient done.
        overwrite: replace the folders of hospitals that are there.

    Raises:
        UsageError: a site that the cohort does not have.
        InputError: a hospital's folder exists and ``overwrite`` is false, or was not written here.
        ResourceError: the disk is full or read-only.
    """
    chosen = cohort.select(("train",) if sites is None else sites)
    model = anatomy if anatomy is not None else ProceduralAnatomy()
    counts = [site.patients if patients is None else patients for site in chosen]
    drawn = cohort.settings.seed if seed is None else seed
    total, done = sum(counts), 0
    written = []
    with output_folder(out):
        for site in chosen:
            _refuse_foreign(out / folder_of(site), overwrite=overwrite)
        for site, count in zip(chosen, counts, strict=True):
            turn = cohort.settings.sites.index(site) % len(ARRANGEMENTS)
            path = out / folder_of(site)
            with atomic_directory(path, overwrite=overwrite) as folder:
                write_text_atomic(folder / README_FILE, _README)
                for number in range(1, count + 1):
                    place = ARRANGEMENTS[turn](folder, number)
                    generator = patient_generator(drawn, site.name, number)
                    visit = draw_visit(cohort.profiles[site.profile], generator, model)
                    exam = _Exam(f"{site.name}-{number:03d}", drawn, site.hospital, visit.scanner)
                    exam.write(record(visit, model, device), place)
                    done += 1
                    progress(done, total, f"{folder_of(site)}/{number:03d}")
            _register(out / INSTRUCTIONS_FILE, cohort, site)
            written.append(Arrival(path, site))
    return written


def folder_of(site: PlannedSite) -> str:
    """The folder in which a site's patients arrive."""
    return site.name.removeprefix(SIMULATED_PREFIX)


def tidy(folder: Path, number: int) -> Place:
    """``001/SERIES-DESCRIPTION/IM0001.dcm``."""

    def place(header: SeriesHeader, uids: Sequence[str], index: int) -> Path:
        name = header.description.replace(" ", "-")
        return folder / f"{number:03d}" / name / f"IM{header.first + index:04d}.dcm"

    return place


def export(folder: Path, number: int) -> Place:
    """``DICOM/A0000017/I0000123``, as a viewer's CD has it, with a DICOMDIR that lists nothing."""
    exam = folder / "DICOM" / f"A{10 + 7 * number:07d}"
    exam.mkdir(parents=True)
    if number == 1:
        _write_empty_directory(folder / "DICOMDIR")
    written = 0

    def place(header: SeriesHeader, uids: Sequence[str], index: int) -> Path:
        nonlocal written
        written += 1
        # Not in the order of the images: coprime to 9973, a prime.
        return exam / f"I{written * 5743 % 9973:07d}"

    return place


def heap(folder: Path, number: int) -> Place:
    """``1.2.826….dcm``, the UID of the image, and nothing else."""

    def place(header: SeriesHeader, uids: Sequence[str], index: int) -> Path:
        return folder / f"{uids[index]}.dcm"

    return place


ARRANGEMENTS: tuple[Callable[[Path, int], Place], ...] = (tidy, export, heap)
"""In the order in which they take turns among the sites of a cohort."""


@dataclass(frozen=True)
class _Exam:
    """What all series of one exam say alike."""

    patient: str
    seed: int
    hospital: str
    scanner: Scanner

    def write(self, recorded: Iterator[Recorded], place: Place) -> None:
        """Write the series one after the other; parts of one name are one series."""
        for number, (_, parts) in enumerate(groupby(recorded, attrgetter("name")), start=1):
            first = 1
            for part in parts:
                voxels = _voxels(part, self.scanner)
                header = self._header(part, number, first)
                uids = image_uids(header, voxels.shape[2])
                paths = [place(header, uids, index) for index in range(len(uids))]
                for folder in {path.parent for path in paths}:
                    folder.mkdir(parents=True, exist_ok=True)
                write_series(paths, voxels, part.geometry, header)
                first += len(paths)

    def _header(self, part: Recorded, number: int, first: int) -> SeriesHeader:
        description = f"SIMULATED {_description(part, self.scanner)}"
        facts = {
            "StudyDescription": "SIMULATED head and neck",
            "InstitutionName": f"SIMULATED {self.hospital}",
            "BodyPartExamined": "HEADNECK",
            "ProtocolName": description,
            "Manufacturer": self.scanner.vendor,
            "ManufacturerModelName": f"{self.scanner.model} (simulated)",
            "MagneticFieldStrength": f"{self.scanner.field_tesla:g}",
            **_facts(part),
        }
        study = f"exam of seed {self.seed}"
        return SeriesHeader(self.patient, study, number, description, facts, first)


def _voxels(part: Recorded, scanner: Scanner) -> NDArray[np.float32]:
    """The image in file order (column, row, slice), as the vendor stores it."""
    voxels: NDArray[np.float32] = part.image.cpu().numpy().transpose(2, 1, 0)
    if scanner.vendor not in _SCALED:
        voxels = np.rint(voxels.clip(max=_LARGEST_STORED))
    return voxels


def _description(part: Recorded, scanner: Scanner) -> str:
    if part.name in _OTHER_WORDING:
        return _OTHER_WORDING[part.name]
    wording, suppressed, agent = _WORDING[scanner.vendor]
    acquisition = part.acquisition
    name = "T1" if part.name == "T1c" else part.name
    words = wording.format(name, _SEQUENCES[acquisition.sequence])
    words += suppressed if acquisition.fat_suppressed else ""
    return words + (agent if acquisition.agent is not None else "")


def _facts(part: Recorded) -> dict[str, object]:
    """DICOM attributes of how an image was made: times in ms, angles in degrees."""
    acquisition = part.acquisition
    facts: dict[str, object] = {
        "RepetitionTime": f"{acquisition.repetition_time_ms:.6g}",
        "EchoTime": f"{acquisition.echo_time_ms:.6g}",
        "FlipAngle": f"{acquisition.flip_degrees:.4g}",
        "EchoTrainLength": acquisition.echo_train,
        "ScanningSequence": SCANNING_SEQUENCE[acquisition.sequence].split("_"),
        "SequenceVariant": "NONE",
        "MRAcquisitionType": "3D" if acquisition.sequence in _IN_THREE_DIMENSIONS else "2D",
        "SliceThickness": f"{part.slice_thickness_mm:.6g}",
    }
    if acquisition.inversion_time_ms is not None:
        facts["InversionTime"] = f"{acquisition.inversion_time_ms:.6g}"
    if acquisition.fat_suppressed:
        facts["ScanOptions"] = "FS"
    if acquisition.agent is not None:
        facts["ContrastBolusAgent"] = acquisition.agent
    if part.name == "MRA":
        facts["AngioFlag"] = "Y"
    if part.name == LOCALIZER:
        facts["ImageType"] = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    if part.b_value is not None:
        facts |= {"ScanningSequence": "EP", "DiffusionBValue": part.b_value}
    return facts


def _write_empty_directory(path: Path) -> None:
    """A DICOMDIR (PS3.3, F.3) without entries: whoever follows it finds nothing."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    directory.FileSetID = "SIMULATED"
    directory.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    directory.FileSetConsistencyFlag = 0
    directory.DirectoryRecordSequence = list[Dataset]()
    directory.save_as(path, enforce_file_format=True)


def _refuse_foreign(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, or to replace what others have put there."""
    refuse_existing_folder(path, overwrite=overwrite)
    if not os.path.lexists(path):
        return
    if path.is_dir() and ((path / README_FILE).is_file() or not any(path.iterdir())):
        return
    raise InputError(
        "what is there is no simulated hospital and is not replaced",
        where=name_of(path),
        why=f"it has no {README_FILE}",
        remedy="choose another place for the arrivals",
    )


def _register(path: Path, cohort: Cohort, site: PlannedSite) -> None:
    """Say in ``prepare.toml`` what a hospital's folder is, beside whatever it says already."""
    content = read_toml(path) if path.is_file() else {}
    settings = site_settings(site, cohort.profiles[site.profile])
    content.setdefault("sites", {})[site.name] = {
        "folder": folder_of(site),
        "role": settings.role,
        "hospital": settings.hospital,
        "scanner": settings.scanner,
    }
    write_text_atomic(path, tomli_w.dumps(content))
