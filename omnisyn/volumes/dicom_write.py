"""Write a synthesized volume as a derived DICOM MR series, beside its source in the same study.

Patient, study, frame of reference and the place of every slice are copied from the source's own
headers, by a list of what is wanted: private tags and whatever is not on it stay behind. Series and
images get new UIDs, and every image says that it is synthetic, from which images it was made, and
that it is for research. The voxels are int16 with a slope; the files are explicit VR little endian.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, generate_uid

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.atomic import write_bytes_atomic
from omnisyn.volumes.dicom_anonymize import Pseudonyms
from omnisyn.volumes.dicom_checks import place_tolerance
from omnisyn.volumes.dicom_files import joint_sha256
from omnisyn.volumes.dicom_frames import Frame
from omnisyn.volumes.dicom_image import fill_in, new_image, put_pixels

TOP_VALUE = 4095
"""The stored value that stands for the top of the model's scale."""

_PATIENT_AND_STUDY = (
    *("SpecificCharacterSet", "TimezoneOffsetFromUTC", "PatientName", "PatientID"),
    *("IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex", "PatientAge"),
    *("PatientSize", "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
_PLACE = (
    *("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"),
    *("BodyPartExamined", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "SpacingBetweenSlices", "SliceLocation"),
)
# What a reference to a source image, and the study that it lies in, consist of.
_MUST_BE_NAMED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# Those that cannot but lose something. JPEG 2000 and HTJ2K may or may not, and only a flag tells.
_LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})


@dataclass(frozen=True)
class DerivedSeries:
    """What is said about a synthesized series.

    Attributes:
        target: name of the contrast that it shows.
        sources: names of the contrasts it was made from.
        model: name of the weights.
        model_sha256: their hash.
        simulated: whether a source was a simulated patient.
        asked: what was asked for besides the target's name, in ASCII.
    """

    target: str
    sources: tuple[str, ...]
    model: str
    model_sha256: str
    simulated: bool
    asked: str = ""

    @property
    def description(self) -> str:
        """The SeriesDescription, at most 64 characters."""
        kind = "SYNTHETIC SIMULATED" if self.simulated else "SYNTHETIC"
        asked = f": {self.asked}" if self.asked else ""
        return f"{kind} {self.target} from {'+'.join(self.sources)} (omnisyn){asked}"[:64]

    @property
    def derivation(self) -> str:
        """The DerivationDescription."""
        asked = f" (asked for: {self.asked})" if self.asked else ""
        return (
            f"SYNTHETIC {self.target}, not acquired{asked}: made from {' + '.join(self.sources)}"
            f"{' of a SIMULATED patient' if self.simulated else ''} by omnisyn with the model "
            f"{self.model} (SHA-256 {self.model_sha256}). For research only, not for diagnosis or "
            "treatment."
        )


def refuse_unfit_headers(headers: Sequence[Frame], where: str | None = None) -> None:
    """Refuse source images that a derived series cannot name.

    Args:
        where: name of the source, for the message.

    Raises:
        InputError: there are none, or one lacks what a reference to it consists of.
    """
    what, remedy = "no DICOM series can be built on this source", "write NIfTI in its place"
    if not headers:
        raise InputError(
            what,
            where=where,
            why="its slices were interpolated, or it is a NIfTI file",
            remedy=remedy,
        )
    for header in headers:
        missing = [keyword for keyword in _MUST_BE_NAMED if keyword not in header.classic]
        if missing:
            raise InputError(what, where=header.name, why=f"it has no {missing[0]}", remedy=remedy)


def write_dicom_series(
    folder: Path,
    voxels: NDArray[np.float32],
    geometry: Geometry,
    headers: Sequence[Frame],
    series: DerivedSeries,
    *,
    others: Sequence[Sequence[Frame]] = (),
    scale: float = 1.0,
    pseudonyms: Pseudonyms | None = None,
) -> str:
    """Write one file a slice, `0001.dcm` and so on, into an empty folder.

    Args:
        folder: not in its place yet (`Staging.folder`): a series is there whole or not at all.
        voxels: 0 to `scale`, shape `geometry.shape` = (columns, rows, slices).
        headers: the source's frames, one for each slice in the order of `voxels`.
        others: headers of further sources; each image refers to their nearest one.
        scale: the value that is stored as `TOP_VALUE`.
        pseudonyms: take the patient out (basic profile); without them the patient stays.

    Returns:
        the hash of the sorted SHA-256 of the files.

    Raises:
        InputError: a header lacks what a reference to it consists of.
        ResourceError: the disk is full, read-only or gone.
        ValueError: the headers are not those of this grid, or a value cannot be stored.
    """
    hashes = []
    with warnings.catch_warnings():
        # Values that bend the standard are the source's own; they are copied as they are, and
        # shown to nobody.
        warnings.simplefilter("ignore", UserWarning)
        for each in (headers, *filter(None, others)):
            refuse_unfit_headers(each)
        _check_place(geometry, headers)
        slope = f"{scale / TOP_VALUE:.10g}"
        stored = _stored(voxels, float(slope))
        everybody = [*headers, *(header for other in others for header in other)]
        common = _common(series, headers[0].classic, scale, slope, lossy=_lossy(everybody))
        for index, header in enumerate(headers):
            references = [header, *(_nearest(header, other) for other in others if other)]
            image = _image(common, header.classic, references, stored[:, :, index].T, index + 1)
            if pseudonyms is not None:
                pseudonyms.apply(image)
            buffer = io.BytesIO()
            image.save_as(buffer, enforce_file_format=True)
            hashes.append(hashlib.sha256(buffer.getvalue()).hexdigest())
            write_bytes_atomic(folder / f"{index + 1:04d}.dcm", buffer.getvalue())
    return joint_sha256(hashes)


def _lossy(headers: Sequence[Frame]) -> bool:
    """Whether a source has been through a compression that loses something."""
    return any(
        header.text("LossyImageCompression") == "01"
        or header.file.transfer_syntax in _LOSSY_SYNTAXES
        for header in headers
    )


def _check_place(geometry: Geometry, headers: Sequence[Frame]) -> None:
    if len(headers) != geometry.shape[2]:
        raise ValueError(f"{len(headers)} headers for {geometry.shape[2]} slices")
    lps = geometry.affine * np.array([[-1.0], [-1.0], [1.0], [1.0]])
    # A series may be uneven within the reader's tolerance; its own positions are what is copied.
    tolerance = place_tolerance(geometry.spacing[2])
    for index, header in enumerate(headers):
        place = np.array([float(value) for value in header.classic.ImagePositionPatient])
        if np.linalg.norm(lps[:3, 2] * index + lps[:3, 3] - place) > 2 * tolerance:
            raise ValueError(f"slice {index} of the volume does not lie where its header says")


def _stored(voxels: NDArray[np.float32], slope: float) -> NDArray[np.int16]:
    if not np.isfinite(voxels).all() or float(voxels.min()) < 0:
        raise ValueError("a synthesized series holds finite values from 0 on")
    values = np.rint(voxels / slope)
    if float(values.max()) > np.iinfo(np.int16).max:
        raise ValueError("values above what int16 can store at this scale")
    stored: NDArray[np.int16] = values.astype(np.int16)
    return stored


def _common(
    series: DerivedSeries, source: Dataset, scale: float, slope: str, *, lossy: bool
) -> Dataset:
    """What all images of the series share, the patient included."""
    now = datetime.now()
    common = Dataset()
    for keyword in _PATIENT_AND_STUDY:
        if keyword in source:
            common[keyword] = deepcopy(source[keyword])
    if not re.fullmatch(r"\d{3}[DWMY]", str(common.get("PatientAge", ""))):
        # Optional, and a frequent fault of anonymizers ("0Y"): a wrong one is left out.
        common.pop("PatientAge", None)
    common.SeriesInstanceUID = generate_uid()
    common.SeriesNumber = _series_number(source, series.target)
    common.SeriesDescription = series.description
    common.SeriesDate = common.ContentDate = common.InstanceCreationDate = f"{now:%Y%m%d}"
    common.SeriesTime = common.ContentTime = common.InstanceCreationTime = f"{now:%H%M%S}"
    common.Manufacturer = "omnisyn"
    common.ManufacturerModelName = series.model[:64]
    common.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
    common.DerivationDescription = series.derivation[:1024]
    common.ImageComments = "SYNTHETIC image, not acquired. For research only."
    common.ContentQualification = "RESEARCH"
    common.BurnedInAnnotation = "NO"
    common.LossyImageCompression = "01" if lossy else "00"
    common.ScanningSequence, common.SequenceVariant = "RM", "NONE"
    common.RescaleIntercept, common.RescaleSlope, common.RescaleType = "0", slope, "US"
    common.WindowCenter, common.WindowWidth = f"{scale / 2:.8g}", f"{scale:.8g}"
    if not source.get("FrameOfReferenceUID"):
        common.FrameOfReferenceUID = generate_uid()
    return common


def _image(
    common: Dataset,
    source: Dataset,
    references: Sequence[Frame],
    pixels: NDArray[np.int16],
    number: int,
) -> FileDataset:
    image = new_image(generate_uid())
    # Copied, for an element that two data sets share is changed in both.
    image.update(deepcopy(common))
    for keyword in _PLACE:
        if source.get(keyword) is not None:
            image[keyword] = deepcopy(source[keyword])
    fill_in(image)
    image.InstanceNumber = number
    image.SourceImageSequence = [_reference(header, purpose=True) for header in references]
    image.ReferencedSeriesSequence = list(_referenced_series(references))
    put_pixels(image, pixels)
    return image


def _reference(header: Frame, *, purpose: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.classic.SOPClassUID
    item.ReferencedSOPInstanceUID = header.classic.SOPInstanceUID
    if header.number is not None:
        item.ReferencedFrameNumber = header.number
    if purpose:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = "121322", "DCM"
        code.CodeMeaning = "Source image for image processing operation"
        item.PurposeOfReferenceCodeSequence = [code]
    return item


def _referenced_series(references: Sequence[Frame]) -> Iterator[Dataset]:
    by_series: dict[str, list[Dataset]] = {}
    for header in references:
        uid = str(header.classic.get("SeriesInstanceUID", ""))
        by_series.setdefault(uid, []).append(_reference(header, purpose=False))
    for uid, instances in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, instances
        yield item


def _nearest(header: Frame, others: Sequence[Frame]) -> Frame:
    """The other source's image that lies nearest along this slice's normal."""
    cosines = np.array([float(v) for v in header.classic.ImageOrientationPatient]).reshape(2, 3)
    normal = np.cross(*cosines)

    def height(other: Frame) -> float:
        return float(np.array([float(v) for v in other.classic.ImagePositionPatient]) @ normal)

    here = height(header)
    return min(others, key=lambda other: abs(height(other) - here))


def _series_number(source: Dataset, target: str) -> int:
    """The source's number with two digits behind it that tell the target: 7 → 703 for T2."""
    try:
        number = int(source.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    return abs(number) % 10_000_000 * 100 + NAMES.index(target) + 1
