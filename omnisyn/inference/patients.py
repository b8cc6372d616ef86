"""Whose scan is what: sources as a user names them, grouped into patients.

A source is a NIfTI file, a DICOM folder, or a folder of patients; `T1=path` says its contrast.
Scans of two patients must never meet in one synthesis, so whatever cannot be told apart with
certainty is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnisyn.contrasts import CONTRASTS, Contrast, contrast, guess_contrast
from omnisyn.errors import InputError, UsageError
from omnisyn.inference.naming import without_contrast
from omnisyn.paths import name_of, named
from omnisyn.studies.bids import SCAN_FOLDER, anatomical_files, contrast_of, is_raw_dataset
from omnisyn.studies.image_names import shows_no_contrast
from omnisyn.studies.subjects import labels, names_subject, owner, owners
from omnisyn.volumes.read import is_dicom_folder
from omnisyn.volumes.sidecar import read_sidecar, stated_contrast
from omnisyn.volumes.write import NIFTI_SUFFIXES

# Folders that hold no scans of patients: our own slice caches, and derivatives of other tools.
_PASSED_OVER = frozenset({"cache", "derivatives", "truth", "__MACOSX"})


@dataclass(frozen=True)
class Source:
    """One scan: where it lies, its contrast where that is known before reading it, and which
    series of a DICOM folder it is where that was said."""

    path: Path
    contrast: Contrast | None
    series: str | None = None


@dataclass(frozen=True)
class PatientSources:
    """The scans of one patient.

    Attributes:
        name: what the patient is called in messages; a basename or a relative path.
        folder: the patient's folder below the output folder; `.` for scans named one by one.
        sources: in the order they were given or, from a folder, in canonical order.
        found: whether the scans were found in a folder, where a target may lie among them.
        dataset: the BIDS dataset that they were found in, where it was one.
    """

    name: str
    folder: Path
    sources: tuple[Source, ...]
    found: bool
    dataset: Path | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders and labels that say whose scans these are, to choose patients by."""
        return (*self.folder.parts, *labels(self.sources[0].path.name))


def find_patients(items: Sequence[str | Path], series: Sequence[str] = ()) -> list[PatientSources]:
    """Group the sources of one call into patients.

    Args:
        items: `PATH` or `CONTRAST=PATH`, each a file, a DICOM folder or a folder of patients.
        series: series of the one DICOM folder that is given; each becomes a source.

    Raises:
        UsageError: series of anything but one DICOM folder, two sources of one contrast, files of
            which nothing says whether they show one patient, or patients of several sources whose
            results would have one name.
        InputError: a path that does not exist, or a folder without scans.
    """
    if series:
        return [_chosen_series(items, series)]
    single: list[Source] = []
    said: list[bool] = []
    patients: list[PatientSources] = []
    for item in items:
        path, said_contrast = _split(item)
        if not os.path.lexists(path):
            raise InputError(
                "there is no such file or folder", where=name_of(path), remedy="check the path"
            )
        if said_contrast is None and path.is_dir() and not is_dicom_folder(path):
            patients += _in_folder(path)
        else:
            single.append(Source(path, said_contrast or contrast_before_reading(path)))
            said.append(said_contrast is not None)
    patients = _grouped(single, any(said)) + patients
    _refuse_one_place(patients)
    return patients


def _chosen_series(items: Sequence[str | Path], series: Sequence[str]) -> PatientSources:
    path, said = _split(items[0])
    if len(items) > 1 or not path.is_dir() or not is_dicom_folder(path):
        raise UsageError(
            "--series chooses from one DICOM folder", remedy="give that folder alone as --src"
        )
    if said is not None and len(series) > 1:
        raise UsageError(
            f"{len(series)} series cannot all be {said.name}", remedy="leave the contrast out"
        )
    sources = tuple(Source(path, said, selector) for selector in series)
    return PatientSources(path.name, Path(), sources, found=False)


def _split(item: str | Path) -> tuple[Path, Contrast | None]:
    """`T1=path` into path and contrast; a path that exists as it stands is only a path."""
    text = str(item)
    if not text:
        raise UsageError("a source is empty", remedy="give a file or a folder as --src")
    name, separator, path = text.partition("=")
    if not separator or os.path.lexists(text) or any(mark in name for mark in "/\\"):
        return named(Path(text)), None
    if not path:
        raise UsageError(f"'{text}' names no file", remedy="write CONTRAST=PATH")
    return named(Path(path)), contrast(name)


def without_folders(item: str | Path) -> str:
    """`T1=folder/file` → `T1=file`: what may be written down about a source."""
    path, said = _split(item)
    return f"{said.name}={path.name}" if said else path.name


def contrast_before_reading(path: Path) -> Contrast | None:
    """What a file's sidecar or its name says it shows; None for DICOM, which says it inside.

    Raises:
        InputError: the sidecar is damaged or names an unknown contrast.
    """
    if path.is_dir() or not path.name.lower().endswith(NIFTI_SUFFIXES):
        return None
    stated = stated_contrast(read_sidecar(path), path.name) if path.is_file() else None
    return stated or guess_contrast(path.name)


def _grouped(sources: Sequence[Source], contrasts_said: bool) -> list[PatientSources]:
    """Sources that were named one by one: one patient, or several if their names say so."""
    if not sources:
        return []
    by_patient: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        by_patient.setdefault(_patient_key(source.path), []).append(source)
    subjects = {labels(each.path.name) for each in sources if names_subject(each.path.name)}
    if len(by_patient) == 1 or (contrasts_said and len(subjects) < 2):
        _refuse_repeated(sources)
        return [PatientSources(sources[0].path.name, Path(), tuple(sources), found=False)]
    told = [source.contrast.name for source in sources if source.contrast]
    if len(subjects) == len(by_patient) or len(set(told)) < len(told):
        for group in by_patient.values():
            _refuse_repeated(group)
        several = _distinct_folders(by_patient)
        return [
            PatientSources(_told_apart(group[0].path), several[key], tuple(group), found=False)
            for key, group in by_patient.items()
        ]
    names = [_told_apart(group[0].path) for group in by_patient.values()]
    raise UsageError(
        f"cannot tell whether {names[0]} and {names[1]} show one patient",
        remedy="write CONTRAST=PATH to take them as one, or run them apart",
    )


def _told_apart(path: Path) -> str:
    """A file's name with its folder's, which is enough to tell it from its namesakes."""
    return f"{path.absolute().parent.name}/{path.name}"


def _patient_key(path: Path) -> tuple[str, ...]:
    """What the sources of one patient have in common: their folder, and subject or name."""
    if names_subject(path.name):
        return owner(path.absolute())
    # The contrast of a DICOM folder or of `T1.nii.gz` is its whole name: the folder tells.
    return (*path.absolute().parent.parts, without_contrast(path.name))


def _distinct_folders(keys: dict[tuple[str, ...], list[Source]]) -> dict[tuple[str, ...], Path]:
    """A folder for each patient when their outputs would otherwise have one name."""
    stems = [without_contrast(group[0].path.name) for group in keys.values()]
    if len(set(stems)) == len(stems):
        return dict.fromkeys(keys, Path())
    parents = [group[0].path.absolute().parent.name for group in keys.values()]
    if len(set(parents)) < len(parents):
        raise UsageError(
            "these sources would give outputs of one name",
            remedy="give each patient an output folder of its own",
        )
    return {key: Path(parent) for key, parent in zip(keys, parents, strict=True)}


def _refuse_one_place(patients: Sequence[PatientSources]) -> None:
    """Refuse patients of several folders whose results would replace each other's."""
    taken: dict[tuple[Path, str], PatientSources] = {}
    for patient in patients:
        for place in {(patient.folder, without_contrast(s.path.name)) for s in patient.sources}:
            other = taken.setdefault(place, patient)
            if other is not patient:
                raise UsageError(
                    "the results of two patients would have one name",
                    why=" and ".join(dict.fromkeys([other.name, patient.name])),
                    remedy="give every folder once, and run folders whose patients share a name "
                    "apart, each with an output folder of its own",
                )


def _refuse_repeated(sources: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for source in sources:
        if source.contrast is None:
            continue
        other = seen.setdefault(source.contrast.name, source)
        if other is not source:
            raise UsageError(
                f"two sources are {source.contrast.name}: {other.path.name} and {source.path.name}",
                remedy="give one of them, or say what each shows: CONTRAST=PATH",
            )


def _in_folder(folder: Path) -> list[PatientSources]:
    """Every patient in a folder: one of ours, BIDS, a folder a patient, or a flat one."""
    bids = is_raw_dataset(folder)
    told_by = contrast_of if bids else contrast_before_reading
    found = []
    for path in anatomical_files(folder) if bids else _scans(folder):
        try:
            known = told_by(path)
        except InputError:
            # A fault of one patient, which is told when it is that patient's turn.
            found.append(Source(path, None))
        else:
            if known is not None or path.is_dir():
                found.append(Source(path, known))
    subjects = owners(source.path.relative_to(folder) for source in found)
    by_patient: dict[Path, list[Source]] = {}
    for source in found:
        place = source.path.relative_to(folder)
        named_so = subjects.get(place)
        patient = Path(*named_so) if named_so else _own_folder(source.path, place)
        by_patient.setdefault(patient, []).append(source)
    if not by_patient:
        raise InputError(
            "holds no scan whose contrast is told by its name or sidecar",
            where=name_of(folder),
            remedy="name the files, as in T1.nii.gz, or give them as CONTRAST=PATH",
        )
    return [
        PatientSources(
            str(relative) if relative.parts else folder.name,
            relative / SCAN_FOLDER if bids else relative,
            tuple(sorted(sources, key=lambda source: _rank(source.contrast))),
            found=True,
            dataset=folder if bids else None,
        )
        for relative, sources in sorted(by_patient.items())
    ]


def _scans(folder: Path) -> Iterator[Path]:
    """NIfTI files and DICOM folders below a folder, without following links."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        here = Path(place)
        if here != folder and is_dicom_folder(here):
            folders.clear()
            if not shows_no_contrast(here.name):
                yield here
            continue
        folders[:] = sorted(
            name for name in folders if name not in _PASSED_OVER and not name.startswith(".")
        )
        for name in sorted(files):
            if name.startswith(".") or shows_no_contrast(name):
                continue
            if name.lower().endswith(NIFTI_SUFFIXES):
                yield here / name


def _own_folder(path: Path, place: Path) -> Path:
    """The folder of a scan that names no subject, which lies at `place` below the source."""
    return place.parent if path.is_dir() else place.parent / without_contrast(path.name)


def _rank(known: Contrast | None) -> int:
    """Canonical order; what is known only after reading comes last."""
    return len(CONTRASTS) if known is None else CONTRASTS.index(known)


def _raise(fault: OSError) -> None:
    name = os.path.basename(os.fsdecode(fault.filename or ""))
    raise InputError("cannot be read", where=name, why=fault.strerror) from fault
