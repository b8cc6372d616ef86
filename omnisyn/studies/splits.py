"""Splits by patient: stable, so that adding patients never moves the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from omnisyn.errors import InputError
from omnisyn.studies.patients_table import TABLE_FILE, UNKNOWN

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


def split_patients(
    identifiers: Iterable[str], validation_fraction: float, seed: int
) -> dict[str, Literal["train", "validation"]]:
    """Sends every identifier to training or validation by a hash of itself and the seed.

    The part of a patient depends on nothing but its identifier, the fraction and the seed: adding
    or removing patients moves nobody, and a larger fraction only adds to the validation patients.
    The share is therefore met on average, not exactly. One exception, for small sites: with
    ``0 < validation_fraction < 1`` both parts must exist, so where everybody falls on one side the
    patient nearest to the boundary changes sides (a single patient is always trained on).

    Raises:
        ValueError: a fraction outside [0, 1].
    """
    if not 0 <= validation_fraction <= 1:
        raise ValueError(f"validation_fraction must lie in [0, 1], not {validation_fraction}")
    places = {identifier: _place(identifier, seed) for identifier in identifiers}
    parts: dict[str, Literal["train", "validation"]] = {
        identifier: "validation" if place < validation_fraction else "train"
        for identifier, place in places.items()
    }
    if 0 < validation_fraction < 1 and places:
        if "train" not in parts.values():
            parts[max(places, key=places.__getitem__)] = "train"
        elif "validation" not in parts.values() and len(places) > 1:
            parts[min(places, key=places.__getitem__)] = "validation"
    return parts


def part_of_patients(
    tags: Mapping[str, Mapping[str, str]], validation_fraction: float, seed: int
) -> dict[str, Part]:
    """The part of every patient: its ``split`` tag where given, else by ``split_patients``.

    Patients that carry the same ``subject`` tag (one person scanned more than once) always go to
    the same part.

    Args:
        tags: patient identifier → its row of patients.tsv.
        validation_fraction: share of the patients without a ``split`` tag, in [0, 1].
        seed: of the hash.

    Raises:
        InputError: a ``split`` tag that is no part, or a subject with two different ones.
    """
    subject_of = {patient: row.get("subject", patient) for patient, row in tags.items()}
    given: dict[str, Part] = {}
    for patient, row in tags.items():
        if "split" not in row:
            continue
        if row["split"] not in PARTS:
            raise InputError(
                f"split {row['split']!r} of patient {patient} is unknown",
                where=TABLE_FILE,
                remedy=f"write one of {', '.join(PARTS)}, or {UNKNOWN}",
            )
        part = row["split"]
        if given.setdefault(subject_of[patient], part) != part:
            raise InputError(
                f"the scans of subject {subject_of[patient]} are in two parts of the split",
                where=TABLE_FILE,
                why="one person on both sides of a split makes every figure too good",
                remedy="give all scans of a subject the same split",
            )
    undecided = sorted(set(subject_of.values()) - set(given))
    parts: dict[str, Part] = {**split_patients(undecided, validation_fraction, seed), **given}
    return {patient: parts[subject] for patient, subject in subject_of.items()}


def _place(identifier: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{identifier}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
