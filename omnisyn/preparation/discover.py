"""Finds patients in a folder: which files belong to whom and which contrast each shows.

The contrast is read off the file's name, the patient off its BIDS entities or its folder. Known
arrangements: a BIDS dataset, ``<patient>/T1.nii.gz``, ``<patient>/anat/…``, one more level for the
visits of a patient, a flat folder of BIDS names, and the folder of a single patient.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.paths import name_of
from omnisyn.studies.image_names import Kind, shown_by
from omnisyn.studies.site import CACHE_FOLDER, SITE_FILE
from omnisyn.studies.subjects import names_subject, owners, person
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.read import read_sidecar
from omnisyn.volumes.write import NIFTI_SUFFIXES

DEEPEST_LEVEL = 4
"""Folders below the source that are searched: group, subject, session, anat."""

_VISIT = re.compile(
    r"(ses|session|study|visit|scan|exam|timepoint|tp|baseline|followup|day|week|month)"
    r"[-_]?[0-9A-Za-z]*",
    re.IGNORECASE,
)
_OTHER_FOLDERS = {"derivatives", "sourcedata", "code", CACHE_FOLDER}


@dataclass
class FoundPatient:
    """The files of one patient.

    Attributes:
        parts: the folders and labels that tell it from all others.
        subject: the person; several patients share it where one person was scanned repeatedly.
        contrasts: name → file.
        masks: name → file.
    """

    parts: tuple[str, ...]
    subject: str
    contrasts: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)

    @property
    def identifier(self) -> str:
        """Of the folder to be made."""
        return "_".join(self.parts)


@dataclass(frozen=True)
class Found:
    """What a search found: patients by identifier, and the NIfTI files that were passed over."""

    patients: tuple[FoundPatient, ...]
    ignored: tuple[str, ...]


def find_patients(source: Path) -> Found:
    """Searches a folder for patients with NIfTI files.

    Passed over are masks without a known name, files whose name says no contrast, and synthetic
    images (``desc-synth`` in the name or ``Synthetic`` in the sidecar): nothing may be trained on
    what a model has made.

    Links to folders are not followed, so that nobody is found twice. A pipe, or a link that leads
    nowhere, is found like any file, for whoever reads it to refuse.

    Raises:
        InputError: the folder does not exist or holds no patient, two files claim to be the same
            contrast of one patient, or two patients would have one name.
        ResourceError: a folder cannot be listed.
    """
    require_folder(source)
    try:
        paths = list(_nifti_files(source, DEEPEST_LEVEL))
    except OSError as error:
        raise resource_error("cannot list", Path(error.filename or source), error) from error
    shown = {path: _shown(path) for path in paths}
    ignored = [path.name for path, (kind, _) in shown.items() if kind == "nothing"]
    patients: dict[str, FoundPatient] = {}
    for path, parts in _owners([p for p in paths if shown[p][0] != "nothing"], source).items():
        kind, name = shown[path]
        patient = patients.setdefault("_".join(parts), _patient(parts))
        if patient.parts != parts:
            raise InputError(
                f"two patients would be called {patient.identifier}",
                where=path.name,
                why=f"they lie in {'/'.join(patient.parts)} and {'/'.join(parts)}",
                remedy="rename one of the folders",
            )
        files = patient.contrasts if kind == "contrast" else patient.masks
        if name in files:
            raise InputError(
                f"two files claim to be {name} of patient {patient.identifier}",
                where=path.name,
                why=f"the other is {files[name].name}",
                remedy="leave one of them, or give every patient a folder of its own",
            )
        files[name] = path
    kept = [patients[key] for key in sorted(patients) if patients[key].contrasts]
    if not kept:
        raise InputError(
            "no patient was found",
            where=name_of(source),
            why="no NIfTI file's name says which contrast it shows"
            + (f", not even {ignored[0]}" if ignored else ""),
            remedy=f"name the files like T1.nii.gz or sub-01_T2w.nii.gz ({', '.join(NAMES)}), a "
            "folder for each patient; DICOM series must be converted first",
        )
    for patient in kept:
        ordered = {name: patient.contrasts[name] for name in NAMES if name in patient.contrasts}
        patient.contrasts = ordered
    return Found(tuple(kept), tuple(sorted(ignored)))


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


def _nifti_files(folder: Path, levels: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir() or path.is_symlink():
            if path.name.lower().endswith(NIFTI_SUFFIXES):
                yield path
        elif levels > 0 and path.name not in _OTHER_FOLDERS and not (path / SITE_FILE).exists():
            yield from _nifti_files(path, levels - 1)


def _shown(path: Path) -> tuple[Kind, str]:
    if read_sidecar(path).get("Synthetic") is True:
        return "nothing", ""
    return shown_by(path.name)


def _owners(paths: list[Path], source: Path) -> dict[Path, tuple[str, ...]]:
    """The patient of each file, as the parts of its name."""
    relative = {path: path.relative_to(source) for path in paths}
    subjects = owners(relative.values())
    return {
        path: subjects.get(place) or _folders(place) or (source.resolve().name,)
        for path, place in relative.items()
    }


def _folders(place: Path) -> tuple[str, ...]:
    parts = place.parent.parts
    return parts[:-1] if parts and parts[-1].lower() == "anat" else parts


def _patient(parts: tuple[str, ...]) -> FoundPatient:
    if any(map(names_subject, parts)):
        same = tuple(part for part in person(parts) if not _VISIT.fullmatch(part))
    else:
        is_visit = len(parts) > 1 and _VISIT.fullmatch(parts[-1]) is not None
        same = parts[:-1] if is_visit else parts
    return FoundPatient(parts, "_".join(same))
