"""Read a classic DICOM series (one file a slice) as one volume.

DICOM coordinates are LPS+; the affine here is RAS+, so x and y change sign, exactly. Voxel axes are
(column, row, slice), slices in ascending order along the normal rows × columns.
"""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.checks import examine, settle
from omnisyn.volumes.dicom_checks import (
    one_series,
    ordered,
    orientation,
    position,
    single_grey_images,
    with_geometry,
    without_localizers,
)
from omnisyn.volumes.dicom_files import DicomFile, find_images, pixels
from omnisyn.volumes.volume import Provenance, Volume

_NUMBERS = ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "SliceThickness")
_WORDS = {
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "ManufacturerModelName",
    "SeriesDescription": "SeriesDescription",
    "ProtocolName": "ProtocolName",
    "SequenceName": "SequenceName",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "MRAcquisitionType": "MRAcquisitionType",
    "ContrastBolusAgent": "ContrastBolusAgent",
}


def read_dicom(path: str | Path) -> Volume:
    """Read a folder that holds one series, or a single file as one slice.

    The contrast is left open: `read_volume` guesses it from the description.

    Raises:
        InputError: no images, several series, repeats at one place, gaps, missing geometry, colour,
            multi-frame, damaged files; one line says which and how to mend it.
        ResourceError: the disk fails in mid-read.
    """
    # pydicom warns of every value that bends the standard; what matters here is checked here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _read_series(Path(path))


def _read_series(path: Path) -> Volume:
    where = path.name or path.resolve().name
    files, skipped = find_images(path)
    one_series(files, where)
    single_grey_images(files)
    with_geometry(files)
    files, notes = without_localizers(files, where)
    files = ordered(files, where)
    if skipped:
        notes.append(f"{skipped} file{'s' if skipped > 1 else ''} skipped that hold no image")
    modality = files[0].text("Modality")
    if modality not in ("MR", ""):
        notes.append(f"the modality is {modality}, not MR")
    if len(files) == 1 and not _thickness(files[0]):
        notes.append("a single slice without a thickness: 1 mm is assumed")
    geometry = Geometry(
        (files[0].integer("Columns"), files[0].integer("Rows"), len(files)), _affine(files)
    )
    voxels = np.empty(geometry.shape, dtype=np.float32, order="F")
    for index, file in enumerate(files):
        voxels[:, :, index] = pixels(file).T
    findings = settle(examine(voxels, geometry), where)
    provenance = Provenance(
        name=where,
        format="dicom",
        sha256=_joint_hash(files),
        acquisition=_acquisition(files[0]),
        warnings=(*notes, *findings),
    )
    return Volume(voxels, geometry, None, provenance)


def _affine(files: Sequence[DicomFile]) -> NDArray[np.float64]:
    """Voxel (column, row, slice) to RAS+ mm, by equation C.7.6.2.1-1 of DICOM PS3.3."""
    row, column = orientation(files[0])
    spacing = files[0].numbers("PixelSpacing", 2)
    if spacing is None:
        raise InputError(
            "the image has no usable PixelSpacing",
            where=files[0].name,
            remedy="export the original series again",
        )
    first, last = position(files[0]), position(files[-1])
    if len(files) > 1:
        step = (last - first) / (len(files) - 1)
    else:
        step = np.cross(row, column) * (_thickness(files[0]) or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first
    affine[:2] *= -1.0
    # Minus zero would show in every printed affine.
    return affine + 0.0


def _thickness(file: DicomFile) -> float | None:
    """The distance in mm that a slice by itself stands for, where the header says it."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = file.numbers(keyword, 1)
        if value is not None and value[0] > 0:
            return float(value[0])
    return None


def _joint_hash(files: Sequence[DicomFile]) -> str:
    return hashlib.sha256("".join(sorted(file.sha256 for file in files)).encode()).hexdigest()


def _acquisition(file: DicomFile) -> dict[str, float | str]:
    facts: dict[str, float | str] = {}
    for keyword in _NUMBERS:
        value = file.numbers(keyword, 1)
        if value is not None:
            facts[keyword] = float(value[0])
    field = file.numbers("MagneticFieldStrength", 1)
    if field is not None:
        # Some scanners write gauss: 15000 for 1.5 T.
        facts["MagneticFieldStrength"] = float(field[0]) / (10000 if field[0] > 100 else 1)
    for fact, keyword in _WORDS.items():
        text = file.text(keyword)
        if text:
            facts[fact] = text
    if "FS" in file.text("ScanOptions").split("\\"):
        facts["FatSuppressed"] = True
    return facts
