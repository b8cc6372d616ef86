"""A simulated series as DICOM: a classic MR series, one file a slice, as a scanner sends it.

Every image says that it is simulated, by the fourth value of its ImageType and in its comments. All
UIDs follow from what the header says: the same series written twice is the same series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid
from pydicom.valuerep import format_number_as_ds

from omnisyn.geometry import Geometry
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.dicom_facts import SIMULATED
from omnisyn.volumes.dicom_image import fill_in, new_image, put_pixels

TOP_VALUE = 4095
"""The stored value of the largest voxel, where the voxels themselves cannot be stored."""

_DATE = "20000101"
_RIGHT_ANGLE = 1e-6
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class SeriesHeader:
    """What a series says of itself, beside its pixels and their place.

    Attributes:
        patient: the PatientID; the name is made of it.
        study: any text; series of one patient with the same one are of one exam, and share their
            frame of reference.
        number: SeriesNumber.
        description: SeriesDescription, at most 64 characters.
        facts: further attributes by their DICOM keywords, as RepetitionTime in ms; an ImageType
            gets the mark of the simulation as its last value.
        first: InstanceNumber of the first image; of a series written in parts, of the part.
    """

    patient: str
    study: str
    number: int
    description: str
    facts: Mapping[str, object] = field(default_factory=dict)
    first: int = 1

    @property
    def _study(self) -> tuple[str, ...]:
        return ("omnisyn", "simulated", self.patient, self.study)

    @property
    def _series(self) -> tuple[str, ...]:
        return (*self._study, str(self.number), self.description)


def image_uids(header: SeriesHeader, slices: int) -> list[str]:
    """The SOPInstanceUID of every image that ``write_series`` writes."""
    numbers = range(header.first, header.first + slices)
    return [_uid(*header._series, str(number)) for number in numbers]


def write_series(
    paths: Sequence[Path], voxels: NDArray[np.float32], geometry: Geometry, header: SeriesHeader
) -> None:
    """Write a SIMULATED series, one file a slice, as explicit VR little endian.

    Whole numbers that int16 holds are stored as they are, as most scanners do; others with a
    RescaleSlope by which the largest is ``TOP_VALUE``. The files are not put in place one by one:
    write them into a folder that is not in its own place yet (``atomic_directory``).

    Args:
        paths: one a slice along the third axis, in folders that exist.
        voxels: shape ``geometry.shape`` = (columns, rows, slices), in file order.
        geometry: its axes at right angles. Slices are read back in the order of rows × columns: of
            a left-handed grid that is the reverse of this one.
        header: see there.

    Raises:
        ResourceError: the disk is full, read-only or gone.
        ValueError: voxels, paths and geometry do not fit each other, the axes are not at right
            angles, or a voxel is not finite.
    """
    if voxels.shape != geometry.shape or len(paths) != geometry.shape[2]:
        raise ValueError(f"{voxels.shape} voxels, {len(paths)} paths, {geometry}")
    if not np.isfinite(voxels).all():
        raise ValueError("a voxel is not finite")
    lps = geometry.affine * np.array([[-1.0], [-1.0], [1.0], [1.0]])
    cosines = lps[:3, :3] / geometry.spacing
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > _RIGHT_ANGLE:
        raise ValueError("the axes of a DICOM series are at right angles")
    stored, slope = _stored(voxels)
    for index, (path, uid) in enumerate(zip(paths, image_uids(header, len(paths)), strict=True)):
        image = new_image(uid)
        image.PatientID, image.PatientName = header.patient, f"{SIMULATED}^{header.patient}"
        image.StudyInstanceUID = _uid(*header._study)
        image.SeriesInstanceUID = _uid(*header._series)
        image.FrameOfReferenceUID = _uid(*header._study, "frame of reference")
        image.StudyDate = image.SeriesDate = image.ContentDate = _DATE
        image.SeriesNumber, image.InstanceNumber = header.number, header.first + index
        image.SeriesDescription = header.description
        for keyword, value in header.facts.items():
            setattr(image, keyword, value)
        image.ImageType = [*image.get("ImageType", ("ORIGINAL", "PRIMARY", "M")), SIMULATED]
        image.ImageComments = f"{SIMULATED} image: it shows nobody."
        image.PatientPosition = "HFS"
        image.ImageOrientationPatient = _decimals(cosines[:, :2].T.ravel())
        image.ImagePositionPatient = _decimals(lps[:3, 3] + index * lps[:3, 2])
        image.PixelSpacing = _decimals(geometry.spacing[1::-1])
        (image.SpacingBetweenSlices,) = _decimals(geometry.spacing[2:])
        if "SliceThickness" not in image:
            image.SliceThickness = image.SpacingBetweenSlices
        if slope is not None:
            image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", slope, "US"
        fill_in(image)
        put_pixels(image, stored[:, :, index].T)
        try:
            image.save_as(path, enforce_file_format=True)
        except OSError as error:
            raise resource_error("cannot write", path, error) from error


def _stored(voxels: NDArray[np.float32]) -> tuple[NDArray[np.int16], str | None]:
    """The voxels as int16 and the slope that leads back to them; None where they are themselves."""
    largest = float(np.abs(voxels).max())
    if largest <= _INT16.max and np.array_equal(voxels, np.rint(voxels)):
        return voxels.astype(np.int16), None
    slope = format_number_as_ds(largest / TOP_VALUE)
    return np.rint(voxels / float(slope)).astype(np.int16), slope


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Numbers as decimal strings (DS), of at most 16 characters."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def _uid(*words: str) -> str:
    return str(generate_uid(entropy_srcs=list(words)))
