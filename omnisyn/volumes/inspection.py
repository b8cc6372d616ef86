"""Look at anything: what each NIfTI file and each DICOM series is, what is odd, what is refused."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from omnisyn.errors import InputError, OmnisynError
from omnisyn.paths import name_of
from omnisyn.volumes.contrast_guess import guess_from
from omnisyn.volumes.read import is_dicom_file, is_dicom_folder, read_volume
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import NIFTI_SUFFIXES

Format = Literal["nifti", "dicom", "folder"]


@dataclass(frozen=True)
class Refusal:
    """Why a volume is refused: the fault, the detail that shows it, how to mend it."""

    what: str
    why: str | None
    remedy: str | None


@dataclass(frozen=True)
class Inspected:
    """One volume, or what should have been one.

    Attributes:
        name: path below what was inspected, or its own basename.
        format: what it was found to be; "folder" for one that cannot be looked into.
        series: what `--series` takes to choose it, of a DICOM folder.
        description: the header's own words.
        contrast: what it shows: said by its sidecar, or guessed; None where nothing tells.
        confidence: of the guess, 0 to 1; 1 where the sidecar says it.
        reason: what the guess rests on.
        shape: voxels along the three axes; None where it is refused.
        spacing: mm between voxels.
        orientation: the directions in which the axes grow, as "LPS".
        warnings: what is odd, one sentence each.
        refusal: why it cannot be used, or None.
    """

    name: str
    format: Format
    series: str | None
    description: str
    contrast: str | None
    confidence: float
    reason: str
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    orientation: str | None
    warnings: tuple[str, ...]
    refusal: Refusal | None


def inspect(path: Path) -> list[Inspected]:
    """Read everything below `path` with all checks; files that are no images are passed over.

    Raises:
        InputError: nothing there can be a volume, or the path cannot be reached.
    """
    # Unlike Path.is_dir, this takes any name, however long.
    if not os.path.isdir(path):
        return _of_dicom(path) if is_dicom_file(path) else [_of_nifti(path)]
    found: list[Inspected] = []
    unreadable: list[OSError] = []
    for scan in _scans(path, unreadable.append):
        entries = _of_dicom(scan) if scan.is_dir() else [_of_nifti(scan)]
        place = scan.relative_to(path).as_posix()
        found += [entry if place == "." else replace(entry, name=place) for entry in entries]
    found += [_unreadable(path, fault) for fault in unreadable]
    if not found:
        raise InputError(
            "holds neither NIfTI files nor DICOM images",
            where=name_of(path),
            remedy="give a volume, a DICOM folder, or a folder above them",
        )
    return found


def _scans(folder: Path, tell: Callable[[OSError], object]) -> Iterator[Path]:
    """DICOM folders and NIfTI files below a folder; links to folders are not followed.

    `tell` hears of every folder that cannot be listed.
    """
    for place, folders, files in os.walk(folder, onerror=tell):
        here = Path(place)
        if is_dicom_folder(here):
            yield here
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            here / name
            for name in sorted(files)
            if name.lower().endswith(NIFTI_SUFFIXES) and not name.startswith(".")
        )


def _of_nifti(path: Path) -> Inspected:
    try:
        volume = read_volume(path)
    except OmnisynError as fault:
        return _refused(path.name, "nifti", None, "", fault)
    return _described(volume, "nifti", None)


def _of_dicom(path: Path) -> list[Inspected]:
    from omnisyn.volumes.dicom import list_stacks, read_stack

    name = name_of(path)
    try:
        stacks = list_stacks(path)
    except OmnisynError as fault:
        return [_refused(name, "dicom", None, "", fault)]
    found = []
    for stack in stacks:
        selector = stack.selector if len(stacks) > 1 else None
        words = ", ".join(filter(None, (stack.description, stack.told_apart)))
        try:
            found.append(_described(read_stack(stack, name), "dicom", selector, words))
        except OmnisynError as fault:
            found.append(_refused(name, "dicom", selector, words, fault))
    return found


def _described(
    volume: Volume, kind: Format, series: str | None, description: str = ""
) -> Inspected:
    provenance, geometry = volume.provenance, volume.geometry
    guess = guess_from(provenance.acquisition, [provenance.name])
    contrast, confidence, reason = guess.contrast, guess.confidence, guess.reason
    if volume.contrast is not None and volume.contrast is not contrast:
        contrast, confidence, reason = volume.contrast, 1.0, "said by its sidecar"
    return Inspected(
        name=provenance.name,
        format=kind,
        series=series,
        description=description or str(provenance.acquisition.get("SeriesDescription", "")),
        contrast=contrast.name if contrast else None,
        confidence=confidence,
        reason=reason,
        shape=geometry.shape,
        spacing=geometry.spacing,
        orientation=geometry.orientation,
        warnings=provenance.warnings,
        refusal=None,
    )


def _unreadable(path: Path, fault: OSError) -> Inspected:
    place = Path(os.fsdecode(fault.filename or path)).relative_to(path).as_posix()
    refusal = InputError(
        "the folder cannot be read", why=fault.strerror, remedy="check its permissions"
    )
    return _refused(name_of(path) if place == "." else place, "folder", None, "", refusal)


def _refused(
    name: str,
    kind: Format,
    series: str | None,
    description: str,
    fault: OmnisynError,
) -> Inspected:
    return Inspected(
        name=name,
        format=kind,
        series=series,
        description=description,
        contrast=None,
        confidence=0.0,
        reason="",
        shape=None,
        spacing=None,
        orientation=None,
        warnings=(),
        refusal=Refusal(fault.what, fault.why, fault.remedy),
    )
