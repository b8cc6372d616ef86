"""Whose scan is what: sources as a user names them, grouped into patients.

A source is a NIfTI file, a DICOM folder, or a folder of patients; `T1=path` says its contrast.
Scans of two patients must never meet in one synthesis, so whatever cannot be told apart with
certainty is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnisyn.contrasts import CONTRASTS, Contrast, contrast, guess_contrast
from omnisyn.errors import InputError, UsageError
from omnisyn.inference.naming import without_contrast
from omnisyn.volumes.read import NIFTI_SUFFIXES, is_dicom_folder, read_sidecar

_SUBJECT = re.compile(r"(?:^|[_/\\])(sub-[A-Za-z0-9]+)(?:.*?[_/\\](ses-[A-Za-z0-9]+))?")
# Files beside a scan that show no contrast, whatever else their names say.
_NO_SCAN = re.compile(
    r"(^|[^a-z])(mask|brainmask|d?seg|probseg|roi|labels?|lesions?|tumou?r|desc-synth)([^a-z]|$)",
    re.IGNORECASE,
)
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
    """

    name: str
    folder: Path
    sources: tuple[Source, ...]
    found: bool


def find_patients(items: Sequence[str | Path], series: Sequence[str] = ()) -> list[PatientSources]:
    """Group the sources of one call into patients.

    Args:
        items: `PATH` or `CONTRAST=PATH`, each a file, a DICOM folder or a folder of patients.
        series: series of the one DICOM folder that is given; each becomes a source.

    Raises:
        UsageError: series of anything but one DICOM folder, two sources of one contrast, or
            files of which nothing says whether they show one patient.
        InputError: a path that does not exist, or a folder without scans.
    """
    if series:
        return [_chosen_series(items, series)]
    single: list[Source] = []
    said: list[bool] = []
    patients: list[PatientSources] = []
    for item in items:
        path, named = _split(item)
        if not os.path.lexists(path):
            raise InputError(
                "there is no such file or folder", where=path.name, remedy="check the path"
            )
        if named is None and path.is_dir() and not is_dicom_folder(path):
            patients += _in_folder(path)
        else:
            single.append(Source(path, named or contrast_before_reading(path)))
            said.append(named is not None)
    return _grouped(single, any(said)) + patients


def _chosen_series(items: Sequence[str | Path], series: Sequence[str]) -> PatientSources:
    path, named = _split(items[0])
    if len(items) > 1 or not path.is_dir() or not is_dicom_folder(path):
        raise UsageError(
            "--series chooses from one DICOM folder", remedy="give that folder alone as --src"
        )
    if named is not None and len(series) > 1:
        raise UsageError(
            f"{len(series)} series cannot all be {named.name}", remedy="leave the contrast out"
        )
    sources = tuple(Source(path, named, selector) for selector in series)
    return PatientSources(path.name, Path(), sources, found=False)


def _split(item: str | Path) -> tuple[Path, Contrast | None]:
    """`T1=path` into path and contrast; a path that exists as it stands is only a path."""
    text = str(item)
    name, separator, path = text.partition("=")
    if not separator or os.path.lexists(text) or any(mark in name for mark in "/\\"):
        return Path(text), None
    if not path:
        raise UsageError(f"'{text}' names no file", remedy="write CONTRAST=PATH")
    return Path(path), contrast(name)


def without_folders(item: str | Path) -> str:
    """`T1=folder/file` → `T1=file`: what may be written down about a source."""
    path, named = _split(item)
    return f"{named.name}={path.name}" if named else path.name


def contrast_before_reading(path: Path) -> Contrast | None:
    """What a file's sidecar or its name says it shows; None for DICOM, which says it inside."""
    if path.is_dir() or not path.name.lower().endswith(NIFTI_SUFFIXES):
        return None
    stated = read_sidecar(path).get("Contrast") if path.is_file() else None
    if isinstance(stated, str):
        return contrast(stated)
    return guess_contrast(path.name)


def _grouped(sources: Sequence[Source], contrasts_said: bool) -> list[PatientSources]:
    """Sources that were named one by one: one patient, or several if their names say so."""
    if not sources:
        return []
    by_patient: dict[str, list[Source]] = {}
    for source in sources:
        by_patient.setdefault(_patient_key(source.path), []).append(source)
    subjects = {key for key in by_patient if key.startswith("sub-")}
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


def _patient_key(path: Path) -> str:
    """What the sources of one patient have in common: subject and session, else name and folder."""
    subject = _SUBJECT.search(path.name)
    if subject:
        return "_".join(part for part in subject.groups() if part)
    # The contrast of a DICOM folder or of `T1.nii.gz` is its whole name: the folder tells.
    return f"{path.absolute().parent}{os.sep}{without_contrast(path.name)}"


def _distinct_folders(keys: dict[str, list[Source]]) -> dict[str, Path]:
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
    by_patient: dict[Path, list[Source]] = {}
    for path in _scans(folder):
        source = Source(path, contrast_before_reading(path))
        if source.contrast is None and not path.is_dir():
            continue
        by_patient.setdefault(_patient_folder(path, folder), []).append(source)
    if not by_patient:
        raise InputError(
            "holds no scan whose contrast is told by its name or sidecar",
            where=folder.name,
            remedy="name the files, as in T1.nii.gz, or give them as CONTRAST=PATH",
        )
    return [
        PatientSources(
            str(relative) if relative.parts else folder.name,
            relative,
            tuple(sorted(sources, key=lambda source: _rank(source.contrast))),
            found=True,
        )
        for relative, sources in sorted(by_patient.items())
    ]


def _scans(folder: Path) -> Iterator[Path]:
    """NIfTI files and DICOM folders below a folder, without following links."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        here = Path(place)
        if here != folder and is_dicom_folder(here):
            folders.clear()
            if not _NO_SCAN.search(here.name):
                yield here
            continue
        folders[:] = sorted(
            name for name in folders if name not in _PASSED_OVER and not name.startswith(".")
        )
        for name in sorted(files):
            if name.startswith(".") or _NO_SCAN.search(name):
                continue
            if name.lower().endswith(NIFTI_SUFFIXES):
                yield here / name


def _patient_folder(path: Path, root: Path) -> Path:
    """The patient a scan below `root` belongs to, as a path relative to it."""
    relative = path.relative_to(root)
    subject = _SUBJECT.search(relative.as_posix())
    if subject:
        return Path(*(part for part in subject.groups() if part))
    if path.is_dir():
        return relative.parent
    rest = without_contrast(path.name)
    return relative.parent / rest if rest else relative.parent


def _rank(known: Contrast | None) -> int:
    """Canonical order; what is known only after reading comes last."""
    return len(CONTRASTS) if known is None else CONTRASTS.index(known)


def _raise(fault: OSError) -> None:
    name = os.path.basename(os.fsdecode(fault.filename or ""))
    raise InputError("cannot be read", where=name, why=fault.strerror) from fault
