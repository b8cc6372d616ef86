"""The sidecar of a NIfTI file: what JSON says of how it was made, in the words of BIDS.

In a BIDS dataset that is not only the file beside it: what stands higher up for all files of a
kind applies as well, and is overruled by what stands nearer (the inheritance principle, BIDS 1.10,
Common principles).
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omnisyn.contrasts import Contrast, contrast
from omnisyn.errors import InputError, OmnisynError
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.write import sidecar_path

DESCRIPTION = "dataset_description.json"
"""The file that makes a folder the top of a BIDS dataset."""

_DEEPEST = 4
"""Folders from a scan up to the dataset: `anat`, the session, the subject, the dataset."""

# BIDS states times in seconds; here they are in ms.
_TIMES = ("RepetitionTime", "EchoTime", "InversionTime")
_NUMBERS = ("FlipAngle", "MagneticFieldStrength", "SliceThickness")
_WORDS = (
    "Manufacturer",
    "ManufacturersModelName",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "ScanningSequence",
    "MRAcquisitionType",
    "ContrastBolusAgent",
)
FACTS = {
    "repetition_time_ms": "RepetitionTime",
    "echo_time_ms": "EchoTime",
    "inversion_time_ms": "InversionTime",
    "field_tesla": "MagneticFieldStrength",
}
"""The numbers of an acquisition that a text may speak of, by our name; the BIDS key of each."""
_FLAGS = ("FatSuppressed", "Simulated", "Synthetic")


def read_sidecar(path: str | Path) -> Mapping[str, Any]:
    """The JSON mapping that belongs to a NIfTI file; empty where there is none.

    Raises:
        InputError: a sidecar is there but is not a JSON mapping.
        ResourceError: a folder of the dataset cannot be listed.
    """
    path = Path(path)
    told: dict[str, Any] = {}
    for inherited in _inherited(path):
        told |= _read_mapping(inherited)
    side = sidecar_path(path)
    return told | _read_mapping(side) if side.is_file() else told


def _inherited(path: Path) -> Iterator[Path]:
    """The sidecars of the dataset that apply to a file beside its own, the most general first."""
    if not path.name.startswith("sub-"):
        return
    folders = path.absolute().parents[:_DEEPEST]
    is_top = [os.path.isfile(folder / DESCRIPTION) for folder in folders]
    if not any(is_top):
        return
    own = sidecar_path(path).name
    *entities, suffix = own.split("_")
    for folder in reversed(folders[: is_top.index(True) + 1]):
        named = {name: name.split("_") for name in _listed(folder) if name != own}
        applying = [
            name
            for name, words in named.items()
            if words[-1] == suffix and set(words[:-1]) <= set(entities)
        ]
        yield from (folder / name for name in sorted(applying, key=lambda name: len(named[name])))


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as fault:
        raise resource_error("cannot list", folder, fault) from fault


def _read_mapping(side: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_file(side).content.decode("utf-8-sig"))
    # ValueError: no JSON, no text, or a number of more digits than Python turns into one.
    except (ValueError, RecursionError) as error:
        raise InputError(
            "the sidecar is not valid JSON",
            where=side.name,
            why=str(error).splitlines()[0],
            remedy="repair or remove it",
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            "the sidecar is not a JSON mapping", where=side.name, remedy="repair or remove it"
        )
    return content


def acquisition_facts(sidecar: Mapping[str, Any]) -> dict[str, float | str]:
    """The facts of a BIDS sidecar that are kept: times turned from s into ms, no patient data."""
    facts: dict[str, float | str] = {}
    for key, value in sidecar.items():
        if isinstance(value, bool):
            if key in _FLAGS:
                facts[key] = value
        elif isinstance(value, str):
            if key in _WORDS:
                facts[key] = value
        # Numbers that no scanner writes are no facts, NaN among them.
        elif key in _TIMES + _NUMBERS and isinstance(value, int | float) and abs(value) < 1e9:
            facts[key] = float(value) * (1000.0 if key in _TIMES else 1.0)
    return facts


def numbers_of(sidecar: Mapping[str, Any]) -> tuple[float, ...]:
    """The numbers of `FACTS` that a BIDS sidecar states, in ms and T; NaN for the others."""
    facts = acquisition_facts(sidecar)
    numbers = (float(facts.get(key, math.nan)) for key in FACTS.values())
    return tuple(number if number > 0 else math.nan for number in numbers)


def sidecar_facts(facts: Mapping[str, float | str]) -> dict[str, float | str]:
    """Acquisition facts as a BIDS sidecar states them: times in s."""
    return {
        key: value / 1000.0 if key in _TIMES and isinstance(value, int | float) else value
        for key, value in facts.items()
    }


def stated_contrast(sidecar: Mapping[str, Any], name: str) -> Contrast | None:
    """The contrast that the sidecar of the file `name` states, or None.

    Raises:
        InputError: it states one that nobody knows.
    """
    stated = sidecar.get("Contrast")
    if not isinstance(stated, str):
        return None
    try:
        return contrast(stated)
    except OmnisynError as error:
        raise InputError(
            f"the sidecar names an unknown contrast {stated!r}", where=name, remedy=str(error)
        ) from error
