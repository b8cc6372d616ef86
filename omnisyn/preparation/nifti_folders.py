"""Finds patients among NIfTI files: which files belong to whom and which contrast each shows.

The contrast is read off the file's name, the patient off its BIDS entities or its folder. Known
arrangements: a BIDS dataset, ``<patient>/T1.nii.gz``, ``<patient>/anat/…``, one more level for the
visits of a patient, a flat folder of BIDS names, and the folder of a single patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, OmnisynError
from omnisyn.preparation.found import Found, FoundMask, FoundPatient, FoundScan
from omnisyn.preparation.instructions import NONE, Instructions
from omnisyn.studies.bids import contrast_of, run_number
from omnisyn.studies.choose_scan import UNREADABLE, Candidate, preferred, why_preferred
from omnisyn.studies.image_names import Kind, shown_by
from omnisyn.studies.subjects import names_subject, owners, person
from omnisyn.volumes.nifti import read_geometry
from omnisyn.volumes.sidecar import read_sidecar

BRAIN = "brain"
"""The mask that is applied and not kept."""

_VISIT = re.compile(
    r"(ses|session|study|visit|scan|exam|timepoint|tp|baseline|followup|day|week|month)"
    r"[-_]?[0-9A-Za-z]*",
    re.IGNORECASE,
)


@dataclass
class _Files:
    """The files of one patient, by what they show."""

    parts: tuple[str, ...]
    contrasts: dict[str, list[Path]] = field(default_factory=dict)
    masks: dict[str, list[Path]] = field(default_factory=dict)


def find_nifti(
    source: Path,
    files: Sequence[Path],
    instructions: Instructions,
    brain_mask: str | None = None,
    *,
    bids: bool = False,
) -> Found:
    """The patients of these files.

    Passed over are masks without a known name, files whose name says no contrast, and synthetic
    images (``desc-synth`` in the name or ``Synthetic`` in the sidecar): nothing may be trained on
    what a model has made.

    Args:
        source: the folder that they lie below.
        files: NIfTI files. A pipe, or a link that leads nowhere, is found like any file, for
            whoever reads it to refuse.
        brain_mask: pattern of the name that each patient's brain mask has.
        bids: whether the files are those of a BIDS dataset, whose names are a standard.

    Raises:
        InputError: two patients would have one name.
    """
    shown = {path: _shown(source, path, instructions, brain_mask, bids) for path in files}
    passed = [f"{path.name}: no contrast" for path in files if shown[path][0] == "nothing"]
    patients: dict[str, _Files] = {}
    for path, parts in _owners([p for p in files if shown[p][0] != "nothing"], source).items():
        kind, name = shown[path]
        patient = patients.setdefault("_".join(parts), _Files(parts))
        if patient.parts != parts:
            raise InputError(
                f"two patients would be called {'_'.join(parts)}",
                where=path.name,
                why=f"they lie in {'/'.join(patient.parts)} and {'/'.join(parts)}",
                remedy="rename one of the folders",
            )
        table = patient.contrasts if kind == "contrast" else patient.masks
        table.setdefault(name, []).append(path)
    found = []
    for identifier in sorted(patients):
        patient = patients[identifier]
        if patient.contrasts:
            found.append(_patient(identifier, patient))
        else:
            passed += [
                f"{p.name}: no contrast beside it" for m in patient.masks.values() for p in m
            ]
    return Found(tuple(found), tuple(sorted(passed)))


def _patient(identifier: str, files: _Files) -> FoundPatient:
    scans, left = {}, []
    for name in (name for name in NAMES if name in files.contrasts):
        paths = files.contrasts[name]
        taken = paths[0]
        if len(paths) > 1:
            candidates = [_candidate(path) for path in paths]
            taken = paths[preferred(candidates)]
            reason = why_preferred(candidates)
            left += [
                f"{path.name}: another {name}, {taken.name} is taken ({reason})"
                for path in paths
                if path is not taken
            ]
        scans[name] = FoundScan(
            "NIfTI", (taken,), f"named {name}", simulated=_flag(taken, "Simulated")
        )
    masks = {name: tuple(FoundMask(path) for path in paths) for name, paths in files.masks.items()}
    return FoundPatient(identifier, _subject(files.parts), scans, masks, left=tuple(left))


def _candidate(path: Path) -> Candidate:
    try:
        geometry = read_geometry(path)
    except OmnisynError:
        geometry = UNREADABLE
    return Candidate(path.name, geometry, run_number(path.name))


def _shown(
    source: Path, path: Path, instructions: Instructions, brain_mask: str | None, bids: bool
) -> tuple[Kind, str]:
    if brain_mask is not None and fnmatchcase(path.name, brain_mask):
        return "mask", BRAIN
    if _flag(path, "Synthetic"):
        return "nothing", ""
    said = instructions.said([path.relative_to(source).as_posix(), path.name])
    if said is not None:
        return ("nothing", "") if said == NONE else ("contrast", said)
    kind, name = shown_by(path.name)
    if bids and kind == "contrast":
        try:
            standard = contrast_of(path)
        except InputError:
            # The sidecar is damaged: it is told as this patient's fault when it is read.
            return kind, name
        return ("contrast", standard.name) if standard else ("nothing", "")
    return kind, name


def _flag(path: Path, name: str) -> bool:
    try:
        return read_sidecar(path).get(name) is True
    except InputError:
        # It is told as this patient's fault when it is read.
        return False


def _owners(paths: Sequence[Path], source: Path) -> dict[Path, tuple[str, ...]]:
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


def _subject(parts: tuple[str, ...]) -> str:
    if any(map(names_subject, parts)):
        return "_".join(part for part in person(parts) if not _VISIT.fullmatch(part))
    is_visit = len(parts) > 1 and _VISIT.fullmatch(parts[-1]) is not None
    return "_".join(parts[:-1] if is_visit else parts)
