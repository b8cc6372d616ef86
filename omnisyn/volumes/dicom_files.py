"""DICOM files: find them in a folder and parse each one.

Every file is read whole: a file that is cut short is refused, never dropped.
"""

import hashlib
import io
import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ImplicitVRLittleEndian

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

    @cached_property
    def transfer_syntax(self) -> UID:
        """How its data set is encoded."""
        return transfer_syntax(self.dataset)


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


def transfer_syntax(dataset: FileDataset) -> UID:
    """How a data set is encoded; implicit little endian where it does not say."""
    return UID(str(dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)))
