"""A BIDS dataset as a source: which of its files are scans, and which contrast each shows.

In a raw dataset names are a standard and not a hint, so the suffix alone says the contrast (BIDS
1.10, Magnetic Resonance Imaging, anatomy imaging data): `acq-FLAIR_T1w` is a T1, and a `T1map`,
an `inplaneT1` or a phase image is none. Only `sub-*/[ses-*/]anat/` is looked into.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnisyn.contrasts import CONTRASTS, Contrast, contrast
from omnisyn.paths import read_json
from omnisyn.studies.subjects import stem
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.sidecar import DESCRIPTION, read_sidecar
from omnisyn.volumes.write import NIFTI_SUFFIXES

DERIVATIVES = "derivatives"
SCAN_FOLDER = "anat"

_BY_SUFFIX = {entry.suffix: entry for entry in CONTRASTS if not entry.entities}
_NO_AGENT = frozenset({"none", "no", "pre", "without"})


def is_raw_dataset(folder: Path) -> bool:
    """Whether a folder is the top of a BIDS dataset as it was acquired, not of a derivative."""
    try:
        told = read_json(folder / DESCRIPTION)
    except (OSError, ValueError):
        return False
    if not isinstance(told, dict) or "BIDSVersion" not in told:
        return False
    return bool(told.get("DatasetType", "raw") == "raw")


def enclosing_dataset(folder: Path) -> Path | None:
    """The raw dataset that a folder lies in, which need not exist yet; with links resolved."""
    return next(filter(is_raw_dataset, folder.resolve().parents), None)


def anatomical_files(dataset: Path) -> Iterator[Path]:
    """The NIfTI files of all subjects and sessions; links to folders are not followed.

    Raises:
        ResourceError: a folder cannot be listed.
    """
    try:
        for subject in _folders(dataset, "sub-"):
            for exam in (subject, *_folders(subject, "ses-")):
                for place in _folders(exam, SCAN_FOLDER):
                    if place.name == SCAN_FOLDER:
                        yield from _images(place)
    except OSError as fault:
        raise resource_error("cannot list", Path(fault.filename or dataset), fault) from fault


def contrast_of(path: Path) -> Contrast | None:
    """The contrast that a file of a raw dataset shows, or None where it shows none of ours.

    A T1w is a T1c where its `ce` entity or its sidecar's `ContrastBolusIngredient` names an agent.
    An angiography with an agent is none: MRA means time of flight.

    Raises:
        InputError: the sidecar is damaged.
    """
    *_, suffix = stem(path.name).split("_")
    shown = _BY_SUFFIX.get(suffix)
    if shown is None or entity(path.name, "part") not in (None, "mag"):
        return None
    agent = entity(path.name, "ce")
    if shown.name in ("T1", "MRA"):
        # Only there does it make another contrast.
        agent = agent or read_sidecar(path).get("ContrastBolusIngredient")
        if isinstance(agent, str) and agent.lower() not in _NO_AGENT:
            return contrast("T1c") if shown.name == "T1" else None
    return shown


def entity(name: str, key: str) -> str | None:
    """The label of an entity in a file's name: `sub-01_run-2_T1w.nii.gz`, `run` → `2`."""
    words = (word.partition("-") for word in stem(name).split("_"))
    return next((label for found, _, label in words if found == key and label), None)


def run_number(name: str) -> int:
    """Which run of its like a file is; 1 where its name does not count them."""
    label = entity(name, "run") or ""
    return int(label) if label.isdecimal() else 1


def _folders(place: Path, start: str) -> list[Path]:
    return sorted(
        path
        for path in place.iterdir()
        if path.name.startswith(start) and path.is_dir() and not path.is_symlink()
    )


def _images(place: Path) -> list[Path]:
    return sorted(
        path
        for path in place.iterdir()
        if path.name.startswith("sub-") and path.name.lower().endswith(NIFTI_SUFFIXES)
    )
