"""Finds patients in a folder: which files belong to whom and which contrast each shows.

The contrast is read off the file's name, the patient off its BIDS entities or its folder. Known
arrangements: a BIDS dataset, ``<patient>/T1.nii.gz``, ``<patient>/anat/…``, one more level for the
visits of a patient, a flat folder of BIDS names, and the folder of a single patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omnisyn.contrasts import NAMES, guess_contrast
from omnisyn.errors import InputError
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.read import read_sidecar

DEEPEST_LEVEL = 4
"""Folders below the source that are searched: group, subject, session, anat."""

_ENTITY = re.compile(r"(?:^|_)(?P<key>sub|ses)-(?P<value>[A-Za-z0-9+]+)(?=_|\.|$)")
_VISIT = re.compile(
    r"(ses|session|study|visit|scan|exam|timepoint|tp|baseline|followup|day|week|month)"
    r"[-_]?[0-9A-Za-z]*",
    re.IGNORECASE,
)
_OTHER_FOLDERS = {"derivatives", "sourcedata", "code", "cache"}
_MASK_WORDS = {
    "tumour": "tumour",
    "tumor": "tumour",
    "gtv": "tumour",
    "gtvp": "tumour",
    "nodes": "nodes",
    "gtvn": "nodes",
    "lesion": "lesions",
    "lesions": "lesions",
}
# Words of files that show no contrast, whatever contrast their name speaks of.
_LABEL_WORDS = {
    *_MASK_WORDS,
    "mask", "brainmask", "headmask", "seg", "segmentation", "dseg", "probseg", "label", "labels",
    "roi", "gt", "tissues", "tissue", "head",
}  # fmt: skip


@dataclass
class FoundPatient:
    """The files of one patient.

    Attributes:
        identifier: of the folder to be made.
        subject: the person; several patients share it where one person was scanned repeatedly.
        contrasts: name → file.
        masks: name → file.
    """

    identifier: str
    subject: str
    contrasts: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)


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

    Raises:
        InputError: the folder does not exist or holds no patient, or two files claim to be the
            same contrast of one patient.
        ResourceError: a folder cannot be listed.
    """
    require_folder(source)
    patients: dict[str, FoundPatient] = {}
    ignored: list[str] = []
    try:
        paths = list(_nifti_files(source, DEEPEST_LEVEL))
    except OSError as error:
        raise resource_error("cannot list", Path(error.filename or source), error) from error
    for path in paths:
        kind, name = _shown(path)
        if kind == "nothing":
            ignored.append(path.name)
            continue
        identifier, subject = _owner(path, source)
        patient = patients.setdefault(identifier, FoundPatient(identifier, subject))
        files = patient.contrasts if kind == "contrast" else patient.masks
        if name in files:
            raise InputError(
                f"two files claim to be {name} of patient {identifier}",
                where=path.name,
                why=f"the other is {files[name].name}",
                remedy="leave one of them, or give every patient a folder of its own",
            )
        files[name] = path
    kept = [patients[key] for key in sorted(patients) if patients[key].contrasts]
    if not kept:
        raise InputError(
            "no patient was found",
            where=source.name,
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
    if not source.is_dir():
        raise InputError(
            "the source is no folder" if source.exists() else "there is no such folder",
            where=source.name,
            remedy="give a folder of patients or a site",
        )


def _nifti_files(folder: Path, levels: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file() and path.name.lower().endswith((".nii", ".nii.gz")):
            yield path
        elif (
            path.is_dir()
            and levels > 0
            and path.name not in _OTHER_FOLDERS
            and not (path / "site.toml").exists()
        ):
            yield from _nifti_files(path, levels - 1)


def _stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _shown(path: Path) -> tuple[str, str]:
    """("contrast" | "mask" | "nothing", its name)."""
    # Without the subject's own label, which may well be spelled like a contrast.
    stem = _ENTITY.sub("", _stem(path))
    words = [word for word in re.split(r"[^a-z0-9]+", stem.lower()) if word]
    if "desc-synth" in stem.lower() or read_sidecar(path).get("Synthetic") is True:
        return "nothing", ""
    if set(words) & _LABEL_WORDS:
        masks = {_MASK_WORDS[word] for word in words if word in _MASK_WORDS}
        if words in (["head"], ["head", "mask"], ["headmask"]):
            masks = {"head"}
        return ("mask", masks.pop()) if len(masks) == 1 else ("nothing", "")
    shown = guess_contrast(stem)
    return ("contrast", shown.name) if shown else ("nothing", "")


def _owner(path: Path, source: Path) -> tuple[str, str]:
    """The patient's identifier and the person it is."""
    entities = {match["key"]: match["value"] for match in _ENTITY.finditer(_stem(path))}
    if "sub" in entities:
        subject = f"sub-{entities['sub']}"
        session = f"_ses-{entities['ses']}" if "ses" in entities else ""
        return subject + session, subject
    parts = list(path.parent.relative_to(source).parts)
    if parts and parts[-1].lower() == "anat":
        parts.pop()
    if not parts:
        return source.resolve().name, source.resolve().name
    is_visit = len(parts) > 1 and _VISIT.fullmatch(parts[-1]) is not None
    return "_".join(parts), "_".join(parts[:-1] if is_visit else parts)
