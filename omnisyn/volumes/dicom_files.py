"""DICOM files: find them in a folder, parse each one, get its pixels as they are meant.

Headers and uncompressed pixels come from pydicom, compressed pixels from SimpleITK (GDCM). Every
file is read whole: a file that is cut short is refused, never dropped.
"""

import hashlib
import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from omnisyn.errors import InputError
from omnisyn.volumes.file_bytes import DICOM_START_BYTES, looks_like_dicom, read_file

_END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0\0\0\0\0"
_FETCH_AGAIN = "export or copy the series again"


@dataclass(frozen=True)
class DicomFile:
    """One parsed image file."""

    path: Path
    dataset: FileDataset
    sha256: str

    @property
    def name(self) -> str:
        """Basename, for messages."""
        return self.path.name

    def numbers(self, keyword: str, count: int) -> NDArray[np.float64] | None:
        """A numeric element of exactly `count` finite values, or None."""
        value = self._value(keyword)
        try:
            array = np.array([float(item) for item in ([value] if count == 1 else value)])
        except (TypeError, ValueError, OverflowError):
            return None
        return array if array.shape == (count,) and np.isfinite(array).all() else None

    def integer(self, keyword: str, default: int | None = None) -> int:
        """A whole number; `default` where the element is absent or empty.

        Raises:
            InputError: it is no single whole number, or is absent without a default.
        """
        value = self._value(keyword)
        if value in (None, "") and default is not None:
            return default
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"the {keyword} is not usable",
                where=self.name,
                why=f"it is {str(value)[:40]!r}",
                remedy=_FETCH_AGAIN,
            ) from error

    def text(self, keyword: str) -> str:
        """An element as text, its values joined by a backslash; empty where it is absent."""
        value = self._value(keyword)
        if value is None:
            return ""
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            return str(value).strip()
        return "\\".join(str(item).strip() for item in value)

    def _value(self, keyword: str) -> Any:
        # pydicom converts an element when it is asked for, and may then find that it cannot.
        try:
            return self.dataset.get(keyword)
        except Exception:
            return None


def find_images(path: Path) -> tuple[list[DicomFile], int]:
    """Parse a DICOM file, or every file of a folder (not of its subfolders).

    Files that are no DICOM images (notes, reports, DICOMDIR, hidden files) are skipped. File names
    inside a DICOMDIR are never followed.

    Returns:
        the images, sorted by name, and the number of files skipped.

    Raises:
        InputError: nothing readable is there, or an image is damaged.
        ResourceError: the disk fails in mid-read.
    """
    if path.is_dir():
        try:
            entries = sorted(Path(entry.path) for entry in os.scandir(path) if entry.is_file())
        except OSError as error:
            raise InputError(
                "cannot list the folder", where=path.name, why=error.strerror
            ) from error
    else:
        entries = [path]
    images, skipped = [], 0
    for entry in entries:
        image = None if entry.name.startswith(".") else _parse(entry)
        if image is None:
            skipped += 1
        else:
            images.append(image)
    if not images:
        raise InputError(
            "no DICOM images here",
            where=path.name,
            why=f"{skipped} other files" if skipped else "the folder holds no files",
            remedy="give the folder that holds the files of one series, or a NIfTI file",
        )
    return images, skipped


def _parse(path: Path) -> DicomFile | None:
    if path.stat().st_size == 0:
        raise InputError("the file is empty (0 bytes)", where=path.name, remedy=_FETCH_AGAIN)
    content = read_file(path).content
    if not looks_like_dicom(content[:DICOM_START_BYTES]):
        return None
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
            storage = UID(str(dataset.file_meta.get("MediaStorageSOPClassUID", "")))
            storage = storage or UID(str(dataset.get("SOPClassUID", "")))
            whole = bool(dataset.get("PixelData")) and _ends_well(dataset, content)
            shaped = all(isinstance(dataset.get(key), int) for key in ("Rows", "Columns"))
        # A damaged data set makes pydicom raise errors of many kinds.
        except Exception as error:
            raise InputError(
                "the DICOM file is damaged", where=path.name, why=str(error) or repr(error),
                remedy=_FETCH_AGAIN,
            ) from error  # fmt: skip
    if "Image Storage" not in storage.name and not (whole and shaped):
        return None
    if not (whole and shaped) or any("End of file" in str(note.message) for note in notes):
        raise InputError(
            "the DICOM file is cut short",
            where=path.name,
            why="its pixels are missing or end too early",
            remedy=_FETCH_AGAIN,
        )
    return DicomFile(path, dataset, hashlib.sha256(content).hexdigest())


def _ends_well(dataset: FileDataset, content: bytes) -> bool:
    """Whether compressed pixels at the end of a file are closed by their delimiter."""
    return (
        not transfer_syntax(dataset).is_encapsulated
        or max(dataset.keys()) != Tag("PixelData")
        or content.endswith(_END_OF_FRAGMENTS)
    )


def pixels(file: DicomFile) -> NDArray[np.float32]:
    """The image of one file, (rows, columns), its own slope and intercept applied.

    Raises:
        InputError: cut short, of a kind that is no single grey image, or not decodable.
    """
    rows, columns = file.integer("Rows"), file.integer("Columns")
    slope, intercept = _rescaling(file)
    syntax = transfer_syntax(file.dataset)
    if syntax.is_compressed:
        values = _decompressed(file, (rows, columns))
        # GDCM has applied slope and intercept already.
        return values.astype(np.float32)
    allocated = file.integer("BitsAllocated")
    stored_bits = file.integer("BitsStored", allocated)
    if allocated not in (8, 16, 32) or not 1 <= stored_bits <= allocated:
        raise InputError(
            "unsupported pixel size",
            where=file.name,
            why=f"{stored_bits} bits stored in {allocated}",
            remedy="convert the series to NIfTI and give that",
        )
    kind = "i" if file.integer("PixelRepresentation", 0) else "u"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    pixel_type = np.dtype(f"{order}{kind}{allocated // 8}")
    due = rows * columns * pixel_type.itemsize
    content = file.dataset.PixelData
    if len(content) < due:
        raise InputError(
            "the DICOM file is cut short",
            where=file.name,
            why=f"{due} bytes of pixels are due, {len(content)} are there",
            remedy=_FETCH_AGAIN,
        )
    stored = np.frombuffer(content, pixel_type, count=rows * columns)
    if stored_bits < allocated:
        # Old scanners keep overlays in the unused high bits; shifting drops them, with the sign.
        unused = allocated - stored_bits
        stored = np.right_shift(np.left_shift(stored.astype(pixel_type.newbyteorder("=")), unused),
                                unused)  # fmt: skip
    values = stored.reshape(rows, columns).astype(np.float32)
    if (slope, intercept) != (1.0, 0.0):
        values = (values * np.float64(slope) + intercept).astype(np.float32)
    return values


def transfer_syntax(dataset: FileDataset) -> UID:
    """How a data set is encoded; implicit little endian where it does not say."""
    return UID(str(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)))


def _rescaling(file: DicomFile) -> tuple[float, float]:
    factors = []
    for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        if file.text(keyword) == "":
            factors.append(default)
            continue
        value = file.numbers(keyword, 1)
        if value is None or (keyword == "RescaleSlope" and value[0] == 0):
            raise InputError(
                f"the {keyword} is not usable",
                where=file.name,
                why=f"it is {file.text(keyword)!r}",
                remedy=_FETCH_AGAIN,
            )
        factors.append(float(value[0]))
    return factors[0], factors[1]


def _decompressed(file: DicomFile, shape: tuple[int, int]) -> NDArray[Any]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file.path))
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        values = SimpleITK.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(
            "the compressed pixels cannot be decoded",
            where=file.name,
            why=transfer_syntax(file.dataset).name,
            remedy="decompress the series (for example with gdcmconv --raw) or export it again",
        ) from error
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)
    if values.size != shape[0] * shape[1]:
        raise InputError(
            "the compressed pixels do not fit the header",
            where=file.name,
            why=f"{values.shape} decoded, {shape} due",
            remedy=_FETCH_AGAIN,
        )
    return np.asarray(values).reshape(shape)
