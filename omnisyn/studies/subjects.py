"""Whose scan a file is, as BIDS names say: the subject and session of its name and folders.

Scans of two patients must never meet. So a subject is only the same subject below the same folder,
and a label is taken whole, with the hyphens, dots and numbers that BIDS does not allow in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import PurePath

from omnisyn.contrasts import guess_contrast, is_contrast
from omnisyn.errors import UsageError
from omnisyn.volumes.write import NIFTI_SUFFIXES

_SUFFIXES = (*NIFTI_SUFFIXES, ".dcm", ".ima")
_LABEL = re.compile(r"(?:^|_)((?:sub|ses)-[^_]+(?:_[0-9]+)*)(?=_|$)")
_SUBJECT = "sub-"
_SESSION = "ses-"
_NEAREST = 3
# In "sub-01.T1" and "sub-01-T1" the contrast is no part of the label.
_LAST_WORD = re.compile(r"(.+-.+)[-. ]([^-. ]+)$")
_DATA_FOLDER = "anat"


def stem(name: str) -> str:
    """A file name without its image suffix; `sub.01.nii.gz` → `sub.01`."""
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def labels(name: str) -> tuple[str, ...]:
    """Subject and session in the name of a file or folder: `sub-01_ses-2_T1w.nii.gz` → two."""
    bare = stem(name)
    last = _LAST_WORD.fullmatch(bare.rsplit("_", 1)[-1])
    if last and is_contrast(last[2]):
        bare = bare[: -len(last[2]) - 1]
    return tuple(_LABEL.findall(bare))


def without_labels(name: str) -> str:
    """What a file's name, less its suffix, says besides its subject and session."""
    rest = stem(name)
    for label in labels(name):
        rest = rest.replace(label, "", 1)
    return rest.strip("_-. ")


def names_subject(name: str) -> bool:
    """Whether the name of a file or folder holds a subject."""
    return any(label.startswith(_SUBJECT) for label in labels(name))


def owner(path: PurePath) -> tuple[str, ...]:
    """Folders and labels that tell the patient of a scan, whose path or name holds a subject.

    Folders that only say what the scan is (`anat`, its contrast) are left out, and what both name
    and folders say stands once: `a/sub-01/anat/sub-01_T1w.nii.gz` → `a`, `sub-01`.
    """
    shown = guess_contrast(without_labels(path.name))
    parts: list[str] = []
    for folder in path.parts[:-1]:
        if folder.lower() == _DATA_FOLDER:
            continue
        if shown is not None and is_contrast(folder) and guess_contrast(folder) is shown:
            continue
        own = labels(folder)
        parts += own if "_".join(own) == folder else [folder]
    return (*parts, *(label for label in labels(path.name) if label not in parts))


def owners(paths: Iterable[PurePath]) -> dict[PurePath, tuple[str, ...]]:
    """The patient of each path below one folder that holds a subject, in its name or folders.

    Folders above the subject are named only where they are needed to tell two patients apart:
    `a/sub-01` and `b/sub-01`, but `sub-02`.

    Args:
        paths: relative to that folder.
    """
    whole = {path: owner(path) for path in paths if any(map(names_subject, path.parts))}
    namesakes: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for parts in whole.values():
        namesakes.setdefault(_from_subject(parts), set()).add(parts)
    return {
        path: short if len(namesakes[short := _from_subject(parts)]) == 1 else parts
        for path, parts in whole.items()
    }


def person(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The parts of a patient's name up to the subject: what all sessions of one person share."""
    return parts[: _place_of_subject(parts) + 1]


def selected(
    patients: Iterable[tuple[str, ...]], subjects: Sequence[str], sessions: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """Those patients that are of one of the subjects and one of the sessions.

    Args:
        patients: the parts of each one's name, as `owner` gives them. Of one whose parts hold no
            label, such as `017/visit2`, each part is taken for both.
        subjects: labels, with `sub-` or without; none means all.
        sessions: labels, with `ses-` or without; none means all.

    Raises:
        UsageError: no patient has a label, and the nearest are offered; or none has both.
    """
    kept = list(patients)
    wanted = [(_SUBJECT, "subject", subjects), (_SESSION, "session", sessions)]
    told = {prefix: [(parts, _told(parts, prefix)) for parts in kept] for prefix, _, _ in wanted}
    for prefix, what, asked in wanted:
        if not asked:
            continue
        there = set().union(*(of_one for _, of_one in told[prefix]))
        bare = {label.removeprefix(prefix) for label in asked}
        for label in sorted(bare - there):
            raise _unknown(label, what, there)
        taken = {parts for parts, of_one in told[prefix] if of_one & bare}
        kept = [parts for parts in kept if parts in taken]
    if not kept and subjects and sessions:
        raise UsageError(
            "none of these subjects has one of these sessions",
            remedy="leave --subject or --session out to see which there are",
        )
    return kept


def _told(parts: tuple[str, ...], prefix: str) -> set[str]:
    """The subject's or session's label in the parts of a patient's name, without its prefix."""
    found = [label for part in parts for label in labels(part)]
    if not found:
        return set(parts)
    return {label.removeprefix(prefix) for label in found if label.startswith(prefix)}


def _unknown(label: str, what: str, there: set[str]) -> UsageError:
    near = get_close_matches(label, sorted(there), n=_NEAREST, cutoff=0.5)
    offered = ", ".join(near or sorted(there)[:_NEAREST])
    if not offered:
        remedy = f"nothing here says its {what}: leave --{what} out"
    else:
        remedy = f"the nearest are {offered}" if near else f"there are {len(there)}, as {offered}"
    return UsageError(f"there is no {what} '{label}'", remedy=remedy)


def _from_subject(parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts[_place_of_subject(parts) :]


def _place_of_subject(parts: tuple[str, ...]) -> int:
    return max(place for place, part in enumerate(parts) if names_subject(part))
