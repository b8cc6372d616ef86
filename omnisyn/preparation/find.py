"""Finds the patients of a source, in whatever forms their scans came."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.listeners import Progress, unwatched
from omnisyn.paths import name_of
from omnisyn.preparation.external2 import find_external2, is_external2
from omnisyn.preparation.found import Found, FoundPatient
from omnisyn.preparation.instructions import INSTRUCTIONS_FILE, Instructions
from omnisyn.preparation.nifti_folders import find_nifti
from omnisyn.preparation.picture_folders import PICTURE_SUFFIXES, find_pictures
from omnisyn.preparation.sidecars import names_people
from omnisyn.studies.bids import anatomical_files, is_raw_dataset
from omnisyn.studies.patients_table import check_identifier, read_patients_table
from omnisyn.studies.site import CACHE_FOLDER, SITE_FILE
from omnisyn.studies.subjects import names_subject, selected
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.write import NIFTI_SUFFIXES

_OTHER_FOLDERS = {"derivatives", "sourcedata", "code", "__MACOSX", CACHE_FOLDER}
_OTHER_SUFFIXES = (
    *(".json", ".tsv", ".csv", ".xlsx", ".txt", ".toml", ".md", ".pdf", ".zip", ".gz", ".bval"),
    *(".bvec", ".html", ".py", ".mat", ".npy", ".npz", ".h5"),
)


def find_patients(
    source: Path,
    instructions: Instructions | None = None,
    *,
    subjects: Sequence[str] = (),
    sessions: Sequence[str] = (),
    brain_mask: str | None = None,
    progress: Progress = unwatched,
) -> Found:
    """Searches a folder for patients: NIfTI files, DICOM series, slices as pictures.

    Links to folders are not followed, so that nobody is found twice.

    Args:
        instructions: what names and headers do not say.
        subjects, sessions: only these, by their BIDS labels; all by default.
        brain_mask: pattern of the name that each patient's brain mask has.

    Raises:
        InputError: the folder does not exist or holds no patient, two patients would have one
            name, or a name cannot be that of a folder.
        UsageError: a subject or session that is not there.
        ResourceError: a folder cannot be listed.
    """
    require_folder(source)
    instructions = instructions or Instructions()
    if is_external2(source):
        found = find_external2(source)
    else:
        found = _in_any_form(source, instructions, brain_mask, progress)
    if not found.patients:
        raise InputError(
            "no patient was found",
            where=name_of(source),
            why="no file's name or header says which contrast it shows"
            + (f" ({found.passed_over[0]})" if found.passed_over else ""),
            remedy=f"name the files like T1.nii.gz or sub-01_T2w.nii.gz ({', '.join(NAMES)}), a "
            f"folder for each patient, or say in {INSTRUCTIONS_FILE} what shows what",
        )
    parts = {patient.identifier: _parts(patient) for patient in found.patients}
    chosen = selected(parts.values(), subjects, sessions)
    known = read_patients_table(source) or read_patients_table(source, "participants.tsv")
    patients = []
    for patient in found.patients:
        if parts[patient.identifier] not in chosen:
            continue
        check_identifier(patient.identifier, patient.identifier)
        patients.append(replace(patient, facts={**_facts(known, patient), **patient.facts}))
    return Found(tuple(patients), _counted(found.passed_over))


def _counted(notes: Sequence[str]) -> tuple[str, ...]:
    """Each note once, with how often it was made."""
    return tuple(
        note if number == 1 else f"{note} ({number} times)"
        for note, number in Counter(notes).items()
    )


def require_folder(source: Path) -> None:
    """Refuses a source that is missing or a file.

    Raises:
        InputError: see above.
    """
    # Unlike Path.is_dir, this takes any name, however long.
    if not os.path.isdir(source):
        raise InputError(
            "the source is no folder" if os.path.lexists(source) else "there is no such folder",
            where=name_of(source),
            remedy="give a folder of patients or a site",
        )


def _in_any_form(
    source: Path, instructions: Instructions, brain_mask: str | None, progress: Progress
) -> Found:
    if is_raw_dataset(source):
        files = list(anatomical_files(source))
        return find_nifti(source, files, instructions, brain_mask, bids=True)
    nifti, pictures, others = [], [], []
    for path in _files(source):
        name = path.name.lower()
        if name.endswith(NIFTI_SUFFIXES):
            nifti.append(path)
        elif name.endswith(PICTURE_SUFFIXES):
            pictures.append(path)
        elif not name.endswith(_OTHER_SUFFIXES):
            others.append(path)
    found = [
        find_nifti(source, nifti, instructions, brain_mask),
        find_pictures(source, pictures, instructions),
    ]
    if others:
        # pydicom is not needed where nothing is DICOM.
        from omnisyn.preparation.dicom_folders import find_dicom

        found.append(find_dicom(source, others, instructions, progress))
    patients: dict[str, FoundPatient] = {}
    for patient in (patient for form in found for patient in form.patients):
        before = patients.get(patient.identifier)
        patients[patient.identifier] = _joined(before, patient) if before else patient
    ordered = tuple(patients[key] for key in sorted(patients))
    return Found(ordered, tuple(note for form in found for note in form.passed_over))


def _joined(first: FoundPatient, second: FoundPatient) -> FoundPatient:
    """One patient whose scans came in two forms; of a contrast in both, the first form's counts."""
    left = [
        f"{second.scans[name].form}: another {name}, the {first.scans[name].form} one is taken"
        for name in second.scans
        if name in first.scans
    ]
    both = {**second.scans, **first.scans}
    return replace(
        first,
        scans={name: both[name] for name in NAMES if name in both},
        left=(*first.left, *second.left, *left),
    )


def _files(source: Path) -> Iterator[Path]:
    """Every file below the source, in order, that is not hidden nor in a folder of other things."""

    def refuse(error: OSError) -> None:
        raise resource_error("cannot list", Path(error.filename or source), error) from error

    for place, folders, files in os.walk(source, onerror=refuse):
        here = Path(place)
        if here != source and SITE_FILE in files:
            folders.clear()
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _OTHER_FOLDERS
        )
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _parts(patient: FoundPatient) -> tuple[str, ...]:
    """What a patient and visit may be asked for by."""
    if names_subject(patient.identifier):
        return (patient.identifier,)
    visit = patient.identifier.removeprefix(patient.subject).strip("_")
    return tuple(filter(None, (patient.subject, patient.identifier, visit)))


def _facts(known: Mapping[str, Mapping[str, str]], patient: FoundPatient) -> dict[str, str]:
    """The patient's row of the source's table, without columns that name people."""
    row = known.get(patient.identifier) or known.get(patient.subject, {})
    return {key: value for key, value in row.items() if not names_people(key)}
