"""Finds patients among DICOM files, in whatever folders they lie: by their headers alone.

An exam is what has one patient and one study in its headers. Which series of it shows which
contrast follows from its words and its parameters; of several the best is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.listeners import Progress, unwatched
from omnisyn.preparation.found import Found, FoundPatient, FoundScan
from omnisyn.preparation.instructions import NONE, Instructions
from omnisyn.studies.choose_scan import UNREADABLE, Candidate, preferred, why_preferred
from omnisyn.volumes.contrast_guess import WORDS_ONLY
from omnisyn.volumes.dicom import stack_geometry
from omnisyn.volumes.dicom_facts import acquisition
from omnisyn.volumes.dicom_files import read_header
from omnisyn.volumes.dicom_frames import Frame, frames_of
from omnisyn.volumes.dicom_stacks import Stack, find_stacks

_FEWEST_SLICES = 5
_NO_SCANS = (
    *("localizer", "localiser", "scout", "survey", "loc", "plan", "calibration", "asset", "shim"),
    *("b0", "b1", "fieldmap"),
)
_DIFFUSION = ("dwi", "dti", "diff", "diffusion")
_MADE_OF_SCANS = ("mip", "mpr", "sub", "subtraction", "adc", "fa", "reformat", "projection")


@dataclass(frozen=True)
class _Series:
    """A stack of an exam that may be one of its contrasts."""

    stack: Stack
    contrast: str
    told_by: str
    rank: int
    geometry: Geometry


def find_dicom(
    source: Path,
    files: Sequence[Path],
    instructions: Instructions,
    progress: Progress = unwatched,
) -> Found:
    """The patients of these files, each exam of a patient by itself.

    A patient is called after the folder that holds nobody else's files; where the files of several
    lie together, or the instructions want it so, after a pseudonym: the first digits of a hash of
    the number in the headers.

    Args:
        source: the folder that they lie below.
        files: all that may be DICOM.
    """
    exams: dict[tuple[str, str], list[Frame]] = {}
    for done, path in enumerate(files):
        progress(done, len(files), "read headers")
        file = read_header(path)
        if file is None:
            continue
        try:
            frames = frames_of(file)
        except InputError:
            # It is told when the patient that it lies with is read, or passed over with the rest.
            continue
        for frame in frames:
            who = frame.patient or f"folder {path.parent.relative_to(source).as_posix()}"
            exams.setdefault((who, frame.text("StudyInstanceUID")), []).append(frame)
    names = _names(source, exams, instructions)
    found, passed = [], []
    for key in sorted(exams, key=lambda each: names[each]):
        subject, identifier = names[key]
        scans, left = _scans(source, exams[key], instructions)
        if scans:
            found.append(FoundPatient(identifier, subject, scans, left=left))
        else:
            passed.append(f"{identifier}: no series shows a known contrast: {'; '.join(left)}")
    return Found(tuple(found), tuple(passed))


def _scans(
    source: Path, frames: Sequence[Frame], instructions: Instructions
) -> tuple[dict[str, FoundScan], tuple[str, ...]]:
    """The best series of each contrast, and a sentence on each of the others."""
    candidates: dict[str, list[_Series]] = {}
    left = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for stack in find_stacks(frames):
            series = _judged(source, stack, instructions)
            if isinstance(series, str):
                left.append(f"series {stack.selector}: {series}")
            else:
                candidates.setdefault(series.contrast, []).append(series)
    scans = {}
    for name in (name for name in NAMES if name in candidates):
        offered = candidates[name]
        best = min(series.rank for series in offered)
        equal = [series for series in offered if series.rank == best]
        choice = [
            Candidate(series.stack.selector, series.geometry, order)
            for order, series in enumerate(equal)
        ]
        taken = equal[preferred(choice)]
        for series in offered:
            if series is not taken:
                reason = why_preferred(choice) if series in equal else "less likely by its header"
                left.append(
                    f"series {series.stack.selector}: another {name}, series "
                    f"{taken.stack.selector} is taken ({reason})"
                )
        scans[name] = FoundScan(
            "DICOM",
            tuple(sorted({frame.file.path for frame in taken.stack.frames})),
            f"{taken.told_by} (series {taken.stack.selector})",
            taken.stack.told_apart,
            simulated=bool(acquisition(taken.stack.frames[0]).get("Simulated")),
        )
    return scans, tuple(left)


def _judged(source: Path, stack: Stack, instructions: Instructions) -> _Series | str:
    """A stack with the contrast that it seems to show, or why it is none of ours."""
    frame = stack.frames[0]
    facts = acquisition(frame)
    words = re.split(r"[^a-z0-9]+", stack.description.lower())
    kinds = {kind.strip() for kind in frame.text("ImageType").upper().split("\\")}
    if facts.get("Synthetic"):
        return "a synthetic image"
    place = frame.file.path.parent.relative_to(source).as_posix()
    said = instructions.said([stack.description, place, f"{place}/{stack.description}"])
    if said == NONE:
        return "left out by the instructions"
    if said is None:
        if not set(_DIFFUSION).isdisjoint(words):
            return "a diffusion series"
        if "LOCALIZER" in kinds or not set(_NO_SCANS).isdisjoint(words):
            return "a localizer or calibration"
        if not set(_MADE_OF_SCANS).isdisjoint(words):
            return "made of other series"
    guess = stack.guess
    contrast = said or (guess.contrast.name if guess.contrast else None)
    if contrast is None:
        return "nothing tells its contrast"
    if len(stack.frames) < _FEWEST_SLICES:
        return f"only {len(stack.frames)} slices"
    try:
        geometry = stack_geometry(stack, f"series {stack.selector}")
    except InputError as error:
        if said is None and guess.confidence < WORDS_ONLY:
            return f"{contrast} perhaps, but {error.what}"
        # It is told as this patient's fault when it is read.
        geometry = UNREADABLE
    likely = said is not None or guess.confidence >= WORDS_ONLY
    rank = 0 if likely and "SECONDARY" not in kinds else 1 if likely else 2
    told_by = "said by the instructions" if said else guess.reason
    return _Series(stack, contrast, told_by, rank, geometry)


def _names(
    source: Path, exams: Mapping[tuple[str, str], Sequence[Frame]], instructions: Instructions
) -> dict[tuple[str, str], tuple[str, str]]:
    """(subject, identifier) of each exam."""
    places = {
        key: {frame.file.path.parent.relative_to(source) for frame in frames}
        for key, frames in exams.items()
    }
    whose: dict[str, set[PurePath]] = {}
    for (who, _), folders in places.items():
        whose.setdefault(who, set()).update(folders)
    subjects = {who: _pseudonym(who) for who in whose}
    if instructions.identifiers == "folders":
        own = _own_folders(whose)
        if len(whose) == 1:
            own = {who: folder or PurePath(source.resolve().name) for who, folder in own.items()}
        subjects |= _called({who: folder for who, folder in own.items() if folder})
    visits = _visits(exams)
    studies = Counter(who for who, _ in exams)
    return {
        key: (
            subjects[key[0]],
            subjects[key[0]] if studies[key[0]] == 1 else f"{subjects[key[0]]}_exam{visits[key]}",
        )
        for key in exams
    }


def _own_folders(whose: Mapping[str, set[PurePath]]) -> dict[str, PurePath | None]:
    """The highest folder below the source with the files of one patient and no other."""
    visited: dict[PurePath, set[str]] = {}
    for who, folders in whose.items():
        for folder in folders:
            for place in (folder, *folder.parents):
                visited.setdefault(place, set()).add(who)
    own: dict[str, PurePath | None] = {}
    for who, folders in whose.items():
        common = PurePath(os.path.commonpath(folders))
        chain = [place for place in (*reversed(common.parents), common) if place.parts]
        own[who] = next((place for place in chain if visited[place] == {who}), None)
    return own


def _called(folders: Mapping[str, PurePath]) -> dict[str, str]:
    """Names made of folders: the last part, or all parts where that is not enough."""
    last = Counter(_fit(folder.name) for folder in folders.values())
    called = {}
    for who, folder in folders.items():
        name = _fit(folder.name)
        if last[name] > 1:
            name = _fit("_".join(folder.parts))
        called[who] = name
    repeated = Counter(called.values())
    return {who: name for who, name in called.items() if name and repeated[name] == 1}


def _fit(name: str) -> str:
    """The name as an identifier of a patient may be written."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-_.+")


def _pseudonym(who: str) -> str:
    return "p" + hashlib.sha256(f"omnisyn patient {who}".encode()).hexdigest()[:8]


def _visits(exams: Mapping[tuple[str, str], Sequence[Frame]]) -> dict[tuple[str, str], int]:
    """The number of each exam among those of its patient, by date."""

    def when(key: tuple[str, str]) -> tuple[str, str, str]:
        frame = exams[key][0]
        return frame.text("StudyDate"), frame.text("StudyTime"), key[1]

    return {
        key: number
        for who in {who for who, _ in exams}
        for number, key in enumerate(sorted((k for k in exams if k[0] == who), key=when), start=1)
    }
