"""Finds patients among slices that came as pictures: ``<patient>/{T1,T1c_reg,T2_reg}/*.png``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from omnisyn.contrasts import NAMES, guess_contrast
from omnisyn.preparation.found import Found, FoundPatient, FoundScan
from omnisyn.preparation.instructions import NONE, Instructions

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_FEWEST_SLICES = 3


def find_pictures(source: Path, files: Sequence[Path], instructions: Instructions) -> Found:
    """The patients of these files: a folder that is named after a contrast holds its slices.

    Slices are ordered by the last number in their names. Folders of another name, or of fewer than
    three pictures, are passed over.

    Args:
        source: the folder that they lie below.
        files: pictures.
    """
    folders: dict[Path, list[Path]] = {}
    for path in files:
        folders.setdefault(path.parent, []).append(path)
    patients: dict[tuple[str, ...], dict[str, FoundScan]] = {}
    passed: list[str] = []
    left: dict[tuple[str, ...], list[str]] = {}
    for folder in sorted(folders):
        place = folder.relative_to(source)
        contrast = _contrast(place, instructions)
        if contrast is None or len(folders[folder]) < _FEWEST_SLICES:
            passed.append(f"{place.name or source.name}: pictures, and no contrast")
            continue
        parts = place.parts[:-1] or (source.resolve().name,)
        scans = patients.setdefault(parts, {})
        if contrast in scans:
            left.setdefault(parts, []).append(f"{place.name}: another {contrast}")
            continue
        ordered = sorted(folders[folder], key=_number)
        if instructions.pictures.first_slice == "superior":
            ordered.reverse()
        scans[contrast] = FoundScan(
            "pictures",
            tuple(ordered),
            f"its folder is named {contrast}",
            spacing_mm=instructions.pictures.spacing_mm,
        )
    return Found(
        tuple(
            FoundPatient(
                "_".join(parts),
                "_".join(parts),
                {name: scans[name] for name in NAMES if name in scans},
                left=tuple(left.get(parts, ())),
            )
            for parts, scans in sorted(patients.items())
        ),
        tuple(passed),
    )


def _contrast(place: Path, instructions: Instructions) -> str | None:
    said = instructions.said([place.as_posix(), place.name])
    if said is not None:
        return None if said == NONE else said
    shown = guess_contrast(place.name)
    return shown.name if shown else None


def _number(path: Path) -> tuple[int, str]:
    numbers = re.findall(r"[0-9]+", path.stem)
    return (int(numbers[-1]) if numbers else -1, path.name)
