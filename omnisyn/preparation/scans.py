"""Reads a scan that was found, in whatever form it came."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, reason_of
from omnisyn.geometry import Geometry
from omnisyn.preparation.found import FoundScan
from omnisyn.preparation.sidecars import impersonal
from omnisyn.volumes.read import labelled_volume, read_volume
from omnisyn.volumes.sidecar import read_sidecar, sidecar_facts
from omnisyn.volumes.volume import Provenance, Volume

# A series' own words may name the patient.
_WORDS = {"SeriesDescription", "ProtocolName"}
_UNKNOWN_SPACING_MM = (1.0, 1.0, 1.0)
NO_SPACING = "pictures do not say their size: 1 mm is assumed between slices, rows and columns"


def read_scan(scan: FoundScan, name: str) -> Volume:
    """The volume of a scan that shows the contrast of this name.

    Raises:
        InputError: damaged, or not what it seemed to be.
        ResourceError: the disk fails in mid-read.
    """
    if scan.form == "NIfTI":
        return read_volume(scan.files[0], contrast(name))
    if scan.form == "pictures":
        return _read_pictures(scan, name)
    # pydicom is not needed where nothing is DICOM.
    from omnisyn.volumes.dicom import read_files

    return labelled_volume(read_files(scan.files, scan.part, f"{name} series"), contrast(name))


def sidecar_of(scan: FoundScan, name: str, volume: Volume) -> dict[str, Any]:
    """What may be kept of how a scan was made, and nothing of whom it shows."""
    facts: dict[str, Any]
    if scan.form == "NIfTI":
        facts = {**impersonal(read_sidecar(scan.files[0])), "SourceFile": scan.files[0].name}
    else:
        known = sidecar_facts(volume.provenance.acquisition)
        facts = {key: value for key, value in known.items() if key not in _WORDS}
    return {
        **facts,
        "Contrast": name,
        "SourceForm": scan.form,
        "SourceSHA256": volume.provenance.sha256,
    }


def _read_pictures(scan: FoundScan, name: str) -> Volume:
    from omnisyn.volumes.atomic import sha256_file
    from omnisyn.volumes.dicom_files import joint_sha256

    slices = [_read_picture(path) for path in scan.files]
    if len({each.shape for each in slices}) > 1:
        raise InputError(
            "the slices are pictures of several sizes",
            where=scan.files[0].parent.name,
            why=", ".join(sorted({f"{each.shape[1]} × {each.shape[0]}" for each in slices})),
            remedy="give slices of one series in one folder",
        )
    stacked = np.stack(slices)
    geometry = Geometry.axial(_three(stacked.shape), scan.spacing_mm or _UNKNOWN_SPACING_MM)
    provenance = Provenance(
        name=scan.files[0].parent.name,
        sha256=joint_sha256(sha256_file(path) for path in scan.files),
        warnings=() if scan.spacing_mm else (NO_SPACING,),
    )
    return Volume(geometry.from_slices(stacked), geometry, contrast(name), provenance)


def _read_picture(path: Path) -> NDArray[np.float32]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)
    # A damaged picture makes Pillow raise errors of many kinds.
    except Exception as error:
        raise InputError(
            "the picture cannot be read", where=path.name, why=reason_of(error), remedy="export it"
        ) from error
    if pixels.ndim == 3:
        colours = pixels[..., :3]
        if (colours != colours[..., :1]).any():
            raise InputError(
                "the picture is coloured", where=path.name, remedy="give slices in grey values"
            )
        pixels = colours[..., 0]
    return pixels.astype(np.float32)


def _three(shape: Sequence[int]) -> tuple[int, int, int]:
    slices, rows, columns = shape
    return slices, rows, columns
