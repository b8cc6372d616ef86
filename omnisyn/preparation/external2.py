"""Finds the patients of the public dataset External 2 as it lies unpacked.

Its layout: ``MRI-Segments/001 … 277``; in each the folders ``T1WI``, ``T2WI`` and ``CE-T1WI``, one
DICOM series each, and ``ROI-T1.nii``, ``ROI-T2.nii`` and ``ROI-CE-T1.nii``, the tumour as drawn on
each of the three.
Source: Sci Data 12, 1450 (2025), doi 10.1038/s41597-025-05815-x.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, OmnisynError, reason_of
from omnisyn.preparation.clinical_table import find_clinical_table
from omnisyn.preparation.found import Found, FoundMask, FoundPatient, FoundScan
from omnisyn.preparation.mask_arrangement import Arrangement
from omnisyn.preparation.mask_orientation import Case, settle
from omnisyn.preparation.scans import read_scan
from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.nifti import load_nifti

_TOP = "MRI-Segments"
_DEEPEST = 3
"""Extra folders above ``MRI-Segments`` that are looked into: ``primary_data``, ``data``, …"""
_SERIES = {"t1wi": "T1", "ce-t1wi": "T1c", "t2wi": "T2"}
_SERIES_FOLDER = {"T1": "T1WI", "T1c": "CE-T1WI", "T2": "T2WI"}
_ROI = re.compile(r"roi[-_ ]?(ce[-_ ]?t1|t1|t2)(?:wi)?\.nii(?:\.gz)?", re.IGNORECASE)
_ROI_FILE = {"T1": "ROI-T1.nii", "T1c": "ROI-CE-T1.nii", "T2": "ROI-T2.nii"}
_NUMBER = re.compile(r"\d{1,4}")
_OWN_FOLDERS = {"data", "primary_data", _TOP.lower()}
_ARCHIVES = "*primary_data*.zip"
_TUMOUR = "tumour"
_SAMPLE = 24
"""Masks that settle how all of them are stored."""
_TOLD_BY = "the dataset's own folder name"


def is_external2(folder: Path) -> bool:
    """Whether a folder, or one a few levels below it, is laid out as External 2."""
    return next(_tops(folder), None) is not None


def find_external2(folder: Path) -> Found:
    """The patients of External 2, with the facts of the clinical table that lies with them.

    Nothing is opened but tables: what is damaged shows when it is read.

    Args:
        folder: one that `is_external2` says yes to.

    Returns:
        patients by their number. Each mask is drawn on its series' own grid, in an order of axes
        that `mask_orientation` settles.
    """
    tops = list(_tops(folder))
    passed = [
        f"a second copy of the dataset, folder {top.parent.name or top.name}" for top in tops[1:]
    ]
    patients = []
    others = []
    for path in _entries(tops[0]):
        if not (path.is_dir() and _NUMBER.fullmatch(path.name)):
            others.append(path.name)
            continue
        try:
            patient = _patient(path)
        except OSError as fault:
            passed.append(f"{path.name}: cannot be listed: {reason_of(fault)}")
            continue
        if patient.scans:
            patients.append(patient)
        else:
            passed.append(f"{path.name}: no series: {'; '.join(patient.left)}")
    if others:
        passed.append(f"{len(others)} entries that are no patient's folder, {others[0]} among them")
    table = find_clinical_table(
        _places_of_tables(folder, tops[0]),
        [patient.identifier for patient in patients],
        passed.append,
    )
    if table is None:
        passed.append("no clinical table was found: T, N, M and stage are not known")
    else:
        passed.append(table.described(len(patients)))
        patients = [
            replace(patient, facts=table.rows.get(patient.identifier, {})) for patient in patients
        ]
    patients.sort(key=lambda patient: (int(patient.identifier), patient.identifier))
    return Found(tuple(patients), tuple(passed))


def settle_masks(found: Found) -> tuple[Arrangement | None, tuple[str, ...]]:
    """How the masks are stored, settled on a sample that is spread evenly over the dataset.

    Returns:
        the arrangement, None where no mask fits its series; and sentences on how sure it is and on
        the masks of the sample that disagree or cannot be read.
    """
    drawn = [
        (patient, mask, mask.drawn_on)
        for patient in found.patients
        for mask in patient.masks.get(_TUMOUR, ())
        if mask.drawn_on is not None and mask.drawn_on in patient.scans
    ]
    remarks: list[str] = []

    def sample() -> Iterator[Case]:
        for index in evenly_thinned(range(len(drawn)), _SAMPLE):
            patient, mask, contrast = drawn[index]
            label = f"{patient.identifier} {contrast}"
            try:
                image = load_nifti(read_file(mask.file))
                volume = read_scan(patient.scans[contrast], contrast)
            except OmnisynError as fault:
                remarks.append(f"{label}: its mask was not asked: {fault}")
                continue
            yield Case(label, image.voxels, volume, image.geometry)

    try:
        settled = settle(sample())
    except InputError as fault:
        return None, (*remarks, str(fault))
    doubts = (f"{label}: {doubt}" for label, doubt in settled.doubts.items())
    return settled.arrangement, (str(settled), *doubts, *remarks)


def _tops(folder: Path) -> Iterator[Path]:
    """Folders that hold the numbered ones, nearest first."""
    level = [folder]
    for _ in range(_DEEPEST + 1):
        below: list[Path] = []
        for place in level:
            folders = _folders(place)
            numbered = [path for path in folders if _NUMBER.fullmatch(path.name)]
            if numbered and any(_is_patient(path, place) for path in numbered):
                yield place
            else:
                below += [path for path in folders if path not in numbered]
        level = below


def _is_patient(folder: Path, top: Path) -> bool:
    names = {path.name.lower() for path in _entries_or_none(folder)}
    if top.name == _TOP:
        return not names.isdisjoint(_SERIES)
    # By another name of the folder above, the series alone might be any hospital's.
    return {"t1wi", "ce-t1wi"} <= names and any(_ROI.fullmatch(name) for name in names)


def _patient(folder: Path) -> FoundPatient:
    scans: dict[str, FoundScan] = {}
    masks: list[FoundMask] = []
    left: list[str] = []
    series: dict[str, Path] = {}
    outlines: dict[str, Path] = {}
    for path in _entries(folder):
        outline = _ROI.fullmatch(path.name)
        if path.is_dir() and path.name.lower() in _SERIES:
            series[_SERIES[path.name.lower()]] = path
        elif outline and path.is_file():
            drawn = outline[1].lower()
            outlines.setdefault("T1c" if drawn.startswith("ce") else drawn.upper(), path)
        else:
            left.append(f"{path.name}: not one of the dataset's series or masks")
    for contrast in (name for name in NAMES if name in _SERIES_FOLDER):
        place = series.get(contrast)
        files = _images(place) if place else ()
        if files:
            scans[contrast] = FoundScan("DICOM", files, _TOLD_BY)
        else:
            what = "holds no images" if place else "is missing"
            left.append(f"the folder {_SERIES_FOLDER[contrast]} {what}")
        if contrast not in outlines:
            left.append(f"the mask {_ROI_FILE[contrast]} is missing")
        elif not files:
            left.append(f"the mask {outlines[contrast].name} lies on a series that is not there")
        else:
            masks.append(FoundMask(outlines[contrast], drawn_on=contrast))
    return FoundPatient(
        folder.name, folder.name, scans, {_TUMOUR: tuple(masks)} if masks else {}, left=tuple(left)
    )


def _images(folder: Path) -> tuple[Path, ...]:
    """The files of a series: in no order, since their slices are sorted by where they lie."""
    files = [path for path in _entries(folder) if path.is_file()]
    named = [path for path in files if path.suffix.lower() == ".dcm"]
    return tuple(named or files)


def _places_of_tables(folder: Path, top: Path) -> list[Path]:
    """The folders from the numbered ones up to the source, those beside them, and what lies above.

    Above the source the table may lie beside the archive, or in the dataset's own upper folders
    where one of the lower ones was given.
    """
    within = [top]
    while within[-1] != folder:
        within.append(within[-1].parent)
    beside = [
        path
        for place in within[1:]
        for path in _folders(place)
        if path not in within and not _NUMBER.fullmatch(path.name)
    ]
    above: list[Path] = []
    place = folder.resolve()
    while place.parent != place and (
        place.name.lower() in _OWN_FOLDERS or any(place.parent.glob(_ARCHIVES))
    ):
        place = place.parent
        above.append(place)
    return within + beside + above


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without what macOS adds to archives."""
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.name != "__MACOSX"
    ]


def _entries_or_none(folder: Path) -> list[Path]:
    try:
        return _entries(folder)
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries_or_none(folder) if path.is_dir() and not path.is_symlink()]
